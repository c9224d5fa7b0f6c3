"""Starts and stops the Prefect server as a child process. Imports no Prefect: that would fix settings too early."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Self

from neotorch.domain.errors import NeotorchError
from neotorch.orchestration import environment

START_SECONDS = 180.0
"""A first start on a slow machine migrates an empty database and compiles what it imports."""
STOP_SECONDS = 10.0
MANY_ENDS, AGAIN_SECONDS = 4, 300.0
"""A server that ends by itself more often than this, within this time, is not started again."""
LOG_MAX_BYTES = 10 * 1024**2
DATABASE_VARIABLES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")

log = logging.getLogger("neotorch.server")


class ServerError(NeotorchError):
    """The Prefect server does not come up."""


class PortInUse(ServerError):
    """Somebody else listens where the Prefect server is to listen."""


def choose_port(host: str, port: int) -> int:
    """Return `port`, or a free one for 0; PortInUse if somebody listens there."""
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            whose = "another Prefect server" if healthy(f"http://{host}:{port}/api") else "another program"
            raise PortInUse(
                f"{whose} is there already ({error.strerror})", f"{host}:{port}",
                "End it, or set NEOTORCH_PREFECT_PORT to another port (0 takes any free one).",
            ) from None  # fmt: skip
        return int(probe.getsockname()[1])


class PrefectServer:
    """A Prefect server that keeps its files in `home`, as a child process. Use as an async context manager."""

    def __init__(self, home: Path, host: str, port: int) -> None:
        self.home, self.host, self.port = home, host, port
        self.api = f"http://{host}:{port}/api"
        self.ui = f"http://{host}:{port}"
        self.log = home / "server.log"
        self._child: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        """Start it and wait until it answers; ServerError if it does not."""
        self.home.mkdir(parents=True, exist_ok=True)
        database = None if any(name in os.environ for name in DATABASE_VARIABLES) else self.home / "prefect.db"
        fresh = database is not None and not database.exists()
        copied = fresh and _from_template(self.home)
        await self._start()
        if database is not None and fresh and not copied:
            _to_template(database)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        if self._child is not None:
            child, self._child = self._child, None
            await asyncio.shield(asyncio.to_thread(stop, child))

    async def supervise(self) -> None:
        """Start it again whenever it ends by itself; ServerError when that does not help."""
        ended: list[float] = []
        while True:
            await asyncio.sleep(1)
            if self._child is None or self._child.poll() is None:
                continue
            ended = [t for t in ended if time.monotonic() - t < AGAIN_SECONDS] + [time.monotonic()]
            if len(ended) > MANY_ENDS:
                raise ServerError(
                    f"the Prefect server has ended {len(ended)} times in a row", str(self.log), _last_lines(self.log)
                )
            log.warning("the Prefect server has ended with code %s; starting it again", self._child.returncode)
            await self._start()

    async def _start(self) -> None:
        # The server needs none of our settings, which hold passwords of channels and of the database.
        settings = {k: v for k, v in os.environ.items() if not k.startswith("NEOTORCH_")}
        environment.prepare(self.home, self.api, settings)
        _turn_over(self.log)
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "neotorch.orchestration.serve", self.host, str(self.port)],
                stdin=subprocess.PIPE, stdout=output, stderr=output, env=settings,
                start_new_session=True,  # the terminal's Ctrl-C reaches us only: the worker ends before the server
            )  # fmt: skip
        try:
            await self._answers(self._child)
        except BaseException:
            stop(self._child)
            raise

    async def _answers(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(healthy, self.api):
            if child.poll() is not None:
                raise ServerError(
                    f"the Prefect server ended with code {child.returncode}", str(self.log), _last_lines(self.log)
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the Prefect server has not answered for {START_SECONDS:.0f} s",
                    str(self.log),
                    _last_lines(self.log),
                )
            await asyncio.sleep(0.1)


def stop(child: subprocess.Popen[bytes]) -> None:
    """End the child: politely, then not."""
    if child.stdin:
        child.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _last_lines(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "It said: " + " | ".join(lines[-3:]) if lines else "It said nothing."


def healthy(api: str) -> bool:
    """Whether a Prefect server answers at this address."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=2) as answer:  # noqa: S310 - an address of ours
            return bool(answer.status == 200 and answer.read().strip() == b"true")
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _turn_over(log: Path) -> None:
    """Begin a new file at a start where the old one has grown large; the one before it is kept."""
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


# ── a database that has been migrated already ─────────────────────────────────────────────────────────────────────────


def template() -> Path:
    """Return where the migrated, empty database of this Prefect version is kept for the next new data folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "neotorch" / f"prefect-{version('prefect')}.db"


def _from_template(home: Path) -> bool:
    """Copy the template, so that the server finds nothing to migrate; False if there is none."""
    if not template().is_file():
        return False
    shutil.copyfile(template(), home / "prefect.db.part")
    (home / "prefect.db.part").replace(home / "prefect.db")
    return True


def _to_template(database: Path) -> None:
    """Keep a copy of a database that has just been made and holds nothing yet. Failing to is no harm."""
    with contextlib.suppress(OSError, sqlite3.Error):
        template().parent.mkdir(parents=True, exist_ok=True)
        part = template().with_suffix(f".{os.getpid()}")
        with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.replace(template())
