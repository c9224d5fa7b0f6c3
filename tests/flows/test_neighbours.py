"""Several workers: who is whose home, who is gone, and that the others take over."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import Pending, Running, Scheduled

from neotorch.orchestration import adapter
from neotorch.orchestration.neighbours import (
    GRACE_SECONDS,
    MOST_WAIT_SECONDS,
    Lost,
    Neighbours,
    have_reconciled,
    worker_name,
)
from neotorch.orchestration.runs import request_recalculation
from tests.flows.world import World

HEARD = datetime(2026, 5, 4, tzinfo=UTC)
WORKERS = ["w1", "w2", "w3", "w4"]
KEYS = [f"NT-{n:03d}" for n in range(1, 1001)]


def neighbour(own: str, others: list[str]) -> Neighbours:
    """A worker that has heard of others."""
    found = Neighbours(own)
    found._heard = dict.fromkeys(others, HEARD)
    return found


def homes(workers: list[str]) -> dict[str, str]:
    """Whose home each key has, as those who need not wait for anybody say."""
    all_ = {w: neighbour(w, workers) for w in workers}
    found = {key: [w for w in workers if not all_[w].wait_seconds(key)] for key in KEYS}
    assert all(len(who) == 1 for who in found.values())
    return {key: who[0] for key, who in found.items()}


def test_each_patient_has_one_home_and_each_worker_its_share() -> None:
    """Workers that have heard of each other agree on who goes first, and none has much more to do than another."""
    share = Counter(homes(WORKERS).values())
    assert set(share) == set(WORKERS)
    assert max(share.values()) < 1.4 * min(share.values())


def test_the_others_wait_one_after_another() -> None:
    """Behind the home stand the others in a row, so that a second one goes only where the first one does not."""
    for key in KEYS[:50]:
        waits = sorted(neighbour(w, WORKERS).wait_seconds(key) for w in WORKERS)
        assert waits == [n * GRACE_SECONDS for n in range(len(WORKERS))]
    many = [f"w{n}" for n in range(40)]
    assert max(neighbour(w, many).wait_seconds("NT-001") for w in many) == MOST_WAIT_SECONDS


def test_a_lost_worker_s_patients_alone_move() -> None:
    """Without one of the workers its patients have a home with the others, and all other patients stay where they were."""
    before, after = homes(WORKERS), homes(WORKERS[:-1])
    assert all(after[key] == home for key, home in before.items() if home != WORKERS[-1])


def test_a_worker_that_has_heard_of_nobody_waits_for_nobody() -> None:
    """With the server away, or alone, everything is this worker's own."""
    assert not any(Neighbours("w1").wait_seconds(key) for key in KEYS)


def test_a_worker_has_its_name_again_after_a_restart() -> None:
    """The name is that of machine and folder, so two on one machine differ and one that is started again does not."""
    assert worker_name(Path("/data/a")) == worker_name(Path("/data/a")) != worker_name(Path("/data/b"))


@pytest.fixture
def among_others(world: World) -> Iterator[Neighbours]:
    """The worker of the world, for once not alone: one other is alive."""
    found = neighbour("neotorch-here", ["neotorch-there"])
    world.worker.alone, world.worker.neighbours = False, found
    yield found
    world.worker.alone, world.worker.neighbours = True, None


@pytest.mark.parametrize("who", ["neotorch-gone", "neotorch-here"])
@pytest.mark.parametrize("state", [StateType.PENDING, StateType.RUNNING])
@pytest.mark.usefixtures("among_others")
def test_the_run_of_a_worker_that_is_gone_is_revived(world: World, subject: str, who: str, state: StateType) -> None:
    """A run whose worker is not alive, or is this one started again, goes on; nobody waits for ten minutes."""
    run = world.patient(subject)
    world.client.set_flow_run_state(run.id, Pending(message=f"{adapter.WOKEN_BY}{who}"), force=True)
    if state is StateType.RUNNING:
        world.client.set_flow_run_state(run.id, Running(), force=True)
    world.reconcile()
    again = world.asleep(subject)
    assert again.id == run.id
    assert again.run_count >= run.run_count + (2 if state is StateType.RUNNING else 1)  # a wake too many does nothing


@pytest.mark.usefixtures("among_others")
def test_the_run_of_a_worker_that_is_alive_is_left_alone(world: World, subject: str) -> None:
    """A run that another live worker has awake is not taken away from it."""
    run = world.patient(subject)
    world.client.set_flow_run_state(run.id, Pending(message=f"{adapter.WOKEN_BY}neotorch-there"), force=True)
    world.client.set_flow_run_state(run.id, Running(), force=True)
    world.reconcile()
    assert world.client.read_flow_run(run.id).state_type is StateType.RUNNING
    world.client.set_flow_run_state(run.id, Scheduled(), force=True)
    world.asleep(subject)


def test_a_lost_worker_is_reconciled_for_once(world: World) -> None:
    """However many workers miss one, one reconciliation is asked for."""
    lost = Lost("neotorch-gone", datetime.now(UTC) - timedelta(minutes=1))
    for _ in range(3):
        world.there(have_reconciled(world.worker.client, lost))
    asked = [r for r in world.client.read_flow_runs() if r.name == f"reconcile without {lost.name}"]
    assert len(asked) == 1
    world.finished(asked[0].id)


def test_what_was_recalculated_is_not_recalculated_again(world: World, subject: str) -> None:
    """Of several workers that ask for the recalculation of one event, those that come later have nothing to do."""
    world.patient(subject)
    study, position = world.engine.study.id, 1_000_000
    first = world.there(request_recalculation(world.worker.client, study, position))
    assert first is not None
    world.finished(first.id)
    assert world.there(request_recalculation(world.worker.client, study, position)) is None


def test_a_claim_whose_answer_was_lost_is_not_lost(world: World, subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that dies after it took the claim, before it said so: the client asks again and has the run."""
    world.patient(subject)
    transport = world.worker.client._client._transport
    send, cut = transport.handle_async_request, itertools.count()

    async def dying(request: httpx.Request) -> Any:
        answer = await send(request)
        if request.url.path.endswith("/set_state") and b"woken by" in request.content and next(cut) == 0:
            raise httpx.ReadError("the server is gone", request=request)
        return answer

    monkeypatch.setattr(transport, "handle_async_request", dying)
    world.tell(world.contact(subject))
    run = world.asleep(subject)
    assert next(cut) >= 2
    assert run.run_count == 2
