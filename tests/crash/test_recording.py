"""kill -9 while recording: what was acknowledged is in the log, once, and the chain holds. Real processes on real databases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import proofs

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 3600
"""Only ends a run that hangs."""


def drive(module: str, *arguments: object) -> dict[str, Any]:
    """Run a driver that forks and kills; its figures. What it asserts is shown when it fails."""
    command = [sys.executable, "-m", f"tests.crash.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
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
    kills = proofs.rounds(short=150, long=2000)
    figures = drive("kill_writers", postgres_url, tmp_path / "head.log", 6, kills)
    assert figures["kills"] == kills and figures["acknowledged"] > kills / 2
    proofs.count("kill -9 while recording, Postgres", trials=kills, **_without_kills(figures))


def _without_kills(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "kills"}
