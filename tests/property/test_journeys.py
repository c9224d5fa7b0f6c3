"""Wakes: whatever happened and whenever a journey wakes, it becomes quiet, and doing a thing twice adds nothing."""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from neotorch.domain import events as ev
from neotorch.rules import duties
from tests.property.histories import histories
from tests.support import START, SUBJECT, Trial, at, consent, cycle, fact, state_of, study


@settings(max_examples=15, deadline=None)
@given(histories(7), st.lists(st.integers(0, 500), min_size=1, max_size=3))
def test_every_wake_ends_quiet_and_repeats_nothing(events: list[ev.AnyFact | ev.AnyEffect], days: list[int]) -> None:
    """After a wake there is no step left; all its steps once more, and a second engine, change nothing in the log."""
    told = [e for e in events if isinstance(e, ev.Fact) and e.type != "consent"]
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), now=at(START + timedelta(600)))
        start = [consent(START), fact("enrolment", START, id="en", planned_start=START), cycle(1, START)]
        trial.engine.record([*start, *told], accept_good=True)
        for number in sorted(days):
            trial.now = at(START + timedelta(600 + number))
            steps = trial.wake()
            head = trial.engine.head()
            assert trial.engine.plan(SUBJECT).steps == ()
            for step in steps:
                trial.engine.perform_now(SUBJECT, step)
            other = Trial(Path(folder), now=trial.now)
            other.wake()
            assert trial.engine.head() == head
            assert trial.engine.log.verify() == []
            assert trial.plan.done or trial.plan.until is not None
            assert trial.plan.until is None or trial.plan.until > trial.now
            other.engine.log.close()
        trial.engine.log.close()


@settings(max_examples=25, deadline=None)
@given(histories(7), st.integers(0, 500), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_one_set_of_deviations(
    events: list[ev.AnyFact | ev.AnyEffect], number: int, chance: random.Random
) -> None:
    """Whatever came first, what the data show, and what the journey has found after its wake, is the same."""
    start = [consent(START), fact("enrolment", START, id="en", planned_start=START), cycle(1, START)]
    facts = [*start, *(e for e in events if isinstance(e, ev.Fact) and e.type != "consent")]
    now = at(START + timedelta(600 + number))
    first = duties(state_of(facts), study(), now).deviations
    assert all(d.key.startswith(f"{SUBJECT}/deviation/") and len(d.key) <= 160 for d in first)
    assert len({d.key for d in first}) == len(first)
    for _ in range(4):
        assert duties(state_of(chance.sample(facts, len(facts))), study(), now).deviations == first


@settings(max_examples=10, deadline=None)
@given(histories(7), st.lists(st.integers(0, 300), min_size=1, max_size=3))
def test_what_was_found_and_not_withdrawn_is_what_the_data_show(
    events: list[ev.AnyFact | ev.AnyEffect], days: list[int]
) -> None:
    """After each wake the open deviations of the log are those that the data show, with their grades."""
    told = [e for e in events if isinstance(e, ev.Fact) and e.type != "consent"]
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), now=at(START + timedelta(600)))
        trial.engine.record([consent(START), fact("enrolment", START, id="en", planned_start=START), cycle(1, START)])
        for number, one in zip(sorted(days * 7), [*told, None], strict=False):
            trial.now = at(START + timedelta(600 + number))
            if one is not None:
                trial.engine.record([one], accept_good=True)
            trial.wake()
            state, due = trial.engine.duties(SUBJECT)
            standing = {k: t.found[t.round].grade for k, t in state.deviations.items() if t.open}
            assert standing == {d.key: d.grade for d in due.deviations}
        trial.engine.log.close()
