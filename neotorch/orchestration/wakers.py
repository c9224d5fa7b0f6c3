"""How a sleeping run is started: handed to the worker of this process, or left to the next poll of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from neotorch.engine import Engine
from neotorch.orchestration.dispatcher import Find, Waker, in_engine
from neotorch.orchestration.names import PUTTING_BY, RECALCULATION, RECONCILIATION
from neotorch.orchestration.neighbours import UNSURE
from neotorch.orchestration.runs import Journeys, Runs, request_recalculation, wake_elsewhere
from neotorch.orchestration.verdicts import Surroundings
from neotorch.orchestration.worker import NeotorchWorker

KEPT = 50
"""Finished reconciliations that stay on the server; each costs about 100 KB."""


def waker(client: PrefectClient) -> Waker:
    """Return the way that fits this process."""
    worker = NeotorchWorker.current
    if worker is not None:
        return worker.wake

    async def wake(find: Find) -> bool:
        run = await find()
        return run is not None and await wake_elsewhere(client, run)

    return wake


async def known_journeys(client: PrefectClient, study: str) -> Journeys:
    """Return the journeys as the dispatcher of this process knows them, so that both know the same."""
    worker = NeotorchWorker.current
    if worker is not None and worker.dispatcher is not None:
        return worker.dispatcher.journeys
    return await Journeys.open(client, study)


async def with_orphans(client: PrefectClient, around: Surroundings, runs: Iterable[FlowRun]) -> Surroundings:
    """Return the surroundings with those of the runs whose worker is gone."""
    worker = NeotorchWorker.current
    if worker is None or worker.neighbours is None:
        return around
    unsure = [run for run in runs if run.state_type in UNSURE and run.id not in around.awake]
    return replace(around, orphans=await worker.neighbours.orphans(client, unsure))


async def catch_up(client: PrefectClient, engine: Engine) -> None:
    """Have the endpoints recalculated if the log has grown since a recalculation was last asked for."""
    position = await in_engine(engine.head)
    if not position:
        return
    run = await request_recalculation(client, engine.study.id, position)
    if run is None:
        return
    worker = NeotorchWorker.current
    await (worker.run_beside(run) if worker else wake_elsewhere(client, run))


async def tidy(client: PrefectClient, own: FlowRun, around: Callable[[], Surroundings]) -> None:
    """End runs of the other flows that nobody will end, and delete old reconciliations."""
    for name in (RECALCULATION, RECONCILIATION, PUTTING_BY):
        deployment = await client.read_deployment_by_name(f"{name}/{name}")
        runs = Runs(client, deployment.id)
        live = [r async for r in runs.all(StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING) if r.id != own.id]
        known = await with_orphans(client, around(), live)
        for run in live:
            await _end(client, run, known)
        if name == RECONCILIATION:
            await _forget_old(runs, own)


async def _end(client: PrefectClient, run: FlowRun, around: Surroundings) -> None:
    due = run.next_scheduled_start_time
    if run.state_type is StateType.SCHEDULED:
        if run.auto_scheduled and due and due < around.now and run.state_name == "Late":
            late: State[Any] = Cancelled(message="its time passed while no worker was running")
            await client.set_flow_run_state(run.id, late, force=True)
    elif around.abandoned(run):
        await client.set_flow_run_state(run.id, Crashed(message="its worker was killed"), force=True)


async def _forget_old(runs: Runs, own: FlowRun) -> None:
    finished = [run async for run in runs.all(StateType.COMPLETED, StateType.CANCELLED) if run.id != own.id]
    finished.sort(key=lambda run: run.created or run.expected_start_time, reverse=True)  # type: ignore[arg-type,return-value]
    for run in finished[KEPT:]:
        try:
            await runs.client.delete_flow_run(run.id)
        except ObjectNotFound:
            continue
