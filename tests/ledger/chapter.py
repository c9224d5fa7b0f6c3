"""What the expectations of one story cover: worked out from what it says, day by day, and from the patient as they then were.

Only what a story itself expects counts: a reminder that went out unseen by the story covers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from neotorch.domain.state import PatientState
from neotorch.rules import Duties
from tests.ledger.deviations import deviation_notes
from tests.ledger.outcomes import clock_notes, endpoint_notes, fact_notes, notice_notes
from tests.ledger.queries import check_notes, course_notes, form_notes, query_notes
from tests.ledger.seen import Note, Seen
from tests.ledger.visits import reminder_notes, visit_notes, window_notes
from tests.stories import Stage

RULES = (
    visit_notes, reminder_notes, form_notes, query_notes, check_notes, deviation_notes, clock_notes, notice_notes,
    endpoint_notes, fact_notes,
)  # fmt: skip


@dataclass
class Chapter:
    """One story as it is played."""

    days: list[Seen] = field(default_factory=list)

    def saw(self, wanted: dict[str, Any], stage: Stage, state: PatientState, due: Duties) -> None:
        """Keep what has just been found to be as expected."""
        plans = {p.code: p for p in due.plans}
        self.days.append(Seen(wanted["day"], wanted, state, plans, stage.trial.engine.study, stage.zone, due.clocks))

    def notes(self) -> set[Note]:
        """All that the story covers."""
        days = sorted(self.days, key=lambda s: s.day)
        found = set(window_notes(days))
        for n, seen in enumerate(days):
            found |= {note for rule in RULES for note in rule(seen)} | set(course_notes(seen, days[:n]))
        return found
