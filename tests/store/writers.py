"""What a second process does to the log in the tests: `python -m tests.store.writers JOB URL HEAD_FILE NAME COUNT`.

Prints one line per step, so that the test knows how far it came.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from neotorch.store.log import EventLog
from tests.store.stories import STUDY, claim, contact


def _say(what: object) -> None:
    print(what, flush=True)  # noqa: T201 - how it talks to the test


def append_each(log: EventLog, name: str, count: int) -> None:
    """Append one event per commit and print its seq once it is recorded."""
    for number in range(count):
        (row,) = log.append([contact(number, id=f"{name}-{number}")], now=datetime.now(UTC))
        _say(row.seq)


def claim_each(log: EventLog, _name: str, count: int) -> None:
    """Claim every key, in an order of its own, and print those that were won."""
    for number in range(count):
        if won := log.append_new([claim(f"key-{number}")], now=datetime.now(UTC)):
            _say(won[0].event.id)


def migrate_only(log: EventLog, _name: str, _count: int) -> None:
    """Bring the database to the newest tables."""
    log.migrate()
    _say(log.head().seq)


JOBS = {"append": append_each, "claim": claim_each, "migrate": migrate_only}

if __name__ == "__main__":
    job, url, head, name, count = sys.argv[1:]
    log = EventLog(url, STUDY, head_file=Path(head))
    _say("ready")
    sys.stdin.readline()  # both wait here, so that they start together
    JOBS[job](log, name, int(count))
    log.close()
