"""A write-ahead log that was cut off anywhere: what is left is a prefix, and the noted head says what is missing."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from neotorch.store.chain import GENESIS
from neotorch.store.log import EventLog
from tests import proofs
from tests.store.stories import STUDY, at, contact

COMMITS = 60
IN_DATABASE = 20
"""Events that have left the write-ahead log for the database before the rest is written."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with database, write-ahead log and head file, as a power cut would find them; and the hashes by position."""
    folder = tmp_path_factory.mktemp("written")
    log = EventLog(f"sqlite:///{folder}/log.db", STUDY, head_file=folder / "head.log")
    log.migrate()
    log.append([contact(n) for n in range(IN_DATABASE)], now=at(0))
    with log.engine.connect() as connection:
        connection.rollback()
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    number = IN_DATABASE
    for size in [1, 1, 3, 1, 7] * (COMMITS // 5):
        log.append([contact(n) for n in range(number, number + size)], now=at(number))
        number += size
    copy = tmp_path_factory.mktemp("found")
    for name in ("log.db", "log.db-wal", "head.log"):
        shutil.copy(folder / name, copy / name)
    hashes = [GENESIS, *(row.hash for row in log.read())]
    log.close()
    return copy, hashes


def test_a_cut_write_ahead_log_leaves_a_prefix_and_the_noted_head_tells(
    written: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """Whole commits up to the cut are there, nothing else; verify names the first one missing; recording goes on."""
    source, hashes = written
    size, pick = (source / "log.db-wal").stat().st_size, random.Random(11)
    cuts = [0, 31, 32, size - 1, size]
    cuts += [pick.randrange(size) for _ in range(proofs.rounds(short=100, long=1000) - len(cuts))]
    lengths = [check_cut(source, cut, hashes, tmp_path / f"{n}") for n, cut in enumerate(cuts)]
    assert lengths[0] == IN_DATABASE and lengths[4] == len(hashes) - 1 > lengths[3]
    shorter = sum(length < len(hashes) - 1 for length in lengths)
    proofs.count("write-ahead log cut at a random byte", trials=len(cuts), shortfalls_reported=shorter)


def check_cut(source: Path, cut: int, hashes: list[str], folder: Path) -> int:
    """Open a copy whose write-ahead log ends at the byte `cut`; returns how many events it holds."""
    shutil.copytree(source, folder)
    with (folder / "log.db-wal").open("r+b") as file:
        file.truncate(cut)
    log = EventLog(f"sqlite:///{folder}/log.db", STUDY, head_file=folder / "head.log")
    log.migrate()
    found = [row.hash for row in log.read()]
    assert found == hashes[1 : len(found) + 1], f"cut at {cut}: not a prefix"
    missing = len(hashes) - 1 - len(found)
    problems = log.verify()
    assert [(p.seq, p.kind) for p in problems] == ([(len(found) + 1, "tail")] if missing else [])
    assert not missing or f"{missing} cut off the end" in problems[0].words
    (row,) = log.append([contact(9999)], now=at(9999))
    assert (row.seq, row.prev_hash) == (len(found) + 1, hashes[len(found)])
    kinds = {p.kind for p in log.verify()}
    assert kinds <= {"tail", "anchor"} and bool(kinds) == bool(missing), "the shortfall stays to be seen"
    log.close()
    shutil.rmtree(folder)
    return len(found)
