"""What coordinators and monitors say at the desk, drawn from what is open at the moment."""

# ruff: noqa: ARG002 - all ways to say something have one signature

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules import Duties

Said = tuple[str, dict[str, Any]] | None
"""Type and fields of what is said; None where there is nothing to say it about."""


class Desk:
    """Somebody who looks at the worklist now and then and says something of it."""

    def __init__(self, rng: Random, study: Study) -> None:
        self._rng, self._study, self._count = rng, study, 0

    def say(self, state: PatientState, due: Duties, today: date) -> ev.AnyFact | None:
        """Return what is said of a patient; intake may still refuse it, as it would in life."""
        ways: tuple[Callable[[PatientState, Duties, date], Said], ...] = (
            self._book, self._book, self._waive, self._snooze, self._seen, self._snooze, self._seen, self._acknowledge,
            self._answer, self._open, self._resolve, self._missed, self._take_back,
        )  # fmt: skip
        said = self._rng.choice(ways)(state, due, today)
        if said is None:
            return None
        self._count += 1
        kind, fields = said
        body = {
            "type": kind,
            "id": f"desk-{self._count}",
            "study": self._study.id,
            "subject": state.subject,
            "occurred": today,
        }
        return ev.FACT.validate_python(body | {"actor": "crc.03"} | fields)

    def _visit(self, due: Duties, today: date, days: int) -> str | None:
        near = [
            p.code for p in due.plans
            if p.window and p.status in ("planned", "open", "due", "late", "overdue")
            and p.window.opens <= today + timedelta(days)
        ]  # fmt: skip
        return self._rng.choice(near) if near else None

    def _book(self, state: PatientState, due: Duties, today: date) -> Said:
        visit = self._visit(due, today, 60)
        if visit is None:
            return None
        span = next(p.protocol or p.window for p in due.plans if p.code == visit)
        inside = [span.opens + timedelta(n) for n in range((span.closes - span.opens).days + 1)]
        outside = today + timedelta(self._rng.randint(0, 40))
        fields: dict[str, Any] = {"visit": visit, "appointment": self._rng.choice([*inside, outside, outside])}
        if self._rng.random() < 0.5:
            fields["reason"] = "patient asked for it"
        earlier = state.booked.get(visit)
        return "visit_booked", fields | ({"corrects": earlier.id, "reason": "moved"} if earlier else {})

    def _waive(self, state: PatientState, due: Duties, today: date) -> Said:
        visit = self._visit(due, today, 20)
        rare = visit is None or visit in ("C1D1", "SURG") or self._rng.random() < 0.5
        return None if rare else ("visit_waived", {"visit": visit, "reason": "seen elsewhere"})

    def _missed(self, state: PatientState, due: Duties, today: date) -> Said:
        late = [p.code for p in due.plans if p.status == "overdue"]
        return ("visit_missed", {"visit": self._rng.choice(late), "cause": "declined"}) if late else None

    def _matter(self, state: PatientState, due: Duties, today: date) -> str | None:
        visit = self._visit(due, today, 10)
        open_ = [q for q, t in state.queries.items() if t.open] + [d for d, t in state.deviations.items() if t.open]
        keys = [*open_, *([f"{state.subject}/{visit}"] * 3 if visit else [])]
        return self._rng.choice(keys) if keys else None

    def _snooze(self, state: PatientState, due: Duties, today: date) -> Said:
        key = self._matter(state, due, today)
        until = today + timedelta(self._rng.choice((1, 3, 7, 14, 45)))
        return ("snoozed", {"key": key, "until": until, "reason": "patient away"}) if key else None

    def _seen(self, state: PatientState, due: Duties, today: date) -> Said:
        key = self._matter(state, due, today)
        return ("notice_seen", {"key": key}) if key else None

    def _acknowledge(self, state: PatientState, due: Duties, today: date) -> Said:
        found = [k for k, t in state.deviations.items() if t.open]
        return (
            ("deviation_acknowledged", {"deviation": self._rng.choice(found), "cause": "staff", "action": "none"})
            if found
            else None
        )

    def _answer(self, state: PatientState, due: Duties, today: date) -> Said:
        open_ = [q for q, t in state.queries.items() if t.open]
        return ("query_answered", {"query": self._rng.choice(open_), "answer": "will follow"}) if open_ else None

    def _open(self, state: PatientState, due: Duties, today: date) -> Said:
        if self._rng.random() < 0.5:
            return None
        return "query_opened", {
            "query": f"{state.subject}/monitor/{self._count}",
            "text": "please check",
            "actor": "mon.01",
        }

    def _resolve(self, state: PatientState, due: Duties, today: date) -> Said:
        open_ = [q for q in state.asked if q not in state.resolved]
        return ("query_resolved", {"query": self._rng.choice(open_), "actor": "mon.01"}) if open_ else None

    def _take_back(self, state: PatientState, due: Duties, today: date) -> Said:
        words = (
            ev.VisitBooked,
            ev.VisitWaived,
            ev.Snoozed,
            ev.NoticeSeen,
            ev.QueryResolved,
            ev.VisitMissed,
            ev.QueryOpened,
        )
        said = [f for f in state.facts if isinstance(f, words)]
        return ("retraction", {"retracts": self._rng.choice(said).id, "reason": "said by mistake"}) if said else None
