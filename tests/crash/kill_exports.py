"""Exports killed (-9), over what earlier ones have left: `python -m tests.crash.kill_exports adam|report FOLDER SEED KILLS`.

Two exports with different data cuts take turns in one folder. Prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from datetime import date, timedelta
from functools import partial
from io import StringIO
from pathlib import Path

from neotorch.cli.export_adam import adam
from neotorch.cli.export_report import report
from neotorch.engine import Engine
from neotorch.settings import Settings
from tests.crash.fork import Say, fork
from tests.support import course, screened

EXPORTS = {"adam": (adam, "define.xml", 16), "report": (report, "report.pdf", 2)}
"""Kind -> the command, the file that is there only when all are, how many files there are."""
Files = dict[str, bytes]


def export(kind: str, folder: Path, cut: date, _say: Say) -> None:
    """What `neotorch export` does, saying nothing."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    EXPORTS[kind][0](out=folder, cut=cut.isoformat())


def whole(folder: Path) -> Files:
    """What stands in a folder under a name of its own; parts do not."""
    return {f.name: f.read_bytes() for f in folder.iterdir() if not f.name.endswith(".part")} if folder.exists() else {}


def exported(kind: str, folder: Path, cut: date) -> tuple[Files, float]:
    """The files of an export that nobody kills, and how many seconds it takes."""
    begun = time.monotonic()
    assert fork(partial(export, kind, folder, cut)).end()[1] == 0
    return whole(folder), time.monotonic() - begun


class Desk:
    """A folder that exports go to."""

    def __init__(self, kind: str, folder: Path, cuts: list[date]) -> None:
        self.kind, self.folder, self.cuts = kind, folder / "out", cuts
        with redirect_stdout(StringIO()):  # here, so that all is imported that the children will need
            EXPORTS[kind][0](out=folder / "first", cut=cuts[0].isoformat())
        second, self.seconds = exported(kind, folder / "second", cuts[1])
        self.wanted = [whole(folder / "first"), second]
        assert len(self.wanted[0]) == EXPORTS[kind][2] and self.wanted[0] != self.wanted[1]

    def kill_one(self, pick: random.Random) -> str:
        """Kill an export and look at what it has left; returns what that was."""
        if pick.random() < 0.3:
            shutil.rmtree(self.folder, ignore_errors=True)
        point = pick.choice(["part-written", "part-renamed", "part-renamed", ""])
        times = pick.randint(1, EXPORTS[self.kind][2])
        job = partial(export, self.kind, self.folder, pick.choice(self.cuts))
        child = fork(job, crash_at=point and f"{point}:{times}")
        if not point:
            child.kill_at(time.monotonic() + pick.uniform(0, self.seconds))
        _, code = child.end()
        assert code == -9 or (not point and code == 0)
        return self.check()

    def check(self) -> str:
        """Each file is one of those that were to be written; where the last one is, all are there, and of one export."""
        found = whole(self.folder)
        for name, data in found.items():
            assert data in [files[name] for files in self.wanted], f"{name} is not whole"
        if EXPORTS[self.kind][1] in found:
            assert found in self.wanted, "the set looks whole but is not"
            return "a whole set left"
        return "a set known to be unfinished left" if found else "nothing left"


def main(kind: str, folder: str, seed: str, kills: str) -> None:
    """Kill exports of a trial of two patients."""
    os.environ["NEOTORCH_DATA_DIR"] = f"{folder}/data"
    engine = Engine.open(Settings(data_dir=Path(folder) / "data"))
    first = engine.today() - timedelta(200)
    for subject in ("NT-001", "NT-002"):
        engine.record([*screened(first, subject), *course(6, first, subject)])
    engine.log.close()
    desk, pick = Desk(kind, Path(folder), [first + timedelta(60), first + timedelta(150)]), random.Random(int(seed))
    figures = Counter(desk.kill_one(pick) for _ in range(int(kills)))
    assert exported(kind, desk.folder, desk.cuts[0])[0] == desk.wanted[0]
    print(json.dumps(figures))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
