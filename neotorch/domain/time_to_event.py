"""One patient's time to an event: status, days and the reason. Days = date - start + 1 (CDISC ADaM), so day 1 is the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from neotorch.domain import events as ev

DAYS_PER_MONTH = 30.4375


@dataclass(frozen=True)
class TimeToEvent:
    """Status of one patient in one time-to-event endpoint. `days` is None before it starts; day 1 is the start."""

    status: Literal["event", "censored", "not started"]
    days: int | None
    on: date | None
    finding: str | None
    reason: str
    event_ids: tuple[str, ...] = ()

    @property
    def months(self) -> float | None:
        """Time in months of 30.4375 days."""
        return None if self.days is None else self.days / DAYS_PER_MONTH

    def __str__(self) -> str:
        return f"{self.status} on day {self.days}" if self.days is not None else self.status


@dataclass(frozen=True)
class Stop:
    """Where a sensitivity analysis stops counting: what is dated later neither ends nor prolongs the time."""

    on: date
    why: str
    event_ids: tuple[str, ...] = ()


def not_started(words: str) -> TimeToEvent:
    """Return the status of a patient whose time has not begun."""
    return TimeToEvent("not started", None, None, None, words)


def day_number(on: date, start: date) -> int:
    """Return the study day of `on`; the start is day 1."""
    return (on - start).days + 1


def overall_survival(
    facts: Sequence[ev.AnyFact], first_dose: date | None, cut: date, alive: ev.AnyFact | None
) -> TimeToEvent:
    """Return time from first dose to death from any cause, else to the last sign of life, `alive`."""
    if first_dose is None or first_dose > cut:
        return not_started("no first dose by the cut")
    death = next((f for f in facts if isinstance(f, ev.Death) and f.occurred <= cut), None)
    if death:
        days = day_number(death.occurred, first_dose)
        reason = f"death ({death.cause}) on {death.occurred}, day {days}"
        return TimeToEvent("event", days, death.occurred, "death", reason, (death.id,))
    on = max(first_dose, min(alive.occurred if alive else first_dose, cut))
    days = day_number(on, first_dose)
    ids = (alive.id,) if alive else ()
    return TimeToEvent("censored", days, on, None, f"last known alive on {on}, day {days}", ids)
