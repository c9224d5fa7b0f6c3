"""Follows the event log and wakes the journeys that have news.

The recorder only writes to the log. Here its newest position is asked for every few milliseconds, which is one indexed
look-up, and each subject with new events is kept pending until its journey has seen them. So an event that arrives
while the journey is awake, or just as it goes to sleep, is not lost; after a restart the reconciler looks at all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar

import anyio
import anyio.abc
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from neotorch.engine import Engine, current_engine
from neotorch.orchestration.adapter import first_line, loudness
from neotorch.orchestration.names import JOURNEY
from neotorch.orchestration.runs import Journeys, request_recalculation, wake_elsewhere

if TYPE_CHECKING:
    from neotorch.orchestration.worker import NeotorchWorker

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("neotorch.dispatcher")

LOOK_SECONDS = 0.05
QUIET_SECONDS = 1.0
"""Endpoints are recalculated when no further event has come for so long ..."""
LONGEST_WAIT_SECONDS = 5.0
"""... and at the latest after so long."""
RETRY_SECONDS = (0.2, 60.0)
"""First and longest pause before a journey that could not be woken is tried again."""

Find = Callable[[], Awaitable[FlowRun | None]]
Waker = Callable[[Find], Awaitable[bool]]
"""Finds a sleeping run and wakes it; True once it has been started, or is about to be."""
Wait = Callable[[str], float]
"""How many seconds to leave a matter to other processes that follow the same log; 0 if it is this one's own."""

_engine_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="neotorch-engine")


