"""What several processes on one log share besides its events: turns, and the head that each of them notes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from neotorch.store.anchor import HeadFile
from neotorch.store.log import EventLog
from tests.store.conftest import Open
from tests.store.stories import STUDY, contact

HOLD = (
    "import sys, time; from neotorch.store.log import EventLog\n"
    "assert EventLog(sys.argv[1], sys.argv[2]).take_turn('reconcile')\n"
    "print('taken', flush=True); time.sleep(600)"
)


def soon(take: Callable[[], Callable[[], None] | None]) -> Callable[[], None] | None:
    """Try for a while: the server needs a moment to see that a process is gone."""
    end = time.monotonic() + 30
    while (found := take()) is None and time.monotonic() < end:
        time.sleep(0.1)
    return found


def test_a_turn_is_one_process_s_until_it_is_given_back(postgres_url: str) -> None:
    """While one has the turn another is told so at once; other turns, and the log itself, are free."""
    first, second = EventLog(postgres_url, STUDY), EventLog(postgres_url, STUDY)
    first.migrate()
    give_back = first.take_turn("reconcile")
    assert give_back is not None
    assert second.take_turn("reconcile") is None
    assert second.append([contact(1)], now=datetime.now(UTC))
    other = second.take_turn("deploy")
    assert other is not None
    other()
    give_back()
    again = soon(lambda: second.take_turn("reconcile"))
    assert again is not None
    again()
    first.close()
    second.close()


def test_the_turn_of_a_process_that_was_killed_is_free(postgres_url: str) -> None:
    """Kill -9 of whoever has the turn gives it back."""
    log = EventLog(postgres_url, STUDY)
    log.migrate()
    with subprocess.Popen([sys.executable, "-c", HOLD, postgres_url, STUDY], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"taken\n"
        assert log.take_turn("reconcile") is None
        holder.kill()
    give_back = soon(lambda: log.take_turn("reconcile"))
    assert give_back is not None
    give_back()
    log.close()


def test_on_sqlite_the_turn_is_always_one_s_own(tmp_path: Path) -> None:
    """A log in SQLite has one process that wakes journeys, so nobody is waited for."""
    log = EventLog(f"sqlite:///{tmp_path}/log.db", STUDY)
    log.migrate()
    assert log.take_turn("reconcile")
    assert log.take_turn("reconcile")
    log.close()


def test_a_machine_notes_the_head_that_another_wrote(open_log: Open, head_file: Path, tmp_path: Path) -> None:
    """A process that only follows the log vouches for its head in a file of its own."""
    writer, follower = open_log(), open_log(head_file=tmp_path / "elsewhere" / "head.log")
    writer.migrate()
    follower.migrate()
    follower.witness()
    for number in range(3):
        writer.append([contact(number)], now=datetime.now(UTC))
    follower.witness()
    noted = HeadFile(tmp_path / "elsewhere" / "head.log").read()
    assert noted == {writer.head().seq: writer.head().hash}
    assert follower.verify() == []
    assert HeadFile(head_file).read() is not None
