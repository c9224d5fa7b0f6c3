"""What is put by for bad days: backups that are kept and tried out, and each site's worklist on paper.

A backup that was never restored is a hope and no backup.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import monotonic, time

from neotorch.domain.calendar import local_date
from neotorch.engine import Engine
from neotorch.files import write
from neotorch.store import archive
from neotorch.store.chain import Head
from neotorch.store.log import EventLog


@dataclass(frozen=True)
class Backup:
    """One that was made, and what was removed for it."""

    path: Path
    head: Head
    bytes: int
    removed: tuple[Path, ...]


def back_up(engine: Engine, folder: Path, keep: int) -> Backup:
    """Write a backup of the log into a folder, and remove all but the newest `keep` of this study. Errors as `archive.write`.

    Every backup holds the whole log, so an older one is of use only where a newer one cannot be read.
    """
    path = archive.write(engine.log, engine.study, folder)
    with archive.opened(path) as found:
        head = found.manifest.head
    old = sorted(folder.glob(f"{engine.study.id}-*{archive.ENDING}"))[:-keep]
    removed = tuple(one for one in old if one != path)
    for one in (*removed, *_left_behind(folder, engine.study.id)):
        one.unlink(missing_ok=True)
    return Backup(path, head, path.stat().st_size, removed)


def _left_behind(folder: Path, study: str) -> list[Path]:
    """Return what killed backups have left behind; one that is being written is younger than a day."""
    yesterday = time() - 86_400
    return [part for part in folder.glob(f".{study}-*.part") if part.stat().st_mtime < yesterday]


def put_back(engine: Engine, file: Path) -> tuple[archive.Manifest, archive.Restored]:
    """Restore a backup into the engine's log, which has to be empty. Errors as `archive.restore`."""
    with archive.opened(file) as found:
        return found.manifest, archive.restore(engine.log, found, now=engine.clock())


@dataclass(frozen=True)
class Drill:
    """A restoration into a database that is thrown away."""

    head: Head
    problems: tuple[str, ...]
    """What is wrong with it; empty if the backup is good."""
    seconds: float

    @property
    def words(self) -> str:
        """Return it in a line."""
        if self.problems:
            return f"restore drill FAILED: {self.problems[0]}"
        return f"restored {self.head.seq} events to the same head in {self.seconds:.1f} s"


def drill(engine: Engine, backup: Backup) -> Drill:
    """Restore a backup into an empty database of its own, verify it, and hold its head against the log's.

    Anything that is off is a problem of the drill, not an error.
    """
    begun = monotonic()
    with tempfile.TemporaryDirectory(prefix="neotorch-drill-") as folder:
        log = EventLog(f"sqlite:///{folder}/log.db", engine.study.id, head_file=Path(folder) / "head.log")
        try:
            log.migrate()
            with archive.opened(backup.path) as found:
                archive.restore(log, found, now=engine.clock())
            problems = [str(p) for p in log.verify()]
            head = log.head()
        finally:
            log.close()
    stands = engine.log.head_at(backup.head.seq)
    if head != backup.head or stands != head:
        problems.append(f"restored head {head.seq}:{head.hash[:16]} is not the log's at that place")
    return Drill(head, tuple(problems), monotonic() - begun)


SHEETS_KEPT = timedelta(14)


def put_on_paper(engine: Engine, folder: Path) -> Iterator[Path]:
    """Write each site's sheet for the next days, as HTML and, where the machine can, as PDF; yield the files.

    Those of more than two weeks ago are removed.
    """
    from neotorch.report.pdf import NoPdf, pdf
    from neotorch.report.wall import sheet

    for site in engine.study.sites:
        today = local_date(engine.clock(), site.time_zone)
        page = sheet(engine, site).html
        path = folder / f"{site.code}-{today}.html"
        write(path, page.encode())
        yield path
        try:
            data = pdf(page, None)
        except NoPdf:  # a browser prints the page too
            continue
        write(path.with_suffix(".pdf"), data)
        yield path.with_suffix(".pdf")
    _forget(folder, engine.today() - SHEETS_KEPT)


def _forget(folder: Path, before: date) -> None:
    for path in folder.glob("*-????-??-??.*"):
        if path.stem[-10:] < before.isoformat():
            path.unlink(missing_ok=True)
