"""The one date algebra: windows in inclusive local calendar days, and instants only at the edge.

Every window hangs on one anchor date by day offsets; windows are never chained and never counted in hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import pendulum

WindowStatus = Literal["planned", "open", "due", "late", "overdue", "missed"]
"""planned: before it opens; open: until the target; due: on the target; late: after the target, still inside;
overdue: after it closed; missed: so long after that it will not be held."""


@dataclass(frozen=True)
class Window:
    """An inclusive span of local calendar days with a target day, and the last day on which it counts as overdue."""

    opens: date
    target: date
    closes: date
    last_overdue: date | None
    """None: stays overdue until somebody says what happened."""

    def status(self, today: date) -> WindowStatus:
        """Return where `today` (local date at the site) falls."""
        if today < self.opens:
            return "planned"
        if today < self.target:
            return "open"
        if today == self.target:
            return "due"
        if today <= self.closes:
            return "late"
        if self.last_overdue is None or today <= self.last_overdue:
            return "overdue"
        return "missed"

    def holds(self, day: date) -> bool:
        """Return whether `day` is inside."""
        return self.opens <= day <= self.closes

    def booked(self, on: date) -> Window:
        """Return the window with an appointment as its target; one outside stretches the window to it."""
        grace = None if self.last_overdue is None else self.last_overdue - self.closes
        closes = max(self.closes, on)
        return Window(min(self.opens, on), on, closes, None if grace is None else closes + grace)

    def boundaries(self) -> tuple[date, ...]:
        """Return the first day of each status after `planned`, in order and without repeats."""
        days = {self.opens, self.target, self.target + timedelta(1), self.closes + timedelta(1)}
        if self.last_overdue is not None:
            days.add(self.last_overdue + timedelta(1))
        return tuple(sorted(days))


def window(
    anchor: date, offset: int, before: int, after: int, *, not_before: date | None, missed_after: int | None
) -> Window:
    """Return the window of `anchor` + `offset` days, `before` and `after` in days.

    A later `not_before` (a wash-out) moves the opening and, where needed, the target; it never moves the closing day
    unless nothing would be left, in which case the window is that one day.
    """
    opens, target, closes = (anchor + timedelta(offset + d) for d in (-before, 0, after))
    if not_before is not None:
        opens, target, closes = max(opens, not_before), max(target, not_before), max(closes, not_before)
    return Window(opens, target, closes, None if missed_after is None else closes + timedelta(missed_after))


def local_date(instant: datetime, zone: str) -> date:
    """Return the calendar date of an aware instant in the zone."""
    return instant.astimezone(ZoneInfo(zone)).date()


@lru_cache(maxsize=20_000)  # pendulum reads the zone's file each time
def at_hour(day: date, hour: int, zone: str) -> datetime:
    """Return the UTC instant of a full hour on a local day; across a clock change this is not a multiple of 24 h."""
    local = pendulum.datetime(day.year, day.month, day.day, hour, tz=zone)
    return datetime.fromtimestamp(local.timestamp(), tz=pendulum.UTC)
