"""Backups and restorations killed (-9): `python -m tests.crash.kill_backups FOLDER SEED KILLS`. Prints its figures as JSON."""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

from neotorch.engine import Engine
from neotorch.safekeeping import Backup, back_up, drill, put_back
from neotorch.settings import Settings
from neotorch.store.archive import ENDING
from tests.crash.fork import Say, fork
from tests.support import course, screened

BACKUP = ("backup-row", "backup-written-not-renamed", "")
RESTORE = ("restored-not-committed", "")
KEEP = 3


def write(engine: Engine, folder: Path, _say: Say) -> None:
    """What `neotorch backup` does, but for the drill."""
    back_up(engine, folder, KEEP)


def restore(data: Path, file: Path, _say: Say) -> None:
    """What `neotorch restore` does."""
    put_back(Engine.open(Settings(data_dir=data)), file)


def killed(job: partial[None], point: str, seconds: float, pick: random.Random) -> None:
    """Run the job in a child and kill it at the point or at a random moment."""
    child = fork(job, crash_at=point)
    if not point:
        child.kill_at(time.monotonic() + pick.uniform(0, seconds))
    _, code = child.end()
    assert code == -9 or (not point and code == 0), f"{point}: ended with {code}"


class Safe:
    """A log, and the folder that its backups go to."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random, self.figures = folder, random.Random(seed), Counter[str]()
        self.engine = Engine.open(Settings(data_dir=folder / "data"))
        self.first = self.engine.today() - timedelta(200)
        self.engine.record([*screened(self.first, "NT-100"), *course(6, self.first, "NT-100")])
        begun = time.monotonic()
        self.good = back_up(self.engine, folder / "good", KEEP)
        self.seconds = time.monotonic() - begun

    def kill_backup(self, number: int) -> None:
        """Record something, kill a backup of it: what stands there by its name can be restored, and the next one is made."""
        self.engine.record(screened(self.first, f"NT-{number:04d}")[:1])
        self.engine.log.close()  # no connection may be open when a child is forked
        point, times = self.random.choice(BACKUP), self.random.randint(1, self.engine.log.head().seq)
        self.engine.log.close()
        out = self.folder / "out"
        job = partial(write, self.engine, out)
        killed(job, f"{point}:{times}" if point == "backup-row" else point, 2 * self.seconds, self.random)
        before = sorted(out.glob(f"*{ENDING}"))
        self.figures["backup killed"] += 1
        made = back_up(self.engine, out, KEEP)
        assert made.head == self.engine.log.head()
        for path in {*before, made.path} & set(out.glob(f"*{ENDING}")):
            self._restorable(path, made if path == made.path else None)

    def _restorable(self, path: Path, made: Backup | None) -> None:
        """A newest one passes its drill; an older one at least opens and is put back whole."""
        if made:
            assert drill(self.engine, made).problems == ()
            return
        other = Engine.open(Settings(data_dir=self.folder / f"again{self.figures.total()}{path.name[:40]}"))
        about, _ = put_back(other, path)
        assert other.log.head() == about.head and other.log.verify() == []
        other.log.close()

    def kill_restoration(self, number: int) -> None:
        """Kill a restoration: the log is empty or whole, and an empty one can be restored."""
        data, point = self.folder / f"restored{number}", self.random.choice(RESTORE)
        killed(partial(restore, data, self.good.path), point, 4 * self.seconds, self.random)
        other = Engine.open(Settings(data_dir=data))
        head = other.log.head()
        assert head.seq in {0, self.good.head.seq}, "half a log"
        self.figures["restoration killed, log left " + ("whole" if head.seq else "empty")] += 1
        if not head.seq:
            put_back(other, self.good.path)
        assert other.log.head() == self.good.head
        assert other.log.verify() == []
        other.log.close()


def main(folder: str, seed: str, kills: str) -> None:
    """Kill backups and restorations in turn."""
    safe = Safe(Path(folder), int(seed))
    for number in range(int(kills)):
        (safe.kill_restoration if number % 2 else safe.kill_backup)(number)
    print(json.dumps(safe.figures))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
