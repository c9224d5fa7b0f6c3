"""Writers killed (-9) at random moments, again and again, on one log: `python -m tests.crash.kill_writers URL HEAD SEED KILLS`.

A process of its own: it forks the writers, and pytest's threads and files are not to be forked. Prints its figures as JSON;
ends with an AssertionError if a promise is broken.
"""

from __future__ import annotations

import gc
import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from neotorch.domain.events import AnyLogged
from neotorch.store import connect
from neotorch.store.chain import GENESIS
from neotorch.store.log import EventLog
from tests.crash.fork import Child, Say, fork
from tests.store.stories import STUDY, contact

POINTS = ("append-not-committed", "committed-not-noted", "head-noted")
LONGEST_LIFE = 0.06
"""Seconds until a writer without a crash point is killed, at most: from before it has opened the log to some commits."""
Task = tuple[str, int]
"""A writer's name and the number of its batch."""


def batch(task: Task) -> list[AnyLogged]:
    """The events of a task, the same whoever writes them: one, or up to 40. The id tells which of how many it is."""
    name, number = task
    pick = random.Random(f"{name}.{number}")
    size = 1 if pick.random() < 0.6 else pick.randint(2, 40)
    return [contact(i, f"NT-{pick.randint(1, 99):03d}", id=f"{name}.{number}.{i}.{size}") for i in range(size)]


def write(log: EventLog, name: str, owed: list[Task], say: Say) -> None:
    """Write what a killed writer may have left undone, then one batch after the other; say each once it is recorded."""
    log.migrate()
    for task in itertools.chain(owed, ((name, number) for number in itertools.count())):
        rows = log.append(batch(task), now=datetime.now(UTC))
        assert [row.event for row in rows] == batch(task)
        say(f"{task[0]} {task[1]}")


class Ledger:
    """What is known of the log so far, checked as it grows."""

    def __init__(self, log: EventLog, head_file: Path) -> None:
        self.log, self.head_file = log, head_file
        self.hashes: dict[int, str] = {0: GENESIS}
        self.ids: set[str] = set()
        self.acknowledged: set[Task] = set()
        self.found: dict[Task, list[int]] = {}
        """Task -> positions of its events."""
        self._noted = 0
        self._heads = 0

    def check(self) -> None:
        """Everything that was acknowledged is there, whole and once; the new part of the chain hangs on the old one."""
        wait_for_servers(self.log)
        noted = list(self._new_notes())  # before the log: a note is never ahead of it
        last = max(self.hashes)
        for row in self.log.read(after=last):  # reading checks each row's own hash
            assert row.seq == last + 1 and row.prev_hash == self.hashes[last], f"the chain breaks at {row.seq}"
            assert row.event.id not in self.ids, f"{row.event.id} is there twice"
            last = row.seq
            self.hashes[last] = row.hash
            self.ids.add(row.event.id)
            name, number, *_ = row.event.id.split(".")
            self.found.setdefault((name, int(number)), []).append(last)
        self.log.close()  # no connection may be open when writers are forked
        for seq, digest in noted:
            assert self.hashes.get(seq) == digest, f"head {seq} is noted, but the log is at {last} or says otherwise"
        lost = self.acknowledged - self.found.keys()
        assert not lost, f"acknowledged but lost: {lost}"

    def check_batches(self) -> None:
        """Every batch is there as a whole, in one piece."""
        for task, seqs in self.found.items():
            size = len(batch(task))
            assert seqs == list(range(seqs[0], seqs[0] + size)), f"{task}: half a batch"

    def _new_notes(self) -> Iterator[tuple[int, str]]:
        if not self.head_file.exists():
            return
        with self.head_file.open("rb") as file:
            file.seek(self._noted)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._noted += len(whole)
        for line in re.finditer(rb"(?m)^(\d+) ([0-9a-f]{64}) \S+$", whole):
            self._heads += 1
            yield int(line[1]), line[2].decode()


def wait_for_servers(log: EventLog) -> None:
    """Postgres's own processes see a little later than we do that their client is dead; until then they may commit."""
    if log.engine.dialect.name != "postgresql":
        return
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with connect.reading(log.engine) as connection:
        end = time.monotonic() + 60
        while connection.exec_driver_sql(others).scalar():
            assert time.monotonic() < end, "Postgres keeps a dead client's process"
            time.sleep(0.002)


class Slaughter:
    """Groups of one to six writers at once; each is killed, at a crash point or at a random moment."""

    def __init__(self, log: EventLog, head_file: Path, seed: int) -> None:
        self.log, self.ledger, self.random = log, Ledger(log, head_file), random.Random(seed)
        self.owed: list[Task] = []
        """First batch of each dead writer that was not acknowledged: it may be in the log or not."""
        self.figures: Counter[str] = Counter()
        self._names = itertools.count()

    def run(self, kills: int) -> None:
        """Kill so many writers."""
        while self.figures["kills"] < kills:
            self._group(min(self.random.randint(1, 6), kills - self.figures["kills"]))
            if self.random.random() < 0.5:  # else the next writer is the first to find what the dead have left
                self.ledger.check()
        self.ledger.check()
        self.ledger.check_batches()

    def _group(self, count: int) -> None:
        writers = [self._start() for _ in range(count)]
        self.owed = []
        for _, doomed, moment, _ in sorted(writers, key=lambda w: w[2]):
            if moment:
                doomed.kill_at(moment)
        for name, child, _, owed in writers:
            said, code = child.end()
            assert code == -9, f"writer {name} ended by itself: {code}"
            self._account(name, said, owed)

    def _start(self) -> tuple[str, Child, float, list[Task]]:
        name, owed = f"w{next(self._names)}", self.owed
        self.owed = []
        point = self.random.choice(POINTS) if self.random.random() < 0.4 else ""
        self.figures[point or "random moment"] += 1
        child = fork(
            partial(write, self.log, name, owed),
            crash_at=f"{point}:{self.random.randint(1, 4)}" if point else "",
        )
        moment = 0.0 if point else time.monotonic() + self.random.uniform(0, LONGEST_LIFE)
        return name, child, moment, owed

    def _account(self, name: str, said: list[str], owed: list[Task]) -> None:
        """Note what was acknowledged, and what the dead writer may have been at."""
        done = [(n, int(number)) for n, number in (line.split() for line in said)]
        self.ledger.acknowledged.update(done)
        own = sum(n == name for n, _ in done)
        left = [task for task in owed if task not in done]
        self.owed += left or [(name, own)]
        self.figures["kills"] += 1
        self.figures["acknowledged"] += len(done)


def main(url: str, head_file: str, seed: str, kills: str) -> None:
    """Kill, check the whole log at the end, and go on writing to it."""
    log = EventLog(url, STUDY, head_file=Path(head_file))
    log.migrate()
    log.append(batch(("warm", 0)), now=datetime.now(UTC))  # statements are worded once, here, not in each writer
    scene = Slaughter(log, Path(head_file), int(seed))
    scene.ledger.acknowledged.add(("warm", 0))
    scene.ledger.check()
    gc.freeze()  # else each fork copies all pages that a collection touches
    begun = time.monotonic()
    scene.run(int(kills))
    assert log.verify() == []
    assert len(log.append(batch(("last", 0)), now=datetime.now(UTC))) == len(batch(("last", 0)))
    figures = {**scene.figures, "events": log.head().seq, "seconds": round(time.monotonic() - begun, 1)}
    print(json.dumps(figures))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
