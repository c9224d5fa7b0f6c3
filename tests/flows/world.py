"""The session's world: a Prefect server, a worker in a thread, and what tests do to them and read from them."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact, FlowRun, StateType, TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from neotorch.domain import events as ev
from neotorch.engine import Engine, current_engine
from neotorch.orchestration.hands import Hands
from neotorch.orchestration.names import RECONCILIATION, artifact_key, journey_key
from neotorch.orchestration.runs import Journeys
from neotorch.orchestration.server import PrefectServer
from neotorch.orchestration.up import export
from neotorch.orchestration.worker import NeotorchWorker
from neotorch.settings import Settings
from tests.support import fact

T = TypeVar("T")
PATIENCE_SECONDS = 60.0
"""A test fails when what it waits for has not come by then; nothing is said about how fast it comes."""


class World:
    """What a test sees of the running parts. `engine` is one of its own, as a recorder in another process has."""

    def __init__(self, settings: Settings, client: SyncPrefectClient, loop: asyncio.AbstractEventLoop) -> None:
        self.settings, self.client, self._loop = settings, client, loop
        self.engine = Engine.open(settings)
        self._numbers = itertools.count(101)
        self._ids = itertools.count(1)

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def today(self) -> date:
        """Today at the site."""
        return self.engine.today()

    def new_subject(self) -> str:
        """A code that has not been used."""
        return f"NT-{next(self._numbers)}"

    def tell(self, *facts: ev.AnyFact) -> None:
        """Record facts; all must be taken."""
        found = self.engine.record(facts)
        refused = [f"{a.fact.id}: {r.field}: {r.what}" for a in found for r in a.refusals]
        assert not refused, refused

    def contact(self, subject: str) -> ev.AnyFact:
        """A fact that asks for nothing but to be seen."""
        return fact("contact", self.today, subject, id=f"{subject}.contact.{next(self._ids)}")

    def patient(self, subject: str, days_ago: int = 1) -> FlowRun:
        """Give the subject's consent and wait until the journey sleeps."""
        self.tell(fact("consent", self.today - timedelta(days_ago), subject, site="S01", icf_version="1.0"))
        return self.asleep(subject)

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, subject: str) -> FlowRun | None:
        """The patient's one run."""
        return self.there(self._journeys().by_key(journey_key(self.engine.study.id, subject)))

    def runs(self, subject: str) -> list[FlowRun]:
        """All runs that were ever made for the subject."""

        async def read() -> list[FlowRun]:
            return [r async for r in self._journeys().all() if r.parameters.get("subject") == subject]

        return self.there(read())

    def live(self, subject: str) -> list[FlowRun]:
        """The subject's runs that have not ended."""
        return [r for r in self.runs(subject) if r.state and not r.state.is_final()]

    def steps(self, run: FlowRun) -> list[TaskRun]:
        """The run's task runs in the order in which they were made."""
        only = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        return self.client.read_task_runs(flow_run_filter=only, sort=TaskRunSort.EXPECTED_START_TIME_ASC)

    def step(self, subject: str, name: str) -> TaskRun:
        """Wait for a step whose name begins like this; the server writes task runs every two seconds."""

        def find() -> TaskRun | None:
            run = self.run(subject)
            return next(
                (
                    t
                    for t in (self.steps(run) if run else [])
                    if t.name.startswith(name) and t.state and t.state.is_final()
                ),
                None,
            )

        return until(find, f"step {name!r} of {subject}")

    def story(self, subject: str) -> list[Artifact]:
        """Every version of the patient's artifact, the newest first."""
        answer = self.client._client.post(
            "/artifacts/filter", json={"artifacts": {"key": {"any_": [artifact_key(subject)]}}, "sort": "CREATED_DESC"}
        )
        return [Artifact.model_validate(a) for a in answer.json()]

    def asleep(self, subject: str, *, seen: bool = True) -> FlowRun:
        """Wait until the journey sleeps, having seen all of the log; returns its run."""

        def find() -> FlowRun | None:
            if seen and self.engine.log.journey_seen(subject)[1] < self.engine.state(subject).position:
                return None
            run = self.run(subject)
            due = run and run.next_scheduled_start_time
            sleeps = run and run.state_type is StateType.SCHEDULED and run.run_count and due and due > datetime.now(UTC)
            return run if sleeps else None

        return until(find, f"{subject} to be asleep", lambda: self.account(subject))

    def account(self, subject: str) -> str:
        """How things stand with a subject, for the message of a test that fails."""
        runs = [
            f"{r.name}: {r.state}, due {r.next_scheduled_start_time}, woken {r.run_count} times"
            for r in self.runs(subject)
        ]
        seen, position = self.engine.log.journey_seen(subject)[1], self.engine.state(subject).position
        pending = self.worker.dispatcher.pending if self.worker.dispatcher else None
        return f"runs {runs}; seen {seen} of {position}; pending {pending}; awake {list(self.worker.awake)}"

    def ended(self, subject: str, kind: StateType = StateType.COMPLETED) -> FlowRun:
        """Wait until the journey's run is in a final state."""

        def find() -> FlowRun | None:
            run = self.run(subject)
            return run if run and run.state_type is kind else None

        return until(find, f"{subject} to be {kind}")

    def reconcile(self) -> FlowRun:
        """Have the deployment `reconcile` run, by the ordinary poll, and wait for its end."""
        deployment = self.client.read_deployment_by_name(f"{RECONCILIATION}/{RECONCILIATION}")
        return self.finished(self.client.create_flow_run_from_deployment(deployment.id, name="reconcile in a test").id)

    def finished(self, run_id: UUID) -> FlowRun:
        """Wait for a run to complete."""

        def find() -> FlowRun | None:
            run = self.client.read_flow_run(run_id)
            assert not (run.state and (run.state.is_failed() or run.state.is_crashed())), run.state
            return run if run.state and run.state.is_completed() else None

        return until(find, f"run {run_id} to complete")

    # ── inside the worker ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def worker(self) -> NeotorchWorker:
        """The worker of this process."""
        assert NeotorchWorker.current
        return NeotorchWorker.current

    def there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the worker's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_SECONDS)

    def _journeys(self) -> Journeys:
        dispatcher = self.worker.dispatcher
        assert dispatcher
        return dispatcher.journeys

    @contextmanager
    def nobody_follows(self) -> Iterator[None]:
        """Have the dispatcher look away for a while, as when it is in another process that is down."""
        dispatcher = self.worker.dispatcher
        assert dispatcher
        patch = pytest.MonkeyPatch()

        async def look(_: object) -> None:
            return None

        patch.setattr(dispatcher, "look", look)
        try:
            yield
        finally:
            patch.undo()


