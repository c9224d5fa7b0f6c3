"""The fold and the rules: total, and blind to the order in which events arrived."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neotorch.domain import events as ev
from neotorch.domain.growth import grown
from neotorch.domain.state import PatientState, fold
from neotorch.plan import awaiting, endpoint_steps, fact_steps, tags, title
from neotorch.rules import duties
from neotorch.rules.endpoints import member, patient_endpoints, patient_values, trial_result
from neotorch.rules.notices import Audience
from neotorch.rules.worklist import obligations
from neotorch.stories import story
from tests.property.histories import histories
from tests.support import START, SUBJECT, consent, cycle, fact, learnt, study, surgery

NOW = datetime(2026, 9, 1, 4, 0, tzinfo=UTC)
FEW = settings(max_examples=60, deadline=None)
LISTENERS = Audience({kind: ["coordinator"] for kind in study().recipients.tell}, {"coordinator": ["c"]})


def arrived(events: Sequence[ev.AnyFact | ev.AnyEffect]) -> list[ev.Recorded]:
    """Events as recorded one a minute in this order."""
    start = NOW - timedelta(days=1)
    return [
        ev.Recorded.model_construct(seq=n, recorded_at=start + timedelta(minutes=n), event=e, prev_hash="", hash="")
        for n, e in enumerate(events, 1)
    ]


def outcome(state: PatientState) -> dict[str, Any]:
    """All that is so and all that is due; not when we learnt it."""
    due = duties(state, study(), NOW)
    lines = obligations(state, due, study(), LISTENERS, NOW)
    return {
        "facts": state.facts,
        "superseded": dict(state.superseded),
        "problems": state.problems,
        "phase": due.phase,
        "plans": [(p.code, p.status, p.window, p.held_on, p.evidence, str(p.because)) for p in due.plans],
        "findings": [(f.query, f.items, f.title) for f in due.findings],
        "deviations": due.deviations,
        "notices": [(n.key, n.kind, n.title) for n in due.notices],
        "complete": due.complete,
        "obligations": {(o.key, o.status, o.what) for o in lines},
        "endpoints": patient_endpoints(state, study(), NOW.date()),
    }


@FEW
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_one_state_and_one_set_of_obligations(
    events: list[ev.AnyFact | ev.AnyEffect], chance: random.Random
) -> None:
    """Events arrive in whatever order; what is so and what is due depends on what happened alone."""
    facts = [e for e in events if isinstance(e, ev.Fact)]  # the engine writes its effects after what they follow from
    first = outcome(fold(arrived(facts), SUBJECT))
    orders = (
        list(itertools.permutations(facts)) if len(facts) <= 3 else [chance.sample(facts, len(facts)) for _ in range(6)]
    )
    for order in orders:
        assert outcome(fold(arrived(order), SUBJECT)) == first


def test_all_5040_orders_of_seven_facts_with_corrections_give_one_state() -> None:
    """A consent, a cycle corrected twice, a surgery taken back and put in again: every order of arrival, one state."""
    facts = [
        consent(START),
        cycle(1, START),
        cycle(1, START - timedelta(1), id="c1#2", corrects=f"{SUBJECT}.C1D1", reason="x"),
        cycle(1, START + timedelta(3), id="c1#3", corrects="c1#2", reason="x"),
        surgery(START + timedelta(130)),
        fact("retraction", START + timedelta(131), id="r1", retracts=f"{SUBJECT}.SURG", reason="x"),
        fact("retraction", START + timedelta(132), id="r2", retracts="r1", reason="x"),
    ]
    when = NOW - timedelta(days=1)
    rows = [ev.Recorded.model_construct(seq=1, recorded_at=when, event=f, prev_hash="", hash="") for f in facts]
    first = fold(rows, SUBJECT)
    assert first.first_dose == START + timedelta(3)
    assert first.surgery is not None
    assert first.problems == ()
    for order in itertools.permutations(rows):
        assert fold(order, SUBJECT) == first
    wanted = outcome(first)
    chance = random.Random(7)
    for _ in range(40):
        assert outcome(fold(arrived(chance.sample(facts, len(facts))), SUBJECT)) == wanted


@settings(max_examples=120, deadline=None)
@given(histories(8))
def test_nothing_that_can_be_recorded_makes_the_rules_fail(events: list[ev.AnyFact | ev.AnyEffect]) -> None:
    """Any mix of events folds to a state with duties, a story, a title and endpoint values: never an exception."""
    state = fold(arrived(events), SUBJECT)
    for now in (datetime(2020, 1, 1, tzinfo=UTC), NOW, datetime(2035, 1, 1, tzinfo=UTC)):
        due = duties(state, study(), now)
        values = patient_values(state, study(), now.date())
        lines = obligations(state, due, study(), LISTENERS, now)
        assert story(state, due, values, lines, study()).startswith("# ")
        assert title(state, due)
        assert awaiting(state, due)
        assert tags(state, due, study())
        list(fact_steps(state, 0))
        headline = patient_endpoints(state, study(), now.date())
        list(endpoint_steps(state, 0, lambda v=headline: v))
        assert all(t > now for t in due.later)
        assert trial_result([member(state, study(), now.date())], study(), now.date()).values() is not None


@FEW
@given(st.integers(0, 40), st.integers(0, 40))
def test_in_a_chain_of_corrections_the_last_standing_one_holds(length: int, taken_back: int) -> None:
    """Each event corrects the one before and stands for it; taking the last one back brings back the one before it."""
    chain = [cycle(1, START, id="k0")]
    chain += [
        cycle(1, START + timedelta(n), id=f"k{n}", corrects=f"k{n - 1}", reason="x") for n in range(1, length + 1)
    ]
    last = max(length - taken_back, 0)
    taken = [fact("retraction", START, id=f"r{n}", retracts=f"k{n}", reason="x") for n in range(last + 1, length + 1)]
    state = fold(arrived([*taken, *chain]), SUBJECT)
    assert [f.id for f in state.facts if f.type == "cycle_given"] == [f"k{last}"]
    assert state.problems == ()


def test_a_very_long_chain_of_corrections_is_folded() -> None:
    """A correction of a correction two thousand times over is odd but no reason to fail."""
    chain = [cycle(1, START, id="k0")]
    chain += [cycle(1, START, id=f"k{n}", corrects=f"k{n - 1}", reason="x") for n in range(1, 2000)]
    assert [f.id for f in fold(arrived(chain), SUBJECT).facts] == ["k1999"]


def test_corrections_in_a_circle_leave_a_state() -> None:
    """Two events that correct each other, and one that corrects itself: nobody can tell, and nothing fails."""
    a = cycle(1, START, id="a", corrects="b", reason="x")
    b = cycle(1, START, id="b", corrects="a", reason="x")
    c = cycle(2, START, id="c", corrects="c", reason="x")
    states = [fold(arrived(order), SUBJECT) for order in itertools.permutations([a, b, c])]
    assert all(s == states[0] for s in states)
    duties(states[0], study(), NOW)


@FEW
@given(st.dates(), st.sampled_from(["planned_start", "until", "last_dose", "occurred"]))
@example(date.max, "planned_start")
@example(date.max, "until")
@example(date.min, "occurred")
@example(date.max, "last_dose")
def test_no_date_is_too_far_away_for_the_rules(on: date, where: str) -> None:
    """A slip of the keyboard (year 9999) is refused when it is read, so that no window runs out of the calendar."""
    build = {
        "planned_start": lambda: fact("enrolment", START, planned_start=on),
        "until": lambda: fact("cycle_delayed", START, cycle=1, until=on, cause="x"),
        "last_dose": lambda: cycle(1, START, drugs=[{"drug": "anlotinib", "last_dose": on}]),
        "occurred": lambda: cycle(1, on),
    }
    if not 1900 <= on.year <= 2200:
        with pytest.raises(ValueError, match="correct the year"):
            build[where]()
        return
    told = build[where]()
    due = duties(fold(arrived([consent(START), told, surgery(START)]), SUBJECT), study(), NOW)
    assert len(due.plans) == len(study().visits)


@settings(max_examples=150, deadline=None)
@given(histories(8), st.integers(0, 8))
def test_events_added_to_a_state_give_what_folding_all_gives(
    events: list[ev.AnyFact | ev.AnyEffect], split: int
) -> None:
    """The short way in which the engine takes in what is new ends where the long way does, wherever it was cut."""
    rows = learnt(events)
    known = fold(rows[:split], SUBJECT)
    duties(known, study(), NOW)  # fills what is worked out once
    short, whole = grown(known, rows[split:]), fold(rows, SUBJECT)
    assert short == whole
    assert outcome(short) == outcome(whole)
