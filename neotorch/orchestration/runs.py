"""Flow runs by their business key: the one run of each patient, and the recalculations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterIdempotencyKey,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

from neotorch.orchestration import adapter
from neotorch.orchestration.names import JOURNEY, RECALCULATION, journey_key, recalculation_key
from neotorch.plan import Plan

PAGE = 200
"""Runs per request; the server gives no more."""
ABANDONED = timedelta(minutes=1)
"""A run that was created for somebody to start at once comes by the ordinary poll after so long."""

REFUSING = {StateType.CANCELLED, StateType.PAUSED}
"""States that the server lets nobody wake a run from, though a patient's journey may have to go on."""


class Runs:
    """The flow runs of one deployment, found and made through one client."""

    def __init__(self, client: PrefectClient, deployment_id: UUID) -> None:
        self.client, self.deployment_id = client, deployment_id

    async def by_key(self, key: str) -> FlowRun | None:
        """Return the run with this idempotency key."""
        found = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[key])),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment_id])), limit=1,
        )  # fmt: skip
        return found[0] if found else None

    async def all(self, *types: StateType) -> AsyncIterator[FlowRun]:
        """Yield all runs of the deployment, or those in states of some types; one request per 200."""
        states = (
            FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))) if types else None
        )
        offset = 0
        while True:
            page = await self.client.read_flow_runs(
                flow_run_filter=states, deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment_id])),
                sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset,
            )  # fmt: skip
            for run in page:
                yield run
            if len(page) < PAGE:
                return
            offset += PAGE


class Journeys(Runs):
    """The patients' runs. Which run is whose is remembered; a run that is gone is looked up anew."""

    def __init__(self, client: PrefectClient, deployment_id: UUID, study: str) -> None:
        super().__init__(client, deployment_id)
        self.study = study
        self._known: dict[str, FlowRun] = {}

    @classmethod
    async def open(cls, client: PrefectClient, study: str, name: str = JOURNEY) -> Journeys:
        """Find the deployment called `name`; ObjectNotFound if it has not been made."""
        deployment = await client.read_deployment_by_name(f"{JOURNEY}/{name}")
        return cls(client, deployment.id, study)

    def remember(self, subject: str, run: FlowRun) -> None:
        """Take `run` for the subject's one run."""
        self._known[subject] = run

    def forget(self, subject: str) -> None:
        """Look the subject's run up anew next time."""
        self._known.pop(subject, None)

    async def find_or_create(self, subject: str) -> FlowRun:
        """Return the subject's run; a new one starts by itself after a minute unless it is woken before."""
        if subject not in self._known:
            found = await self.by_key(journey_key(self.study, subject))
            if found and found.state_type in REFUSING:
                await self.client.set_flow_run_state(found.id, Scheduled(message="the journey goes on"), force=True)
            later: State[Any] = Scheduled(scheduled_time=datetime.now(UTC) + ABANDONED, message="its first wake")
            self._known[subject] = found or await self._create(subject, later, subject, ())
        return self._known[subject]

    async def create_asleep(self, plan: Plan) -> FlowRun:
        """Make a run that sleeps as the plan says; the plan must have no steps left."""
        state: State[Any] = Scheduled(scheduled_time=plan.until, message=plan.awaiting)
        run = await self._create(plan.subject, state, plan.title, plan.tags)
        self._known[plan.subject] = run
        return run

    async def _create(self, subject: str, state: State[Any], name: str, tags: tuple[str, ...]) -> FlowRun:
        return await self.client.create_flow_run_from_deployment(
            self.deployment_id, parameters={"study": self.study, "subject": subject}, state=state, name=name, tags=tags,
            idempotency_key=journey_key(self.study, subject),
        )  # fmt: skip


async def wake_elsewhere(client: PrefectClient, run: FlowRun) -> bool:
    """End a run's sleep so that a worker's next poll starts it; False if it is awake already.

    Taking the run first (to Pending) makes it impossible to disturb one that has just been started.
    """
    run = await client.read_flow_run(run.id)
    due = run.next_scheduled_start_time
    if run.state and run.state.is_scheduled() and due and due <= datetime.now(UTC):
        return True
    if not await adapter.claim(client, run):
        return False
    await client.set_flow_run_state(run.id, Scheduled(message="woken"))
    return True


async def request_recalculation(client: PrefectClient, study: str, position: int) -> FlowRun | None:
    """Return the run that recalculates what the log holds up to `position`; None if somebody has it or has had it."""
    deployment = await client.read_deployment_by_name(f"{RECALCULATION}/{RECALCULATION}")
    run = await client.create_flow_run_from_deployment(
        deployment.id, parameters={"trigger": "event"}, name=f"endpoints up to event {position}",
        idempotency_key=recalculation_key(study, position),
    )  # fmt: skip
    return None if run.state_type in {StateType.PENDING, StateType.RUNNING, StateType.COMPLETED} else run
