"""What the reconciler decides about a patient's runs, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from neotorch.orchestration.verdicts import STUCK_AFTER, Surroundings, judge, unknown
from neotorch.plan import Plan, Step

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)
KEY = "study/NT-001"
REMINDER = Step("C2D1 reminder", "notice", "NT-001/C2D1")


def plan(*steps: Step, until: datetime | None = TOMORROW, done: bool = False) -> Plan:
    """A plan as the engine would make it."""
    return Plan("NT-001", 7, steps, None if done else until, done, "NT-001 · cycle 2", "awaits C2D1", ())


def run(
    kind: str, *, due: datetime | None = None, since: timedelta = timedelta(), key: str | None = KEY, tags: tuple[str, ...] = (),
    run_id: UUID | None = None,
) -> FlowRun:  # fmt: skip
    """A flow run in a state, since when, and until when it sleeps."""
    state: State[Any] = State(type=StateType(kind), timestamp=NOW - since)
    return FlowRun(
        id=run_id or uuid4(), flow_id=uuid4(), state=state, state_type=state.type, state_name=state.name,
        next_scheduled_start_time=due, idempotency_key=key, tags=list(tags),
    )  # fmt: skip


CASES: list[tuple[str, Plan, FlowRun, bool, str]] = [
    ("asleep as the log says", plan(), run("SCHEDULED", due=TOMORROW), True, "leave"),
    ("sleeps less than it might", plan(until=TOMORROW + timedelta(9)), run("SCHEDULED", due=TOMORROW), True, "leave"),
    ("oversleeps", plan(until=NOW + timedelta(hours=1)), run("SCHEDULED", due=TOMORROW), True, "wake"),
    ("asleep, but has something to do", plan(REMINDER), run("SCHEDULED", due=TOMORROW), True, "wake"),
    ("asleep, but has ended", plan(done=True), run("SCHEDULED", due=TOMORROW), True, "wake"),
    ("due, the poll takes it", plan(REMINDER), run("SCHEDULED", due=NOW - timedelta(minutes=1)), True, "leave"),
    ("put off after a failure", plan(REMINDER), run("SCHEDULED", due=TOMORROW, tags=("retry:2",)), True, "leave"),
    ("running, and nobody else can have it", plan(), run("RUNNING"), True, "revive"),
    ("running somewhere", plan(), run("RUNNING", since=timedelta(seconds=5)), False, "leave"),
    ("running for too long", plan(), run("RUNNING", since=STUCK_AFTER), False, "revive"),
    ("pending for too long", plan(), run("PENDING", since=STUCK_AFTER), False, "revive"),
    ("crashed", plan(), run("CRASHED"), True, "wake"),
    ("failed", plan(), run("FAILED"), False, "wake"),
    ("cancelled by an operator", plan(), run("CANCELLED"), True, "revive"),
    ("paused by an operator", plan(), run("PAUSED"), True, "revive"),
    ("ended", plan(done=True), run("COMPLETED"), True, "leave"),
    ("ended, but there is more", plan(), run("COMPLETED"), True, "wake"),
    ("ended, with a notice left to send", plan(REMINDER, done=True), run("COMPLETED"), True, "wake"),
]


@pytest.mark.parametrize(("plan_", "found", "alone", "action"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_patient_s_own_run(plan_: Plan, found: FlowRun, alone: bool, action: str) -> None:
    """Every state that a run can be in has its one answer, with a reason, and the run itself is never cancelled."""
    verdict = judge(plan_, [found], KEY, Surroundings(NOW, alone=alone))
    assert (verdict.action, verdict.run, verdict.cancel) == (action, found, ())
    assert verdict.why


def test_a_run_that_is_awake_here_is_left_alone() -> None:
    """A run that this process is driving at the moment is neither revived nor cancelled."""
    awake, extra = run("RUNNING"), run("RUNNING", key=None)
    around = Surroundings(NOW, {awake.id, extra.id}, alone=True)
    verdict = judge(plan(REMINDER), [extra, awake], KEY, around)
    assert (verdict.action, verdict.cancel) == ("leave", ())


def test_only_the_run_with_the_key_stays() -> None:
    """All other live runs of the patient are cancelled; finished ones are history and stay."""
    own, extra, old = (
        run("SCHEDULED", due=TOMORROW),
        run("SCHEDULED", due=TOMORROW, key=None),
        run("COMPLETED", key=None),
    )
    verdict = judge(plan(), [extra, old, own], KEY, Surroundings(NOW))
    assert (verdict.run, verdict.cancel) == (own, (extra,))


def test_a_run_that_is_listed_twice_is_one_run() -> None:
    """A run that moved from one page to the next while they were read is not taken for a second one."""
    own = run("SCHEDULED", due=TOMORROW)
    assert judge(plan(), [own, own.model_copy()], KEY, Surroundings(NOW)).cancel == ()


def test_a_patient_without_a_run_gets_one() -> None:
    """No run with the key: one is made, whatever else is there."""
    stray = run("RUNNING", key="study/NT-002")
    verdict = judge(plan(), [stray], KEY, Surroundings(NOW, alone=True))
    assert (verdict.action, verdict.run, verdict.cancel) == ("create", None, (stray,))


def test_runs_of_a_subject_that_is_not_in_the_log_are_ended() -> None:
    """What the log does not know has no journey."""
    live, ended = run("SCHEDULED", due=TOMORROW), run("FAILED")
    assert unknown([live, ended]).cancel == (live,)
