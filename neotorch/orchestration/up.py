"""`neotorch up`: Prefect server, deployments, dispatcher and worker, as one thing that is started and ended together.

Nothing here imports Prefect before its settings are made. The worker has a thread and an event loop of its own:
Prefect's run engine takes over SIGTERM in a main thread, and whatever else runs here must not be kept waiting by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib
import inspect
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neotorch.domain.errors import NeotorchError
from neotorch.orchestration import environment
from neotorch.orchestration.server import PrefectServer, choose_port
from neotorch.settings import Settings

WorkerType = Literal["neotorch", "process"]
Progress = Callable[[str, int, int], None]
"""(what, done, all): how far the start has come."""


class AlreadyUp(NeotorchError):
    """Another process runs this data folder."""


@dataclass(frozen=True)
class Running:
    """What is up, and where."""

    api: str
    ui: str
    own_server: bool
    reconciled: str
    """What the first reconciliation found, in words."""
    pool: str
    """Work pool that the runs come from."""


async def up(
    settings: Settings, *, on_ready: Callable[[Running], Awaitable[None] | None],
    on_progress: Progress = lambda *_: None, worker: WorkerType = "neotorch", stop: asyncio.Event | None = None,
) -> None:  # fmt: skip
    """Run until `stop` is set, or SIGINT or SIGTERM comes. Raises AlreadyUp, PortInUse, ServerError."""
    stop = stop or asyncio.Event()
    with _lock(settings.data_dir), _signals(stop):
        async with _server(settings, on_progress) as (api, own):
            from neotorch.orchestration.hands import Hands  # imports Prefect, for which all is set now

            on_progress("worker", 0, 1)
            # A log in SQLite cannot be shared with workers elsewhere, and here the folder is ours alone.
            alone = worker == "neotorch" and (own is not None or settings.log_url.startswith("sqlite"))
            async with Hands(settings, worker, alone=alone) as hands:
                ready = Running(
                    api, api.removesuffix("/api"), own is not None, await hands.first_look(on_progress), hands.pool
                )
                called = on_ready(ready)
                if inspect.isawaitable(called):
                    await called
                await _first(stop.wait(), hands.failed(), own.supervise() if own else stop.wait())


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for whichever ends first, and raise what it raised."""
    tasks = [asyncio.ensure_future(w) for w in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _server(settings: Settings, on_progress: Progress) -> AsyncIterator[tuple[str, PrefectServer | None]]:
    home = settings.data_dir / "prefect"
    export(settings)
    if address := environment.external_server():
        environment.prepare(home, address)
        yield address, None
        return
    on_progress("server", 0, 1)
    own = PrefectServer(home, settings.host, choose_port(settings.host, settings.prefect_port))
    environment.prepare(home, own.api)
    importing = asyncio.create_task(asyncio.to_thread(importlib.import_module, "neotorch.orchestration.hands"))
    async with own:  # importing Prefect takes seconds too, so both are done at once
        await importing
        on_progress("server", 1, 1)
        yield own.api, own


def export(settings: Settings) -> None:
    """Put the settings into the environment, for the engine of this process and for those of `process` workers."""
    values = settings.model_dump(mode="json", exclude_none=True, exclude={"channels"})
    channels = [c.model_dump(mode="json") | {"url": c.url.get_secret_value()} for c in settings.channels]
    os.environ.update({f"NEOTORCH_{name.upper()}": str(value) for name, value in values.items()})
    os.environ["NEOTORCH_CHANNELS"] = json.dumps(channels)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process; the system lets go of it when the process ends, however it does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.lock").open("a+") as file:
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
        yield


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Have SIGINT and SIGTERM end everything in order, where this is the main thread."""
    loop = asyncio.get_running_loop()
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
