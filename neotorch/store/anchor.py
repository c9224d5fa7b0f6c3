"""The head of the log, noted outside the database: a chain cannot see that its own tail was cut off."""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neotorch.store.chain import Head, Row
from neotorch.store.errors import LogUnavailable

log = logging.getLogger(__name__)

_TODO = {
    errno.ENOSPC: "Make room on its disk, then try again",
    errno.EMFILE: "This process has no file descriptors left (ulimit -n): give it more, then try again",
}
_LINE = re.compile(r"^(restored )?(\d{1,18}) ([0-9a-f]{64}) (\S+)$")


@dataclass(frozen=True)
class Restoration:
    """The log was put back from a backup that ends at `head`; the furthest head noted by then was `noted`."""

    head: Head
    at: str
    noted: int

    def __str__(self) -> str:
        """One line for a terminal."""
        lost = self.noted - self.head.seq
        gone = f"; events {self.head.seq + 1} to {self.noted}, noted before, are lost" if lost > 0 else ""
        return f"restored at {self.at} from a backup that ends at {self.head.seq}{gone}"


class HeadFile:
    """An append-only text file, one line `seq hash recorded_at` per event, written after the commit.

    Each position is noted, and not the last of a commit alone, so that `verify` names the very event that was changed. A
    process that dies in between leaves the file behind the log, which is harmless; a line it half wrote is skipped when
    read. Several processes may append: the lines of a commit are one write to a file opened for appending.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        """Nothing is opened yet. `fsync` waits for the disk at each line (the log itself always does)."""
        self.path = path
        self._fsync = fsync
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make sure that heads can be noted, before anything is committed; LogUnavailable if they cannot."""
        try:
            with self._lock:
                self._open()
        except OSError as error:
            self.close()  # to be looked at anew next time
            todo = _TODO.get(error.errno or 0, "Make it writable, or choose another head file")
            where = str(self.path)
            raise LogUnavailable(
                f"the head cannot be noted ({error.strerror})", where, f"{todo}; nothing was written."
            ) from error

    def write(self, rows: Sequence[Row]) -> None:
        """Note the heads of a commit. If that fails now, the commit still stands: it is logged, not raised."""
        lines = "".join(f"{row.seq} {row.hash} {row.recorded_at}\n" for row in rows).encode()
        try:
            with self._lock:
                self._write(lines)
        except OSError as error:
            self.close()  # opening it again closes a line that was half written
            seq = rows[-1].seq
            log.warning("seq %s is recorded, but its head could not be noted in %s: %s", seq, self.path, error)

    def read(self) -> dict[int, str] | None:
        """Position -> hash of every noted head (the first note of a position holds); None when there is no file.

        Where the log was restored from a backup, what had been noted beyond the backup's end holds no more.
        """
        notes = self._notes()
        return None if notes is None else notes[0]

    def restorations(self) -> list[Restoration]:
        """Return what the file says of restorations, oldest first."""
        notes = self._notes()
        return notes[1] if notes else []

    def restored(self, head: Head, at: str) -> None:
        """Note that the log was put back up to `head`: from here on it is that log."""
        with self._lock:
            self._write(f"restored {head.seq} {head.hash} {at}\n".encode())

    def _notes(self) -> tuple[dict[int, str], list[Restoration]] | None:
        try:
            lines = self.path.read_text("ascii", errors="replace").split("\n")
        except FileNotFoundError:
            return None
        noted: dict[int, str] = {}
        restorations = []
        for match in filter(None, map(_LINE.match, lines)):
            head = Head(int(match[2]), match[3])
            if match[1]:
                restorations.append(Restoration(head, match[4], max(noted, default=0)))
                noted = {seq: digest for seq, digest in noted.items() if seq <= head.seq}
            noted.setdefault(head.seq, head.hash)
        noted.pop(0, None)
        return noted, restorations

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._shut()

    def _shut(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, line: bytes) -> None:
        descriptor = self._open()
        if os.write(descriptor, line) < len(line):  # a disk that is nearly full takes a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._fsync:
            os.fsync(descriptor)

    def _open(self) -> int:
        if self._descriptor is not None and os.fstat(self._descriptor).st_nlink == 0:
            self._shut()  # the file was removed meanwhile
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            size = os.fstat(self._descriptor).st_size
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                os.write(self._descriptor, b"\n")  # close a line that a killed process left half written
        return self._descriptor
