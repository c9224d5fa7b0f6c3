"""When something regular last succeeded: one small file each in the data folder, for metrics and `neotorch doctor`.

A recalculation that changes nothing leaves no event in the log, nor does a backup; and Prefect's database may be lost.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime
from pathlib import Path

from neotorch.domain.dates import parse_instant

FOLDER = "last"
KNOWN = ("recalculation", "reconciliation", "backup")
log = logging.getLogger("neotorch.observe")


def done(data_dir: Path, what: str, now: datetime) -> None:
    """Note that `what` succeeded at `now`. A note that cannot be written is logged: nothing hangs on it."""
    folder = data_dir / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{what}.part"
        part.write_text(now.isoformat() + "\n", encoding="ascii")
        part.replace(folder / what)
    except OSError as error:
        log.warning("cannot note in %s that the %s succeeded: %s", folder, what, error.strerror)


def last(data_dir: Path, what: str) -> datetime | None:
    """Return when `what` last succeeded; None if it never did, or if the note cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return parse_instant((data_dir / FOLDER / what).read_text(encoding="ascii").strip())
    return None
