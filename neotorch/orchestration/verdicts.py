"""What the reconciler does about a patient's runs: a pure decision, with its reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType

from neotorch.plan import Plan

STUCK_AFTER = timedelta(minutes=10)
"""No wake takes longer; a run that claims to is not running. Not waited for where all workers are known."""
TOLERANCE = timedelta(seconds=2)
LIVE = {StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING}


@dataclass(frozen=True)
class Verdict:
    """What to do with a patient's runs, and why. `run` is the one that is kept."""

    action: Literal["leave", "create", "wake", "revive"]
    why: str
    run: FlowRun | None = None
    cancel: tuple[FlowRun, ...] = ()
    why_cancel: str = "the patient has one run already"


@dataclass(frozen=True)
class Surroundings:
    """What is known besides the runs: the instant, which runs this process has awake, whether it is the only worker.

    `orphans`: ids of runs whose worker is known to be gone.
    """

    now: datetime
    awake: Collection[UUID] = ()
    alone: bool = False
    orphans: Collection[str] = ()

    def abandoned(self, run: FlowRun) -> bool:
        """Whether a run that says it is awake is known not to be."""
        return run.id not in self.awake and (self.alone or str(run.id) in self.orphans)


def judge(plan: Plan, runs: Sequence[FlowRun], key: str, around: Surroundings) -> Verdict:
    """Decide about one patient: exactly one live run, the one with the business key, asleep until the plan's date."""
    own = next((run for run in runs if run.idempotency_key == key), None)
    extra = tuple(
        r for r in runs if (own is None or r.id != own.id) and r.state_type in LIVE and r.id not in around.awake
    )
    if own is None:
        return Verdict("create", "no run has the patient's key", None, extra)
    action, why = _own(plan, own, around)
    return Verdict(action, why, own, extra)


def unknown(runs: Sequence[FlowRun]) -> Verdict:
    """Decide about runs of a subject that the log does not know."""
    live = tuple(r for r in runs if r.state_type in LIVE)
    return Verdict("leave", "", None, live, "the event log does not know this subject")


def _own(plan: Plan, run: FlowRun, around: Surroundings) -> tuple[Literal["leave", "wake", "revive"], str]:
    if run.id in around.awake:
        return "leave", "awake in this process"
    match run.state_type:
        case StateType.SCHEDULED:
            return _asleep(plan, run, around.now)
        case StateType.PENDING | StateType.RUNNING | StateType.CANCELLING:
            since = around.now - run.state.timestamp if run.state else STUCK_AFTER
            if around.abandoned(run) or since >= STUCK_AFTER:
                return "revive", f"{run.state_name} since {since}, and no worker has it"
            return "leave", f"{run.state_name} since {since}"
        case StateType.COMPLETED if plan.done and not plan.steps:
            return "leave", "the journey has ended"
        case StateType.COMPLETED:
            return "wake", "it had ended, but there is more to do"
        case StateType.CANCELLED | StateType.PAUSED:
            return "revive", f"{run.state_name}, but the patient's journey goes on"
        case _:
            return "wake", f"{run.state_name}"


def _asleep(plan: Plan, run: FlowRun, now: datetime) -> tuple[Literal["leave", "wake"], str]:
    due = run.next_scheduled_start_time
    if due is None:
        return "wake", "asleep without a date"
    if due <= now:
        return "leave", "due; the worker's next poll starts it"
    if any(tag.startswith("retry:") for tag in run.tags):
        return "leave", f"a step failed; tried again at {due}"
    if plan.done or plan.steps:
        return "wake", f"{len(plan.steps)} steps to do" if plan.steps else "the journey has ended"
    if plan.until and due > plan.until + TOLERANCE:
        return "wake", f"sleeps until {due}, but has something to do at {plan.until}"
    return "leave", "asleep as the log says"
