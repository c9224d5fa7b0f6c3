"""Deviations: what the data show, how the study file grades it, what a site may say of it, and what stays to be read."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain import events as ev
from neotorch.domain.deviations import Deviations
from neotorch.domain.study import Study
from neotorch.rules import duties
from neotorch.rules.departures import Deviation
from neotorch.rules.deviations import departures, turning_days
from neotorch.rules.notices import Audience
from neotorch.rules.schedule import visit_plans
from neotorch.rules.worklist import obligations
from tests.stories import facts_of
from tests.support import (
    START,
    SUBJECT,
    ZONE,
    Trial,
    at,
    course,
    cycle,
    fact,
    forms,
    screened,
    state_of,
    study,
    surgery,
)

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "deviations.yaml").read_text(encoding="utf-8"))
DAY = timedelta(1)
KEY = f"{SUBJECT}/deviation/out-of-window/C3D1"


def told(lines: list[dict[Any, Any]]) -> list[ev.AnyFact]:
    """All facts that a case's lines stand for."""
    before: dict[str, ev.AnyFact] = {}
    for line in lines:
        on, what = next(iter(line.items()))
        before |= {f.id.removeprefix(f"{SUBJECT}."): f for f in facts_of(on, what, before)}
    return list(before.values())


def shown(facts: list[ev.AnyFact], now: datetime, rules: Study | None = None) -> dict[str, Deviation]:
    """Key without subject -> deviation, by the study file that ships or by `rules`."""
    state = state_of(facts)
    file = rules or study()
    found = departures(state, file, visit_plans(state, file, now.astimezone(ZONE).date()), now)
    assert len({d.key for d in found}) == len(found), "one deviation per key"
    return {d.key.removeprefix(f"{SUBJECT}/deviation/"): d for d in found}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["case"])
def test_case(case: dict[str, Any]) -> None:
    """All deviations of a case, with grade and day, and nothing else; each says its rule and what would end it."""
    assert case["why"]
    found = shown(told(case["facts"]), at(case["day"]))
    assert {k: [d.grade, d.on] for k, d in found.items()} == case["expect"]
    for one in found.values():
        assert one.because.rule == f"deviation.{one.kind}"
        assert one.because.event_ids or "not held" in one.title or one.kind == "missed"
        assert one.title and one.remedy and len(one.key) <= 160


def test_every_kind_of_the_study_file_has_a_case() -> None:
    """Nothing that the study file grades goes untested."""
    kinds = {key.split("/")[0] for case in CASES for key in case["expect"]}
    graded = {k.replace("_", "-") for k in Deviations.model_fields} - {"source", "assumption"}
    assert graded == kinds


# ── grades ────────────────────────────────────────────────────────────────────────────────────────────────────────


def graded(**kinds: Any) -> Any:
    """The study file with other rules of deviations."""
    section = study().deviations.model_dump() | kinds
    return study().model_copy(update={"deviations": Deviations.model_validate(section)})


LATE = [*screened(), *course(2), *forms("IMG1", START + 41 * DAY), cycle(3, START + 46 * DAY)]
"""C3D1 on 6 March, a day after its window."""


@pytest.mark.parametrize(
    ("rule", "grade"),
    [
        ({"grade": "minor"}, "minor"),
        ({"grade": "important"}, "important"),
        ({"grade": "minor", "important_from_days_late": 1}, "important"),
        ({"grade": "minor", "important_from_days_late": 2}, "minor"),
        (
            {"grade": "minor", "important_from_days_late": 1, "visits": {"C3D1": {"important_from_days_late": None}}},
            "minor",
        ),
        ({"grade": "minor", "visits": {"C3D1": {"grade": "important"}}}, "important"),
        ({"grade": "minor", "visits": {"C4D1": {"grade": "important"}}}, "minor"),
        ({"grade": "minor", "visits": {"C3D1": {"counts": False}}}, None),
        ({"grade": "minor", "counts": False}, None),
        ({"grade": "minor", "counts": False, "visits": {"C3D1": {"counts": True}}}, "minor"),
    ],
)
def test_the_study_file_grades(rule: dict[str, Any], grade: str | None) -> None:
    """By kind, by visit, by days outside the window; what does not count is not found."""
    found = shown(LATE, at(START + 46 * DAY), graded(out_of_window=rule))
    assert {k: d.grade for k, d in found.items()} == ({"out-of-window/C3D1": grade} if grade else {})


def test_a_kind_switched_off_is_found_nowhere() -> None:
    """With `counts: false` throughout, no case shows anything."""
    off = {k: {"grade": "minor", "counts": False} for k in Deviations.model_fields if k not in ("source", "assumption")}
    for case in CASES:
        assert shown(told(case["facts"]), at(case["day"]), graded(**off)) == {}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["case"])
