"""The `neotorch` worker type: runs flows in its own process, so that a wake costs no interpreter start.

Registered through the `prefect.collections` entry point, so `prefect worker start --type neotorch` knows it too. Due
runs come by Prefect's ordinary poll; new events come by the dispatcher, which hands the journey over at once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import anyio
import anyio.abc
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.states import Cancelled
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from neotorch.observe.metrics import counted_run
from neotorch.orchestration import adapter
from neotorch.orchestration.adapter import first_line, loudness
from neotorch.orchestration.names import JOURNEY
from neotorch.orchestration.neighbours import Neighbours, have_reconciled
from neotorch.orchestration.runs import Journeys
from neotorch.settings import load_settings

if TYPE_CHECKING:
    from prefect import Flow

    from neotorch.engine import Engine
    from neotorch.orchestration.dispatcher import Dispatcher

log = logging.getLogger("neotorch.worker")

Find = Callable[[], Awaitable[FlowRun | None]]
"""Returns the run that is to be woken, or None if it need not be any more."""
EVENT, TIMER = 0, 1
"""Whom to wake first: a journey with news, or one whose date has come."""
FOREIGN = 2
"""Added for a journey whose home is another worker: it comes after all of our own."""

OFFERED = timedelta(minutes=10)
"""So long it is remembered when the poll first offered a run that others see to."""
MEET_SECONDS = 10.0
"""How often to ask who is alive, or at each heartbeat if these come faster."""


class NeotorchResult(BaseWorkerResult):
    """How a run left this process."""


class NeotorchWorker(BaseWorker[BaseJobConfiguration, BaseVariables, NeotorchResult]):
    """Wakes journeys one after another (`lanes` at a time) and runs all other flows beside them."""

    type = "neotorch"
    job_configuration = BaseJobConfiguration
    _description = "Runs neotorch's flows in one long-lived process, woken by new events and by their own dates."
    current: ClassVar[NeotorchWorker | None] = None
    """The worker of this process, if there is one."""

    def __init__(self, *args: Any, lanes: int | None = None, **kwargs: Any) -> None:
        """Take what BaseWorker takes, and the number of journeys awake at a time (else as the settings say)."""
        super().__init__(*args, **{"prefetch_seconds": 0, **kwargs})
        self.lanes = lanes
        self.alone = False
        """Whether no other worker takes runs of this pool: then a run that is not awake here is not awake at all."""
        self.neighbours: Neighbours | None = None
        """The other workers of the pool, unless there are none by design."""
        self.dispatcher: Dispatcher | None = None
        self.awake: dict[UUID, anyio.CancelScope] = {}
        self.polled: float | None = None
        """When it last asked the server for due runs (`time.monotonic`)."""
        self._flows: dict[UUID, Flow[..., Any]] = {}
        self._due: dict[UUID, datetime] = {}
        """Runs of the poll that others see to first -> when it first offered them."""
        self._queue: asyncio.PriorityQueue[tuple[int, int, Find, asyncio.Future[bool]]] = asyncio.PriorityQueue()
        self._order = itertools.count()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def setup(self) -> None:
        """Connect, open the lanes, and start to follow the event log."""
        from neotorch.orchestration.dispatcher import follow  # not above: Prefect's server imports this module too

        adapter.calm_logs()
        # One client for all runs of this process: each new one would build an SSL context and open a connection.
        shared = await self._exit_stack.enter_async_context(AsyncClientContext.get_or_create())
        adapter.spare(shared.client)
        await super().setup()
        NeotorchWorker.current = self
        if not self.alone:
            self.neighbours = Neighbours(self.name)
            self._group.start_soon(self._meet, self.neighbours)
        for _ in range(self.lanes or load_settings().journeys_at_once):
            self._group.start_soon(self._lane)
        self._group.start_soon(follow, self)

    async def teardown(self, *exc_info: Any) -> None:
        """Let a journey that is awake end its wake, then disconnect."""
        NeotorchWorker.current = None
        with anyio.move_on_after(30, shield=True):
            while self.awake:
                await anyio.sleep(0.05)
        self._group.cancel_scope.cancel()
        await super().teardown(*exc_info)

    @property
    def _group(self) -> anyio.abc.TaskGroup:
        if self._runs_task_group is None:
            raise RuntimeError("the worker has not been set up")
        return self._runs_task_group

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────────────────────

    async def wake(self, find: Find, urgency: int = EVENT) -> bool:
        """Run a journey that is asleep, here and soon, and wait until it sleeps again; False if it was not ours to start.

        `find` returns its run, and makes it if need be. It is called when the journey's turn has come: on SQLite,
        whatever is written beside a wake only makes both slower.
        """
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        order = next(self._order)  # what is not ours is taken from the other end: at this one its home is at work
        self._queue.put_nowait((urgency, -order if urgency >= FOREIGN else order, find, waiting))
        return await waiting

    async def run_beside(self, run: FlowRun) -> bool:
        """Run a flow run that is no journey, beside whatever else is running."""
        return await self._start(run)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Ask the server for due runs (BaseWorker's poll)."""
        found = await super().get_and_submit_flow_runs()
        self.polled = time.monotonic()
        return found

    @property
    def queued(self) -> int:
        """How many wakes wait for a lane."""
        return self._queue.qsize()

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Take a due run from the poll (BaseWorker calls this); its own way costs eight API calls more."""
        try:
            await self._take(flow_run)
        finally:
            self._release_limit_slot(flow_run.id)
            self._submitting_flow_run_ids.discard(flow_run.id)
            if self._cancelling_observer is not None:
                self._cancelling_observer.remove_in_flight_flow_run_id(flow_run.id)

    async def run(
        self, flow_run: FlowRun, configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> NeotorchResult:  # fmt: skip
        """Run one flow run to its end or its next sleep."""
        if task_status is not None:
            task_status.started(0)
        ran = await self._take(flow_run)
        return NeotorchResult(identifier=str(flow_run.id), status_code=0 if ran else 1)

    async def _take(self, run: FlowRun) -> bool:
        async def found() -> FlowRun:
            return run

        async def still_due() -> FlowRun | None:
            fresh = await self.client.read_flow_run(run.id)
            due = fresh.next_scheduled_start_time
            return fresh if fresh.state_type is StateType.SCHEDULED and due and due <= datetime.now(UTC) else None

        if (await self._flow_of(run)).name != JOURNEY:
            return await self._start(run)
        wait = self.wait_seconds(str(run.parameters.get("subject")))
        if not wait:
            return await self.wake(found, TIMER)
        if self._left_alone(run, wait):
            return False  # the next poll offers it again, if it is still there
        return await self.wake(still_due, TIMER + FOREIGN)

    async def deployed(self, engine: Engine) -> Journeys:
        """Return the journeys; makes the deployments if nobody has (`prefect worker start --type neotorch`)."""
        from neotorch.orchestration.dispatcher import deployed
        from neotorch.orchestration.turns import deploy_for

        try:
            return await Journeys.open(self.client, engine.study.id)
        except ObjectNotFound:
            await deploy_for(engine, self.client, self._work_pool_name, self.type)
            return await deployed(self.client, engine.study.id)

    def wait_seconds(self, key: str) -> float:
        """Return how long to leave a patient to other workers; 0 if this one is the patient's home, or alone."""
        return self.neighbours.wait_seconds(key) if self.neighbours else 0.0

    def _left_alone(self, run: FlowRun, seconds: float) -> bool:
        now = datetime.now(UTC)
        for run_id in [i for i, at in self._due.items() if now - at > OFFERED]:
            del self._due[run_id]
        return now - self._due.setdefault(run.id, now) < timedelta(seconds=seconds)

    async def _meet(self, neighbours: Neighbours) -> None:
        while True:
            try:
                for lost in await neighbours.look(self.client, self._work_pool_name):
                    await have_reconciled(self.client, lost)
            except Exception as error:  # noqa: BLE001 - a server that is away comes back
                log.log(loudness(error), "cannot ask for the other workers: %s", first_line(error))
            await anyio.sleep(min(self.heartbeat_interval_seconds, MEET_SECONDS))

    # ── the lanes ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _lane(self) -> None:
        while True:
            _, _, find, waiting = await self._queue.get()
            ran = False
            try:
                run = await find()
                ran = run is not None and await self._start(run)
            except Exception as error:  # noqa: BLE001 - a server that is away must not end the lane
                log.log(loudness(error), "a journey could not be woken yet: %s", first_line(error))
            if not waiting.done():
                waiting.set_result(ran)

    async def _start(self, run: FlowRun) -> bool:
        flow = await self._flow_of(run)
        if run.id in self.awake:
            return False
        with anyio.CancelScope() as scope, counted_run(flow.name) as result:
            self.awake[run.id] = scope
            try:
                if not await adapter.claim(self.client, run, self.name):
                    result[0] = "refused"
                    return False
                await adapter.drive(flow, run, run.parameters)
            except ObjectNotFound:
                raise
            except Exception as error:  # noqa: BLE001 - the run's state on the server says so, too
                result[0] = "failed"
                keys = {"run": run.id, "subject": run.parameters.get("subject"), "result": "failed"}
                log.warning("run %s of %s ended with %s", run.id, flow.name, first_line(error), extra=keys)
            finally:
                del self.awake[run.id]
        if scope.cancelled_caught:
            await self.client.set_flow_run_state(run.id, Cancelled(message="cancelled by an operator"), force=True)
        return True

    async def _cancel_run(self, flow_run_id: UUID) -> None:
        """Stop a run of this process that an operator cancels (the observer of BaseWorker calls this)."""
        if scope := self.awake.get(flow_run_id):
            scope.cancel()
        else:
            await super()._cancel_run(flow_run_id)

    async def _flow_of(self, run: FlowRun) -> Flow[..., Any]:
        if run.deployment_id is None:
            raise ValueError(f"run {run.id} belongs to no deployment")
        if run.deployment_id not in self._flows:
            deployment = await self.client.read_deployment(run.deployment_id)
            self._flows[run.deployment_id] = load_flow_from_entrypoint(str(deployment.entrypoint))
        return self._flows[run.deployment_id]
