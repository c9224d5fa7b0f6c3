"""How long a backup and a restoration take, and how large it is: python bench/backup.py [EVENTS ...].

Beside each: copying the database file, as the least that any backup of it could take.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from neotorch.domain.events import FormReceived
from neotorch.settings import Settings, load_study
from neotorch.store import archive
from neotorch.store.log import EventLog

BATCH = 500


def form(number: int, study: str) -> FormReceived:
    """A laboratory form of usual size."""
    subject = f"NT-{number % 997:03d}"
    items = {"ANC": 3.1 + number % 7, "PLT": 210.0, "HGB": 121.0, "ALT": 21.0, "AST": 19.0, "BILI": 9.0}
    fields = {"id": f"e{number}", "study": study, "subject": subject, "occurred": "2026-03-04", "visit": "C1D1"}
    return FormReceived.model_validate({**fields, "form": "CBC", "items": items})


def timed(do: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def measure(count: int, folder: Path) -> None:
    """Fill a log, back it up, restore it, verify it."""
    study = load_study(Settings(data_dir=folder))
    log = EventLog(f"sqlite:///{folder}/log.db", study.id, head_file=folder / "head.log")
    log.migrate()
    for start in range(0, count, BATCH):
        log.append([form(n, study.id) for n in range(start, min(start + BATCH, count))], now=datetime.now(UTC))
    made: list[Path] = []
    copying = timed(lambda: shutil.copyfile(folder / "log.db", folder / "copy.db"))
    writing = timed(lambda: made.append(archive.write(log, study, folder / "backups")))
    other = EventLog(f"sqlite:///{folder}/other/log.db", study.id, head_file=folder / "other" / "head.log")
    other.migrate()

    def restore() -> None:
        with archive.opened(made[0]) as found:
            archive.restore(other, found, now=datetime.now(UTC))

    restoring = timed(restore)
    checking = timed(lambda: other.verify() and sys.exit("the restored log is not whole"))
    assert other.head() == log.head()
    size, raw = made[0].stat().st_size, (folder / "log.db").stat().st_size
    print(
        f"{count:>8,} events: backup {writing:6.2f} s, restore {restoring:6.2f} s, verify {checking:6.2f} s; "
        f"{size / 1e6:.1f} MB, {raw / size:.1f} times smaller than the database; copy of the file {copying:.3f} s; "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB"
    )


if __name__ == "__main__":
    for events in map(int, sys.argv[1:] or ["1000", "10000", "100000"]):
        with tempfile.TemporaryDirectory(prefix="neotorch-bench-") as place:
            measure(events, Path(place))
