"""Gates before a dose and before surgery: each condition met, not met or unknown, and its why."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import neotorch
from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study_file import StudyError, read_study
from neotorch.rules import duties
from neotorch.rules.gates import Gate, dose_gates, next_cycle, surgery_gate
from tests.stories import facts_of
from tests.support import (
    START,
    SUBJECT,
    Trial,
    at,
    consent,
    course,
    cycle,
    fact,
    forms,
    screened,
    state_of,
    study,
)

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "gates.yaml").read_text(encoding="utf-8")
)
TEXT = (Path(neotorch.__file__).parent / "studies" / "neotorch-breast03" / "1.0.yaml").read_text(encoding="utf-8")
PREOP = date(2026, 5, 25)


def measured(on: date, visit: str, **values: Any) -> list[ev.AnyFact]:
    """Safety values by name, as the forms that they stand on."""
    safety = study().safety
    assert safety
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        place = safety.values[name]
        found.setdefault(place.form, {})[place.item] = value
    return [
        fact("form_received", on, id=f"{SUBJECT}.{visit}.{form}.{on}", visit=visit, form=form, items=items)
        for form, items in found.items()
    ]


def ready() -> list[ev.AnyFact]:
    """Six cycles and a complete pre-operative visit."""
    return [*screened(), *course(6), *forms("PREOP", PREOP)]


def told(case: dict[str, Any]) -> list[ev.AnyFact]:
    """The facts of a case."""
    before: dict[str, ev.AnyFact] = {}
    for line in case["facts"]:
        if line == "ready":
            batch = ready()
        else:
            ((on, what),) = line.items()
            word = next(iter(what)) if isinstance(what, dict) else what
            batch = measured(on, **what[word]) if word == "values" else facts_of(on, what, before)
        before |= {f.id.removeprefix(f"{SUBJECT}."): f for f in batch}
    return list(before.values())


def gates_of(state: PatientState, on: date) -> dict[str, Gate]:
    """Gates by what follows `NT-001/gate/` in their key."""
    surgery = surgery_gate(state, study(), on)
    every = [*dose_gates(state, study(), on), *([surgery] if surgery else [])]
    return {g.key.removeprefix(f"{SUBJECT}/gate/"): g for g in every}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["case"])
def test_gate(case: dict[str, Any]) -> None:
    """Each condition of a gate comes out as the people who wrote the case down expect."""
    assert case["why"]
    state = state_of(told(case))
    found = gates_of(state, case["today"])
    for key, wanted in case["expect"].items():
        if wanted is None:
            assert key not in found
        elif isinstance(wanted, str):
            assert found[key].verdict == wanted, found[key].lines()
        else:
            verdicts = {c.name: c.verdict for c in found[key].conditions}
            assert {n: verdicts[n] for n in wanted} == wanted, found[key].lines()


def test_every_condition_has_a_case_for_each_verdict_it_can_have() -> None:
    """No condition of the study file goes untested: met, and not met or unknown."""
    seen: dict[str, set[str]] = {}
    for case in CASES:
        for key, wanted in case["expect"].items():
            if isinstance(wanted, dict):
                for name, verdict in wanted.items():
                    seen.setdefault(f"{key == 'SURG'}.{name}", set()).add(verdict)
    for key, gate in gates_of(state_of(ready()), date(2026, 6, 1)).items():
        for condition in gate.conditions:
            verdicts = seen[f"{key == 'SURG'}.{condition.name}"]
            assert "met" in verdicts and len(verdicts) > 1, (key, condition.name)


def test_every_condition_says_why() -> None:
    """Rule, study version, what was found, what is needed, and the event that says so."""
    gate = gates_of(state_of([*ready(), *measured(PREOP, "PREOP", ANC=1.2)]), date(2026, 6, 1))["SURG"]
    for condition in gate.conditions:
        assert condition.value in condition.because.detail and "needed: " in condition.because.detail
        assert condition.because.study_version == "1.0" and condition.because.rule.startswith("gate.surgery")
    anc = next(c for c in gate.conditions if c.name == "ANC")
    assert anc.value == "1.2 10^9/L on 2026-05-25 (CTCAE v5 grade 2)"
    assert anc.because.event_ids == (f"{SUBJECT}.PREOP.CBC.2026-05-25",)
    assert (
        "ANC: NOT MET - 1.2 10^9/L on 2026-05-25 (CTCAE v5 grade 2); needed: >= 1.5 10^9/L, at most 14 d old"
        in gate.lines()
    )


def test_the_baseline_decides_the_grade_beside_a_value() -> None:
    """ALT of 130 is grade 2 after a normal baseline and grade 1 after one of 60; the baseline's event is named."""
    for before, words in ((30, "grade 2"), (60, "grade 1")):
        first = measured(START - timedelta(1), "SCR", ALT=before)
        state = state_of([*screened(), *first, *course(2), *measured(date(2026, 3, 2), "C3D1", ALT=130)])
        gate = gates_of(state, date(2026, 3, 2))["C3D1/chemotherapy"]
        alt = next(c for c in gate.conditions if c.name == "ALT")
        assert words in alt.value
        assert alt.because.event_ids == (f"{SUBJECT}.C3D1.CHEM.2026-03-02", f"{SUBJECT}.SCR.CHEM.2026-01-18")


