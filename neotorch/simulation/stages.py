"""Where a patient stands, in the words of a recruitment report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Study
from neotorch.rules.schedule import is_complete, journey, visit_plans

STAGES = (
    "screening", "cycle 1", "cycle 2", "cycle 3", "cycle 4", "cycle 5", "cycle 6", "awaiting surgery",
    "awaiting pathology", "early follow-up", "late follow-up", "complete", "lost", "dead", "withdrawn",
    "screen failure",
)  # fmt: skip
EARLY_DAYS = 365
"""Early follow-up is the first year after surgery (or after the end of treatment without one)."""


def stage_of(facts: Iterable[ev.AnyFact], study: Study, on: date) -> str:
    """Return the stage of the one patient whose facts these are, on a day."""
    rows = [
        ev.Recorded.model_construct(seq=n, recorded_at=datetime(2000, 1, 1, tzinfo=UTC), event=f, prev_hash="", hash="")
        for n, f in enumerate(facts, 1)
    ]
    return stage(fold(rows, rows[0].event.subject or ""), study, on) if rows else "screening"


def stage(state: PatientState, study: Study, on: date) -> str:
    """Return the stage that a patient's state amounts to on a day."""
    phase = journey(state, study)
    match phase:
        case "dead" | "withdrawn":
            return phase
        case "screen_failure":
            return "screen failure"
        case "screening":
            return "screening"
        case "treatment":
            return f"cycle {max(state.cycles)}" if len(state.cycles) < study.cycles.count else "awaiting surgery"
        case "surgery":
            return _before_surgery(state, study, on)
        case _:
            return _follow_up(state, study, on)


def _before_surgery(state: PatientState, study: Study, on: date) -> str:
    """The last cycle is under way for its length; then surgery is what is awaited."""
    last = state.cycles[max(state.cycles)]
    if state.lost:
        return "lost"
    if last.cycle == study.cycles.count and (on - last.occurred).days < study.cycles.length_days:
        return f"cycle {last.cycle}"
    return "awaiting surgery"


def _follow_up(state: PatientState, study: Study, on: date) -> str:
    if is_complete(visit_plans(state, study, on)):
        return "complete"
    if state.lost:
        return "lost"
    if state.surgery and not any(p.status == "final" for p in state.pathologies):
        return "awaiting pathology"
    since = state.surgery.occurred if state.surgery else max(c.occurred for c in state.cycles.values())
    return "early follow-up" if (on - since).days <= EARLY_DAYS else "late follow-up"
