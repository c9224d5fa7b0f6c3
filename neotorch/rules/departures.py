"""What a deviation is, what it is read from, and the key that stays the same as long as it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from neotorch.domain.deviations import Deviations, Grade
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.schedule import Because, VisitPlan


@dataclass(frozen=True)
class Deviation:
    """One departure from the protocol. `key` stays the same as long as the departure does; `on` is its local day."""

    key: str
    kind: str
    grade: Grade
    visit: str | None
    on: date
    title: str
    """In a few words, codes and numbers only: it becomes the name of a run."""
    because: Because
    remedy: str
    """What in the data would make it go away."""


@dataclass(frozen=True)
class Chart:
    """What a patient's deviations are read from."""

    state: PatientState
    study: Study
    plans: dict[str, VisitPlan]
    today: date
    zone: str

    @property
    def graded(self) -> Deviations:
        """The study file's grades."""
        return self.study.deviations

    def visit(self, cycle: int) -> str:
        """Return the code of a cycle's day-1 visit."""
        visit = self.study.cycle_visit(cycle)
        return visit.code if visit else f"C{cycle}D1"

    def found(  # noqa: PLR0917 - what a deviation says
        self, kind: str, place: str, grade: Grade, on: date, title: str, detail: str, remedy: str,
        ids: Sequence[str], visit: str | None = None, plan: VisitPlan | None = None,
    ) -> Deviation:  # fmt: skip
        """Return the deviation; `place` tells it from others of its kind, `plan` gives the window's anchor."""
        anchor, timing = (plan.because.anchor, plan.because.timing) if plan else (None, None)
        because = Because(
            f"deviation.{kind}", self.study.version, anchor, timing,
            tuple(dict.fromkeys((*ids, *(anchor.event_ids if anchor else ())))), detail,
        )  # fmt: skip
        key = "/".join(part for part in (self.state.subject, "deviation", kind, place) if part)
        return Deviation(key, kind, grade, visit, on, title, because, remedy)


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def root(event_id: str, state: PatientState) -> str:
    """Return the id of the event that a chain of corrections began with; it stays when the fact is corrected again."""
    seen: set[str] = set()
    while event_id not in seen:
        seen.add(event_id)
        recorded = state.learnt.get(event_id)
        if recorded is None or recorded.event.corrects is None or recorded.event.corrects not in state.learnt:
            break
        event_id = recorded.event.corrects
    return event_id


def place(event_id: str, state: PatientState) -> str:
    """Return the part of a key that stands for a fact, of at most 60 characters."""
    first = root(event_id, state)
    return first if len(first) <= 60 else f"{first[:40]}#{sha256(first.encode()).hexdigest()[:12]}"
