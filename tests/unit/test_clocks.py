"""Clocks of safety reports: 24 hours from the site's awareness, to the minute, never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neotorch.domain.study import Study
from neotorch.notify.message import Notice, render
from neotorch.plan import Plan
from neotorch.rules import duties
from neotorch.rules.clocks import Clock, clock_notices, clock_wakes, sae_clocks
from tests.support import SUBJECT, Trial, at, course, day, fact, screened, state_of, study

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AWARE = datetime(2026, 2, 3, 10, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
DEADLINE = AWARE + 24 * HOUR


def event(**fields: Any) -> Any:
    """A serious adverse event that the site learnt of at 10:30; id `sae`."""
    base = {"id": "sae", "term": "PNEUMONITIS", "grade": 3, "serious": True, "aware": AWARE.isoformat()}
    return fact("adverse_event", day(15), **(base | fields))


def clocks(now: datetime, *facts: Any, of: Study | None = None) -> tuple[Clock, ...]:
    """The clocks of a patient on treatment."""
    return sae_clocks(state_of([*screened(), *course(1), *facts]), of or study(), now)


def clock(now: datetime, **fields: Any) -> Clock:
    """The one clock of one event."""
    (found,) = clocks(now, event(**fields))
    return found


STATUS: list[Any] = [
    pytest.param(AWARE, None, "running", id="just learnt"),
    pytest.param(DEADLINE - MINUTE, None, "running", id="a minute left"),
    pytest.param(DEADLINE, None, "late", id="no time left"),
    pytest.param(DEADLINE + MINUTE, None, "late", id="a minute over"),
    pytest.param(DEADLINE + 99 * HOUR, DEADLINE - MINUTE, "met", id="reported in time, looked at later"),
    pytest.param(DEADLINE + 99 * HOUR, DEADLINE, "met", id="reported at the last minute"),
    pytest.param(DEADLINE + 99 * HOUR, DEADLINE + MINUTE, "late", id="reported a minute late"),
]


@pytest.mark.parametrize(("now", "reported", "status"), STATUS)
def test_a_report_is_due_24_hours_after_awareness(now: datetime, reported: datetime | None, status: str) -> None:
    """Running, met or late by the minute; what counts is when the site learnt of it, not when it began."""
    found = clock(now, **({"reported": reported.isoformat()} if reported else {}))
    assert (found.key, found.aware, found.deadline, found.reported) == ("sae/report", AWARE, DEADLINE, reported)
    assert found.status == status
    assert found.open is (reported is None)
    assert "aware at 2026-02-03 10:30" in found.because.detail
    assert found.local(found.deadline) == "2026-02-04 10:30"


def test_without_an_instant_of_awareness_the_day_counts_from_its_start() -> None:
    """The earliest that the site can have known of it, and the reason says that it is no recorded awareness."""
    found = clock(AWARE, aware=None)
    assert found.deadline == at(day(16), "00:00")
    assert f"no awareness recorded, counted from the start of {day(15)}" in found.because.detail


WHICH: list[Any] = [
    pytest.param({"grade": 3, "serious": True}, "serious adverse event", id="serious"),
    pytest.param({"grade": 1, "serious": True}, "serious adverse event", id="serious, whatever the grade"),
    pytest.param({"grade": 4, "serious": False}, None, id="severe is not serious"),
    pytest.param({"grade": 5, "serious": False}, "serious adverse event", id="fatal is always serious"),
    pytest.param({"grade": 1, "serious": False, "term": "PREGNANCY"}, "pregnancy", id="pregnancy"),
    pytest.param({"grade": 1, "serious": False, "term": "pregnancy"}, "pregnancy", id="pregnancy in small letters"),
]


@pytest.mark.parametrize(("fields", "name"), WHICH)
def test_what_has_to_be_reported(fields: dict[str, Any], name: str | None) -> None:
    """Serious and fatal events, and the terms that the study file lists."""
    assert [c.name for c in clocks(AWARE, event(**fields))] == ([name] if name else [])


TOLD: list[Any] = [
    pytest.param(DEADLINE - 6 * HOUR - MINUTE, None, [], id="more than six hours left"),
    pytest.param(DEADLINE - 6 * HOUR, None, ["sae/report/soon"], id="six hours left"),
    pytest.param(DEADLINE - MINUTE, None, ["sae/report/soon"], id="a minute left"),
    pytest.param(DEADLINE, None, ["sae/report/late"], id="the deadline has passed"),
    pytest.param(DEADLINE + 999 * HOUR, None, ["sae/report/late"], id="long ago, one notice all the same"),
    pytest.param(DEADLINE - MINUTE, AWARE + HOUR, [], id="reported"),
    pytest.param(DEADLINE + HOUR, DEADLINE + MINUTE, [], id="reported late: nothing is left to do"),
]


@pytest.mark.parametrize(("now", "reported", "keys"), TOLD)
def test_who_is_told_when(now: datetime, reported: datetime | None, keys: list[str]) -> None:
    """One safety notice when six hours are left and one when none are; after an outage only the one that matters."""
    found = clock_notices([clock(now, **({"reported": reported.isoformat()} if reported else {}))])
    assert [n.key for n in found] == keys
    assert {n.kind for n in found} <= {"safety"}
    due = duties(
        state_of([*screened(), *course(1), event(**({"reported": reported.isoformat()} if reported else {}))]),
        study(),
        now,
    )
    assert {n.key for n in due.notices if "/report/" in n.key} == set(keys)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("now", [DEADLINE - HOUR, DEADLINE + HOUR])
@pytest.mark.parametrize("term", ["PNEUMONITIS", "PREGNANCY"])
def test_the_notice_reads_as_a_sentence_in_both_languages(language: Any, now: datetime, term: str) -> None:
    """Its fields are all that the template asks for, and the deadline stands in it to the minute."""
    (found,) = clock_notices([clock(now, term=term)])
    data = dict(found.data) | found.because.fields()
    message = render(Notice(found.key, "safety", "investigator", language, data))
    assert "2026-02-04 10:30" in message.subject and SUBJECT in message.subject
    if term == "PREGNANCY":
        assert {"en": "pregnancy", "zh": "妊娠"}[language] in message.subject


def test_the_journey_wakes_when_there_is_something_to_tell() -> None:
    """Six hours before the deadline and at it, and no more once reported."""
    assert clock_wakes([clock(AWARE)]) == [DEADLINE - 6 * HOUR, DEADLINE]
    assert clock_wakes([clock(DEADLINE - 6 * HOUR)]) == [DEADLINE]
    assert clock_wakes([clock(DEADLINE)]) == []
    assert clock_wakes([clock(AWARE, reported=(AWARE + HOUR).isoformat())]) == []
    later = duties(state_of([*screened(), *course(1), event()]), study(), AWARE).later
    assert {DEADLINE - 6 * HOUR, DEADLINE} <= set(later)


def test_hours_are_hours_across_a_clock_change() -> None:
    """On the night on which an hour is left out the deadline is 24 hours away all the same, not the same wall clock."""
    site = study().sites[0].model_copy(update={"time_zone": "America/New_York"})
    west = study().model_copy(update={"sites": [site]})
    aware = datetime(2026, 3, 7, 12, 0, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    (found,) = clocks(aware, event(aware=aware.isoformat()), of=west)
    assert found.deadline - found.aware == 24 * HOUR
    assert found.local(found.deadline) == "2026-03-08 13:00"


@given(st.integers(-2000, 4000), st.none() | st.integers(-100, 4000))
def test_a_clock_has_one_status_and_at_most_one_notice(minutes: int, reported: int | None) -> None:
    """Whenever it is looked at: late exactly when the deadline lies before the report or, without one, before now."""
    now = AWARE + minutes * MINUTE
    told = {} if reported is None else {"reported": (AWARE + reported * MINUTE).isoformat()}
    found = clock(now, **told)
    over = minutes >= 1440 if reported is None else reported > 1440
    assert (found.status == "late") == over
    assert (found.status == "met") == (reported is not None and not over)
    assert len(clock_notices([found])) == (reported is None and minutes >= 1080)
    assert all(t > now for t in clock_wakes([found]))


# ── lived through ─────────────────────────────────────────────────────────────────────────────────────────────────


def lived(tmp_path: Path) -> tuple[Trial, Plan]:
    """A trial in which the site learns of a serious event at 10:30 and records it at 11."""
    trial = Trial(tmp_path, now=at(day(14)))
    trial.tell(*screened(), *[f for f in course(1) if f.occurred <= day(14)])
    plan = trial.sleep_until(AWARE + HOUR / 2)
    trial.tell(event())
    return trial, plan


def test_a_report_that_nobody_makes(tmp_path: Path) -> None:
    """Told at once, told again six hours before the deadline and once it has passed, and on the worklist throughout."""
    trial, _ = lived(tmp_path)
    trial.wake()
    (line,) = [o for o in trial.engine.worklist() if o.kind == "safety"]
    assert (line.key, line.status, line.what) == (
        "sae/report", "to report", "report serious adverse event by 2026-02-04 10:30",
    )  # fmt: skip
    assert trial.engine.worklist()[0] == line, "nothing goes before it"
    trial.sleep_until(DEADLINE + 48 * HOUR)
    sent = {k: when.astimezone(UTC) for k, when in trial.sent().items() if k.startswith("sae/")}
    assert sent == {
        "sae/told": (AWARE + HOUR / 2).astimezone(UTC), "sae/report/soon": (DEADLINE - 6 * HOUR).astimezone(UTC),
        "sae/report/late": DEADLINE.astimezone(UTC),
    }  # fmt: skip
    (line,) = [o for o in trial.engine.worklist() if o.kind == "safety"]
    assert line.status == "unreported"
    assert "| serious adverse event | late | report by 2026-02-04 10:30; aware at 2026-02-03 10:30" in (
        trial.engine.story_markdown(SUBJECT)
    )


def test_a_report_that_is_made(tmp_path: Path) -> None:
    """The correction that says when it was reported ends the clock: no notice, no line, and `explain` says met."""
    trial, _ = lived(tmp_path)
    trial.sleep_until(AWARE + 3 * HOUR)
    reported = (AWARE + 2 * HOUR).isoformat()
    trial.tell(event(id="sae#2", corrects="sae", reason="reported", reported=reported))
    trial.sleep_until(DEADLINE + 48 * HOUR)
    assert not [k for k in trial.sent() if "/report/" in k]
    assert not [o for o in trial.engine.worklist() if o.kind == "safety"]
    found = trial.engine.explain("sae#2/report")
    assert (found["status"], found["deadline"], found["reported"]) == ("met", "2026-02-04 10:30", "2026-02-03 12:30")


def test_the_notices_of_a_clock_can_be_explained(tmp_path: Path) -> None:
    """Each copy that went out says what became of it and which event it tells of."""
    trial, _ = lived(tmp_path)
    trial.sleep_until(DEADLINE + HOUR)
    keys = [k for k in trial.engine.state(SUBJECT).notices if k.startswith("sae/report/late/")]
    assert keys
    found = trial.engine.explain(keys[0])
    assert found["status"].startswith("sent") and "event sae" in found["because"]


def test_a_fatal_event_is_owed_its_report_after_the_journey_has_ended(tmp_path: Path) -> None:
    """Death ends the visits and not the duty to report: the journey stays awake until the deadline was told."""
    trial, _ = lived(tmp_path)
    trial.tell(fact("death", day(16), id="dead", cause="treatment"))
    assert not trial.engine.plan(SUBJECT).done
    trial.sleep_until(DEADLINE + HOUR)
    trial.wake()
    assert trial.plan.done
    assert {"sae/report/soon", "sae/report/late"} <= set(trial.sent())
