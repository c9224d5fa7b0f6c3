"""Recording with few file descriptors or none: `python -m tests.crash.few_descriptors FOLDER ROUNDS`. Prints its figures."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections import Counter
from pathlib import Path

from neotorch.store.log import EventLog, LogUnavailable
from tests.store.stories import STUDY, at, contact

MOST = 8
"""So many descriptors are enough for a log: database, its log and index, head file."""


def attempt(url: str, head_file: Path, spare: int, number: int, kept: EventLog | None) -> str:
    """Record with so many descriptors to spare, on a log that is opened now or was open before."""
    log = kept or EventLog(url, STUDY, head_file=head_file)
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)  # the lowest number that is free; all below are in use
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, usual[1]))
    try:
        log.append([contact(number)], now=at(number))
    except LogUnavailable as error:
        return "refused" if "descriptors" in error.todo else f"refused in the wrong words: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        if not kept:
            log.close()
    return "recorded"


def main(folder: str, rounds: str) -> None:
    """Try every number of spare descriptors, on a new log object and on one that lost its connections."""
    url, head_file = f"sqlite:///{folder}/log.db", Path(folder) / "head.log"
    kept = EventLog(url, STUDY, head_file=head_file)
    kept.migrate()
    figures: Counter[str] = Counter()
    recorded: set[str] = set()
    for number in range(int(rounds) * (MOST + 1)):
        if number % 3 == 2:
            kept.close()
        outcome = attempt(url, head_file, number % (MOST + 1), number, kept if number % 3 else None)
        figures[outcome] += 1
        recorded |= {f"c{number}"} if outcome == "recorded" else set()
    rows = EventLog(url, STUDY, head_file=head_file).read()
    assert {row.event.id for row in rows} == recorded, "acknowledged is what is there"
    assert EventLog(url, STUDY, head_file=head_file).verify() == []
    assert kept.append([contact(-1)], now=at(10**5))[0].seq == len(rows) + 1
    print(json.dumps({"trials": figures.total(), **figures}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
