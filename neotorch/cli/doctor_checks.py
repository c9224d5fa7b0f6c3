"""What `neotorch doctor` looks at: each check says what it found and, where something is wrong, what to do."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from neotorch.domain.cautions import cautions
from neotorch.domain.study import Site, Study
from neotorch.domain.study_file import StudyError, path_in
from neotorch.domain.workdays import warning
from neotorch.rules.post import Flood

PYTHON = ((3, 11), (3, 14))
SQLITE = (3, 35, 0)
"""The first with RETURNING, which one-statement claims need."""
DISK_MIN_BYTES = 200 * 1024**2
CLOCK_EARLIEST = datetime.fromisoformat("2025-01-01T00:00:00+00:00")
"""No machine of this software can truly have an earlier time; its clock has not been set."""

CLOCK_TOLERANCE = timedelta(minutes=1)
"""So far the clocks of recorders on several machines may be apart."""


@dataclass(frozen=True)
class Check:
    """One thing looked at. Something `ok` with a `todo` works, and somebody should look at it."""

    name: str
    ok: bool
    detail: str
    todo: str = ""

    @property
    def mark(self) -> str:
        """What stands before it."""
        if not self.ok:
            return "WRONG"
        return "look" if self.todo else "ok"


class ChannelVerdict(Protocol):
    """What a channel's own check returns."""

    @property
    def channel(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def ok(self) -> bool: ...  # noqa: D102
    @property
    def wrong(self) -> str: ...  # noqa: D102
    @property
    def todo(self) -> str: ...  # noqa: D102


def python_version(version: tuple[int, int] = sys.version_info[:2]) -> Check:
    """Whether this Python is one the packages are locked for."""
    low, high = PYTHON
    ok = low <= version < high
    todo = "" if ok else f"use Python {low[0]}.{low[1]} to {high[0]}.{high[1] - 1}"
    return Check("python", ok, f"Python {version[0]}.{version[1]}", todo)


def packages(name: str = "neotorch") -> Iterator[Check]:
    """Whether each package that ours declares is there, within its bounds."""
    from packaging.requirements import Requirement

    try:
        declared = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        yield Check(f"package {name}", False, "is not installed", "install it: pip install .")
        return
    for requirement in map(Requirement, declared):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _package(requirement.name, str(requirement.specifier), requirement.specifier.contains)


def _package(name: str, bounds: str, contains: object) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(f"package {name}", False, "is not installed", f"pip install '{name}{bounds}'")
    ok = bool(contains(version, prereleases=True))  # type: ignore[operator]
    todo = "" if ok else f"pip install '{name}{bounds}'"
    return Check(f"package {name}", ok, f"{version}, wanted {bounds or 'any'}", todo)


def data_folder(folder: Path) -> Check:
    """Whether files can be written, flushed and renamed in the data folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as inner:
            part = Path(inner) / "part"
            part.write_text("x", encoding="utf-8")
            part.replace(Path(inner) / "whole")
    except OSError as error:
        todo = "give this user the right to write there, or set NEOTORCH_DATA_DIR to another folder"
        return Check("data folder", False, f"{folder}: {error.strerror}", todo)
    return Check("data folder", True, f"{folder} can be written")


def disk_space(folder: Path, least_bytes: int = DISK_MIN_BYTES) -> Check:
    """Whether the disk of the data folder has room."""
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    ok = free > least_bytes
    todo = "" if ok else f"free at least {least_bytes // 1024**2} MB, or set NEOTORCH_DATA_DIR to another disk"
    return Check("disk space", ok, f"{free // 1024**2} MB free", todo)


def sqlite(folder: Path, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Check:
    """Whether SQLite is new enough and its write-ahead log works on the data folder's file system."""
    words = ".".join(map(str, version))
    if version < SQLITE:
        todo = "use a newer Python build, or set NEOTORCH_DATABASE_URL to a Postgres database"
        return Check("sqlite", False, f"SQLite {words} is older than {'.'.join(map(str, SQLITE))}", todo)
    todo = "use a local disk (not a network share), or set NEOTORCH_DATABASE_URL to a Postgres database"
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as inner:
            mode = _journal_mode(Path(inner) / "probe.db")
    except (OSError, sqlite3.Error) as error:
        return Check("sqlite", False, f"no database can be made in {folder}: {error}", todo)
    ok = mode == "wal"
    return Check("sqlite", ok, f"SQLite {words}, journal mode {mode}", "" if ok else todo)


def _journal_mode(file: Path) -> str:
    with closing(sqlite3.connect(file)) as database:
        mode = str(database.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        database.execute("CREATE TABLE probe (x)")
        database.execute("INSERT INTO probe VALUES (1)")
        database.commit()
    return mode


def clock(now: datetime, newest: datetime | None = None) -> Check:
    """Whether the machine's clock has been set at all, and not back since the newest event. Both are aware instants."""
    if newest and newest - now > CLOCK_TOLERANCE:
        seconds = f"{(newest - now).total_seconds():.0f}"
        todo = "set the clock, best by NTP; docs/operating.md says what was recorded meanwhile and what to do about it"
        return Check("clock", False, f"{now.isoformat(timespec='seconds')}, {seconds} s before the newest event", todo)
    ok = now > CLOCK_EARLIEST
    return Check("clock", ok, now.isoformat(timespec="seconds"), "" if ok else "set the clock, best by NTP")


def time_zone(name: str) -> Check:
    """Whether the zone database knows the zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return Check(
            f"time zone {name}", False, "is not in the zone database", "install the tzdata package: pip install tzdata"
        )
    return Check(f"time zone {name}", True, "known")


def port_free(host: str, port: int, setting: str = "NEOTORCH_PREFECT_PORT", ours: Collection[int] = ()) -> Check:
    """Whether the port can be opened, or is one of `ours` that a running `neotorch up` listens at; 0 stands for any."""
    name = f"port {port or 'any'}"
    if port in ours:
        return Check(name, True, f"{host}:{port} is in use by neotorch up itself")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            todo = f"stop what uses it (perhaps neotorch is already up), or set {setting}"
            return Check(name, False, f"cannot be opened on {host}: {error.strerror}", todo)
    return Check(name, True, f"free on {host}")


def study_refused(error: StudyError) -> Iterator[Check]:
    """Each thing that is wrong with a study file, with its path, line and value."""
    for problem in error.problems:
        place = f"{problem.path} (line {problem.line}): " if problem.line else ""
        yield Check("study file", False, f"{error.where}: {place}{problem.what}", problem.todo or error.todo)


def study_file(study: Study) -> Iterator[Check]:
    """The study file in use, and what in it looks like an oversight."""
    yield Check("study file", True, f"{study.id} {study.version}")
    for caution in cautions(study):
        yield Check("study file", True, f"{path_in(study, caution.where)}: {caution.what}", caution.todo)


def channel(verdict: ChannelVerdict) -> Check:
    """Return a notice channel's own verdict as a check."""
    return Check(f"channel {verdict.channel}", verdict.ok, verdict.wrong or "usable", verdict.todo)


def listeners(unheard: Iterable[tuple[str, str]], outbox: Path) -> Check:
    """Who has no channel. Their notices are not lost, so it is no failure, but somebody has to look into the folder."""
    who = ", ".join(f"{role} at {site}" for role, site in unheard)
    return Check(
        "listeners", True, f"no channel for {who}: see the folder {outbox}" if who else "every role has a channel"
    )


def escalations(study: Study, unheard: Iterable[tuple[str, str]], *, used: bool) -> Check:
    """Whether somebody hears what is passed on. Wrong where channels are `used` at all: others would wait in vain."""
    passed_on = {r for rungs in study.reminders.ladders.values() for rung in rungs for r in rung.roles}
    passed_on |= {r for level in study.queries.escalate for r in level.roles}
    lost = ", ".join(f"{role} at {site}" for role, site in unheard if role in passed_on)
    if not lost:
        return Check("escalations", True, "every role that something is passed on to has a channel")
    todo = "add a channel for the role to neotorch.toml, or name another role in the study file"
    return Check("escalations", not used, f"passed on to {lost}, and nobody there has a channel", todo)


def held_notices(held: Flood | None) -> Check:
    """Whether notices are held for a person because far more than usual went out."""
    if held is None:
        return Check("held notices", True, "none")
    return Check("held notices", False, held.what, held.todo)


def working_days(sites: list[Site], until: Callable[[str], date | None]) -> Check:
    """Whether the published working days reach as far as the visits planned. No failure: reminders come all the same."""
    lines = warning(sites, lambda site: until(site.code))
    return Check("working days", True, " ".join(lines) or "published as far as visits are planned")


def machine(
    data_dir: Path, zones: Collection[str], ports: Iterable[Check], now: datetime, newest: datetime | None = None
) -> Iterator[Check]:
    """Everything but the channels, in the order in which a fault would hide the next. `newest`: of the log's events."""
    yield python_version()
    yield from packages()
    yield data_folder(data_dir)
    yield disk_space(data_dir)
    yield sqlite(data_dir)
    yield clock(now, newest)
    for zone in dict.fromkeys(zones):
        yield time_zone(zone)
    yield from ports
