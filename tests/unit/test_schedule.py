"""Windows: every one of the study file, at each of its boundaries with the day before and after."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.domain.calendar import Window, window
from neotorch.domain.study import Timing, Visit
from neotorch.rules.schedule import find_anchor, journey, last_dose, treatment_end, visit_plans
from tests.support import START, consent, course, cycle, day, fact, screened, state_of, study, surgery

DAY = timedelta(1)

ALL_BUT: dict[str, list[ev.AnyFact]] = {
    "consent": [consent(START)],
    "planned_start": [consent(START - 14 * DAY), fact("enrolment", START - 5 * DAY, planned_start=START)],
    "surgery": [*screened(), *(cycle(n, START + 21 * (n - 1) * DAY) for n in range(1, 7)), surgery(day(134))],
    "last_cycle": [*screened(), *(cycle(n, START + 21 * (n - 1) * DAY) for n in range(1, 7))],
}
"""A history in which the anchor is known and the visit not yet held, by anchor."""


def history_for(anchor: str) -> list[ev.AnyFact]:
    """Facts that end with the anchor's."""
    kind, _, number = anchor.partition(".")
    if kind == "cycle":
        return [*screened(), *(cycle(n, START + 21 * (n - 1) * DAY) for n in range(1, int(number) + 1))]
    return ALL_BUT["last_cycle" if kind == "last_dose" else anchor]


def alternatives() -> list[Any]:
    """Every visit with each timing it may have; imaging before a cycle given already is not awaited any more."""
    return [
        pytest.param(visit, timing, id=f"{visit.code} from {timing.anchor}")
        for visit in study().visits
        for timing in visit.timing
        if not (visit.code.startswith("IMG") and timing.anchor in ("cycle.3", "cycle.5"))
        and not (visit.code == "SCR" and timing.anchor == "cycle.1")
    ]


def statuses(visit: Visit, facts: list[ev.AnyFact], days: list[date]) -> dict[date, str]:
    """The visit's status on each day."""
    state = state_of(facts)
    return {d: next(p.status for p in visit_plans(state, study(), d) if p.code == visit.code) for d in days}


@pytest.mark.parametrize(("visit", "timing"), alternatives())
def test_each_window_changes_status_on_its_four_boundaries(visit: Visit, timing: Timing) -> None:
    """Before it opens, from opening, on the target, to closing, and until it is missed: no day is off by one."""
    facts = history_for(timing.anchors[0])
    anchor = find_anchor(timing.anchors[0], state_of(facts), study())
    assert anchor is not None
    target = anchor.day + timing.offset_days * DAY
    opens, closes = target - timing.window_days_before * DAY, target + timing.window_days_after * DAY
    for not_before in visit.not_before:
        floor = find_anchor(not_before.anchor, state_of(facts), study())
        assert floor is not None
        opens = max(opens, floor.day + not_before.days * DAY)
        target = max(opens, target)
    wanted = {
        opens - DAY: "planned",
        opens: "due" if opens == target else "open",
        target: "due",
        closes + DAY: "overdue",
    }
    if opens < target:
        wanted[target - DAY] = "open"
    if target < closes:
        wanted |= {target + DAY: "late", closes: "late", closes - DAY: "late" if closes - DAY > target else "due"}
    if visit.missed_after_days is None:
        wanted[closes + 1000 * DAY] = "overdue"
    else:
        gone = closes + (visit.missed_after_days + 1) * DAY
        wanted |= {gone: "missed", gone - DAY: "overdue"}
    assert statuses(visit, facts, list(wanted)) == wanted


def test_screening_hangs_on_the_first_dose_once_there_is_one() -> None:
    """Screening is days -28 to -1 of C1D1, whatever had been planned before."""
    facts = [consent(START), fact("enrolment", START, planned_start=START + 10 * DAY), cycle(1, START + 12 * DAY)]
    plan = visit_plans(state_of(facts), study(), START)[0]
    assert plan.window is not None
    assert (plan.window.opens, plan.window.closes) == (START - 16 * DAY, START + 11 * DAY)


def test_time_alone_only_moves_statuses_forward() -> None:
    """Without a new fact a visit goes planned, open, due, late, overdue, missed, and never back."""
    order = ["waiting", "not_expected", "planned", "open", "due", "late", "overdue", "missed", "held"]
    for facts in ([*ALL_BUT["planned_start"]], [*screened(), *course(2)], ALL_BUT["last_cycle"], ALL_BUT["surgery"]):
        state = state_of(facts)
        before: dict[str, int] = {}
        for n in range(-40, 1400, 3):
            now = {p.code: order.index(p.status) for p in visit_plans(state, study(), START + n * DAY)}
            assert all(now[c] >= before.get(c, 0) for c in now), START + n * DAY
            before = now


