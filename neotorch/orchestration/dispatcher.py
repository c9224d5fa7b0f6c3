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

Find = Callable[[], Awaitable[FlowRun]]
Waker = Callable[[Find], Awaitable[bool]]
"""Finds a sleeping run and wakes it; True once it has been started, or is about to be."""

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
    """Follows one study's log from `position` on."""

    current: ClassVar[Dispatcher | None] = None
    """The one of this process, if there is one."""

    def __init__(self, engine: Engine, journeys: Journeys, wake: Waker, recalculate: Waker, position: int = 0) -> None:
        self.engine, self.journeys, self.position = engine, journeys, position
        self.wake, self.recalculate = wake, recalculate
        self.pending: set[str] = set()
        """Subjects with events that their journeys have yet to see."""
        self.looked: float | None = None
        """When it last looked at the log without a fault (`time.monotonic`)."""
        self._since: dict[str, float] = {}
        self._served: set[str] = set()
        self._endpoints_since: float | None = None
        self._endpoints_last = 0.0
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
            if bears:
                self.ask_endpoints()
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

    def ask_endpoints(self) -> None:
        """See to it that the endpoints are recalculated soon."""
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
            while await in_engine(behind, self.engine, subject):
                if await self._wake(subject):
                    if not await in_engine(behind, self.engine, subject):
                        break
                else:
                    self.journeys.forget(subject)  # awake elsewhere, or in a state that is not to be woken from
                await anyio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])
            self.pending.discard(subject)
            self._since.pop(subject, None)
        finally:
            self._served.discard(subject)

    async def _wake(self, subject: str) -> bool:
        try:
            return await self.wake(partial(self.journeys.find_or_create, subject))
        except ObjectNotFound:
            pass
        except Exception as error:  # noqa: BLE001 - a server that is away comes back; the subject stays pending
            log.log(loudness(error), "cannot wake %s yet: %s", subject, first_line(error))
        return False

    def _endpoints_due(self) -> bool:
        if self._endpoints_since is None or self._recalculating:
            return False
        now = time.monotonic()
        return now - self._endpoints_last >= QUIET_SECONDS or now - self._endpoints_since >= LONGEST_WAIT_SECONDS

    async def _recalculate(self) -> None:
        self._endpoints_since = None
        try:
            await self.recalculate(
                partial(request_recalculation, self.journeys.client, self.engine.study.id, self.position)
            )
        except Exception as error:  # noqa: BLE001 - asked for again until it is done
            log.log(loudness(error), "cannot recalculate yet: %s", first_line(error))
            await anyio.sleep(RETRY_SECONDS[0])
            self.ask_endpoints()
        finally:
            self._recalculating = False


async def follow(worker: NeotorchWorker) -> None:
    """Dispatch to the worker of this process."""
    engine = await in_engine(current_engine)
    position = await in_engine(engine.head)
    journeys = await _deployed(worker.client, engine.study.id)

    async def recalculate(find: Find) -> bool:
        return await worker.run_beside(await find())

    worker.dispatcher = Dispatcher.current = Dispatcher(engine, journeys, worker.wake, recalculate, position)
    await worker.dispatcher.run()


async def follow_for_others(client: PrefectClient, engine: Engine, name: str = JOURNEY) -> None:
    """Wake the journeys of deployment `name` for workers in other processes, such as a plain `process` pool."""
    position = await in_engine(engine.head)
    journeys = await _deployed(client, engine.study.id, name)

    async def wake(find: Find) -> bool:
        return await wake_elsewhere(client, await find())

    Dispatcher.current = Dispatcher(engine, journeys, wake, wake, position)
    await Dispatcher.current.run()


async def _deployed(client: PrefectClient, study: str, name: str = JOURNEY) -> Journeys:
    while True:
        try:
            return await Journeys.open(client, study, name)
        except ObjectNotFound:
            log.warning("the deployments have not been made yet; waiting for them")
            await anyio.sleep(2)
