"""The whole log as one compressed file: what a backup is, and how a log moves from one database to another.

gzip over UTF-8 lines. The first line is the manifest (JSON). Each further line is one event: its hash, a blank, and the very
text that was hashed together with the hash of the line before (see `chain.link`), so that `sha256sum` and an editor are
enough to check it. Made from a log with the same head, study file and program, the file has the same bytes.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from neotorch import __version__
from neotorch.crash import crash_point
from neotorch.domain.errors import BadInput
from neotorch.domain.study import Study
from neotorch.domain.upcast import parse_event
from neotorch.store.chain import GENESIS, Head, Row, link
from neotorch.store.errors import LogBroken
from neotorch.store.log import EventLog
from neotorch.store.migrate import HEAD_REVISION

FORMAT = 1
ENDING = ".log.gz"
MAX_LINE_BYTES = 10_000_000
"""No event is that long; a line that is comes from something else, or is meant to fill the memory."""


@dataclass(frozen=True)
class Manifest:
    """What the first line says of the rest."""

    study: str
    head: Head
    head_at: str | None
    """When the newest event was recorded; None for an empty log."""
    study_version: str
    definition: dict[str, Any]
    """The study file in force when the archive was made; later versions are in the log itself."""
    code: str
    """Version of the program that made it."""
    schema: str
    """Revision of the tables it was made from."""

    @property
    def name(self) -> str:
        """The archive's file name; what sorts last is newest."""
        return f"{self.study}-{self.head.seq:09d}-{self.head.hash[:12]}{ENDING}"


def manifest(log: EventLog, study: Study) -> Manifest:
    """Return the manifest of the log as it stands."""
    newest = log.newest()
    head, at = (newest.head, newest.recorded_at) if newest else (Head(0, GENESIS), None)
    return Manifest(log.study, head, at, study.version, dict(study.definition), __version__, HEAD_REVISION)


def write(log: EventLog, study: Study, folder: Path) -> Path:
    """Write all events up to the present head into a file of the folder, while others go on recording; return the file.

    It goes by another name until it is whole and on the disk. LogBroken if the chain is broken, BadInput if the folder
    cannot be written. Takes a few MB of memory, however long the log is.
    """
    about = manifest(log, study)
    path = folder / about.name
    part = folder / f".{about.name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                _write(file, about, log)
                file.flush()
                os.fsync(file.fileno())
            crash_point("backup-written-not-renamed")
            part.replace(path)
            _sync(folder)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        todo = "Make room, or name another folder with --out."
        raise BadInput(f"cannot be written ({error.strerror})", str(path), todo) from None
    return path


def _write(file: IO[bytes], about: Manifest, log: EventLog) -> None:
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(_first_line(about))
        previous = Head(0, GENESIS)
        for row in log.rows(about.head.seq):
            if row.seq != previous.seq + 1 or link(previous.hash, row.seq, row.recorded_at, row.body) != row.hash:
                where = f"log of {about.study}, seq {row.seq}"
                raise LogBroken("the chain is broken: no backup is made of it", where, "Run `neotorch verify`.")
            packed.write(f"{row.hash} {_text(row)}\n".encode())
            previous = row.head
            crash_point("backup-row")
        if previous != about.head:
            raise LogBroken("the log ends before its head", f"log of {about.study}", "Run `neotorch verify`.")


def _text(row: Row) -> str:
    """Return what was hashed, after the hash of the row before."""
    return f'{{"event":{row.body},"recorded_at":"{row.recorded_at}","seq":{row.seq}}}'


