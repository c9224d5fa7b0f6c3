"""The Prefect server as a child process: clear words when it cannot be had, and patience with SQLite's write lock."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from neotorch.orchestration import environment
from neotorch.orchestration.serve import FIRST_RETRY_SECONDS, SoonAgain
from neotorch.orchestration.server import PortInUse, PrefectServer, ServerError, choose_port
from tests.flows.world import World


def test_a_port_in_use_is_said_before_anything_is_started(world: World) -> None:
    """The message says who is there, as far as can be told, and what to set."""
    words = r"another program is there already.*NEOTORCH_PREFECT_PORT"
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortInUse, match=words):
        choose_port("127.0.0.1", other.getsockname()[1])
    port = int(str(world.client.api_url).split(":")[2].split("/")[0])
    with pytest.raises(PortInUse, match="another Prefect server is there already"):
        choose_port("127.0.0.1", port)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A database that is none ends the start with the server's own last words, and no child is left."""
    (tmp_path / "prefect.db").write_text("this is no database" * 100)
    server = PrefectServer(tmp_path, "127.0.0.1", choose_port("127.0.0.1", 0))

    async def start() -> None:
        async with server:
            pass

    with pytest.raises(ServerError, match=r"ended with code.*It said: .*"):
        asyncio.run(start())
    assert server._child is None or server._child.poll() is not None


def test_settings_that_are_there_are_left_alone() -> None:
    """A variable of Prefect's that is set already wins over ours; all others are added."""
    variables = {"PREFECT_SERVER_LOGGING_LEVEL": "DEBUG", "PREFECT_API_URL": "http://elsewhere/api"}
    environment.prepare(Path("/data"), "http://127.0.0.1:1/api", variables)
    assert variables["PREFECT_SERVER_LOGGING_LEVEL"] == "DEBUG"
    assert environment.external_server(variables) == "http://elsewhere/api"
    assert variables["PREFECT_HOME"] == "/data"
    assert variables["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def answers(statuses: list[int]) -> list[dict[bytes, bytes]]:
    """The headers with which SoonAgain answers one request again and again, for these statuses of the app's."""
    found: list[dict[bytes, bytes]] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": statuses[len(found)], "headers": [(b"x", b"y")]})

    async def send(message: MutableMapping[str, Any]) -> None:
        found.append(dict(message["headers"]))

    async def ask() -> None:
        patient = SoonAgain(app)
        for _ in statuses:
            scope = {"type": "http", "client": ("127.0.0.1", 5), "method": "POST", "path": "/api/flow_runs"}
            await patient(scope, None, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    return found


def test_a_lost_write_lock_is_tried_again_soon_and_then_less_soon() -> None:
    """A 503 names a wait of milliseconds, four times as long each time; a success forgets the refusals."""
    found = answers([503, 503, 503, 201, 503])
    waits = [float(h[b"retry-after"]) if b"retry-after" in h else None for h in found]
    first = FIRST_RETRY_SECONDS
    assert waits == [first, pytest.approx(first * 4), pytest.approx(first * 16), None, first]
    assert all(h[b"x"] == b"y" for h in found)
