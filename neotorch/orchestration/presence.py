"""Whether `neotorch up` runs on a data folder, and where it can be asked: a lock, and a note beside it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from neotorch.domain.errors import NeotorchError

LOCK, NOTE = "up.lock", "up.json"


class AlreadyUp(NeotorchError):
    """Another process runs this data folder."""


@dataclass(frozen=True)
class Presence:
    """A running `neotorch up`. Addresses are empty where it has not got so far, or where they are switched off."""

    pid: int
    api: str = ""
    """Of the Prefect server."""
    own_server: bool = False
    """Whether it started that server itself."""
    watch: str = ""
    """Of /metrics, /health and /ready."""
    worker: str = ""
    """Type of the worker that does the work."""


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process; the system lets go of it when the process ends, however it does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise AlreadyUp(
                f"neotorch is up already on this folder (process {file.read().strip() or 'unknown'})", str(folder),
                "End that one, or set NEOTORCH_DATA_DIR to another folder.",
            ) from None  # fmt: skip
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (folder / NOTE).unlink(missing_ok=True)


def tell(folder: Path, presence: Presence) -> None:
    """Note where this process can be asked."""
    part = folder / f".{NOTE}.part"
    part.write_text(json.dumps(asdict(presence)), encoding="utf-8")
    part.replace(folder / NOTE)


def running(folder: Path) -> Presence | None:
    """Return who is up on the folder; None if nobody is, whatever notes a killed process has left."""
    try:
        with (folder / LOCK).open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _noted(folder, file.read().strip())
    except OSError:
        pass
    return None


def _noted(folder: Path, pid: str) -> Presence:
    number = int(pid) if pid.isdigit() else 0
    with contextlib.suppress(OSError, ValueError, TypeError):
        found = Presence(**json.loads((folder / NOTE).read_text(encoding="utf-8")))
        if found.pid == number:  # else a killed one left it
            return found
    return Presence(number)
