"""Every test of the store runs on SQLite and on a real Postgres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neotorch.store.log import EventLog
from tests.store.stories import STUDY

Open = Callable[..., EventLog]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, on each of the two kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/folder/log.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def head_file(tmp_path: Path) -> Path:
    """Where the head is noted, outside the database."""
    return tmp_path / "anchor" / "head.txt"


@pytest.fixture
def open_log(url: str, head_file: Path) -> Iterator[Open]:
    """Open the log as a new process would, with nothing in memory; closed at the end of the test."""
    opened: list[EventLog] = []

    def _open(**changes: Any) -> EventLog:
        log = EventLog(
            changes.get("url", url), changes.get("study", STUDY), head_file=changes.get("head_file", head_file)
        )
        opened.append(log)
        return log

    yield _open
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log: Open) -> EventLog:
    """An empty log with its tables."""
    log = open_log()
    log.migrate()
    return log
