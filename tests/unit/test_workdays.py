"""Working days: weekends, public holidays, days worked in exchange, a site's own days; and the hours of the night."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from neotorch.domain.study import Quiet, Rung, Site
from neotorch.domain.study_file import StudyError, read_study
from neotorch.domain.workdays import is_working_day, shifted, table_ends, warning
from neotorch.rules.notices import quiet_until
from tests.support import at, study
from tests.unit.test_study_file import TEXT

DAY = timedelta(1)


def site(calendar: str | None, zone: str = "Asia/Shanghai", **more: Any) -> Site:
    """A site with a calendar."""
    words = {"en": "x", "zh": "x"}
    return Site.model_validate({
        "code": "S01", "name": words, "time_zone": zone, "languages": ["en"], "calendar": calendar, "assumption": True,
        "source": "a test", **more,
    })  # fmt: skip


DAYS = [
    ("CN", "2026-02-13", True, "the last Friday before New Year"),
    ("CN", "2026-02-14", True, "a Saturday worked in exchange"),
    ("CN", "2026-02-16", False, "New Year's Eve"),
    ("CN", "2026-02-23", False, "a Monday given in exchange"),
    ("CN", "2026-02-24", True, "the first day after New Year"),
    ("CN", "2026-02-28", True, "another Saturday worked in exchange"),
    ("CN", "2026-10-10", True, "the Saturday after the national holidays"),
    ("FI", "2026-06-19", False, "Midsummer Eve in Helsinki"),
    ("FI", "2026-12-07", True, "the Monday after Independence Day, which is not moved"),
    ("US-NY", "2026-07-03", False, "the fourth of July is a Saturday, so the Friday is off"),
    ("US-NY", "2026-11-26", False, "Thanksgiving"),
    ("AU-NSW", "2026-01-26", False, "Australia Day"),
    ("AU-NSW", "2028-02-29", True, "a leap day is a Tuesday like others"),
    (None, "2026-02-17", True, "a site without a calendar works every day"),
    (None, "2026-02-15", True, "Sundays too"),
]


@pytest.mark.parametrize(("calendar", "day", "works", "why"), DAYS, ids=[d[3] for d in DAYS])
def test_working_days(calendar: str | None, day: str, works: bool, why: str) -> None:
    """Each day as the country's calendar has it."""
    assert is_working_day(date.fromisoformat(day), site(calendar)) is works, why


def test_a_site_knows_better() -> None:
    """Days that a site names itself count before the country's."""
    own = site("CN", closed=["2026-02-14"], worked=["2026-02-17"])
    assert not is_working_day(date(2026, 2, 14), own)
    assert is_working_day(date(2026, 2, 17), own)
    assert shifted(date(2026, 2, 16), own, later=True) == date(2026, 2, 17)
    assert shifted(date(2026, 2, 16), own, later=False) == date(2026, 2, 13)


def test_a_shift_ends_on_the_nearest_working_day() -> None:
    """From any day of three years: a working day, in the direction asked for, with days off only in between."""
    cn = site("CN")
    for n in range(3 * 365):
        day = date(2024, 12, 1) + n * DAY
        for later in (True, False):
            found = shifted(day, cn, later=later)
            assert is_working_day(found, cn)
            step = DAY if later else -DAY
            between = [day + k * step for k in range(abs((found - day).days))]
            assert not any(is_working_day(d, cn) for d in between)


def test_a_table_that_ends_before_the_schedule_is_told() -> None:
    """China's exchanged days are published year by year; other countries' holidays follow rules."""
    end = table_ends("CN")
    assert end is not None
    assert end >= date(2026, 12, 31)
    assert table_ends("FI") is None
    (line,) = warning([site("CN"), site("FI"), site(None)], lambda _: end + DAY)
    assert "S01" in line
    assert str(end) in line
    assert warning([site("CN")], lambda _: end) == []


def test_a_calendar_that_there_is_not_is_refused() -> None:
    """The study file names a country and, where needed, its part."""
    for wrong in ("XX", "CN-Shanghai"):
        with pytest.raises(StudyError, match="is no calendar"):
            read_study(TEXT.replace("calendar: CN", f"calendar: {wrong}"))


NIGHT = [
    ("20:59", None), ("21:00", "2026-03-05 07:00"), ("23:59", "2026-03-05 07:00"), ("00:00", "2026-03-04 07:00"),
    ("06:59", "2026-03-04 07:00"), ("07:00", None), ("12:00", None),
]  # fmt: skip


@pytest.mark.parametrize(("clock", "until"), NIGHT)
def test_quiet_hours_over_midnight(clock: str, until: str | None) -> None:
    """From 21 to 7 at the site what can wait waits for seven o'clock, this morning's or the next."""
    wanted = at(date.fromisoformat(until[:10]), until[11:]) if until else None
    assert quiet_until(at(date(2026, 3, 4), clock), study(), "S01") == wanted


@pytest.mark.parametrize(("clock", "hour"), [("11:59", None), ("12:00", 14), ("13:59", 14), ("14:00", None)])
def test_quiet_hours_within_a_day(clock: str, hour: int | None) -> None:
    """A rest at noon ends on the same day."""
    reminders = study().reminders.model_copy(update={"quiet": Quiet(from_hour=12, to_hour=14)})
    found = quiet_until(at(date(2026, 3, 4), clock), study().model_copy(update={"reminders": reminders}), "S01")
    assert found == (at(date(2026, 3, 4), f"{hour}:00") if hour else None)


BROKEN = [
    pytest.param("name: opens, says: opens, at: opens, days: 0}\n      - {name: closing", "name: ahead, says: opens, at: opens, days: 0}\n      - {name: closing",
                 "two rungs called 'ahead'", id="two rungs of one name"),
    pytest.param("roles: [investigator]}", "roles: [surgeon]}", "names the role 'surgeon'", id="a role nobody has"),
    pytest.param("days: 4, roles", "days: 8, roles", "would come 8 d after", id="a reminder after its deadline"),
    pytest.param("    ladder: appointment", "    ladder: none", "which is not under reminders.ladders", id="no such ladder"),
    pytest.param("    default:\n", "    usual:\n", "ladders has no `default`", id="no default ladder"),
    pytest.param("from_hour: 21", "from_hour: 7", "the same", id="quiet all day long"),
    pytest.param("says: overdue, at: closes, days: 1}", "says: late, at: closes, days: 1}", "says (line", id="no such words"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_a_ladder_that_cannot_work_is_refused(old: str, new: str, says: str) -> None:
    """With its path, the value, and the remedy."""
    assert old in TEXT
    with pytest.raises(StudyError) as error:
        read_study(TEXT.replace(old, new, 1))
    assert says in str(error.value)


def test_a_rung_without_words_of_its_own_is_refused() -> None:
    """Names are lower-case codes, since they stand in the keys of notices."""
    with pytest.raises(ValueError, match="name"):
        Rung.model_validate({"name": "Seven Days", "says": "ahead", "at": "target", "days": -7})
