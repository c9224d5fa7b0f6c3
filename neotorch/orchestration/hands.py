"""The part of `neotorch up` that imports Prefect: makes the deployments, runs the worker in a thread, looks at all once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Self

from prefect.client.orchestration import PrefectClient, get_client
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker

from neotorch.engine import current_engine
from neotorch.orchestration import reconciler
from neotorch.orchestration.deploy import deploy
from neotorch.orchestration.dispatcher import follow_for_others
from neotorch.orchestration.names import RECONCILIATION
from neotorch.orchestration.worker import NeotorchWorker
from neotorch.settings import Settings


class Hands:
    """A worker in a thread of its own. Use as an async context manager."""

    def __init__(self, settings: Settings, worker_type: str, *, alone: bool) -> None:
        """`alone`: nobody else takes runs of this pool."""
        self.settings, self.worker_type, self.alone = settings, worker_type, alone
        self.pool = settings.work_pool if worker_type == "neotorch" else f"{settings.work_pool}-{worker_type}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="neotorch-worker", daemon=True)
        self._worker: BaseWorker[Any, Any, Any] | None = None

    async def __aenter__(self) -> Self:
        """Start the thread; returns when the worker takes runs."""
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)
        if self._failure:
            raise self._failure
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let a journey that is awake end its wake, then end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.shield(asyncio.to_thread(self._thread.join, 60))

    async def failed(self) -> None:
        """Wait for the worker to end by itself, and raise why."""
        while self._thread.is_alive():
            await asyncio.sleep(0.5)
        raise self._failure or RuntimeError("the worker has ended by itself")

    async def first_look(self, on_progress: Callable[[str, int, int], None]) -> str:
        """Reconcile all journeys with the log; returns what was found, in words."""

        def tell(done: int, total: int) -> None:
            on_progress("journeys", done, total)

        reconciler.progress_listeners.append(tell)
        try:
            future = asyncio.run_coroutine_threadsafe(self._reconcile(), self._loop)
            return await asyncio.wrap_future(future)
        finally:
            reconciler.progress_listeners.remove(tell)

    # ── in the thread ─────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main())
        except BaseException as failure:  # noqa: BLE001 - it is raised again in the thread that waits for us
            self._failure = failure
        finally:
            self._ready.set()

    async def _main(self) -> None:
        zone = current_engine().study.sites[0].time_zone
        async with get_client() as client:
            await deploy(client, pool=self.pool, pool_type=self.worker_type, time_zone=zone)
            self._worker = self._make()
            working = asyncio.create_task(self._worker.start(printer=lambda *_: None))
            others = asyncio.create_task(self._others(client))
            stopped = asyncio.create_task(self._stop.wait())
            await self._until_set_up(working)
            self._ready.set()
            done, _ = await asyncio.wait([working, others, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in (working, others, stopped):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
            for task in done - {stopped}:
                task.result()

    def _make(self) -> BaseWorker[Any, Any, Any]:
        if self.worker_type == "process":
            return ProcessWorker(work_pool_name=self.pool, name="neotorch", create_pool_if_not_found=False)
        worker = NeotorchWorker(
            work_pool_name=self.pool, name="neotorch", create_pool_if_not_found=False,
            lanes=self.settings.journeys_at_once,
        )  # fmt: skip
        worker.alone = self.alone
        return worker

    async def _others(self, client: PrefectClient) -> None:
        if self.worker_type == "neotorch":
            await asyncio.Event().wait()  # our own worker has its dispatcher in it
        await follow_for_others(client, current_engine())

    async def _until_set_up(self, working: asyncio.Task[None]) -> None:
        worker = self._worker
        while worker and not working.done():
            if worker.is_setup and (worker.dispatcher is not None if isinstance(worker, NeotorchWorker) else True):
                return
            await asyncio.sleep(0.02)
        await working

    async def _reconcile(self) -> str:
        async with get_client() as client:
            deployment = await client.read_deployment_by_name(f"{RECONCILIATION}/{RECONCILIATION}")
            run = await client.create_flow_run_from_deployment(
                deployment.id, parameters={"at_start": True}, name="reconcile at start"
            )
            if isinstance(self._worker, NeotorchWorker):
                await self._worker.run_beside(run)
            while True:
                run = await client.read_flow_run(run.id)
                if run.state and run.state.is_final():
                    return str(run.state.message)
                await asyncio.sleep(0.5)
