"""Wakes: whatever happened and whenever a journey wakes, it becomes quiet, and doing a thing twice adds nothing."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from neotorch.domain import events as ev
from tests.property.histories import histories
from tests.support import START, SUBJECT, Trial, at, consent, cycle, fact


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
