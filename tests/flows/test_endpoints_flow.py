"""When the endpoints are recalculated, and what is left behind."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule

from neotorch.domain import events as ev
from tests.flows.world import World, until
from tests.support import course, fact, pathology, screened, surgery


def recalculations(world: World) -> list[FlowRun]:
    """All runs of the deployment that an event asked for, the newest last."""
    deployment = world.client.read_deployment_by_name("recalculate-endpoints/recalculate-endpoints")
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    found = world.client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])), limit=200
    )
    return sorted((r for r in found if not r.auto_scheduled), key=lambda r: r.created or r.expected_start_time)  # type: ignore[arg-type,return-value]


def test_ten_events_at_once_are_one_recalculation(world: World) -> None:
    """Ten reports that arrive together are taken in by one recalculation, which records and publishes what changed."""
    subjects = [world.new_subject() for _ in range(10)]
    first = world.today - timedelta(200)
    operated = first + timedelta(160)
    for subject in subjects:
        world.tell(*screened(first, subject), *course(6, first, subject), surgery(operated, subject))
    for subject in subjects:
        world.asleep(subject)
    settled(world)
    before = len(recalculations(world))
    world.tell(*(pathology(operated + timedelta(7), s, id=f"{s}.PATH") for s in subjects))
    run = until(lambda: (recalculations(world)[before:] or [None])[0], "a recalculation")  # type: ignore[arg-type]
    done = world.finished(run.id)
    assert done.state and "changed" in (done.state.message or "")
    settled(world)
    assert len(recalculations(world)) == before + 1
    results = [r.event for r in world.engine.log.read() if isinstance(r.event, ev.EndpointsRecalculated)]
    assert {c.subject for c in results[-1].changes if (c.field, c.new) == ("pcr", "yes")} == set(subjects)


def settled(world: World) -> None:
    """Wait until no recalculation is asked for or running."""
    dispatcher = world.worker.dispatcher
    assert dispatcher
    until(lambda: not dispatcher.pending and not dispatcher.endpoints_asked, "the dispatcher to have nothing to do")


def test_a_fact_that_bears_on_no_endpoint_asks_for_no_recalculation(world: World, subject: str) -> None:
    """A visit or a contact leaves the figures to the night."""
    world.patient(subject)
    settled(world)
    before = len(recalculations(world))
    world.tell(fact("contact", world.today, subject))
    world.asleep(subject)
    settled(world)
    assert len(recalculations(world)) == before


def test_the_night_is_the_site_s(world: World) -> None:
    """The nightly run is at 2 o'clock in the zone of the study's site."""
    deployment = world.client.read_deployment_by_name("recalculate-endpoints/recalculate-endpoints")
    (schedule,) = [s.schedule for s in deployment.schedules]
    assert isinstance(schedule, CronSchedule)
    assert (schedule.cron, schedule.timezone) == ("0 2 * * *", world.engine.study.sites[0].time_zone)
