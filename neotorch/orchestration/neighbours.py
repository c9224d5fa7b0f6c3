"""Several workers on one log: who does what at once, who waits, and who is gone.

Every worker follows the log and polls for due runs, and any of them may wake any journey: the server lets only one take
a run, and an effect is claimed in the log before it is done. That alone is right but wasteful, as all of them would go
for the same run at the same instant. So each patient has a home: the worker whose name comes first when the names of
those alive are hashed with the patient's key. The others wait, longer the later they come, and find the work done; if
the home is dead or behind, they do it. Nobody is elected, and nothing has to be handed over.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import WorkerFilter, WorkerFilterStatus
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectAlreadyExists

from neotorch.orchestration import adapter
from neotorch.orchestration.names import RECONCILIATION

log = logging.getLogger("neotorch.neighbours")

GRACE_SECONDS = 3.0
"""The second waits so long for the home of a key, the third twice as long, and so on."""
MOST_WAIT_SECONDS = 15.0
UNSURE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
"""States of a run that somebody has awake, or had when he was killed."""


def worker_name(data_dir: Path) -> str:
    """Return a name that no other live worker has, and that this one has again after a restart: `up` locks its folder."""
    return f"neotorch-{socket.gethostname()}-{hashlib.sha256(str(data_dir).encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Lost:
    """A worker whose heartbeat has stopped."""

    name: str
    last_heard: datetime


class Neighbours:
    """The workers of a pool that are alive by their heartbeats; `own` is this one's name."""

    def __init__(self, own: str) -> None:
        self.own = own
        self._heard: dict[str, datetime] = {}

    @property
    def names(self) -> set[str]:
        """Names of all that are alive."""
        return {self.own, *self._heard}

    def wait_seconds(self, key: str) -> float:
        """Return how long to leave a patient (or another matter) to those who come before this one; 0 at home."""
        before = sum(_weight(name, key) > _weight(self.own, key) for name in self.names)
        return min(before * GRACE_SECONDS, MOST_WAIT_SECONDS)

    async def look(self, client: PrefectClient, pool: str) -> list[Lost]:
        """Ask who is alive; returns those who no longer are."""
        online = WorkerFilter(status=WorkerFilterStatus(any_=["ONLINE"]))
        found = await client.read_workers_for_work_pool(pool, worker_filter=online)
        before, self._heard = self._heard, {w.name: w.last_heartbeat_time for w in found if w.last_heartbeat_time}
        return [Lost(name, at) for name, at in before.items() if name not in self._heard and name != self.own]

    async def orphans(self, client: PrefectClient, runs: Iterable[FlowRun]) -> set[str]:
        """Return the ids of those runs that nobody has awake, as far as is known: who took them is gone, or is this one.

        To be called with runs that are not awake in this process.
        """
        found = set()
        for run in runs:
            holder = await adapter.holder(client, run)
            if holder and (holder == self.own or holder not in self.names):
                found.add(str(run.id))
        return found


def _weight(name: str, key: str) -> bytes:
    return hashlib.sha256(f"{name}/{key}".encode()).digest()


async def have_reconciled(client: PrefectClient, lost: Lost) -> None:
    """Ask for a reconciliation because of a lost worker; whoever else asks for it gets the same one."""
    log.warning("the worker %s has not been heard since %s; its journeys are taken over", lost.name, lost.last_heard)
    deployment = await client.read_deployment_by_name(f"{RECONCILIATION}/{RECONCILIATION}")
    key = f"{RECONCILIATION}/lost/{lost.name}/{lost.last_heard.isoformat()}"
    try:
        await client.create_flow_run_from_deployment(
            deployment.id, parameters={"at_start": True}, name=f"reconcile without {lost.name}", idempotency_key=key
        )
    except ObjectAlreadyExists:  # asked for by another worker at the same instant
        return
