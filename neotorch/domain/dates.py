"""Reading dates and instants by exact pattern.

Neither pydantic's default mode (0 is 1970-01-01) nor a lenient parser ("now", "2026", "10:00") may guess here:
a date in a trial is what was written, or it is refused.
"""

from __future__ import annotations

import re
from datetime import date, datetime

_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_INSTANT = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$")

YEARS = (1900, 2200)
"""Years that a date in a trial can lie in; anything else is a slip of the keyboard."""


def parse_date(value: object) -> date:
    """Return the calendar date written as YYYY-MM-DD; ValueError says what is wrong."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return _plausible(value)
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError(f"{_short(value)} is not a date; write it as YYYY-MM-DD, for example 2026-03-04")
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not in the calendar ({error}); check day and month") from None
    return _plausible(day)


def _plausible(day: date) -> date:
    """Return the day, if windows counted from it stay within any calendar."""
    if not YEARS[0] <= day.year <= YEARS[1]:
        raise ValueError(f"the year of {day} is not between {YEARS[0]} and {YEARS[1]}; correct the year")
    return day


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def parse_instant(value: object) -> datetime:
    """Return the instant written as YYYY-MM-DDThh:mm[:ss] with Z or an offset; ValueError says what is wrong."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("the time has no zone; add Z or an offset such as +08:00")
        return value
    if not isinstance(value, str) or not _INSTANT.match(value):
        raise ValueError(f"{_short(value)} is not a time with zone; write it as YYYY-MM-DDThh:mm:ss+08:00")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a time ({error})") from None
