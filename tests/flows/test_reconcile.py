"""Whatever happens to the runs on the server, a reconciliation puts the journeys back, from the log alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed, Pending, Running, Scheduled

from neotorch.orchestration.names import journey_key
from neotorch.orchestration.runs import Journeys
from tests.flows.world import World, until


def extra_run(world: World, subject: str, **more: object) -> FlowRun:
    """A run that somebody starts by hand from the UI."""
    deployment = world.client.read_deployment_by_name("patient-journey/patient-journey")
    return world.client.create_flow_run_from_deployment(
        deployment.id, parameters={"study": world.engine.study.id, "subject": subject}, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_nothing_is_done_where_nothing_is_wrong(world: World, subject: str) -> None:
    """A reconciliation of journeys that sleep as they should wakes nobody."""
    run = world.patient(subject)
    world.reconcile()
    quiet = world.reconcile()
    assert quiet.state and "nothing to set right" in (quiet.state.message or "")
    again = world.run(subject)
    assert again and again.run_count == run.run_count


def test_a_crashed_run_is_woken(world: World, subject: str) -> None:
    """A run that a worker left Crashed goes on as the same run."""
    run = world.patient(subject)
    world.client.set_flow_run_state(run.id, Crashed(message="killed"), force=True)
    world.reconcile()
    assert world.asleep(subject).id == run.id


def test_a_second_late_report_of_the_crash_is_overcome(world: World, subject: str) -> None:
    """A crash that is reported once more, over the wake that came in between, does not leave the journey dead."""
    run = world.patient(subject)
    world.client.set_flow_run_state(run.id, Crashed(message="killed"), force=True)
    deployment = world.client.read_deployment_by_name("reconcile/reconcile")
    reconciliation = world.client.create_flow_run_from_deployment(deployment.id)
    until(lambda: (world.run(subject) or run).run_count > run.run_count, "the wake")
    world.asleep(subject)
    world.client.set_flow_run_state(run.id, Crashed(message="killed, told again"), force=True)
    world.finished(reconciliation.id)
    assert world.asleep(subject).id == run.id


def test_a_deleted_run_is_made_anew(world: World, subject: str) -> None:
    """Deleting a journey's run loses nothing but its graph: a new run sleeps where the old one did."""
    run = world.patient(subject)
    world.client.delete_flow_run(run.id)
    world.reconcile()
    new = until(lambda: world.run(subject), "a new run")
    assert new.id != run.id
    assert new.state_type is StateType.SCHEDULED
    assert new.next_scheduled_start_time == run.next_scheduled_start_time
    assert new.name == run.name
    world.tell(world.contact(subject))
    assert world.asleep(subject).id == new.id


def test_a_deleted_run_is_made_anew_by_an_event_too(world: World, subject: str) -> None:
    """The dispatcher does not go on with a run that it remembers but that is gone."""
    run = world.patient(subject)
    world.client.delete_flow_run(run.id)
    world.tell(world.contact(subject))
    assert world.asleep(subject).id != run.id


def test_a_second_run_of_a_patient_is_cancelled(world: World, subject: str) -> None:
    """Of two live runs the one with the patient's business key stays."""
    run = world.patient(subject)
    far = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=9))
    extra = extra_run(world, subject, state=far)
    world.reconcile()
    assert [r.id for r in world.live(subject)] == [run.id]
    assert world.client.read_flow_run(extra.id).state_type is StateType.CANCELLED


def test_a_run_of_a_subject_that_the_log_does_not_know_is_cancelled(world: World) -> None:
    """A journey without a patient does not stay."""
    far = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=9))
    stranger = extra_run(world, "NT-999", state=far)
    world.reconcile()
    assert world.client.read_flow_run(stranger.id).state_type is StateType.CANCELLED


def test_a_run_that_nobody_runs_is_freed(world: World, subject: str) -> None:
    """A run left Running or Pending by a worker that was killed is asleep again after a reconciliation."""
    run = world.patient(subject)
    other = world.new_subject()
    second = world.patient(other)
    world.client.set_flow_run_state(run.id, Running(), force=True)
    world.client.set_flow_run_state(second.id, Pending(), force=True)
    world.reconcile()
    assert world.asleep(subject).id == run.id
    assert world.asleep(other).id == second.id


def test_a_run_that_oversleeps_is_woken(world: World, subject: str) -> None:
    """A run asleep beyond the instant at which it has something to do is put right."""
    run = world.patient(subject)
    late = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=400), message="too late")
    world.client.set_flow_run_state(run.id, late, force=True)
    world.reconcile()
    again = world.asleep(subject)
    until_ = world.engine.plan(subject).until
    assert again.next_scheduled_start_time and until_
    assert abs(again.next_scheduled_start_time - until_) < timedelta(seconds=1)


def test_many_patients_are_looked_at_in_few_requests(world: World, subject: str) -> None:
    """Reading the runs takes one request per 200 of them, not one per patient."""
    world.patient(subject)
    calls: list[str] = []
    plain = Journeys.all

    async def count() -> int:
        dispatcher = world.worker.dispatcher
        assert dispatcher
        read = dispatcher.journeys.client.read_flow_runs

        async def counted(**kwargs: object) -> object:
            calls.append("page")
            return await read(**kwargs)  # type: ignore[arg-type]

        dispatcher.journeys.client.read_flow_runs = counted  # type: ignore[method-assign]
        try:
            return len([r async for r in plain(dispatcher.journeys)])
        finally:
            dispatcher.journeys.client.read_flow_runs = read  # type: ignore[method-assign]

    found = world.there(count())
    assert found >= len(world.engine.subjects())
    assert len(calls) == found // 200 + 1
    assert journey_key(world.engine.study.id, subject) == f"{world.engine.study.id}/{subject}"
