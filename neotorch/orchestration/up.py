"""`neotorch up`: Prefect server, deployments, dispatcher and worker, as one thing that is started and ended together.

Nothing here imports Prefect before its settings are made. The worker has a thread and an event loop of its own:
Prefect's run engine takes over SIGTERM in a main thread, and whatever else runs here must not be kept waiting by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from neotorch.observe.serve import Watch
from neotorch.orchestration import environment, presence
from neotorch.orchestration.presence import AlreadyUp, Presence
from neotorch.orchestration.server import PrefectServer, choose_port
from neotorch.orchestration.vitals import Vitals
from neotorch.settings import Settings

__all__ = ["AlreadyUp", "Running", "up"]

log = logging.getLogger("neotorch.orchestration")
WorkerType = Literal["neotorch", "process"]
Progress = Callable[[str, int, int], None]
"""(what, done, all): how far the start has come."""


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
    watch: str = ""
    """Where /metrics, /health and /ready are; empty if they are off."""


async def up(
    settings: Settings, *, on_ready: Callable[[Running], Awaitable[None] | None],
    on_progress: Progress = lambda *_: None, worker: WorkerType = "neotorch", stop: asyncio.Event | None = None,
) -> None:  # fmt: skip
    """Run until `stop` is set, or SIGINT or SIGTERM comes. Raises AlreadyUp, PortInUse, ServerError."""
    stop = stop or asyncio.Event()
    vitals = Vitals(settings)
    with presence.hold(settings.data_dir), _signals(stop), _watch(settings, vitals) as watch:
        here = Presence(os.getpid(), watch=watch, worker=worker)
        presence.tell(settings.data_dir, here)
        async with _server(settings, on_progress) as (api, own):
            vitals.api = api
            presence.tell(settings.data_dir, replace(here, api=api, own_server=own is not None))
            from neotorch.orchestration.hands import Hands  # imports Prefect, for which all is set now

            on_progress("worker", 0, 1)
            # A log in SQLite cannot be shared with workers elsewhere, and here the folder is ours alone.
            alone = worker == "neotorch" and (own is not None or settings.log_url.startswith("sqlite"))
            async with Hands(settings, worker, alone=alone) as hands:
                vitals.hands = hands
                found = await hands.first_look(on_progress)
                ready = Running(api, api.removesuffix("/api"), own is not None, found, hands.pool, watch)
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


@contextlib.contextmanager
def _watch(settings: Settings, vitals: Vitals) -> Iterator[str]:
    """Answer for metrics and health. A port in use is said, and nothing else hangs on it."""
    if settings.metrics_port is None:
        yield ""
        return
    host, port = settings.metrics_host, settings.metrics_port
    try:
        watch = Watch(host, port, vitals.signs, vitals.metrics)
    except OSError as error:
        todo = "set NEOTORCH_METRICS_PORT to another port, or to none"
        log.warning("no metrics and no health pages: %s:%s cannot be had (%s); %s", host, port, error.strerror, todo)
        yield ""
        return
    with watch:
        yield watch.address


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
