"""What a Chinese coordinator gets: titles in Chinese with the codes beside them, and no English half-sentence."""

from __future__ import annotations

import re
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

import neotorch
from neotorch.domain.deviations import Deviations
from neotorch.domain.sourced import Words
from neotorch.rules.wording import coded, drug_title, item_titles, visit_title
from tests.support import START, SUBJECT, Trial, at, consent, course, cycle, fact, forms, screened, study, surgery

DAY = timedelta(1)
ROOT = Path(neotorch.__file__).parent
WORDS = (ROOT / "templates" / "zh.txt").read_text(encoding="utf-8")
TECHNICAL = ("通知编号：", "处理入口：", "试验：")
"""Rows that are keys, commands and names of studies."""


def mails(trial: Trial) -> dict[str, str]:
    """Key of each notice -> subject and plain text, as they lie in the outbox."""
    found = {}
    for file in trial.engine.settings.outbox.rglob("*.eml"):
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        body = mail.get_body(("plain",))
        assert body
        found[str(mail["X-Neotorch-Key"])] = f"{mail['Subject']}\n{body.get_content()}"
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Half a year with missing values, a cycle put off, a dose that should not have been, a serious event and surgery too early."""
    trial = Trial(tmp_path_factory.mktemp("zh"), now=at(START - 14 * DAY))
    trial.tell(consent(START - 14 * DAY))
    trial.sleep_until(at(START - 5 * DAY))
    trial.tell(*screened()[1:])
    trial.sleep_until(at(START))
    trial.tell(*[f for f in course(1) if f.occurred <= START])  # C1D8 and C1D15 are missed
    second = START + 21 * DAY
    trial.sleep_until(at(second))
    trial.tell(cycle(2, second), *forms("C2D1", second, without=["CBC.ANC", "CHEM"]))
    trial.sleep_until(at(second + 20 * DAY))
    low = fact(
        "form_received", second + 20 * DAY, id="low", visit="C3D1", form="CBC", items={"ANC": 0.6, "PLT": 90, "HB": 101}
    )
    trial.tell(fact("cycle_delayed", second + 20 * DAY, cycle=3, until=second + 30 * DAY, cause="toxicity"), low)
    trial.sleep_until(at(second + 22 * DAY))
    trial.tell(cycle(3, second + 22 * DAY))
    event = {"term": "neutropenia", "grade": 4, "serious": True, "aware": at(second + 30 * DAY)}
    trial.sleep_until(at(second + 30 * DAY))
    trial.tell(fact("adverse_event", second + 30 * DAY, **event))
    trial.sleep_until(at(second + 40 * DAY))
    trial.tell(surgery(second + 40 * DAY))
    trial.sleep_until(at(second + 70 * DAY))
    return mails(trial)


def test_there_is_something_of_every_sort(told: dict[str, str]) -> None:
    """Reminders, moved dates, queries, deviations of several kinds, safety."""
    kinds = {k.split("/")[2] for k in told if "/deviation/" in k}
    assert {"dose-gate", "sae-late"} <= kinds
    assert any("/moved/" in k for k in told)
    assert any("/asked/" in k for k in told)
    assert any(k.endswith("/told/investigator/outbox") for k in told)
    assert len(told) > 30


def test_no_english_sentence_is_left(told: dict[str, str]) -> None:
    """Outside of codes, commands and rule names there is no English word, in no notice."""
    for key, text in told.items():
        kept = [line for line in text.splitlines() if not line.startswith(TECHNICAL)]
        plain = re.sub(
            r"neotorch explain \S+|（规则 [a-z.-]+）|[A-Za-z0-9_.-]*[A-Z0-9_][A-Za-z0-9_.-]*", "", "\n".join(kept)
        )
        assert not re.findall(r"[A-Za-z]{2,}", plain), (key, text)


def test_a_query_reads_as_a_coordinator_would_say_it(told: dict[str, str]) -> None:
    """Visit, form and item by their titles with the codes beside them, the reason in Chinese, the day with its weekday."""
    mail = told[f"{SUBJECT}/C2D1/CBC/asked/1/coordinator/outbox"]
    subject = mail.splitlines()[0]
    assert subject == "NT-001：数据质疑：C2D1（第2周期第1天）访视缺少 CBC（血常规）数据：ANC（中性粒细胞）"
    assert "涉及条目：ANC（中性粒细胞）" in mail.splitlines()
    assert (
        "依据：CBC（血常规）应在 C2D1（第2周期第1天）访视完成，该访视已于2026年2月9日（周一）进行" in mail.splitlines()
    )


def test_a_deviation_reads_as_an_investigator_would_say_it(told: dict[str, str]) -> None:
    """The kind, the visit and the drug by their names, and where the conditions stand."""
    (key,) = [k for k in told if "/dose-gate/" in k and "/anlotinib/" in k and "/investigator/" in k]
    mail = told[key]
    assert "重要方案偏离：未满足给药条件而给药，C3D1（第3周期第1天），安罗替尼" in mail.splitlines()[0]
    assert "详见 neotorch explain NT-001/deviation/dose-gate/C3D1/anlotinib" in mail


def test_every_kind_of_deviation_has_chinese_words() -> None:
    """A new kind of deviation comes with its words."""
    kinds = [k.replace("_", "-") for k in Deviations.model_fields if k not in ("source", "assumption")]
    assert [k for k in kinds if f'"{k}": "' not in WORDS] == []


def test_every_contradiction_has_chinese_words() -> None:
    """Each code that the checks give a contradiction is worded; a new one comes with its words."""
    codes = set()
    for name, prefix in (
        ("history", ""),
        ("state", ""),
        ("efs", ""),
        ("pcr", ""),
        ("rcb", "rcb-"),
        ("../rules/consistency", ""),
        ("../rules/reads", ""),
    ):
        source = (ROOT / "domain" / f"{name}.py").read_text(encoding="utf-8")
        made = re.findall(
            r'(?:\bProblem\(|SurvivalConflict\(|RcbProblem\(|_before\(|yield )\s*\(?\s*"([a-z][a-z-]+)"', source
        )
        codes |= {prefix + code for code in made}
    assert len(codes) > 25
    assert sorted(c for c in codes if f'"{c}": "' not in WORDS) == []


def test_every_anchor_has_chinese_words() -> None:
    """What a visit hangs on is said in Chinese, drugs by their Chinese names."""
    for name in (
        "consent",
        "enrolment",
        "surgery",
        "pathology",
        "progression",
        "recurrence",
        "planned start",
        "last dose",
    ):
        assert f'"{name}": "' in WORDS
    assert drug_title("anlotinib", study()) == {"en": "anlotinib", "zh": "安罗替尼"}


def test_titles_with_codes() -> None:
    """The code stays beside the title, alone where both are the same; what is unknown stays a code."""
    assert coded("ANC", Words(en="neutrophils", zh="中性粒细胞")) == {
        "en": "ANC (neutrophils)",
        "zh": "ANC（中性粒细胞）",
    }
    assert coded("ALT", Words(en="ALT", zh="ALT")) == {"en": "ALT", "zh": "ALT"}
    assert item_titles(("SBP", "XYZ"), None, study()) == [
        {"en": "SBP (systolic pressure)", "zh": "SBP（收缩压）"},
        "XYZ",
    ]
    assert visit_title("C7D1", study()) == {"en": "extra cycle 7 day 1", "zh": "追加第7周期第1天"}
    assert visit_title("C99D1", study()) is visit_title(None, study()) is None
