"""Reading dates and instants by exact pattern.

Neither pydantic's default mode (0 is 1970-01-01) nor a lenient parser ("now", "2026", "10:00") may guess here:
a date in a trial is what was written, or it is refused.
"""

from __future__ import annotations

import re
from datetime import date, datetime

_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_INSTANT = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$")


def parse_date(value: object) -> date:
    """Return the calendar date written as YYYY-MM-DD; ValueError says what is wrong."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError(f"{value!r} is not a date; write it as YYYY-MM-DD, for example 2026-03-04")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not in the calendar ({error}); check day and month") from None


def parse_instant(value: object) -> datetime:
    """Return the instant written as YYYY-MM-DDThh:mm[:ss] with Z or an offset; ValueError says what is wrong."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("the time has no zone; add Z or an offset such as +08:00")
        return value
    if not isinstance(value, str) or not _INSTANT.match(value):
        raise ValueError(f"{value!r} is not a time with zone; write it as YYYY-MM-DDThh:mm:ss+08:00")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a time ({error})") from None
