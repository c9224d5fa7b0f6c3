"""Brings the journeys on the Prefect server in line with the event log, which alone is right.

At each start and on a schedule. It looks again until nothing is left to do, because a run that was reported Crashed may
be reported a second time seconds later, over a wake that came in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from uuid import UUID

import anyio
import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelled, Scheduled

from neotorch.engine import Engine
from neotorch.foresight import hold_back
from neotorch.orchestration.adapter import first_line, loudness
from neotorch.orchestration.dispatcher import Waker, in_engine
from neotorch.orchestration.names import journey_key
from neotorch.orchestration.runs import Journeys
from neotorch.orchestration.verdicts import Surroundings, Verdict, judge, unknown

log = logging.getLogger("neotorch.reconciler")

PAUSES_SECONDS = (0.5, 2.0, 5.0, 15.0)
"""Pauses before further looks."""
LATE_REPORT_SECONDS = 15.0
"""So long after a wake of a crashed run a second report of the crash may still come."""

Gone = Callable[[PrefectClient, Surroundings, Iterable[FlowRun]], Awaitable[Surroundings]]
Progress = Callable[[int, int], None]
"""(done, all) of what there is to do."""
progress_listeners: list[Progress] = []
"""Who wants to know how far a reconciliation in this process has come."""


@dataclass(frozen=True)
class Outcome:
    """What one look found and did, in numbers and words."""

    patients: int
    done: tuple[str, ...]
    """One line per patient about whom something was done: subject, action, why."""
    crashed: bool = False

    @property
    def words(self) -> str:
        """Return it in a line."""
        return f"{self.patients} patients, {len(self.done) or 'nothing'} to set right"


class Reconciler:
    """Compares and sets right. `wake` starts a run, here or elsewhere."""

    def __init__(
        self,
        engine: Engine,
        journeys: Journeys,
        wake: Waker,
        around: Callable[[], Surroundings],
        gone: Gone | None = None,
    ) -> None:
        """`gone` adds to the surroundings which runs have lost their worker."""
        self.engine, self.journeys, self.wake, self.around = engine, journeys, wake, around
        self.gone = gone
        self._orphans: Collection[str] = ()
        self._one_by_one = asyncio.Lock()

    async def look(self) -> Outcome:
        """Look at all patients once and set right what is wrong; returns when the journeys woken are asleep again."""
        await in_engine(hold_back, self.engine)  # before anybody is woken who would send
        patients, verdicts = await self.compare()
        todo = {s: v for s, v in verdicts.items() if v.action != "leave" or v.cancel}
        await self._all(todo)
        crashed = any(v.run and v.run.state_type is StateType.CRASHED for v in todo.values())
        return Outcome(patients, tuple(f"{s}: {v.action}: {v.why}" for s, v in sorted(todo.items())), crashed)

    async def compare(self) -> tuple[int, dict[str, Verdict]]:
        """Return the number of patients, and what is to be done about each one's runs (also of subjects unknown to the log)."""
        before = set(self.around().awake)  # who was awake when its run was read may have gone to sleep since
        subjects = await in_engine(self.engine.subjects)
        by_subject: dict[str, list[FlowRun]] = {subject: [] for subject in subjects}
        async for run in self.journeys.all():
            if run.parameters.get("study") == self.engine.study.id:
                by_subject.setdefault(run.parameters.get("subject", ""), []).append(run)
        self._orphans = await self._gone(before, chain.from_iterable(by_subject.values()))
        verdicts = {s: await self._judge(s, by_subject.pop(s), before) for s in subjects}
        return len(subjects), verdicts | {s: unknown(runs) for s, runs in by_subject.items()}

    async def _gone(self, before: set[UUID], runs: Iterable[FlowRun]) -> Collection[str]:
        around = self.around()
        around = replace(around, awake=before | set(around.awake))
        return (await self.gone(self.journeys.client, around, runs)).orphans if self.gone else ()

    async def _judge(self, subject: str, runs: list[FlowRun], before: set[UUID]) -> Verdict:
        plan = await in_engine(self.engine.plan, subject)
        around = self.around()
        around = replace(around, awake=before | set(around.awake), orphans=self._orphans)
        verdict = judge(plan, runs, journey_key(self.engine.study.id, subject), around)
        if verdict.run is not None:
            self.journeys.remember(subject, verdict.run)
        else:
            self.journeys.forget(subject)
        return verdict

    async def _all(self, todo: dict[str, Verdict]) -> None:
        done = 0
        _tell(done, len(todo))
        running = [asyncio.ensure_future(self._act(s, v)) for s, v in todo.items()]
        for finished in asyncio.as_completed(running):
            await finished
            done += 1
            _tell(done, len(todo))

    async def _act(self, subject: str, verdict: Verdict) -> None:
        client = self.journeys.client
        for extra in verdict.cancel:
            await client.set_flow_run_state(extra.id, Cancelled(message=verdict.why_cancel), force=True)
        run = verdict.run
        try:
            match verdict.action:
                case "create":
                    await self._create(subject)
                case "wake" | "revive" if run:
                    await self.wake(partial(self._ready, run, verdict))
        except ObjectNotFound:
            self.journeys.forget(subject)  # deleted meanwhile; the next look makes a new one
        except (PrefectHTTPStatusError, httpx.TransportError) as error:
            # one refusal of a busy server must not leave all the others unlooked at; the next look tries again
            log.log(loudness(error), "%s: could not %s yet: %s", subject, verdict.action, first_line(error))

    async def _ready(self, run: FlowRun, verdict: Verdict) -> FlowRun | None:
        if verdict.action == "revive":
            fresh = (await self.journeys.client.read_flow_run(run.id)).state
            if fresh and run.state and fresh.id != run.state.id:
                return None  # not as dead as it seemed: it has moved since it was judged
            await self.journeys.client.set_flow_run_state(run.id, Scheduled(message=verdict.why), force=True)
        return run

    async def _create(self, subject: str) -> None:
        plan = await in_engine(self.engine.plan, subject)
        if plan.steps or plan.done:
            await self.wake(partial(self.journeys.find_or_create, subject))
        else:
            async with self._one_by_one:
                await self.journeys.create_asleep(plan)


def _tell(done: int, total: int) -> None:
    for listener in progress_listeners:
        listener(done, total)


async def until_settled(look: Callable[[], Awaitable[Outcome]]) -> list[Outcome]:
    """Look again and again, with pauses, until a look finds nothing to do. Returns what was found each time."""
    outcomes = [await look()]
    for pause in PAUSES_SECONDS:
        if not outcomes[-1].done:
            break
        await anyio.sleep(LATE_REPORT_SECONDS if outcomes[-1].crashed else pause)
        outcomes.append(await look())
    return outcomes


def now() -> datetime:
    """Return the present instant; Prefect's timers run on the real clock whatever the engine's says."""
    return datetime.now(UTC)