@pytest.mark.parametrize(
    ("anlotinib_in_6", "opens", "target", "closes"), [(False, 127, 134, 148), (True, 147, 147, 148)]
)
def test_the_surgery_window_after_the_last_anlotinib(
    anlotinib_in_6: bool, opens: int, target: int, closes: int
) -> None:
    """Last anlotinib on day 98 or 119, C6D1 on day 106: days 127-148, or only 147-148."""
    six = [{"drug": "chemotherapy"}] + ([{"drug": "anlotinib", "dose": 12}] if anlotinib_in_6 else [])
    facts = [*(cycle(n, day(1 + 21 * (n - 1))) for n in range(1, 6)), cycle(6, day(106), drugs=six)]
    plan = next(p for p in visit_plans(state_of(facts), study(), day(106)) if p.code == "SURG")
    assert plan.window is not None
    assert (plan.window.opens, plan.window.target, plan.window.closes) == (day(opens), day(target), day(closes))


def test_a_washout_moves_the_opening_and_never_makes_the_window_longer() -> None:
    """A wash-out that ends before the window changes nothing, inside it shortens it, after it leaves one day."""
    plain = window(START, 28, 7, 14, not_before=None, missed_after=None)
    assert plain == Window(START + 21 * DAY, START + 28 * DAY, START + 42 * DAY, None)
    for n in range(60):
        found = window(START, 28, 7, 14, not_before=START + n * DAY, missed_after=None)
        assert found.opens == max(plain.opens, START + n * DAY)
        assert found.opens <= found.target <= found.closes
        assert found.closes == max(plain.closes, START + n * DAY)


DOSES = [
    pytest.param({}, [], 14, id="as planned: the fourteenth day"),
    pytest.param({"last_dose": day(9)}, [], 9, id="the site says which was the last"),
    pytest.param({}, [("stopped", 5)], 5, id="stopped on day 5"),
    pytest.param({}, [("interrupted", 6)], 6, id="interrupted on day 6"),
    pytest.param({}, [("reduced", 6)], 14, id="reduced goes on"),
    pytest.param({}, [("stopped", 20)], 14, id="stopped when the days of the cycle were over"),
    pytest.param({"status": "held"}, [], None, id="held: never taken"),
]


@pytest.mark.parametrize(("given", "changes", "wanted"), DOSES)
def test_the_last_dose_of_a_drug(given: dict[str, Any], changes: list[tuple[str, int]], wanted: int | None) -> None:
    """The wash-out counts from the last day taken: planned, said, or cut short."""
    facts = [cycle(1, START, drugs=[{"drug": "anlotinib", **given}])]
    facts += [fact("dose_changed", day(on), drug="anlotinib", action=a, cause="x") for a, on in changes]
    found = last_dose(state_of(facts), study().drug_by_code["anlotinib"])
    assert (found[0] if found else None) == (day(wanted) if wanted else None)


def test_every_visit_says_why() -> None:
    """Each visit carries its rule, and one with a window the anchor, the dates and the events behind it."""
    state = state_of([*screened(), *course(6), surgery(day(134))])
    for plan in visit_plans(state, study(), day(140)):
        assert plan.because.rule
        assert plan.because.study_version == "1.0"
        if plan.window:
            assert plan.because.anchor is not None
            assert set(plan.because.event_ids) <= {f.id for f in state.facts}
            assert plan.because.event_ids
        else:
            assert plan.because.detail


def test_no_treatment_end_while_a_cycle_is_to_come() -> None:
    """The days to surgery do not run before it is settled that no further cycle will be given."""
    assert treatment_end(state_of(course(5)), study()) is None
    assert treatment_end(state_of([]), study()) is None
    end = treatment_end(state_of(course(6)), study())
    assert end is not None
    assert end.day == day(106)


PHASES = [
    ([], "screening"),
    (["cycle"], "treatment"),
    (["cycle", "stop"], "surgery"),
    (["cycle", "surgery"], "follow_up"),
    (["cycle", "inoperable"], "follow_up"),
    (["no"], "screen_failure"),
    (["no", "cycle"], "treatment"),
    (["cycle", "off"], "withdrawn"),
    (["cycle", "off treatment"], "surgery"),
    (["off treatment"], "withdrawn"),
    (["cycle", "surgery", "death"], "dead"),
]


@pytest.mark.parametrize(("told", "wanted"), PHASES)
def test_phase(told: list[str], wanted: str) -> None:
    """The phase follows from what is known, and a death or a withdrawal ends it."""
    facts = {
        "cycle": cycle(1, START),
        "stop": fact("dose_changed", day(30), drug="chemotherapy", action="stopped", cause="toxicity"),
        "surgery": surgery(day(60)),
        "inoperable": fact("progression", day(40), operable=False, basis="imaging"),
        "no": fact("eligibility", START - DAY, eligible=False),
        "off": fact("withdrawal", day(20), scope="study"),
        "off treatment": fact("withdrawal", day(20), scope="treatment"),
        "death": fact("death", day(90)),
    }
    assert journey(state_of([consent(START - 14 * DAY), *(facts[t] for t in told)]), study()) == wanted
