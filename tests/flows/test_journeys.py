"""A patient's journey on a real Prefect server: it sleeps, wakes, ends, and tells what it did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import Scheduled

from neotorch.engine import Engine
from tests.flows.world import World, until
from tests.support import fact


def test_a_new_patient_gets_a_run_that_sleeps_where_the_log_says(world: World, subject: str) -> None:
    """A consent makes one run, asleep as `Scheduled` until the plan's next instant, with what is awaited in words."""
    run = world.patient(subject)
    plan = world.engine.plan(subject)
    assert run.state_name == "Scheduled", "the UI's Upcoming view filters by this name"
    assert run.state and run.state.message == plan.awaiting
    assert run.next_scheduled_start_time and plan.until
    assert abs(run.next_scheduled_start_time - plan.until) < timedelta(seconds=1)
    assert (run.name, set(run.tags) - {"neotorch"}) == (plan.title, set(plan.tags))
    assert [r.id for r in world.runs(subject)] == [run.id]


def test_an_event_wakes_the_same_run_and_leaves_a_named_step(world: World, subject: str) -> None:
    """Each wake adds a task run that says what was done, to the one run of the patient."""
    first = world.patient(subject)
    world.tell(world.contact(subject))
    second = world.asleep(subject)
    assert (second.id, second.run_count) == (first.id, first.run_count + 1)
    step = world.step(subject, "contact recorded")
    assert step.state and step.state.is_completed() and "event" in (step.state.message or "")
    world.step(subject, "consent recorded")


def test_the_story_is_written_when_it_changes(world: World, subject: str) -> None:
    """The artifact shows the timeline, and a wake that changes nothing writes no further version of it."""
    run = world.patient(subject)
    until(lambda: world.story(subject), "the story")
    assert subject in str(world.story(subject)[0].data)
    versions = len(world.story(subject))
    world.client.set_flow_run_state(run.id, Scheduled())
    until(lambda: (world.run(subject) or run).run_count > run.run_count, "a further wake")
    world.asleep(subject)
    assert len(world.story(subject)) == versions


def test_a_run_whose_date_has_come_is_woken_by_the_poll(world: World, subject: str) -> None:
    """A timer needs no dispatcher: the worker's ordinary poll finds the run that is due."""
    run = world.patient(subject)
    with world.nobody_follows():
        world.client.set_flow_run_state(run.id, Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=1)))
        until(lambda: (world.run(subject) or run).run_count > run.run_count, "the timer")
        world.asleep(subject)


def test_a_journey_ends_and_is_taken_up_again_when_its_end_is_taken_back(world: World, subject: str) -> None:
    """Death completes the run; a retraction of the death wakes the same run, which then sleeps again."""
    world.patient(subject)
    death = fact("death", world.today, subject, cause="other")
    world.tell(death)
    ended = world.ended(subject)
    assert ended.state and ended.state.message == world.engine.plan(subject).awaiting
    world.tell(fact("retraction", world.today, subject, retracts=death.id, reason="recorded for the wrong subject"))
    assert world.asleep(subject).id == ended.id


def test_a_step_that_fails_puts_the_journey_off_but_does_not_end_it(
    world: World, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is a failed task run; the others are done; the run says what failed, and sleeps until it tries again."""
    plain = Engine.perform

    async def perform(self: Engine, who: str | None, step: object) -> str:
        if who == subject and "contact" in getattr(step, "name", ""):
            raise OSError("the disk is full")
        return await plain(self, who, step)  # type: ignore[arg-type]

    world.patient(subject)
    monkeypatch.setattr(Engine, "perform", perform)
    world.tell(world.contact(subject))
    run = world.asleep(subject)
    assert run.state and "contact recorded failed, will be tried again" in (run.state.message or "")
    assert "retry:1" in run.tags
    assert run.next_scheduled_start_time and run.next_scheduled_start_time < datetime.now(UTC) + timedelta(minutes=6)
    step = world.step(subject, "contact recorded")
    assert step.state and step.state.is_failed()
    monkeypatch.undo()
    world.tell(world.contact(subject))
    assert "retry:1" not in world.asleep(subject).tags


def test_an_operator_cannot_end_a_journey_that_goes_on(world: World, subject: str) -> None:
    """A sleeping journey that is cancelled in the UI is revived by the reconciler, because the log says it goes on."""
    run = world.patient(subject)
    world.client.set_flow_run_state(run.id, _cancelling())
    world.ended(subject, StateType.CANCELLED)
    world.reconcile()
    assert world.asleep(subject).id == run.id


def _cancelling() -> object:
    from prefect.states import Cancelling

    return Cancelling()
