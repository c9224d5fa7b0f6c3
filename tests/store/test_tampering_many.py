"""Random tampering with the log of a whole trial, each time with a chain that was made to fit again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from neotorch.cli import main
from neotorch.store.chain import Row, check_rows
from neotorch.store.log import EventLog, Problem
from tests.proofs import count, rounds
from tests.seeds.prove import live
from tests.store.attacks import ATTACKS, put, saying

SEEDS = (0, 3)
EVENTS = 300
"""So many of each trial, from its begin: there is less to recompute then."""
ON_POSTGRES = 0.1
"""Share of the rounds that Postgres is put to."""


@dataclass(frozen=True)
class Kept:
    """A log as a trial has left it, and all its rows."""

    folder: Path
    study: str
    rows: list[Row]

    def open(self, folder: Path | None = None) -> EventLog:
        """Open it with nothing in memory."""
        at = folder or self.folder
        return EventLog(f"sqlite:///{at}/log.db", self.study, head_file=at / "head.log")


def filled(log: EventLog, seed: int) -> list[Row]:
    """Record what a trial drawn from a seed has left behind, in the commits and at the instants of life."""
    log.migrate()
    for instant, group in groupby(live(seed, small=True).rows[:EVENTS], key=lambda r: r.recorded_at):
        log.append([r.event for r in group], now=instant)
    with log.engine.connect() as connection:
        return [Row(*row) for row in connection.execute(text("SELECT * FROM event ORDER BY seq"))]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> list[Kept]:
    """Logs of whole trials."""
    found = []
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp("trial")
        log = EventLog(f"sqlite:///{folder}/log.db", "neotorch-breast03", head_file=folder / "head.log")
        rows = filled(log, seed)
        assert log.verify() == []
        log.close()
        with sqlite3.connect(folder / "log.db") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found.append(Kept(folder, log.study, rows))
    return found


@pytest.fixture
def copies(kept: list[Kept], tmp_path: Path) -> Iterator[tuple[Kept, Path]]:
    """A copy of one of the logs after the other, without end; the one before is gone."""

    def each() -> Iterator[tuple[Kept, Path]]:
        while True:
            for one in kept:
                shutil.rmtree(tmp_path / "copy", ignore_errors=True)
                shutil.copytree(one.folder, tmp_path / "copy")
                yield one, tmp_path / "copy"

    return each()


def first_wrong(problems: list[Problem]) -> int | None:
    """The position that `verify` names first."""
    return problems[0].seq if problems else None


def test_every_tampering_is_found_at_its_first_position(copies: Iterator[tuple[Kept, Path]]) -> None:
    """Edits, deletions, swaps, insertions and cut tails, with every hash recomputed and the triggers back: all are found."""
    ways: Counter[str] = Counter()
    trials = rounds(short=300, long=1000)
    for number in range(trials):
        rng = Random(f"tamper/{number}")
        one, folder = next(copies)
        attack = ATTACKS[number % len(ATTACKS)]
        first, rows = attack(rng, one.rows)
        log = one.open(folder)
        put(log, rows, first)
        problems = log.verify()
        log.close()
        assert (first_wrong(problems), number, attack.__name__) == (first, number, attack.__name__)
        ways[attack.__name__] += 1
    count("tamper", trials=trials, failures=0, **ways)


def test_the_attackers_chain_is_whole_by_itself(kept: list[Kept]) -> None:
    """What is found is not found by a slip of the attacker: without the noted heads the changed log has nothing wrong with it."""
    for number in range(30):
        _, rows = ATTACKS[number % len(ATTACKS)](Random(f"tamper/{number}"), kept[0].rows)
        assert [found for found in check_rows(rows) if isinstance(found, Problem)] == []


def test_every_tampering_is_found_on_postgres(kept: list[Kept], postgres_url: str, tmp_path: Path) -> None:
    """The same on a real Postgres."""
    one = kept[0]
    log = EventLog(postgres_url, one.study, head_file=tmp_path / "head.log")
    assert filled(log, SEEDS[0]) == one.rows
    trials = int(rounds(short=300, long=1000) * ON_POSTGRES)
    for number in range(trials):
        first, rows = ATTACKS[number % len(ATTACKS)](Random(f"tamper/postgres/{number}"), one.rows)
        put(log, rows, first)
        assert first_wrong(log.verify()) == first
        put(log, one.rows, 1)
    assert log.verify() == []
    log.close()
    count("tamper on Postgres", trials=trials)


def test_the_command_names_the_first_position(
    copies: Iterator[tuple[Kept, Path]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`neotorch verify --json` says the same, with exit code 1."""
    for number, attack in enumerate(ATTACKS):
        one, folder = next(copies)
        first, rows = attack(Random(f"tamper/command/{number}"), one.rows)
        log = one.open(folder)
        put(log, rows, first)
        log.close()
        monkeypatch.setenv("NEOTORCH_DATA_DIR", str(folder))
        monkeypatch.setattr(sys, "argv", ["neotorch", "verify", "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        said = json.loads(capsys.readouterr().out)
        assert (end.value.code, said["problems"][0]["seq"]) == (1, first), attack.__name__


def test_the_command_runs_on_a_log_that_cannot_be_read(
    copies: Iterator[tuple[Kept, Path]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that was edited without any recomputing stops all other commands, and `neotorch verify` says where it is."""
    one, folder = next(copies)
    rows = [*one.rows]
    rows[0] = saying(rows[0], actor="x")
    log = one.open(folder)
    put(log, rows, 1)
    log.close()
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(folder))
    for command, code in (("worklist", 2), ("verify", 1)):
        monkeypatch.setattr(sys, "argv", ["neotorch", command])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert end.value.code == code
        assert "seq 1" in said.err + said.out or "1 │ seq 1" in said.out
