"""What another version of the protocol would change for a patient: visits, reminders, queries, deviations, endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

from neotorch.domain.calendar import local_date
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules import Duties, duties
from neotorch.rules.endpoints import patient_endpoints
from neotorch.rules.reminders import REMINDED, rung_days
from neotorch.rules.schedule import VisitPlan

What = Literal["visit", "reminder", "query", "deviation", "endpoint"]
NOTHING = "-"
UNHEARD: frozenset[str] = frozenset({"not_expected"})
"""A visit that a patient would get only in name is no change."""


@dataclass(frozen=True)
class Change:
    """One thing that would be otherwise. `subject` is None for a figure of the trial; `-` stands for nothing."""

    subject: str | None
    what: What
    name: str
    before: str
    after: str


def changes(state: PatientState, before: Study, after: Study, now: datetime) -> list[Change]:
    """Return what would be otherwise at `now` (aware) for a patient under `after`, in the order of the kinds."""
    today = local_date(now, before.site(state.site).time_zone)
    old = duties(replace(state, memo={}), before, now)
    new = duties(replace(state, memo={}), after, now)
    pairs: Iterator[tuple[What, Mapping[str, str], Mapping[str, str]]] = iter((
        ("visit", _visits(old), _visits(new)),
        ("reminder", _reminders(old, before, state, today), _reminders(new, after, state, today)),
        ("query", {f.query: f.name for f in old.findings}, {f.query: f.name for f in new.findings}),
        (
            "deviation",
            {d.key: f"{d.grade}: {d.title}" for d in old.deviations},
            {d.key: f"{d.grade}: {d.title}" for d in new.deviations},
        ),
        ("endpoint", patient_endpoints(state, before, today).values(), patient_endpoints(state, after, today).values()),
    ))  # fmt: skip
    return [c for what, one, other in pairs for c in differences(state.subject, what, one, other)]


def differences(subject: str | None, what: What, old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    """Return a change for each name that has not the same words in both."""
    names = [*old, *(n for n in new if n not in old)]
    return [
        Change(subject, what, n, old.get(n, NOTHING), new.get(n, NOTHING)) for n in names if old.get(n) != new.get(n)
    ]


def _visits(found: Duties) -> dict[str, str]:
    return {p.code: _visit(p) for p in found.plans if p.status not in UNHEARD}


def _visit(plan: VisitPlan) -> str:
    window = f" {plan.window.opens} to {plan.window.closes}" if plan.window else ""
    due = [f"{d.form} ({', '.join(d.items)})" if d.items and len(d.items) < 4 else d.form for d in plan.visit.due]
    return f"{plan.status.replace('_', ' ')}{window}; due {', '.join(due) or 'nothing'}"


def _reminders(found: Duties, study: Study, state: PatientState, today: date) -> dict[str, str]:
    """Return visit -> its reminders still to come, as the ladder has them."""
    site, ladders = study.site(state.site), study.reminders.ladders
    lines = {}
    for plan in () if found.ended else found.plans:
        if plan.status in REMINDED and plan.window:
            days = [
                f"{day} {rung.name}"
                for day, rung in rung_days(ladders[plan.visit.ladder], plan.window, site)
                if day >= today
            ]
            lines[plan.code] = ", ".join(days)
    return {code: line for code, line in lines.items() if line}
