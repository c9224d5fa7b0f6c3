"""Database connections: what each of the two databases has to be told before it can be trusted with the log."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from neotorch.domain.errors import BadInput
from neotorch.store.errors import LogUnavailable

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for the others before it gives up."""

SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",  # first: switching to WAL takes a lock itself
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL may lose the last commits when the power fails
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",  # else INSERT OR REPLACE deletes without asking the triggers
)

POSTGRES_SETTINGS = (
    f"SET lock_timeout = {BUSY_TIMEOUT_MS}",
    # A prepared plan made while the log was small would scan all of it later on; so plans follow its size.
    "SET plan_cache_mode = force_custom_plan",
    # A machine that loses its power does not say good-bye: after 25 s its locks are free (by default after two hours).
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)


def open_engine(url: str) -> Engine:
    """Return an engine for `sqlite:///FILE` or `postgresql://...`; BadInput for anything else."""
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _postgres(parsed)


def _parse(url: str) -> URL:
    todo = "Use sqlite:///path/to/file.db or postgresql://user@host/database."
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise BadInput("this is not a database URL", "database_url", todo) from None  # it may hold a password
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise BadInput(f"{parsed.get_backend_name()} is not supported", "database_url", todo)
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise BadInput("a log in memory would be lost at the end of the process", "database_url", todo)
    return parsed


def _sqlite(url: URL) -> Engine:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogUnavailable(f"the folder cannot be made ({error.strerror})", str(folder), "Choose another.") from None
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours: the driver's own comes late, and deferred
        for pragma in SQLITE_PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred writer that finds the log moved on gets SQLITE_BUSY at once, whatever the timeout.
        writer = connection.get_execution_options().get("writer")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def _postgres(url: URL) -> Engine:
    engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        connection.autocommit = True  # BEGIN is ours: it can take the lock in the same round trip
        for setting in POSTGRES_SETTINGS:
            connection.execute(setting)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writer = connection.get_execution_options().get("writer")
        lock = f"; SELECT pg_advisory_xact_lock({_lock_key(writer)})" if writer else ""
        connection.exec_driver_sql(f"BEGIN{lock}")

    return engine


def _lock_key(name: str) -> int:
    """Signed 64-bit number that stands for `name` among Postgres's advisory locks."""
    return int.from_bytes(hashlib.sha256(f"neotorch:{name}".encode()).digest()[:8], signed=True)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction of its own; LogUnavailable when there is none to be had."""
    with _in_words(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine, name: str) -> Iterator[Connection]:
    """A transaction that is the only writer of `name` until it ends; commits unless an exception leaves it."""
    with _in_words(engine), engine.connect().execution_options(writer=name) as connection, connection.begin():
        yield connection


def take_turn(engine: Engine, name: str) -> Callable[[], None] | None:
    """Take a lock that lasts until it is given back or the process dies; None while another process has it.

    A log in SQLite has one process that wakes journeys (`up` locks the folder), so there it is always to be had.
    """
    if engine.dialect.name != "postgresql":
        return lambda: None
    with _in_words(engine):
        connection = engine.connect()
        # held by the open transaction, which reads nothing more and so keeps nothing from being cleaned up
        taken = connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_lock_key(f'turn/{name}')})").scalar()
    if taken:
        return connection.close
    connection.close()
    return None


@contextmanager
def _in_words(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise unavailable(engine, error) from error


def unavailable(engine: Engine, error: DBAPIError) -> LogUnavailable:
    """Turn a driver's error into one that says what to do. The URL is shown without its password."""
    said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    if "no such table" in said or ("relation" in said and "does not exist" in said):
        todo = "The log has no tables yet: call EventLog.migrate() first (every neotorch command does)."
    elif "locked" in said or "lock timeout" in said:
        todo = f"Another process has held it for {BUSY_TIMEOUT_MS // 1000} s; end that process or try again."
    elif "is full" in said or "No space left" in said:
        todo = "Make room on its disk, then try again; nothing was written."
    elif "unable to open" in said or "Too many open files" in said:
        todo = (
            "Check that the file may be opened and that this process has file descriptors left (ulimit -n), then try "
            "again; nothing was written."
        )
    else:
        todo = "Check that the database is running, reachable and writable, then try again; nothing was written."
    return LogUnavailable(said, engine.url.render_as_string(hide_password=True), todo)