def until(find: Callable[[], T | None], what: str, account: Callable[[], str] = str) -> T:
    """Ask again and again until there is something; fails after a minute."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = find()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s for {what}; {account()}")


@contextmanager
def running_world(server: PrefectServer, folder: Path) -> Iterator[World]:
    """Start server and worker, as `neotorch up` does, in a thread; end them afterwards."""
    settings = Settings(data_dir=folder, channels=[], quiet_hours=False)
    export(settings)
    current_engine.cache_clear()
    started, stop = threading.Event(), threading.Event()
    box: dict[str, Any] = {}

    async def live() -> None:
        async with server, Hands(settings, "neotorch", alone=True) as hands:
            await hands.first_look(lambda *_: None)
            box["loop"] = hands._loop
            started.set()
            await asyncio.to_thread(stop.wait)

    def main() -> None:
        try:
            asyncio.run(live())
        except BaseException as failure:  # noqa: BLE001 - raised in the main thread
            box["failure"] = failure
        finally:
            started.set()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    started.wait()
    if "failure" in box:
        raise box["failure"]
    with get_client(sync_client=True) as client:
        yield World(settings, client, box["loop"])
    stop.set()
    thread.join(90)
    if "failure" in box:
        raise box["failure"]


__all__ = ["PrefectClient", "World", "running_world", "until"]
