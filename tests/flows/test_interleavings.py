"""No wake is lost, wherever in a wake an event comes in, and whoever looks."""

from __future__ import annotations

import asyncio
import threading

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

import flows.patient_journey
from neotorch.orchestration import adapter
from neotorch.orchestration.runs import wake_elsewhere
from tests.flows.world import World, until

POINTS = [
    "wake-started", "plan-made", "before-step", "after-step", "before-artifact", "before-sleep",
    "asleep-before-second-look", "wake-ended",
]  # fmt: skip


def tell_at(point: str, world: World, subject: str, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have a further fact of the subject recorded, once, just when a wake gets to a point."""
    told = threading.Event()
    news = world.contact(subject)

    def reached(name: str) -> None:
        if name == point and not told.is_set():
            told.set()
            recorder = threading.Thread(target=world.tell, args=(news,))
            recorder.start()
            recorder.join()

    monkeypatch.setattr(flows.patient_journey, "crash_point", reached)
    return told


@pytest.mark.parametrize("point", POINTS)
def test_an_event_that_comes_in_during_a_wake_is_seen(
    world: World, subject: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event recorded at any point of a wake is dealt with, by this wake or by one that follows it."""
    world.patient(subject)
    told = tell_at(point, world, subject, monkeypatch)
    world.tell(world.contact(subject))
    assert told.wait(60)
    world.asleep(subject)
    assert len([e for e in world.engine.log.read(subject) if e.event.type == "contact"]) == 2


@pytest.mark.parametrize("point", POINTS)
def test_the_journey_itself_sees_what_came_in_before_it_slept(
    world: World, subject: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nobody following the log, the second look after going to sleep finds what the wake itself had not seen."""
    run = world.patient(subject)
    with world.nobody_follows():
        world.tell(world.contact(subject))
        told = tell_at(point, world, subject, monkeypatch)
        world.client.set_flow_run_state(run.id, Scheduled())
        assert told.wait(60)
        if point == "wake-ended":  # after the last look: from here on it is the dispatcher's
            until(lambda: world.asleep(subject, seen=False), "the wake to end")
        else:
            world.asleep(subject)
    world.asleep(subject)


def test_one_of_two_who_wake_a_run_at_once_gets_it(world: World, subject: str) -> None:
    """A sleeping run can be taken once: of eight who try at the same time, one succeeds."""
    run = world.patient(subject)

    async def race() -> list[bool]:
        client = world.worker.client
        return await asyncio.gather(*(adapter.claim(client, run.model_copy()) for _ in range(8)))

    assert sorted(world.there(race())) == [False] * 7 + [True]
    world.reconcile()
    world.asleep(subject)


def test_a_run_that_is_awake_is_not_woken_a_second_time(
    world: World, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a journey is Running, waking it from another process is refused, so it never runs twice at once."""
    run = world.patient(subject)
    answers: list[bool] = []

    async def from_elsewhere() -> None:
        async with get_client() as client:
            answers.append(await wake_elsewhere(client, run))

    def reached(name: str) -> None:
        if name == "before-step" and not answers:  # the journey stands still here until the other one has its answer
            other = threading.Thread(target=lambda: asyncio.run(from_elsewhere()))
            other.start()
            other.join()

    monkeypatch.setattr(flows.patient_journey, "crash_point", reached)
    world.tell(world.contact(subject))
    until(lambda: answers, "the answer")
    assert answers == [False]
    assert world.asleep(subject).run_count == run.run_count + 1