def test_time_alone_changes_something_on_turning_days_only(case: dict[str, Any]) -> None:
    """A journey that sleeps from one turning day to the next misses no deviation and no change of grade."""
    facts = told(case["facts"])
    state, before = state_of(facts), None
    turning: set[date] = set()
    for on in (case["day"] + n * DAY for n in range(70)):
        now = {(k, d.grade) for k, d in shown(facts, at(on)).items() if d.kind != "sae-late"}  # that has a clock
        assert before in (None, now) or on in turning, on
        before, turning = now, turning_days(study(), visit_plans(state, study(), on), state)


# ── what is said of it ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def late(tmp_path: Path) -> Trial:
    """A patient whose C3D1 was a day late, found and told."""
    found = Trial(tmp_path, now=at(START + 46 * DAY))
    found.tell(*LATE, *forms("C3D1", START + 46 * DAY))
    found.steps = found.wake()  # type: ignore[attr-defined]
    return found


def acknowledgement(on: date, key: str = KEY, **fields: Any) -> ev.AnyFact:
    """Cause and action."""
    return fact("deviation_acknowledged", on, **{"deviation": key, "cause": "holiday", "action": "none", **fields})


def test_the_journeys_graph_names_what_was_found_and_withdrawn(late: Trial) -> None:
    """Steps carry names that a person can read, without a word of a patient."""
    names = [s.name for s in late.steps]  # type: ignore[attr-defined]
    assert "deviation: C3D1 1 d late" in names
    assert "notice: C3D1 1 d late" in names
    late.tell(cycle(3, START + 45 * DAY, id="c3", corrects=f"{SUBJECT}.C3D1", reason="typing error"))
    steps = late.wake()
    gone = next(s for s in steps if s.kind == "withdraw")
    assert gone.name == "deviation withdrawn: out-of-window/C3D1"
    assert gone.why == "the data show it no longer since C3D1 corrected, event c3"
    late.tell(fact("retraction", START + 46 * DAY, id="r", retracts="c3", reason="right before"))
    assert "deviation again: C3D1 1 d late" in [s.name for s in late.wake()]


def test_what_has_been_done_is_not_done_again(late: Trial) -> None:
    """Every step once more, by another engine too, adds nothing to the log."""
    head = late.engine.head()
    for step in late.steps:  # type: ignore[attr-defined]
        late.engine.perform_now(SUBJECT, step)
    assert Trial(late.engine.settings.data_dir, now=late.now).wake() == []
    assert late.engine.head() == head


def test_only_what_was_found_can_be_acknowledged(late: Trial) -> None:
    """A key that nobody found is refused with those that are open; another subject's is none of this one's."""
    for key in (f"{SUBJECT}/deviation/missed/C1D8", f"{SUBJECT}/C3D1", "NT-002/deviation/out-of-window/C3D1"):
        answer = late.engine.record([acknowledgement(START + 46 * DAY, key)])[0]
        assert answer.outcome == "refused"
        assert answer.refusals[0].field == "deviation"
        assert KEY in answer.refusals[0].todo
    assert late.engine.record([acknowledgement(START + 46 * DAY)])[0].outcome == "recorded"


def test_a_corrected_acknowledgement_counts_for_the_round_it_was_given_in(late: Trial) -> None:
    """Mending the cause of the first round's word does not answer for the second."""
    day = START + 46 * DAY
    late.tell(acknowledgement(day, id="a1"))
    late.tell(cycle(3, START + 45 * DAY, id="c3", corrects=f"{SUBJECT}.C3D1", reason="x"))
    late.wake()
    late.tell(fact("retraction", day, id="r", retracts="c3", reason="x"))
    late.wake()
    late.tell(acknowledgement(day, id="a2", cause="weather", corrects="a1", reason="x"))
    lines = [o for o in late.engine.worklist() if o.kind == "deviation"]
    assert [o.key for o in lines] == [KEY]
    found = late.engine.explain(KEY)
    assert "cause weather" in found["round 1"]
    assert "acknowledged" not in found["round 2"]


def test_a_retracted_acknowledgement_is_none(late: Trial) -> None:
    """The line comes back to the worklist."""
    late.tell(acknowledgement(START + 46 * DAY, id="a"))
    assert [o.kind for o in late.engine.worklist()] == []
    late.tell(fact("retraction", START + 46 * DAY, id="r", retracts="a", reason="x"))
    assert [o.key for o in late.engine.worklist()] == [KEY]