def test_the_sites_own_words_stay_on_the_console() -> None:
    """A typed reason is in `explain`, and neither in the lines nor in the reason of a condition."""
    secret = "Mrs Li, room 7"
    told_ = measured(date(2026, 3, 2), "C3D1", ANC={"status": "not_done", "reason": secret})
    gate = gates_of(state_of([*screened(), *course(2), *told_]), date(2026, 3, 2))["C3D1/chemotherapy"]
    anc = next(c for c in gate.conditions if c.name == "ANC")
    assert anc.said == secret
    assert secret not in repr([gate.lines(), gate.short(), anc.value, str(anc.because)])


def test_a_site_without_a_normal_range_cannot_be_judged_by_it() -> None:
    """Multiples of an ULN that nobody stated are unknown, and the reason says so; fixed limits hold all the same."""
    bare = read_study(TEXT.replace("        BILI: {high: 21}\n", ""))
    gate = next(g for g in dose_gates(state_of([*screened(), *course(1)]), bare) if g.drug == "chemotherapy")
    verdicts = {c.name: c.verdict for c in gate.conditions}
    assert verdicts["BILI"] == "unknown" and verdicts["ANC"] == "met"
    assert "no ULN is stated for site S01" in next(c.because.detail for c in gate.conditions if c.name == "BILI")


def test_a_study_without_safety_has_no_gates() -> None:
    """The section may be left out: nothing is judged, and nothing breaks."""
    bare = read_study(TEXT[: TEXT.index("\nsafety:\n")])
    state = state_of([*ready(), fact("adverse_event", PREOP, id="sae", term="x", grade=3, serious=True)])
    found = duties(state, bare, at(date(2026, 6, 1)))
    assert (found.gates, found.clocks) == ((), ())


def test_which_cycle_comes_next() -> None:
    """The first one not given and not skipped, once enrolled and until treatment ends."""
    assert next_cycle(state_of([consent(START)]), study()) is None
    assert next_cycle(state_of(screened()), study()) == 1
    assert next_cycle(state_of([*screened(), *course(2)]), study()) == 3
    waived = fact("visit_waived", date(2026, 3, 1), visit="C3D1", reason="toxicity")
    assert next_cycle(state_of([*screened(), *course(2), waived]), study()) == 4
    assert next_cycle(state_of([*screened(), *course(6)]), study()) is None
    assert next_cycle(state_of([*screened(), fact("death", START)]), study()) is None


@given(st.integers(-5, 60), st.floats(0, 10, allow_nan=False), st.booleans())
def test_a_gate_is_met_only_by_what_is_known_on_its_day(age: int, anc: float, given_: bool) -> None:
    """Whatever the value and its age: too old or not collected yet is unknown, else the limit alone decides."""
    day = START + timedelta(63)
    told_ = [*screened(), *course(2), *measured(day - timedelta(age), "UNS", ANC=anc)]
    told_ += [cycle(3, day)] if given_ else []
    clean = [f for f in told_ if not (isinstance(f, ev.FormReceived) and f.form == "CBC" and f.visit != "UNS")]
    gate = gates_of(state_of(clean), day)["C3D1/chemotherapy"]
    found = next(c.verdict for c in gate.conditions if c.name == "ANC")
    assert found == ("unknown" if not 0 <= age <= 3 else "met" if anc >= 1.5 else "not_met")


def test_a_gate_is_shown_in_the_story_and_explained(tmp_path: Path) -> None:
    """`neotorch patient` names what is not met or unknown, `neotorch explain` says everything about each condition."""
    trial = Trial(tmp_path, now=at(date(2026, 6, 1)))
    trial.tell(*[f for f in ready() if not (isinstance(f, ev.FormReceived) and f.form == "LVEF")])
    story = trial.engine.story_markdown(SUBJECT)
    assert "| surgery gate, as of 2026-06-01 | unknown | LVEF: unknown - none recorded; needed: >= 50 %" in story
    found = trial.engine.explain(f"{SUBJECT}/gate/SURG")
    assert found["verdict"] == "unknown"
    assert found["LVEF"].startswith("unknown - none recorded; needed: >= 50 %, at most 28 d old; rule gate.surgery")
    assert found["restaging"].startswith("met - PR on 2026-05-25, 7 d old")
    assert trial.engine.explain(f"{SUBJECT}/gate/C2D1/anlotinib")["as of"] == "2026-02-09"
    assert not trial.engine.explain(f"{SUBJECT}/gate/C9D1/anlotinib")


