"""A rehearsal by several processes: each plays some of the patients, and one log is made of what they did.

Patients know nothing of each other; only what is about the trial as a whole does: recalculations, which are done here where
they fall due between the patients' turns, and rules that count everybody's notices. Where such a rule would have had its say
(a digest, a cap, far more notices than usual) there is no sharing, so the log is the same whoever played it.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.garbage import little_garbage
from neotorch.rehearsal import Batch, Progress, Rehearsal, RehearsalError, Turn
from neotorch.settings import Settings

MOST = 2
"""More processes than this wait for the one that joins what they did."""
WORTH_IT = 40
"""Patients from which it is quicker, the start of the processes included."""
AT_ONCE = 100
"""Turns that go from one process to the other together."""
GUARD = "A script that rehearses has to do so under `if __name__ == '__main__':`, or with processes=1."
Done = tuple[Turn, list[ev.AnyLogged]]
"""A turn, and what was recorded in it."""


def share_of(settings: Settings, batches: Sequence[Batch]) -> int:
    """Return how many processes are worth it."""
    people = len({b.facts[0].subject for b in batches})
    joined = any(c.digest or c.most_per_day for c in settings.channels)  # a person's post is that of all patients
    return 1 if joined or people < WORTH_IT else min(MOST, os.cpu_count() or 1)


def play_shared(
    settings: Settings, batches: Sequence[Batch], until: datetime, progress: Progress, processes: int
) -> Engine | None:
    """Play with so many processes. None where notices would have been held: that is for one process to play."""
    people = {name: n % processes for n, name in enumerate(sorted({b.facts[0].subject for b in batches}))}
    context = get_context("spawn")
    with TemporaryDirectory() as folder:
        ends: list[tuple[Any, Connection]] = []
        try:
            for n in range(processes):
                ours, theirs = context.Pipe()
                mine = [b for b in batches if people[b.facts[0].subject] == n]
                apart = settings.model_copy(
                    update={"data_dir": Path(folder) / str(n), "database_url": None, "flood_floor": 1_000_000_000}
                )
                child = context.Process(target=_play, args=(apart, until, theirs), daemon=True)
                child.start()
                theirs.close()
                ends.append((child, ours))
                _give(ours, mine)
            return Joined(settings, batches, progress).join([_heard(end) for _, end in ends], until)
        finally:
            for child, end in ends:
                end.close()
                child.terminate()
                child.join()


class Joined(Rehearsal):
    """Makes one log of what the others did, and recalculates the endpoints between their turns."""

    def join(self, done: Sequence[Iterator[Done]], until: datetime) -> Engine | None:
        """Return the engine as if it had been alone; None if it would have held notices."""
        self._agenda = []
        for (when, rank, what), events in heapq.merge(*done, key=lambda d: d[0]):
            for _ in self.turns_before((when, rank, what)):
                pass
            self._now = when
            recorded = self.log.append(events, now=when)
            if recorded and (subject := recorded[-1].event.subject):
                self.log.mark_seen(subject, None, recorded[-1].seq)
            if isinstance(what, int):
                self._recorded(self._batches[what])
        for _ in self.turns(until):
            pass
        return None if self._would_hold() else self.finish(until)

    def turns_before(self, turn: Turn) -> Iterator[Turn]:
        """Do what is to be done here before somebody's turn."""
        while self._agenda and self._agenda[0] < turn:
            yield from self.turns(self._agenda[0][0])

    def _would_hold(self) -> bool:
        daily, measure = self.engine.news.daily, self.engine.post.measure
        return any(measure.exceeded(count, day, daily) for day, count in daily.items())


def _give(end: Connection, batches: Sequence[Batch]) -> None:
    """Hand a process its patients; only now, for one that did not come up would not take them, and nobody would know."""
    try:
        end.send(batches)
    except OSError:
        raise RehearsalError("it did not start", "a rehearsal's process", GUARD) from None


def _play(settings: Settings, until: datetime, end: Connection) -> None:
    """Play the patients that are handed over, without what is about the trial, and tell of each turn."""
    try:
        batches = end.recv()
        rehearsal = Alone(settings, batches, lambda *_: None)
        said: list[Done] = []
        upto = 0
        with little_garbage():
            for turn in rehearsal.turns(until):
                rows = rehearsal.log.read(after=upto)
                if rows or isinstance(turn[2], int):
                    upto = rows[-1].seq if rows else upto
                    said.append((turn, [r.event for r in rows]))
                if len(said) == AT_ONCE:
                    end.send(said)
                    said = []
        end.send(said)
        end.send(None)
    except BaseException as error:  # noqa: BLE001 - whatever it was, it is told where it is heard
        end.send(error if isinstance(error, RehearsalError) else RehearsalError(repr(error), "a rehearsal's process"))


class Alone(Rehearsal):
    """Plays patients and nothing else."""

    def _recalculate(self) -> None:
        self._recalculate_at = None


def _heard(end: Connection) -> Iterator[Done]:
    """Yield what a process tells; its error is raised here."""
    while True:
        try:
            said = end.recv()
        except (EOFError, OSError):
            raise RehearsalError(
                "it ended without a word", "a rehearsal's process", f"Try with more memory. {GUARD}"
            ) from None
        if said is None:
            return
        if isinstance(said, BaseException):
            raise said
        yield from said
