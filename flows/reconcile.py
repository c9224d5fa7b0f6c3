"""Every patient of the event log has exactly one journey, and it sleeps where the log says it should.

Runs at each start and every few minutes. With it, nothing hangs on an event or an automation alone: drop Prefect's
database, kill a worker, cancel or delete runs, and the next reconciliation puts the journeys back, from the log.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from flows.tell_operators import tell_all
from neotorch.engine import crash_point, current_engine
from neotorch.orchestration import names, sleep
from neotorch.orchestration.dispatcher import in_engine
from neotorch.orchestration.reconciler import Outcome, Reconciler, now, until_settled
from neotorch.orchestration.successes import succeeded
from neotorch.orchestration.turns import turn
from neotorch.orchestration.verdicts import Surroundings
from neotorch.orchestration.wakers import catch_up, known_journeys, tidy, waker, with_orphans
from neotorch.orchestration.worker import NeotorchWorker


@flow(name=names.RECONCILIATION, persist_result=False, retries=0)
async def reconcile(at_start: bool = False) -> Any:
    """Compare the journeys with the log and set right what is wrong; at a start, catch up with the endpoints too."""
    engine = await in_engine(current_engine)
    client, run = sleep.this_run()
    journeys = await known_journeys(client, engine.study.id)
    reconciler = Reconciler(engine, journeys, waker(client), surroundings, with_orphans)
    crash_point("reconcile-started")

    @task(task_run_name="compare with the log", persist_result=False, cache_policy=NO_CACHE)
    async def look() -> Outcome:
        async with turn(engine, f"reconcile/{engine.study.id}"):  # two at once would revive each other's journeys
            return await reconciler.look()

    outcomes = await until_settled(look)
    await tidy(client, run, surroundings)
    await tell_all()  # a channel that was down, or a claim that a kill left behind: nothing else would come back to it
    if at_start:
        await catch_up(client, engine)
    await in_engine(succeeded, "reconciliation")
    return Completed(message=" → ".join(o.words for o in outcomes))


def surroundings() -> Surroundings:
    """Return what this process knows about who is awake."""
    worker = NeotorchWorker.current
    return Surroundings(now(), set(worker.awake) if worker else set(), worker.alone if worker else False)
