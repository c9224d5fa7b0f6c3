"""What the night puts by: a backup that was tried out, and sheets for the wall."""

from __future__ import annotations

from pathlib import Path

from prefect.client.schemas.objects import FlowRun

from neotorch.domain import events as ev
from tests.flows.world import World, until


def night(world: World) -> FlowRun:
    """Start the deployment as its schedule does, and wait for its end, good or bad."""
    deployment = world.client.read_deployment_by_name("put-by/put-by")
    started = world.client.create_flow_run_from_deployment(deployment.id)

    def ended() -> FlowRun | None:
        run = world.client.read_flow_run(started.id)
        return run if run.state and run.state.is_final() else None

    return until(ended, "the night's run to end")


def test_the_night_leaves_a_backup_and_a_sheet(world: World, subject: str) -> None:
    """The file is there and was restored to the same head; each site's sheet is there; the run says so."""
    world.patient(subject)
    run = night(world)
    assert run.state and run.state.is_completed(), run.state
    assert "to the same head" in (run.state.message or "")
    settings = world.engine.settings
    assert list(settings.backups.glob("*.log.gz"))
    assert {p.suffix for p in settings.sheets.iterdir()} == {".html", ".pdf"}


def test_a_night_without_a_backup_is_an_incident(world: World, subject: str) -> None:
    """Where the folder cannot be written the operators are told, and the sheets are written all the same."""
    world.patient(subject)
    folder = world.engine.settings.backups
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder.rename(folder.with_name("aside"))
    Path(folder).write_text("in the way", encoding="utf-8")
    try:
        run = night(world)
    finally:
        folder.unlink()
        aside.rename(folder)
    assert run.state and run.state.is_failed()
    incidents = [
        r.event for r in world.engine.log.read() if isinstance(r.event, ev.Incident) and r.event.kind == "backup"
    ]
    assert len(incidents) == 1
    assert str(folder) in incidents[0].detail
