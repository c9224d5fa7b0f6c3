"""Working days of a site: weekends, public holidays, and the weekend days that are worked in exchange.

China publishes its exchanged days year by year; beyond the last published year only the holidays themselves are known.
The tables are those of the `holidays` package, so they change with its releases: what depends on them is worked out
each time and never stored.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neotorch.domain.study import Site

LONGEST = 31
"""No run of days off is longer; a calendar that says so is wrong."""
WEEKEND = 2


def is_working_day(day: date, site: Site) -> bool:
    """Return whether people work at the site on a day. A site without a calendar works every day."""
    if day in site.worked:
        return True
    if day in site.closed:
        return False
    return site.calendar is None or _works(site.calendar, day)


@lru_cache(maxsize=20_000)
def _works(calendar: str, day: date) -> bool:
    return bool(table(calendar).is_working_day(day))


def shifted(day: date, site: Site, *, later: bool) -> date:
    """Return the day if it is a working day, else the next one (`later`) or the one before."""
    step = timedelta(1 if later else -1)
    for _ in range(LONGEST):
        if is_working_day(day, site):
            return day
        day += step
    return day


def days_off_beside(day: date, site: Site) -> int:
    """Return how many days off lie directly before and after a day, beyond the two of a weekend."""
    return max(0, sum(_run(day, site, step) for step in (-1, 1)) - WEEKEND)


def _run(day: date, site: Site, step: int) -> int:
    days = (day + timedelta(step * n) for n in range(1, LONGEST))
    return next((n for n, d in enumerate(days) if is_working_day(d, site)), LONGEST)


@lru_cache(maxsize=64)
def table(calendar: str) -> Any:
    """Return the table of a country, or of a part of it: CN, FI, US-NY, AU-NSW. ValueError if there is none."""
    import holidays

    country, _, part = calendar.partition("-")
    try:
        return holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError:
        raise ValueError(
            f"{calendar!r} is no calendar; use a country such as CN, or a country and its part such as AU-NSW"
        ) from None


@lru_cache(maxsize=64)
def table_ends(calendar: str) -> date | None:
    """Return the last day of the last year whose exchanged working days are published; None where none are."""
    entries = table(calendar)
    list(map(entries.__contains__, (date(year, 1, 1) for year in range(2020, 2041))))  # it fills itself year by year
    years = [day.year for day in getattr(entries, "weekend_workdays", ())]
    return date(max(years), 12, 31) if years else None


def warning(sites: list[Site], until: Callable[[Site], date | None]) -> list[str]:
    """Return a line for each site whose table ends before its schedule does. `until`: site -> last day planned."""
    found = []
    for site in sites:
        end, last = (table_ends(site.calendar) if site.calendar else None), until(site)
        if end and last and last > end:
            found.append(
                f"site {site.code}: the working days of {site.calendar} are published up to {end}, and visits are planned "
                f"up to {last}; from then on only the public holidays are known. Update the package `holidays`."
            )
    return found
