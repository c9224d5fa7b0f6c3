"""A full disk: what is recorded is acknowledged, what is refused says why, nothing is half there, and it goes on with room."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from neotorch.domain.events import AnyLogged
from neotorch.store.log import EventLog, LogUnavailable
from tests import proofs
from tests.store.stories import STUDY, at, contact

PAGE = 4096


def test_a_database_that_may_grow_by_one_page_at_a_time_refuses_or_records(tmp_path: Path) -> None:
    """At every page that the database asks for and does not get: recorded as a whole or refused in words, never half."""
    log, limit = EventLog(f"sqlite:///{tmp_path}/log.db", STUDY, head_file=tmp_path / "head.log"), Limit()
    log.migrate()
    event.listen(log.engine, "checkout", limit.impose)
    attempts, outcomes, pick = proofs.rounds(short=300, long=5000), Counter[str](), random.Random(12)
    batch = new_batch(log, pick)
    for _ in range(attempts):
        outcome = attempt(log, batch)
        outcomes[outcome] += 1
        if outcome == "recorded":
            batch = new_batch(log, pick)
        else:
            limit.pages += 1
    assert log.verify() == [] and EventLog(f"sqlite:///{tmp_path}/log.db", STUDY).verify() == []
    log.close()
    assert min(outcomes["recorded"], outcomes["refused"]) > attempts / 20
    proofs.count("database full at each page", trials=attempts, **outcomes)


class Limit:
    """Pages that SQLite may use; it takes the database's present size for less than that."""

    pages = 1

    def impose(self, connection: Any, *_: object) -> None:
        """Tell a connection that is about to be used."""
        connection.execute(f"PRAGMA max_page_count={self.pages}")
        self.pages = max(self.pages, connection.execute("PRAGMA page_count").fetchone()[0])


def new_batch(log: EventLog, pick: random.Random) -> list[AnyLogged]:
    """Events that are not in the log yet: one, or up to thirty."""
    start = log.head().seq
    return [contact(n, f"NT-{n % 50:03d}") for n in range(start, start + pick.choice([1, 1, 1, 2, 5, 30]))]


def attempt(log: EventLog, batch: list[AnyLogged]) -> str:
    """Try to record a batch; whatever comes of it, the log is what it was or has all of it."""
    before = log.head()
    try:
        rows = log.append(batch, now=at(before.seq))
    except LogUnavailable as error:
        refusal = error
    else:
        assert [row.event for row in log.read(after=before.seq)] == batch and log.head().seq == rows[-1].seq
        return "recorded"
    assert "is full" in refusal.what or "No space left" in refusal.what
    assert "Make room" in refusal.todo
    assert log.head() == before and log.read(after=before.seq) == []
    return "refused"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 megabytes. Where none may be mounted, on a desk or in CI, the test says so and is left out."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        proofs.count("file system full", trials=0, left_out="no file system can be mounted here")
        pytest.skip("a file system of its own cannot be mounted here (it takes root's rights)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_file_system_refuses_or_records(small_disk: Path) -> None:
    """The same on a disk that is really full, with head file and write-ahead log on it; with room again it goes on."""
    log = EventLog(f"sqlite:///{small_disk}/log.db", STUDY, head_file=small_disk / "head.log")
    log.migrate()
    attempts, outcomes, pick = proofs.rounds(short=80, long=1000), Counter[str](), random.Random(13)
    for _ in range(attempts):
        fill(small_disk, leave=pick.randrange(0, 12 * PAGE, 512))
        outcomes[attempt(log, new_batch(log, pick))] += 1
    fill(small_disk, leave=None)
    assert attempt(log, new_batch(log, pick)) == "recorded"
    assert log.verify() == []
    log.close()
    assert EventLog(f"sqlite:///{small_disk}/log.db", STUDY, head_file=small_disk / "head.log").verify() == []
    proofs.count("file system full", trials=outcomes.total(), **outcomes)


def fill(disk: Path, leave: int | None) -> None:
    """Take all room but so many bytes; None: give it all back."""
    (disk / "filler").unlink(missing_ok=True)
    if leave is not None:
        stat = os.statvfs(disk)
        with (disk / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, stat.f_bavail * stat.f_frsize - leave))
