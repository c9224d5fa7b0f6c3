"""What a machine may run short of beside room: the lock on the database, file descriptors."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from neotorch.store import connect
from neotorch.store.log import EventLog, LogUnavailable
from tests import proofs
from tests.crash.test_recording import ROOT, drive
from tests.store.stories import STUDY, at, contact

HOLDER = """
import sys, time
from neotorch.store import connect
with connect.writing(connect.open_engine(sys.argv[1]), "log/" + sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""
"""Another process that is in the middle of writing, and stays there."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, on each of the two kinds."""
    return f"sqlite:///{tmp_path}/log.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@contextmanager
def held(url: str) -> Iterator[subprocess.Popen[str]]:
    """The database locked by another process until a line is written to it, or to the end."""
    command = [sys.executable, "-c", HOLDER, url, STUDY]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdin and process.stdout.readline() == "held\n"
    yield process
    process.communicate()


def test_a_lock_that_is_let_go_in_time_only_delays(url: str) -> None:
    """A writer waits for the other process and records then; nobody has to try again."""
    log, trials = EventLog(url, STUDY), proofs.rounds(short=1, long=10)
    log.migrate()
    for number in range(trials):
        with held(url) as other:
            let_go = threading.Timer(proofs.rounds(short=1, long=20), other.communicate)
            let_go.start()
            (row,) = log.append([contact(number)], now=at(number))
            let_go.join()
            assert (row.seq, other.returncode) == (number + 1, 0)
    assert log.verify() == []
    log.close()
    proofs.count("database locked for less than the timeout", trials=trials)


def test_a_lock_that_is_kept_is_told_in_words(url: str) -> None:
    """After its 30 s (in the short form 1 s) the writer says what is the matter and what to do; nothing is written, and it goes on."""
    log, trials = EventLog(url, STUDY), proofs.rounds(short=1, long=3)
    if not proofs.LONG:
        event.listen(log.engine, "connect", _wait_one_second)
    log.migrate()
    with held(url):
        for number in range(trials):
            with pytest.raises(LogUnavailable) as told:
                log.append([contact(number)], now=at(0))
            assert "lock" in told.value.what and "Another process has held it" in told.value.todo
            assert log.head().seq == 0, "reading is not held up"
    assert log.append([contact(1)], now=at(0))[0].seq == 1
    assert log.verify() == []
    log.close()
    seconds = connect.BUSY_TIMEOUT_MS // 1000 if proofs.LONG else 1
    proofs.count("database locked for too long", trials=trials, seconds=seconds)


def _wait_one_second(connection: Any, _record: object) -> None:
    sqlite = "sqlite3" in type(connection).__module__
    connection.execute("PRAGMA busy_timeout=1000" if sqlite else "SET lock_timeout = 1000")


def test_without_file_descriptors_nothing_is_lost_and_it_is_said(tmp_path: Path) -> None:
    """With none left, or a few too few, an event is recorded or refused in words; with descriptors again it goes on."""
    rounds = proofs.rounds(short=20, long=1000)
    figures = drive("few_descriptors", tmp_path, rounds)
    assert set(figures) == {"trials", "recorded", "refused"}
    assert min(figures["recorded"], figures["refused"]) >= rounds / 10
    proofs.count("no file descriptors left", trials=figures.pop("trials"), **figures)
