"""Who is blind to a read learns nothing of what it says, by no notice in either language, and by no run's name or artifact."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stories import shipped
from tests.support import RESIDUAL, START, SUBJECT, Trial, at, consent, course, forms, pathology, screened, surgery

DAY = timedelta(1)
LOCAL: dict[str, Any] = RESIDUAL | {"cellularity_pct": 1, "ypt": "ypT1a", "miller_payne": 4}
CENTRAL: dict[str, Any] = RESIDUAL | {
    "ypt": "ypT3", "d1_mm": 77.7, "d2_mm": 66.6, "cellularity_pct": 88.8, "ypn": "ypN3a", "nodes_positive": 13,
    "nodes_removed": 155, "largest_met_mm": 44.4,
}  # fmt: skip
TOLD_APART = ("RCB-III", "ypT3", "ypN3a", "77.7", "66.6", "88.8", "155", "44.4", "3 positive nodes", "er_pct", "ER")
"""What only the central read says: its class, its categories and its numbers, and that it has residual cancer to stain."""
ENTITLED = {"central_reader", "monitor"}
"""Who is asked about the central read, and whom a question on it that stays open is passed on to."""
Told = list[tuple[str, str, str]]
"""(role, key, text)."""


def says(text: str) -> list[str]:
    """What of the central read stands in a text; digits within dates, times, keys and ids are not meant."""
    plain = re.sub(r"\S*\d{4}\S*|\S*[A-Z]{2}-\d+\S*|\S*[/#]\S*|\b\d+:\d+\S*", " ", text)
    return [word for word in TOLD_APART if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w])", plain)]


def mails(folder: Path) -> Told:
    """All notices in the outbox."""
    found = []
    for file in folder.rglob("*.eml"):
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        body = mail.get_body(("plain",))
        page = mail.get_body(("html",))
        assert body
        assert page
        key = str(mail["X-Neotorch-Key"])
        found.append((key.rsplit("/", 2)[1], key, f"{mail['Subject']}\n{body.get_content()}\n{page.get_content()}"))
    return found


def study_in(folder: Path, languages: list[str]) -> Path:
    """The study file for a site that reads these languages."""
    data = deepcopy(shipped())
    data["sites"][0]["languages"] = languages
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return file


class World:
    """A patient operated on day 150, with all that runs and consoles were given to say."""

    def __init__(self, folder: Path, language: str) -> None:
        """Up to the local report."""
        self.trial = Trial(folder, at(START - 14 * DAY), study_file=study_in(folder, [language]))
        self.said: list[str] = []
        perform = self.trial.engine.perform_now

        def kept(subject: str | None, step: Any) -> str:
            message = perform(subject, step)
            self.said.append(f"{step.name}\n{message}")
            return message

        self.trial.engine.perform_now = kept  # type: ignore[method-assign]
        self.trial.tell(consent(START - 14 * DAY))
        self.trial.sleep_until(at(START - 5 * DAY))
        self.trial.tell(*screened()[1:])
        self.trial.sleep_until(at(START + 120 * DAY))
        self.trial.tell(*[f for f in course(6) if f.occurred <= START + 120 * DAY])
        self.on(149, lambda: self.trial.tell(surgery(START + 149 * DAY), *forms("SURG", START + 149 * DAY)))
        self.on(158, lambda: self.trial.tell(pathology(START + 158 * DAY, **LOCAL)))

    def on(self, days: int, act: Callable[[], object]) -> None:
        """Let time pass to a day, do something, and let everything follow from it."""
        self.trial.sleep_until(at(START + days * DAY))
        act()
        self.trial.wake()
        self.trial.engine.recalculate("event")
        for step in self.trial.engine.trial_plan():
            self.trial.engine.perform_now(None, step)

    def read(self, days: int, read: str, **fields: Any) -> None:
        """A report comes in."""
        told = pathology(START + days * DAY, **{"id": f"{SUBJECT}.{read}.{days}", "read": read, **fields})
        self.on(days, lambda: self.trial.tell(told))

    def shown(self) -> list[str]:
        """What stands in run names, task messages, the artifact and on the worklist."""
        engine = self.trial.engine
        lines = [f"{o.what}\n{o.why}" for o in engine.worklist()]
        plan = engine.plan(SUBJECT)
        return [*self.said, engine.story_markdown(SUBJECT), *lines, plan.title, plan.awaiting, *plan.tags]


@pytest.fixture(scope="module", params=["en", "zh"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A central read with a contradiction and a gap, mended after a month, that differs from the local one for another month."""
    found = World(tmp_path_factory.mktemp(request.param), request.param)
    gaps = {"nodes_positive": 3, "er_pct": None, "ki67_pct": None}
    found.read(170, "central", **CENTRAL | gaps)
    found.trial.sleep_until(at(START + 201 * DAY))
    right = {"id": "mended", "read": "central", "corrects": f"{SUBJECT}.central.170", "reason": "typing error"}
    found.on(201, lambda: found.trial.tell(pathology(START + 170 * DAY, **CENTRAL | right)))
    found.trial.sleep_until(at(START + 233 * DAY))
    return found


