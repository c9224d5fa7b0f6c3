"""What doctor says of the work that goes on: each fault by its name, with what to do, and nothing where nothing is amiss."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from neotorch.cli import doctor_running as doctor
from neotorch.observe.health import Sign
from neotorch.observe.serve import Watch
from neotorch.observe.tally import Stuck, Tally
from neotorch.orchestration.presence import Presence
from neotorch.settings import Settings
from tests.support import START, SUBJECT, Trial, at, screened

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "given_up", "ok"), [(5, False, True), (59, False, True), (61, False, False), (1, True, False)]
)
def test_a_notice_that_waits_long_or_was_given_up_is_wrong(minutes: int, given_up: bool, ok: bool) -> None:
    """One that is tried again is something to look at for an hour; one that nobody sends any more is wrong at once."""
    check = doctor.unsent([Stuck("k", NOW - timedelta(minutes=minutes), given_up)], NOW)
    assert check.ok == ok
    assert "neotorch worklist" in check.todo
    assert doctor.unsent([], NOW).todo == ""


@pytest.mark.parametrize(
    ("what", "hours", "is_up", "ok"),
    [
        ("recalculation", 25, True, True), ("recalculation", 27, True, False), ("recalculation", 27, False, True),
        ("reconciliation", 0.4, True, True), ("reconciliation", 0.6, True, False),
    ],
)  # fmt: skip
def test_what_should_have_succeeded_by_now(what: str, hours: float, is_up: bool, ok: bool) -> None:
    """What is regular is missed once its time is over, where somebody is up to do it."""
    check = doctor.last_success(what, NOW - timedelta(hours=hours), NOW, is_up=is_up)
    assert check.ok == ok
    assert bool(check.todo) == (not ok or not is_up)


def test_a_log_in_use_without_a_backup_is_looked_at_and_an_old_backup_is_wrong() -> None:
    """No backup of an empty log is no matter; none of one in use is something to look at; an old one is wrong."""
    assert doctor.backup(None, NOW, used=False).todo == ""
    assert doctor.backup(None, NOW, used=True).mark == "look"
    assert doctor.backup(NOW - timedelta(hours=25), NOW, used=True).mark == "ok"
    assert doctor.backup(NOW - timedelta(hours=27), NOW, used=True).mark == "WRONG"


def test_what_the_running_process_says_of_itself() -> None:
    """Each sign that is not well is a fault by itself, with its remedy; a page that does not answer is one too."""
    signs = [Sign("log", True, "7 events"), Sign("lag", False, "2 journeys", "look at the log")]
    with Watch("127.0.0.1", 0, lambda: signs, bytes) as watch:
        wrong, rest = doctor.ready(Presence(7, watch=watch.address))
    assert (wrong.name, wrong.ok, wrong.detail, wrong.todo) == ("running: lag", False, "2 journeys", "look at the log")
    assert (rest.ok, rest.detail) == (True, "log: 7 events")
    (silent,) = doctor.ready(Presence(7, watch=watch.address))
    assert not silent.ok and "kill 7" in silent.todo


def test_nobody_is_up() -> None:
    """That is no fault of its own, but somebody should know; one without pages is told how to have them."""
    assert doctor.presence(None).mark == "look"
    assert "NEOTORCH_METRICS_PORT" in doctor.presence(Presence(7, api="http://x/api")).todo
    assert doctor.presence(Presence(7, api="http://x/api", watch="http://x:1")).mark == "ok"


def test_steps_that_nobody_does_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nobody up what is due is wrong at once; with somebody up only once it has waited a quarter of an hour."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    trial = Trial(tmp_path, at(START))
    assert doctor.to_do(trial.engine, None, trial.now).ok
    trial.tell(*screened())
    alone = doctor.to_do(trial.engine, None, trial.now)
    assert not alone.ok and SUBJECT in alone.detail and "neotorch up" in alone.todo
    up, soon = Presence(7), trial.now + timedelta(minutes=14)
    assert doctor.to_do(trial.engine, up, soon).ok
    assert not doctor.to_do(trial.engine, up, soon + timedelta(minutes=2)).ok


def test_ports_of_our_own_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port held by a stranger is wrong; the same port held by the running neotorch is not; one that is off is not asked for."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        settings = Settings(data_dir=tmp_path, prefect_port=port, metrics_port=None)
        up = Presence(7, api=f"http://127.0.0.1:{port}/api", own_server=True)
        assert [c.ok for c in doctor.ports(settings, None)] == [False]
        assert [c.ok for c in doctor.ports(settings, up)] == [True]
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    assert [c.ok for c in doctor.ports(settings, None)] == [True]


def test_incidents_are_counted_by_kind() -> None:
    """They were told already; doctor only says how many, and where it stands what to do."""
    tally = Tally()
    assert doctor.incidents(tally).detail == "none so far"
    tally.incidents["run-ended"] = 2
    assert doctor.incidents(tally).detail == "so far: 2 run-ended; see docs/operating.md"
