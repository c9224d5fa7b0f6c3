"""The part of `neotorch up` that imports Prefect: makes the deployments, wakes the journeys, looks at all of them once.

It has a thread and an event loop of its own. With a plain `process` pool it only wakes: whoever runs
`prefect worker start --pool POOL --type process` does the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.states import Scheduled

from neotorch.engine import Engine, current_engine
from neotorch.observe import logs
from neotorch.orchestration import reconciler
from neotorch.orchestration.dispatcher import follow_for_others
from neotorch.orchestration.names import RECONCILIATION
from neotorch.orchestration.neighbours import worker_name
from neotorch.orchestration.runs import ABANDONED, Journeys
from neotorch.orchestration.turns import deploy_for
from neotorch.orchestration.verdicts import Surroundings
from neotorch.orchestration.wakers import catch_up, waker
from neotorch.orchestration.worker import NeotorchWorker
from neotorch.settings import Settings

T = TypeVar("T")
JOIN_SECONDS = 60.0
AGAIN_SECONDS = 3.0
log = logging.getLogger("neotorch.orchestration")


class Hands:
    """Dispatcher, and worker unless others do the work, in a thread. Use as an async context manager."""

    def __init__(self, settings: Settings, worker_type: str, *, alone: bool) -> None:
        """`alone`: nobody else takes runs of this pool."""
        self.settings, self.worker_type, self.alone = settings, worker_type, alone
        self.pool = settings.work_pool if worker_type == "neotorch" else f"{settings.work_pool}-{worker_type}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="neotorch-worker", daemon=True)
        self.worker: NeotorchWorker | None = None

    async def __aenter__(self) -> Self:
        """Start the thread; returns when journeys are woken."""
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)
        if self._failure:
            raise self._failure
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let a journey that is awake end its wake, then end the thread."""
        with contextlib.suppress(RuntimeError):  # the loop may have ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.shield(asyncio.to_thread(self._thread.join, JOIN_SECONDS))

    async def failed(self) -> None:
        """Wait for the thread to end by itself, and raise why."""
        while self._thread.is_alive():
            await asyncio.sleep(0.5)
        raise self._failure or RuntimeError("the worker has ended by itself")

    async def first_look(self, on_progress: Callable[[str, int, int], None]) -> str:
        """Reconcile all journeys with the log; returns what was found, in words."""

        def tell(done: int, total: int) -> None:
            on_progress("journeys", done, total)

        reconciler.progress_listeners.append(tell)
        try:
            return await self._there(self._by_flow() if self.worker else self._by_hand())
        finally:
            reconciler.progress_listeners.remove(tell)

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

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
        logs.take_over()  # Prefect, imported by now, has put handlers of its own in place
        engine = current_engine()
        async with get_client() as client:
            await deploy_for(engine, client, self.pool, self.worker_type)  # the worker needs its pool
            work = asyncio.ensure_future(self._work(client, engine))
            stopped = asyncio.ensure_future(self._stop.wait())
            await self._until_ready(work)
            self._ready.set()
            await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                stopped.cancel()
                return work.result()
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    def _work(self, client: PrefectClient, engine: Engine) -> Awaitable[None]:
        if self.worker_type != "neotorch":
            return follow_for_others(client, engine)
        self.worker = NeotorchWorker(
            work_pool_name=self.pool,
            name=worker_name(self.settings.data_dir),
            create_pool_if_not_found=False,
            lanes=self.settings.journeys_at_once,
        )
        self.worker.alone = self.alone
        return self.worker.start(printer=lambda *_: None)

    async def _until_ready(self, work: asyncio.Future[None]) -> None:
        while self.worker and not (self.worker.is_setup and self.worker.dispatcher):
            if work.done():
                work.result()
            await asyncio.sleep(0.02)

    async def _by_flow(self) -> str:
        assert self.worker
        client = self.worker.client
        deployment = await client.read_deployment_by_name(f"{RECONCILIATION}/{RECONCILIATION}")
        later: State[Any] = Scheduled(scheduled_time=reconciler.now() + ABANDONED)  # no other worker's poll takes it
        run = await client.create_flow_run_from_deployment(
            deployment.id, parameters={"at_start": True}, name="reconcile at start", state=later
        )
        await self.worker.run_beside(run)
        state = (await client.read_flow_run(run.id)).state
        if state is not None and not state.is_completed():  # e.g. a busy server; the journeys must not wait for it
            log.warning("the reconciliation at start failed, once more: %s", str(state.message).splitlines()[0])
            await asyncio.sleep(AGAIN_SECONDS)
            return await self._by_flow()
        return str(state.message) if state else ""

    async def _by_hand(self) -> str:
        engine = current_engine()
        async with get_client() as client:
            journeys = await Journeys.open(client, engine.study.id)
            around = lambda: Surroundings(reconciler.now())  # noqa: E731
            outcome = await reconciler.Reconciler(engine, journeys, waker(client), around).look()
            await catch_up(client, engine)
            return outcome.words
