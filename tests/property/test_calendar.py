"""Date algebra: windows are whole local days, across clock changes, leap days and year ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neotorch.domain.calendar import at_hour, local_date, window
from neotorch.domain.dates import parse_date, parse_instant

ORDER = ["planned", "open", "due", "late", "overdue", "missed"]
ZONES = st.sampled_from([
    "Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Pacific/Kiritimati",
    "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu",
])  # fmt: skip
DAYS = st.dates(date(1990, 1, 1), date(2090, 1, 1))
SPANS = st.integers(0, 400)


@given(DAYS, st.integers(-2000, 4000), SPANS, SPANS, st.none() | st.integers(-100, 5000), st.none() | SPANS)
def test_a_window_is_in_order_and_its_statuses_only_move_forward(  # noqa: PLR0917 - one per number of a window
    anchor: date, offset: int, before: int, after: int, floor: int | None, missed: int | None
) -> None:
    """Opening, target and closing come in this order; day by day the status goes one way; each boundary changes it."""
    floor_day = None if floor is None else anchor + timedelta(floor)
    found = window(anchor, offset, before, after, not_before=floor_day, missed_after=missed)
    assert found.opens <= found.target <= found.closes
    assert floor_day is None or found.opens >= floor_day
    assert found.holds(found.opens)
    assert found.holds(found.closes)
    assert not found.holds(found.opens - timedelta(1))
    assert not found.holds(found.closes + timedelta(1))
    assert found.status(found.opens - timedelta(1)) == "planned"
    for day in found.boundaries():
        earlier, now = (ORDER.index(found.status(d)) for d in (day - timedelta(1), day))
        assert earlier < now
    ends = found.boundaries()
    for day in (found.opens, found.target, found.closes, ends[-1]):
        before_, now = ORDER.index(found.status(day - timedelta(1))), ORDER.index(found.status(day))
        assert before_ <= now
    assert found.status(found.closes + timedelta(1)) in ("overdue", "missed")
    if missed is None:
        assert found.status(found.closes + timedelta(5000)) == "overdue"


@given(DAYS, st.integers(0, 23), ZONES)
@example(date(2026, 3, 29), 2, "Europe/Berlin")
@example(date(2026, 10, 25), 2, "Europe/Berlin")
@example(date(2011, 12, 30), 8, "Pacific/Apia")
@example(date(1986, 5, 4), 0, "Asia/Shanghai")
def test_a_reminder_hour_falls_on_its_day_at_the_site(on: date, hour: int, zone: str) -> None:
    """The instant of an hour is on that local day at that hour, except where the clock skips it."""
    instant = at_hour(on, hour, zone)
    assert instant.utcoffset() == timedelta(0)
    local = instant.astimezone(ZoneInfo(zone))
    if datetime(on.year, on.month, on.day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(
        ZoneInfo(zone)
    ).replace(tzinfo=None) == datetime(on.year, on.month, on.day, hour):  # noqa: DTZ001 - wall clock against wall clock
        assert (local.date(), local.hour) == (on, hour)
        assert local_date(instant, zone) == on
    else:
        assert abs(local.replace(tzinfo=None) - datetime(on.year, on.month, on.day, hour)) <= timedelta(days=1)  # noqa: DTZ001


@given(DAYS, st.integers(0, 23), ZONES)
def test_reminder_hours_come_in_the_order_of_days(on: date, hour: int, zone: str) -> None:
    """The same hour on the next day is later, 23 to 25 hours where the clock changes, and never the same instant."""
    today, tomorrow = at_hour(on, hour, zone), at_hour(on + timedelta(1), hour, zone)
    assert today < tomorrow or (zone == "Pacific/Apia" and on in (date(2011, 12, 29), date(2011, 12, 30)))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)), ZONES)  # noqa: DTZ001
def test_the_local_date_is_that_of_the_wall_clock(instant: datetime, zone: str) -> None:
    """The day at a site is what its clock on the wall says."""
    assert local_date(instant, zone) == instant.astimezone(ZoneInfo(zone)).date()


def test_leap_days_count() -> None:
    """364 days after 1 March 2027 is 28 February 2028, a year before 29 February 2028 nothing is skipped."""
    span = window(date(2028, 2, 15), 14, 0, 0, not_before=None, missed_after=None)
    assert span.target == date(2028, 2, 29)
    assert window(date(2027, 3, 1), 364, 0, 0, not_before=None, missed_after=None).target == date(2028, 2, 28)
    assert window(date(2025, 1, 15), 1095, 28, 28, not_before=None, missed_after=None).target == date(2028, 1, 15)


def test_across_a_clock_change_an_hour_is_not_a_multiple_of_24_hours() -> None:
    """Between two mornings there are 23 hours in spring and 25 in autumn, and the reminder still comes at eight."""
    spring = at_hour(date(2026, 3, 29), 8, "Europe/Berlin") - at_hour(date(2026, 3, 28), 8, "Europe/Berlin")
    autumn = at_hour(date(2026, 10, 25), 8, "Europe/Berlin") - at_hour(date(2026, 10, 24), 8, "Europe/Berlin")
    assert (spring, autumn) == (timedelta(hours=23), timedelta(hours=25))


@given(st.dates(date(1900, 1, 1), date(2200, 12, 31)))
def test_a_date_is_read_as_written(on: date) -> None:
    """Every date in range reads back."""
    assert parse_date(on.isoformat()) == on


GUESSES = [
    "now", "today", "2026", "2026-3-4", "04.03.2026", "20260304", "2026-W10-3", "2026-02-30", "2026-13-01", "10:00",
    "2026-03-04T00:00:00", "2026-03-04 ", " 2026-03-04", "2026-03-04\n", "", "\u0662026-03-04", "\uff12026-03-04",
    "+002026-03-04",
    "0001-01-01", "9999-12-31", 2026, 0, 20260304, 1772582400, True, None, 1e9, [], datetime(2026, 3, 4, tzinfo=UTC),
    10**400,
]  # fmt: skip


@pytest.mark.parametrize("guess", GUESSES, ids=lambda g: repr(g)[:30])
def test_no_date_is_guessed(guess: object) -> None:
    """What is not written as YYYY-MM-DD and in the calendar is refused, in words that say what to do."""
    with pytest.raises(ValueError, match=r"; (write it as|check day and month|correct the year)"):
        parse_date(guess)


TIMES = ["2026-03-04", "2026-03-04T09:30", "2026-03-04T09:30:00", "2026-03-04T25:00:00Z", "now", "09:30Z", 0, None,
         "2026-02-30T09:30:00Z", "2026-03-04T09:30:00Z\n", "2026-03-04T09:30:00+99:00",
         datetime(2026, 3, 4)]  # fmt: skip  # noqa: DTZ001


@pytest.mark.parametrize("guess", TIMES, ids=repr)
def test_no_time_is_guessed(guess: object) -> None:
    """A time without a zone is no instant, and no zone is assumed."""
    with pytest.raises(ValueError):
        parse_instant(guess)