async def in_engine(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the engine in its own thread: the loop goes on while the log waits for a lock or a network."""
    return await asyncio.get_running_loop().run_in_executor(
        _engine_thread, partial(copy_context().run, function, *args, **kwargs)
    )


def ask_engine(function: Callable[[], T], patience_seconds: float = 5.0) -> T:
    """Call the engine in its own thread, from a thread that has no loop. TimeoutError if its turn does not come."""
    return _engine_thread.submit(function).result(patience_seconds)


def behind(engine: Engine, subject: str) -> bool:
    """Whether the log holds events of the subject that its journey has not seen."""
    return engine.log.journey_seen(subject)[1] < engine.position(engine.state(subject))


class Dispatcher:
    """Follows one study's log from `position` on. `witness`: others write to the log, and their heads are noted too."""

    current: ClassVar[Dispatcher | None] = None
    """The one of this process, if there is one."""

    def __init__(
        self, engine: Engine, journeys: Journeys, wake: Waker, recalculate: Waker, position: int = 0, *,
        wait: Wait = lambda _: 0.0, witness: bool = False,
    ) -> None:  # fmt: skip
        self.engine, self.journeys, self.position = engine, journeys, position
        self.wake, self.recalculate = wake, recalculate
        self.wait, self.witness = wait, witness
        self.pending: set[str] = set()
        """Subjects with events that their journeys have yet to see."""
        self.looked: float | None = None
        """When it last looked at the log without a fault (`time.monotonic`)."""
        self._since: dict[str, float] = {}
        self._served: set[str] = set()
        self._endpoints_since: float | None = None
        self._endpoints_last = 0.0
        self._endpoints_upto = 0
        self._recalculating = False

    async def run(self) -> None:
        """Follow the log for ever. A log or a server that is away is waited for."""
        pause = LOOK_SECONDS
        async with anyio.create_task_group() as group:
            while True:
                try:
                    await self.look(group)
                    pause = LOOK_SECONDS
                except Exception as error:  # noqa: BLE001 - whatever it is, events must go on being looked for
                    pause = min(pause * 2, 10.0)
                    log.warning("cannot follow the event log: %s", first_line(error))
                await anyio.sleep(pause)

    async def look(self, group: anyio.abc.TaskGroup) -> None:
        """Take note of what is new, and start what has to be started."""
        if await in_engine(self.engine.head) > self.position:
            head, moved, bears = await in_engine(self.engine.subjects_since, self.position)
            self.position = head
            self.pending |= moved
            if self.witness:
                await in_engine(self.engine.log.witness)
            if bears:
                self.ask_endpoints(bears)
        self.looked = time.monotonic()
        for subject in self.pending - self._served:
            self._served.add(subject)
            self._since.setdefault(subject, self.looked)
            group.start_soon(self._serve, subject)
        if self._endpoints_due():
            self._recalculating = True
            group.start_soon(self._recalculate)

    def ask(self, subject: str) -> None:
        """See to it that the subject's journey looks at the log, if it has not seen all of it."""
        self.pending.add(subject)

    def ask_endpoints(self, upto: int) -> None:
        """See to it that the endpoints are recalculated soon, up to the event at this position."""
        self._endpoints_upto = max(self._endpoints_upto, upto)
        self._endpoints_last = time.monotonic()
        self._endpoints_since = self._endpoints_since or self._endpoints_last

    @property
    def longest_seconds(self) -> float:
        """How long the journey that waits longest has had news."""
        since = min(list(self._since.values()), default=None)
        return 0.0 if since is None else time.monotonic() - since

    @property
    def endpoints_asked(self) -> bool:
        """Whether a recalculation is asked for or running."""
        return self._endpoints_since is not None or self._recalculating

    async def _serve(self, subject: str) -> None:
        pause = RETRY_SECONDS[0]
        try:
            await anyio.sleep(self.wait(subject))
            while await in_engine(behind, self.engine, subject):
                if await self._wake(subject):
                    if not await in_engine(behind, self.engine, subject):
                        break
                elif not self.wait(subject):
                    self.journeys.forget(subject)  # awake elsewhere, or in a state that is not to be woken from
                await anyio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])
            self.pending.discard(subject)
            self._since.pop(subject, None)
        finally:
            self._served.discard(subject)

    async def _wake(self, subject: str) -> bool:
        try:
            return await self.wake(partial(self._find, subject))
        except ObjectNotFound:
            pass
        except Exception as error:  # noqa: BLE001 - a server that is away comes back; the subject stays pending
            log.log(loudness(error), "cannot wake %s yet: %s", subject, first_line(error))
        return False

    async def _find(self, subject: str) -> FlowRun | None:
        if not await in_engine(behind, self.engine, subject):
            return None  # another process was quicker
        return await self.journeys.find_or_create(subject)

    def _endpoints_due(self) -> bool:
        if self._endpoints_since is None or self._recalculating:
            return False
        now = time.monotonic()
        return now - self._endpoints_last >= QUIET_SECONDS or now - self._endpoints_since >= LONGEST_WAIT_SECONDS

    async def _recalculate(self) -> None:
        self._endpoints_since = None
        study, upto = self.engine.study.id, self._endpoints_upto
        try:
            await anyio.sleep(self.wait("endpoints"))
            await self.recalculate(partial(request_recalculation, self.journeys.client, study, upto))
        except Exception as error:  # noqa: BLE001 - asked for again until it is done
            log.log(loudness(error), "cannot recalculate yet: %s", first_line(error))
            await anyio.sleep(RETRY_SECONDS[0])
            self.ask_endpoints(upto)
        finally:
            self._recalculating = False


async def follow(worker: NeotorchWorker) -> None:
    """Dispatch to the worker of this process."""
    engine = await in_engine(current_engine)
    position = await in_engine(engine.head)
    journeys = await worker.deployed(engine)

    async def recalculate(find: Find) -> bool:
        run = await find()
        return run is not None and await worker.run_beside(run)

    worker.dispatcher = Dispatcher.current = Dispatcher(
        engine, journeys, worker.wake, recalculate, position, wait=worker.wait_seconds, witness=not worker.alone
    )
    await worker.dispatcher.run()


async def follow_for_others(client: PrefectClient, engine: Engine, name: str = JOURNEY) -> None:
    """Wake the journeys of deployment `name` for workers in other processes, such as a plain `process` pool."""
    position = await in_engine(engine.head)
    journeys = await deployed(client, engine.study.id, name)

    async def wake(find: Find) -> bool:
        run = await find()
        return run is not None and await wake_elsewhere(client, run)

    Dispatcher.current = Dispatcher(engine, journeys, wake, wake, position)
    await Dispatcher.current.run()


async def deployed(client: PrefectClient, study: str, name: str = JOURNEY) -> Journeys:
    """Return the journeys of a deployment; waits until it has been made."""
    while True:
        try:
            return await Journeys.open(client, study, name)
        except ObjectNotFound:
            log.warning("the deployments have not been made yet; waiting for them")
            await anyio.sleep(2)
