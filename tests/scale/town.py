"""`deployments/compose.yaml` from plain processes on loopback: the same commands, the same environment, other addresses.

What a container is there is a process here that can be killed and started again. Postgres and Redis are real ones; the
balancer is a TCP proxy of this module's own, as no nginx is asked for here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from neotorch.orchestration.server import choose_port, healthy
from tests.postgres import PostgresServer, _end_with_parent, running_postgres

LOOPBACK = "127.0.0.1"
START_SECONDS = 120.0
APIS = ("api-1", "api-2")
STARTED = b"-- started --\n"


def compose() -> dict[str, Any]:
    """Return the content of compose.yaml."""
    return dict(yaml.safe_load((resources.files("deployments") / "compose.yaml").read_text(encoding="utf-8")))


class Town:
    """All services of compose.yaml. `more`: further variables of the workers, such as channels."""

    def __init__(self, folder: Path, postgres: PostgresServer, more: dict[str, str], workers: int = 3) -> None:
        self.folder, self.postgres, self.more = folder, postgres, more
        self._services = compose()["services"]
        self.workers = tuple(f"worker-{n}" for n in range(1, workers + 1))
        self._databases = {name: postgres.new_database() for name in ("prefect", "neotorch")}
        self.ports = {name: choose_port(LOOPBACK, 0) for name in (*APIS, "redis")}
        self.balancer = Balancer([self.ports[name] for name in APIS])
        self.api = f"http://{LOOPBACK}:{self.balancer.port}/api"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def log_url(self) -> str:
        """SQLAlchemy URL of the event log."""
        return self.postgres.url(self._databases["neotorch"])

    # ── services ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start everything and wait until every worker is up."""
        self.begin("redis")
        self.run("migrate")
        for name in (*APIS, "services"):
            self.begin(name)
        for name in APIS:
            self.ready(name)
        for name in self.workers:
            self.begin(name)
        for name in self.workers:
            self.ready(name)

    def begin(self, name: str) -> None:
        """Start one service, without waiting for it."""
        with (self.folder / f"{name}.log").open("ab") as output:
            output.write(STARTED)
            output.flush()
            self._running[name] = subprocess.Popen(
                self.command(name), env=self.environment(name), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=self.folder, preexec_fn=_end_with_parent, start_new_session=True,  # noqa: PLW1509 - see tests/postgres.py
            )  # fmt: skip

    def run(self, name: str) -> None:
        """Run a service that ends by itself."""
        self.begin(name)
        assert self._running.pop(name).wait(START_SECONDS) == 0, self.said(name)

    def ready(self, name: str) -> None:
        """Wait until a service does what it is for."""
        end = time.monotonic() + START_SECONDS
        while not self._answers(name):
            assert self._running[name].poll() is None, f"{name} has ended: {self.said(name)}"
            assert time.monotonic() < end, f"{name} does not come up: {self.said(name)}"
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        """Kill -9."""
        self._running[name].kill()
        self._running.pop(name).wait()

    def end(self, name: str) -> None:
        """End one service in order."""
        self._running[name].terminate()
        self._wait(name)
        del self._running[name]

    def database(self, name: str) -> str:
        """What the database of this name in compose.yaml is called here."""
        return self._databases[name]

    def stop(self) -> None:
        """End everything, the workers first."""
        for name in sorted(self._running, key=lambda n: not n.startswith("worker")):
            self._running[name].terminate()
            if name == self.workers[-1]:
                for worker in self.workers:
                    self._wait(worker)
        for name in list(self._running):
            self._wait(name)
        self.balancer.close()

    def _wait(self, name: str) -> None:
        process = self._running.get(name)
        if process is None:
            return
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def said(self, name: str) -> str:
        """The last lines of a service's log."""
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-15:])

    def _answers(self, name: str) -> bool:
        if name in APIS:
            return healthy(f"http://{LOOPBACK}:{self.ports[name]}/api")
        if name == "redis":
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.ports[name]), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            return False
        said = (self.folder / f"{name}.log").read_bytes()
        return b"neotorch is up" in said.rpartition(STARTED)[2]

    # ── what compose.yaml says, with addresses of this machine ────────────────────────────────────────────────────

    def command(self, name: str) -> list[str]:
        """The command of a service, run by the interpreter of the tests."""
        program, *arguments = shlex.split(self._services[name]["command"])
        if name == "redis":
            arguments += ["--bind", LOOPBACK, "--port", str(self.ports[name])]
        found = Path(sys.executable).with_name(program)
        return [str(found) if found.exists() else shutil.which(program) or program, *arguments]

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service, and nothing of Prefect's or neotorch's besides."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "NEOTORCH_"))}
        said = {k: self.local(name, k, str(v)) for k, v in self._services[name].get("environment", {}).items()}
        home = self.folder / name
        home.mkdir(exist_ok=True)
        said["PREFECT_HOME"] = str(home / "prefect")
        if name.startswith("worker"):
            said |= {"NEOTORCH_DATA_DIR": str(home)} | self.more
        return own | said

    def local(self, service: str, variable: str, value: str) -> str:
        """The value that means here what `value` means between containers."""
        if variable == "PREFECT_SERVER_API_HOST":
            return LOOPBACK
        if variable == "PREFECT_SERVER_API_PORT":
            return str(self.ports.get(service, 0))
        if variable == "PREFECT_REDIS_MESSAGING_HOST":
            return LOOPBACK
        if variable == "PREFECT_REDIS_MESSAGING_PORT":
            return str(self.ports["redis"])
        if value.startswith("postgresql"):
            scheme, _, database = value.partition("://")[0], *value.rpartition("/")[1:]
            return self.postgres.url(self._databases[database], scheme.removeprefix("postgresql"))
        if value.startswith("redis://"):
            return f"redis://{LOOPBACK}:{self.ports['redis']}{urlsplit(value).path}"
        if value.startswith("http://balancer"):
            return self.api
        return re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)

    # ── the Prefect server, asked over HTTP as it is ──────────────────────────────────────────────────────────────

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """POST through the balancer and read the answer; once more if a server has just been killed."""
        request = urllib.request.Request(
            f"{self.api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        for attempt in range(5):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except OSError:
                if attempt == 4:
                    raise
                time.sleep(0.5)
        return None

    def journeys(self) -> list[dict[str, Any]]:
        """All runs of the flow patient-journey."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.ask(
                "/flow_runs/filter",
                {
                    "flows": {"name": {"any_": ["patient-journey"]}},
                    "sort": "ID_DESC",
                    "limit": 200,
                    "offset": len(found),
                },
            )
            found += page
            if len(page) < 200:
                return found


class Balancer:
    """Hands each connection to the next server that takes it."""

    def __init__(self, ports: list[int]) -> None:
        self._ports, self._turn = ports, 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True).start()
        starting = asyncio.start_server(self._serve, LOOPBACK, 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Take no more connections."""
        self._loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await self._next()
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(len(self._ports) - 1):
            self._turn += 1
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(LOOPBACK, self._ports[self._turn % len(self._ports)])
        self._turn += 1
        return await asyncio.open_connection(LOOPBACK, self._ports[self._turn % len(self._ports)])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


@contextmanager
def running_town(folder: Path, more: dict[str, str], workers: int = 3) -> Iterator[Town]:
    """A town on a Postgres of its own; all of it is ended at the end."""
    with running_postgres() as postgres:
        town = Town(folder, postgres, more, workers)
        try:
            town.start()
            yield town
        finally:
            town.stop()
