"""What `deployments/` says is what runs, whichever way it got there."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from typing import Any

from prefect.flows import load_flow_from_entrypoint

from neotorch.orchestration import names
from neotorch.orchestration.deploy import read
from tests.flows.world import World

COMPARED = (
    "entrypoint", "description", "tags", "parameters", "parameter_openapi_schema", "enforce_parameter_schema",
    "work_pool_name", "pull_steps", "paused", "concurrency_limit",
)  # fmt: skip


def as_deployed(world: World, name: str) -> dict[str, Any]:
    """A deployment as the server has it."""
    found = world.client.read_deployment_by_name(f"{name}/{name}")
    schedules = [(s.schedule.model_dump(mode="json"), s.active, s.slug) for s in found.schedules]
    return {f: getattr(found, f) for f in COMPARED} | {"schedules": schedules}


def test_prefect_deploy_and_neotorch_up_make_the_same(world: World) -> None:
    """`prefect deploy --all` from the file, run over what `neotorch up` has made, changes nothing."""
    entries = read("prefect.yaml")["deployments"]
    before = {e["name"]: as_deployed(world, e["name"]) for e in entries}
    file = resources.files("deployments") / "prefect.yaml"
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    environment = os.environ | {
        "PREFECT_API_URL": str(world.client.api_url).rstrip("/"),
        "PREFECT_HOME": str(world.settings.data_dir),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, as_before in before.items():
        after = as_deployed(world, name)
        assert {f: after[f] for f in after if after[f] != as_before[f]} == {}, f"{name} was {as_before}"


def test_the_names_in_the_file_are_the_flows_names(world: World) -> None:
    """Each entry leads to a flow, which has the name that the code looks its deployment up by."""
    known = {names.JOURNEY, names.RECALCULATION, names.RECONCILIATION, names.TELLER, names.PUTTING_BY}
    entries = read("prefect.yaml")["deployments"]
    assert {load_flow_from_entrypoint(e["entrypoint"]).name for e in entries} == {e["name"] for e in entries} == known
    assert {e["work_pool"]["name"] for e in entries} == {world.settings.work_pool}


def test_the_night_in_the_file_is_the_study_s_site_s(world: World) -> None:
    """`prefect deploy` knows no study file, so the zone that the file names has to be that of the study that ships."""
    (entry,) = [e for e in read("prefect.yaml")["deployments"] if e["name"] == names.RECALCULATION]
    assert entry["schedules"][0]["timezone"] == world.engine.study.sites[0].time_zone


def test_a_run_that_fails_is_told_to_the_operators(world: World) -> None:
    """The automation starts `tell-operators`, which puts an incident into the log and a notice into the outbox."""
    deployment = world.client.read_deployment_by_name(f"{names.JOURNEY}/{names.JOURNEY}")
    run = world.client.create_flow_run_from_deployment(
        deployment.id, parameters={"study": "another-study", "subject": "NT-998"}, name="a run that fails"
    )

    def incidents() -> list[Any]:
        return [r.event for r in world.engine.log.read() if r.event.type == "incident" and run.name in r.event.detail]

    from tests.flows.world import until

    until(incidents, "the incident")
    assert incidents()[0].kind == "run-ended"
    until(lambda: list(world.settings.outbox.glob("*incident*")), "the notice")


def test_applying_the_automations_again_changes_nothing(world: World) -> None:
    """A second start neither doubles an automation nor touches one that is as it should be."""

    async def again() -> list[tuple[str, Any]]:
        from neotorch.orchestration.deploy import deploy

        zone = world.engine.study.sites[0].time_zone
        await deploy(world.worker.client, pool="neotorch", pool_type="neotorch", time_zone=zone)
        return [(a.name, getattr(a, "updated", None)) for a in await world.worker.client.read_automations()]

    first, second = world.there(again()), world.there(again())
    assert first == second
    assert sorted(name for name, _ in second) == sorted(a["name"] for a in read("automations.yaml")["automations"])