def test_there_is_something_to_be_told(world: World) -> None:
    """The central reader was asked about the contradiction and the gap, the adjudicator to adjudicate, both reminded."""
    told = mails(world.trial.engine.settings.outbox)
    keys = {(role, key.removeprefix(f"{SUBJECT}/").rsplit("/", 2)[0]) for role, key, _ in told}
    assert {
        ("central_reader", "CENTRAL/ypn-count/asked/1"), ("central_reader", "CENTRAL/PATHCENTRAL/asked/1"),
        ("central_reader", "CENTRAL/PATHCENTRAL/reminder/1/7"), ("adjudicator", "ADJUDICATION/asked/1"),
        ("adjudicator", "ADJUDICATION/reminder/1/7"), ("monitor", "ADJUDICATION/escalated/1/14"),
    } <= keys  # fmt: skip
    assert world.trial.open_queries() == {"ADJUDICATION"}


def test_no_notice_to_another_role_says_what_the_central_read_says(world: World) -> None:
    """Coordinator, investigator, adjudicator, statistician: no class, no category, no number, no item of it."""
    for role, key, text in mails(world.trial.engine.settings.outbox):
        if role not in ENTITLED:
            assert says(text) == [], key


def test_no_notice_at_all_says_a_value_of_it(world: World) -> None:
    """Not even the central reader's: a notice names the problem, the console says the values."""
    values = set(TOLD_APART) - {"er_pct", "ER"}
    for _, key, text in mails(world.trial.engine.settings.outbox):
        assert not values & set(says(text)), key


def test_who_is_blind_hears_of_no_question_on_the_read(world: World) -> None:
    """Coordinator and investigator are neither asked nor reminded, and nothing of it is passed on to them."""
    about = [
        (role, key) for role, key, _ in mails(world.trial.engine.settings.outbox)
        if re.search(r"/(ADJUDICATION|CENTRAL/(PATHCENTRAL|ypn|rcb))", key)
    ]  # fmt: skip
    assert {role for role, _ in about} == {"central_reader", "adjudicator", "monitor"}


def test_runs_artifacts_and_worklists_say_nothing_of_it(world: World) -> None:
    """Names of runs and tasks, their messages, the patient's artifact and the worklist."""
    for text in world.shown():
        assert says(text) == [], text


def test_the_console_says_it_to_whoever_asks(world: World) -> None:
    """`neotorch explain` names both reads beside the value and behind the adjudication, and how it ends."""
    explain = world.trial.engine.explain
    assert "central read differs (RCB-I / RCB-III), adjudication awaited" in explain(f"{SUBJECT}/rcb")["because"]
    why = explain(f"{SUBJECT}/ADJUDICATION")
    assert why["withheld from others"] == "local / central: rcb_class RCB-I / RCB-III"
    assert "read: adjudication" in why["ends with"]


def test_the_central_reader_hears_nothing_of_the_local_read(world: World) -> None:
    """Blinded both ways: no notice to the central reader or the adjudicator has the local class or categories."""
    for role, key, text in mails(world.trial.engine.settings.outbox):
        if role in ("central_reader", "adjudicator"):
            assert not re.search(r"RCB-I\b|ypT1a", text), key


@pytest.mark.parametrize("language", ["en", "zh"])
def test_after_the_adjudication_the_statistician_is_told(tmp_path: Path, language: str) -> None:
    """The difference goes to those whom the study file lists for endpoints, and still to no one who is blind."""
    found = World(tmp_path, language)
    found.read(170, "central", **CENTRAL)
    assert not [key for _, key, text in mails(found.trial.engine.settings.outbox) if says(text)]
    found.read(180, "adjudication", **CENTRAL)
    told = [(role, key) for role, key, text in mails(found.trial.engine.settings.outbox) if "RCB-III" in text]
    assert {role for role, _ in told} == {"statistician"}
    assert found.trial.engine.explain(f"{SUBJECT}/rcb")["value"].startswith("RCB-III")
    assert found.trial.open_queries() == set()


def test_the_search_finds_what_it_looks_for() -> None:
    """A class, a category and a number are found in a sentence; in keys, ids and dates they are not meant."""
    assert says("the bed measures 77.7 mm: RCB-III (4.1), ypT3") == ["RCB-III", "ypT3", "77.7"]
    assert says(f"{SUBJECT}/CENTRAL/x of 2026-06-07, er_pct missing") == ["er_pct"]
    assert says(f"{SUBJECT}.C3D1 on 2026-05-04 +28 d, RCB-I") == []
