"""What lies ahead of a site, day by day: for the wall, on the day on which no computer works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from neotorch.domain.calendar import Window
from neotorch.domain.state import PatientState
from neotorch.domain.study import Visit
from neotorch.rules import Duties


@dataclass(frozen=True)
class Ahead:
    """A visit that is to take place in the next days."""

    subject: str
    visit: Visit
    window: Window
    on: date
    """The target day, or the first day of the span from which the visit can still be held."""
    forms: tuple[str, ...]
    """Codes of the forms to fill in."""


def agenda(state: PatientState, duties: Duties, first: date, days: int) -> tuple[Ahead, ...]:
    """Return a patient's visits whose windows reach into the `days` days from `first` on, by day.

    A visit whose target is over and whose window is still open stands on the first day.
    """
    last = first + timedelta(days - 1)
    found = [
        Ahead(state.subject, p.visit, p.window, max(p.window.target, first), tuple(dict.fromkeys(d.form for d in p.visit.due)))
        for p in duties.plans
        if p.status in ("planned", "open", "due", "late") and p.window and p.window.target <= last and p.window.closes >= first
    ]  # fmt: skip
    return tuple(sorted(found, key=order))


def order(one: Ahead) -> tuple[date, str, str]:
    """Return what an agenda is sorted by."""
    return one.on, one.subject, one.visit.code


def by_day(found: Iterable[Ahead], first: date, days: int) -> list[tuple[date, list[Ahead]]]:
    """Return every day of the span with what is on it, empty days included."""
    visits = sorted(found, key=order)
    return [(d, [v for v in visits if v.on == d]) for d in (first + timedelta(n) for n in range(days))]