# ── the study file ────────────────────────────────────────────────────────────────────────────────────────────────

BROKEN: list[Any] = [
    pytest.param("{form: CBC, item: ANC, ctcae", "{form: CBD, item: ANC, ctcae", "safety.values.ANC.form (line", id="a form"),
    pytest.param("{form: CBC, item: ANC, ctcae", "{form: CBC, item: ANX, ctcae", "safety.values.ANC.item (line", id="an item"),
    pytest.param("item: LVEF_PCT, ctcae: LVEF", "item: LVEF_PCT, ctcae: QTCF", "CTCAE grades QTCF in ms", id="another unit"),
    pytest.param("ctcae: LVEF}", "ctcae: EF}", "safety.values.LVEF.ctcae (line", id="no such scale"),
    pytest.param("site: S01\n", "site: S09\n", "safety.normal_ranges[0].site (line", id="a site"),
    pytest.param("BILI: {high: 21}", "BILE: {high: 21}", "safety.normal_ranges[0].limits.BILE (line", id="a value with a range"),
    pytest.param("{low: 7, high: 40}", "{low: 40, high: 7}", "low 40 is not below high 7", id="a range upside down"),
    pytest.param("drugs: [chemotherapy, anlotinib,", "drugs: [chemotherapy, aspirin,", "safety.dose_gates[0].drugs[1] (line", id="a drug"),
    pytest.param("drugs: [chemotherapy, anlotinib,", "drugs: [chemotherapy, chemotherapy,", "has a gate already", id="a drug twice"),
    pytest.param("{value: HB, at_least: 90}", "{value: HGB, at_least: 90}", "safety.dose_gates[0].conditions[2].value (line", id="a value"),
    pytest.param("{value: HB, at_least: 90}", "{value: PLT, at_least: 90}", "PLT stands there twice", id="a condition twice"),
    pytest.param("{value: HB, at_least: 90}", "{value: HB}", "give exactly one of", id="no test"),
    pytest.param("{value: HB, at_least: 90}", "{value: HB, at_least: 90, below: 300}", "at_least and below", id="two tests"),
    pytest.param("{value: HB, at_least: 90}", "{value: HB, known: true, times_uln: true}", "times_uln needs", id="a multiple of nothing"),
    pytest.param("{value: CLIP, equals: true,", "{value: CLIP, at_least: 1,", "is a boolean, so it cannot be compared", id="no number"),
    pytest.param("{value: CLIP, equals: true,", "{value: CLIP, equals: placed,", "has no choice 'placed'", id="no choice"),
    pytest.param("{value: LVEF, at_least: 50, within_days: 28}", "{value: LVEF, at_least: 50}", "within_days (line", id="an age left out"),
    pytest.param("    visit: SURG\n    wash", "    visit: OP\n    wash", "safety.surgery_gate.visit (line", id="a visit"),
    pytest.param("{drug: anlotinib, days: 28}\n      - {drug: chemo", "{drug: aspirin, days: 28}\n      - {drug: chemo", "wash_outs[0].drug (line", id="a drug to wash out"),
    pytest.param("remind_hours_before: 6", "remind_hours_before: 24", "is not less than within_hours", id="a reminder before awareness"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_a_broken_safety_section_is_refused_with_its_path(old: str, new: str, says: str) -> None:
    """A name that leads nowhere, a unit that does not fit, a test that cannot be made: said with the place."""
    assert old in TEXT
    with pytest.raises(StudyError) as error:
        read_study(TEXT.replace(old, new), "1.1.yaml")
    assert says in str(error.value)


def test_a_value_that_no_visit_collects_is_refused() -> None:
    """A gate on a form that is due nowhere would stay unknown for ever."""
    without = "\n".join(line for line in TEXT.splitlines() if line.strip() != "- CORTISOL").replace(
        " CORTISOL, ECG", " ECG"
    )
    with pytest.raises(StudyError, match="form CORTISOL is due at no visit"):
        read_study(without)


def test_every_safety_value_has_a_source() -> None:
    """Limits, ranges and hours are configuration and say where they are from."""
    safety = study().safety
    assert safety
    assert safety.surgery_gate
    every = [*safety.normal_ranges, *safety.dose_gates, safety.surgery_gate, safety.sae]
    assert all(s.source and s.assumption for s in every)
