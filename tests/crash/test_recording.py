"""kill -9 while recording: what was acknowledged is in the log, once, and the chain holds. Real processes on real databases."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.settings import Settings
from tests import proofs
from tests.support import screened

ROOT = Path(__file__).parents[2]
RECORD_POINTS = ("", "append-not-committed", "", "committed-not-noted", "", "head-noted")
"""Where the command is killed in turn; without a name at a random moment."""
PATIENCE_SECONDS = 3600
"""Only ends a run that hangs."""


def drive(module: str, *arguments: object) -> dict[str, Any]:
    """Run a driver that forks and kills; its figures. What it asserts is shown when it fails."""
    command = [sys.executable, "-m", f"tests.crash.{module}", *map(str, arguments)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr[-5000:]
    return dict(json.loads(done.stdout))


def test_writers_killed_anywhere_lose_nothing_on_sqlite(tmp_path: Path) -> None:
    """Killed while recording: every acknowledged event is there once, batches are whole, heads are not ahead of the log."""
    kills = proofs.rounds(short=1000, long=10_000)
    figures = drive("kill_writers", f"sqlite:///{tmp_path}/log.db", tmp_path / "head.log", 5, kills)
    assert figures["kills"] == kills and figures["acknowledged"] > kills / 2
    proofs.count("kill -9 while recording, SQLite", trials=kills, **_without_kills(figures))


def test_writers_killed_anywhere_lose_nothing_on_postgres(postgres_url: str, tmp_path: Path) -> None:
    """The same on Postgres, whose own processes may commit a little after their client is dead."""
    kills = proofs.rounds(short=100, long=2000)
    figures = drive("kill_writers", postgres_url, tmp_path / "head.log", 6, kills)
    assert figures["kills"] == kills and figures["acknowledged"] > kills / 2
    proofs.count("kill -9 while recording, Postgres", trials=kills, **_without_kills(figures))


def test_a_killed_record_command_leaves_all_of_its_file_or_nothing(tmp_path: Path) -> None:
    """`neotorch record FILE` killed: all rows or none are in the log; recorded again, each row is there exactly once."""
    kills, pick = proofs.rounds(short=6, long=100), random.Random(4)
    engine = Engine.open(Settings(data_dir=tmp_path / "data"))
    files = [screened(engine.today() - timedelta(5), f"NT-{number:03d}") for number in range(1, kills + 2)]
    begun = time.monotonic()
    assert record(tmp_path, files[0]).wait() == 0
    usual = time.monotonic() - begun
    left = Counter(
        kill_record(engine, tmp_path, facts, point, pick.uniform(0.5, 1.1) * usual)
        for facts, point in zip(files[1:], itertools.cycle(RECORD_POINTS), strict=False)
    )
    facts = [fact for file in files for fact in file]
    assert record(tmp_path, facts).wait() == 0
    assert sorted(r.event.id for r in engine.log.read()) == sorted(f.id for f in facts)
    assert engine.log.verify() == []
    engine.log.close()
    proofs.count(
        "kill -9 of `neotorch record FILE`", trials=kills, whole_file_left=left[True], nothing_left=left[False]
    )


def record(folder: Path, facts: Sequence[ev.AnyFact], crash_at: str = "") -> subprocess.Popen[bytes]:
    """Start the command that ships on a file of these facts."""
    file = folder / "facts.jsonl"
    file.write_text("".join(f"{fact.model_dump_json(exclude_none=True)}\n" for fact in facts))
    command = [sys.executable, "-c", "from neotorch.cli import main; main()", "record", str(file)]
    variables = {"NEOTORCH_DATA_DIR": str(folder / "data"), "NEOTORCH_CRASH_AT": crash_at}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=subprocess.DEVNULL)


def kill_record(engine: Engine, folder: Path, facts: Sequence[ev.AnyFact], point: str, after: float) -> bool:
    """Kill the command at the point, or so many seconds after its start. Returns whether it had recorded the file."""
    process = record(folder, facts, point)
    if not point:
        time.sleep(after)
        process.kill()
    assert process.wait() == -signal.SIGKILL or not point
    found = len(engine.log.read(facts[0].subject))
    assert found in {0, len(facts)}, "half a file"
    assert not point or bool(found) == (point != "append-not-committed")
    return bool(found)


def test_a_killed_migration_is_made_again_on_sqlite(tmp_path: Path) -> None:
    """Killed while the tables are made: they are there or not, the next start makes them, and the log is whole."""
    kills = proofs.rounds(short=15, long=500)
    proofs.count("kill -9 while migrating, SQLite", trials=kills, **drive("kill_migrations", tmp_path, 7, kills))


def test_a_killed_migration_is_made_again_on_postgres(postgres_url: str, tmp_path: Path) -> None:
    """The same on Postgres."""
    kills = proofs.rounds(short=5, long=100)
    figures = drive("kill_migrations", tmp_path, 8, kills, postgres_url)
    proofs.count("kill -9 while migrating, Postgres", trials=kills, **figures)


def test_a_killed_export_of_datasets_does_not_look_whole(tmp_path: Path) -> None:
    """Where define.xml is, every dataset is there, whole and of the same export; no file is ever half written."""
    kills = proofs.rounds(short=6, long=300)
    proofs.count("kill -9 while exporting ADaM", trials=kills, **drive("kill_exports", "adam", tmp_path, 9, kills))


@pytest.mark.skipif(not proofs.LONG, reason="long form only: a PDF takes many seconds")
def test_a_killed_report_does_not_look_whole(tmp_path: Path) -> None:
    """A PDF lies beside the page that it was made of or not at all; neither is ever half written."""
    kills = proofs.rounds(short=2, long=40)
    proofs.count(
        "kill -9 while writing the report", trials=kills, **drive("kill_exports", "report", tmp_path, 10, kills)
    )


def _without_kills(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "kills"}


def test_a_killed_backup_or_restoration_is_whole_or_not_there(tmp_path: Path) -> None:
    """A backup that stands there by its name can be restored; a restored log is all there or empty, and can be restored again."""
    kills = proofs.rounds(short=10, long=200)
    proofs.count("kill -9 of backup and restore", trials=kills, **drive("kill_backups", tmp_path, 14, kills))