def test_important_ones_stand_before_minor_ones(tmp_path: Path) -> None:
    """Whichever came first."""
    trial = Trial(tmp_path, now=at(START + 50 * DAY))
    late_cycle = cycle(2, START + 30 * DAY, drugs=[{"drug": "chemotherapy"}, {"drug": "anlotinib", "dose": 9}])
    trial.tell(*screened(), *course(1), late_cycle)
    lines = [o for o in trial.engine.worklist() if o.kind == "deviation"]
    assert [o.what.split(":")[0] for o in lines] == sorted(o.what.split(":")[0] for o in lines)
    assert lines[0].key == f"{SUBJECT}/deviation/dose-level/C2D1/anlotinib"
    assert len(lines) > 1


@pytest.mark.parametrize(("drugs", "roles"), [("held", {"coordinator"}), ("given", {"coordinator", "investigator"})])
def test_who_is_told(drugs: str, roles: set[str], tmp_path: Path) -> None:
    """A minor one goes to the coordinator; an important one to the investigator as well."""
    trial = Trial(tmp_path, now=at(START + 105 * DAY))
    given = [{"drug": "chemotherapy"}, {"drug": "anlotinib", "dose": 12, "status": drugs}]
    late_cycle = cycle(6, START + (109 if drugs == "held" else 105) * DAY, drugs=given)
    trial.now = at(late_cycle.occurred)
    trial.tell(*screened(), *course(5), late_cycle)
    told_to = {s.delivery.role for s in trial.wake() if s.delivery and "/deviation/" in s.key}
    assert told_to == roles


def test_explain_says_why_and_what_would_make_it_go_away(late: Trial) -> None:
    """Rule, study version, anchor, dates, events and the way out; after the withdrawal the trace with the correction."""
    found = late.engine.explain(KEY)
    assert (found["status"], found["grade"], found["on"]) == ("open", "minor", "2026-03-06")
    for word in ("deviation.out-of-window", "study version 1.0", "C2D1 on 2026-02-09 +21 d", f"{SUBJECT}.C3D1",
                 "held on 2026-03-06", "2026-02-27 to 2026-03-05"):  # fmt: skip
        assert word in found["because"]
    assert "corrected" in found["remedy"]
    late.tell(acknowledgement(START + 46 * DAY))
    assert late.engine.explain(KEY)["status"] == "acknowledged"
    late.tell(cycle(3, START + 45 * DAY, id="c3", corrects=f"{SUBJECT}.C3D1", reason="x"))
    late.wake()
    gone = late.engine.explain(KEY)
    assert gone["status"] == "withdrawn"
    assert gone["round 1"] == (
        "found 2026-03-06, minor; acknowledged 2026-03-06 by site, cause holiday, action none; "
        "withdrawn 2026-03-06: the data show it no longer since C3D1 corrected, event c3"
    )
    assert "held on 2026-03-06" in gone["because"], "what it was found for stays, whatever the data say now"


def test_the_patients_story_keeps_the_trace(late: Trial) -> None:
    """Open or withdrawn, a deviation stands in the story with its trace and key."""
    assert f"| C3D1 1 d late | minor | 2026-03-06 | found 2026-03-06, minor | {KEY} |" in late.engine.story_markdown(
        SUBJECT
    )
    late.tell(cycle(3, START + 45 * DAY, id="c3", corrects=f"{SUBJECT}.C3D1", reason="x"))
    late.wake()
    assert "~~out-of-window/C3D1~~ | minor |  | found 2026-03-06, minor; withdrawn" in late.engine.story_markdown(
        SUBJECT
    )


def test_a_past_day_shows_the_deviations_of_that_day(late: Trial) -> None:
    """As of the day it was found it is open, whatever was corrected since."""
    then = late.now
    late.now = then + DAY
    late.tell(cycle(3, START + 45 * DAY, id="c3", corrects=f"{SUBJECT}.C3D1", reason="x"))
    late.wake()
    assert late.engine.explain(KEY, as_of=then)["status"] == "open"
    assert late.engine.explain(KEY)["status"] == "withdrawn"


def test_before_it_is_written_down_it_is_shown(tmp_path: Path) -> None:
    """The worklist does not wait for a wake."""
    trial = Trial(tmp_path, now=at(START + 133 * DAY))
    trial.tell(*screened(), *course(6), surgery(START + 112 * DAY))
    state, due = trial.engine.duties(SUBJECT)
    lines = obligations(state, due, study(), Audience({}, {}), trial.now)
    assert (
        {o.key for o in lines if o.kind == "deviation"}
        == {d.key for d in due.deviations}
        == {d.key for d in due.to_find}
    )
    assert trial.engine.explain(due.deviations[0].key)["status"] == "about to be found"


def test_what_is_found_does_not_hang_on_what_was_found_before(late: Trial) -> None:
    """The set of deviations follows from the facts alone; effects in the log change nothing of it."""
    state, due = late.engine.duties(SUBJECT)
    bare = state_of(list(state.facts))
    assert duties(bare, study(), late.now).deviations == due.deviations