def _first_line(about: Manifest) -> bytes:
    said = {
        "neotorch": "log archive", "format": FORMAT, "study": about.study, "events": about.head.seq, "head": about.head.hash,
        "head_at": about.head_at, "study_version": about.study_version, "code": about.code, "schema": about.schema,
        "definition": about.definition,
    }  # fmt: skip
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _sync(folder: Path) -> None:
    """Have the folder's entry on the disk too, where the system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Archive:
    """An archive that is open for reading: `manifest`, and `rows`, each checked before it is handed out."""

    def __init__(self, path: Path, file: gzip.GzipFile) -> None:
        self.path, self._file = path, file
        self.manifest = self._manifest()

    def rows(self) -> Iterator[Row]:
        """Yield the events by seq. BadInput at the first one that is not what was written, or at an early end."""
        previous = Head(0, GENESIS)
        while line := self._line():
            row = self._row(line, previous)
            yield row
            previous = row.head
        if previous != self.manifest.head:
            raise self._bad(f"ends at event {previous.seq}, its manifest says {self.manifest.head.seq}")

    def _row(self, line: bytes, previous: Head) -> Row:
        seq = previous.seq + 1
        try:
            digest, text = line[:64].decode("ascii"), line[65:].rstrip(b"\n").decode()
            body, _, rest = text.removeprefix('{"event":').rpartition(',"recorded_at":"')
            recorded_at = rest.partition('"')[0]
        except UnicodeDecodeError:
            raise self._bad(f"event {seq} is not text") from None
        if link(previous.hash, seq, recorded_at, body) != digest:
            raise self._bad(f"event {seq} is not what was written")
        stored = json.loads(body)  # its columns are those of the body as it was stored, whatever it is called today
        parse_event(stored["type"], body, f"{self.path}, event {seq}")
        if stored["study"] != self.manifest.study:
            raise self._bad(f"event {seq} belongs to study {stored['study']}")
        return Row(
            stored["study"], seq, stored["id"], stored["type"], stored.get("subject"), stored["occurred"], recorded_at, body,
            previous.hash, digest,
        )  # fmt: skip

    def _manifest(self) -> Manifest:
        try:
            said = json.loads(self._line())
            known = said["neotorch"] == "log archive" and said["format"]
            head = Head(int(said["events"]), str(said["head"]))
            about = Manifest(
                str(said["study"]), head, said["head_at"], str(said["study_version"]), dict(said["definition"]),
                str(said["code"]), str(said["schema"]),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            raise self._bad("is no archive of a log") from None
        if known != FORMAT:
            todo = "Use the program version that made it, or a newer one."
            raise BadInput(f"is of format {known}, this program reads {FORMAT}", str(self.path), todo)
        return about

    def _line(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE_BYTES)
        except (OSError, EOFError, zlib.error):
            raise self._bad("is cut off or damaged, or no archive at all") from None
        if len(line) == MAX_LINE_BYTES:
            raise self._bad("holds a line that no log has")
        return line

    def _bad(self, what: str) -> BadInput:
        return BadInput(what, str(self.path), "Take another backup; nothing was written.")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive; BadInput if it is none."""
    try:
        file = gzip.open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", str(path), "Name the file that a backup wrote.") from None
    with file:
        yield Archive(path, file)


@dataclass(frozen=True)
class Restored:
    """What a restoration brought, and what it could not bring."""

    head: Head
    noted: int
    """The furthest position that was ever noted outside the database; more than `head.seq` if events are lost."""

    @property
    def lost(self) -> int:
        """How many events came after the backup and are gone."""
        return max(self.noted - self.head.seq, 0)


def restore(log: EventLog, archive: Archive, *, now: datetime) -> Restored:
    """Write an archive into an empty log: all of it, or nothing.

    Every hash is checked on the way and the head at the end. The head file gets a line that says where the log begins anew;
    heads noted beyond it stay to be read there. BadInput for a damaged archive, another study, a log that is not empty.
    """
    about = archive.manifest
    if about.study != log.study:
        todo = f"Set NEOTORCH_STUDY={about.study}, or take that study's backup; nothing was written."
        raise BadInput(f"is of study {about.study}, this installation is for {log.study}", str(archive.path), todo)
    noted = log.noted()
    if noted.get(about.head.seq, about.head.hash) != about.head.hash:
        todo = "Take a backup of this log; if the head file is wrong, move it away first. Nothing was written."
        raise BadInput(
            f"ends at event {about.head.seq} with another hash than the head file notes", str(archive.path), todo
        )
    log.restore(archive.rows(), now=now)
    return Restored(about.head, max(noted, default=0))
