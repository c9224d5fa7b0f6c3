"""Makes work pool, deployments and automations on a server from the files in `deployments/`. Safe to repeat."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.settings import get_current_settings
from prefect.utilities.callables import parameter_schema
from prefect.workers.base import BaseWorker

from neotorch.orchestration.environment import RESULT_BLOCK
from neotorch.orchestration.names import PUTTING_BY, RECALCULATION, TELLER


def read(name: str) -> Any:
    """Return the content of a YAML file of the `deployments` folder."""
    return yaml.safe_load((resources.files("deployments") / name).read_text(encoding="utf-8"))


async def deploy(client: PrefectClient, *, pool: str, pool_type: str, time_zone: str) -> None:
    """Make everything that the flows need on the server. `time_zone` is the site's: the night is its night."""
    await _result_block(client)
    await _pool(client, pool, pool_type)
    for entry in read("prefect.yaml")["deployments"]:
        await _deployment(client, entry, pool, time_zone)
    await _automations(client)


async def _result_block(client: PrefectClient) -> None:
    kind, _, name = RESULT_BLOCK.partition("/")
    try:
        await client.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        basepath = str(get_current_settings().results.local_storage_path)
        await LocalFileSystem(basepath=basepath).save(name, overwrite=True)


async def _pool(client: PrefectClient, name: str, pool_type: str) -> None:
    try:
        found = await client.read_work_pool(name)
    except ObjectNotFound:
        worker = BaseWorker.get_worker_class_from_type(pool_type)
        if worker is None:
            raise ValueError(
                f"there is no worker type {pool_type!r}; known are {BaseWorker.get_all_available_worker_types()}"
            ) from None
        template = worker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=name, type=pool_type, base_job_template=template))
        return
    if found.type != pool_type:
        raise ValueError(
            f"work pool {name!r} is of type {found.type}, not {pool_type}: set NEOTORCH_WORK_POOL to another name"
        )


async def _deployment(client: PrefectClient, entry: dict[str, Any], pool: str, time_zone: str) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(entry["entrypoint"])
    wanted: dict[str, Any] = {
        "name": entry["name"],
        "entrypoint": entry["entrypoint"],
        "description": " ".join(entry["description"].split()),
        "tags": entry["tags"],
        "parameters": entry.get("parameters", {}),
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
        "work_pool_name": pool,
        "pull_steps": [],
    }
    schedules = [_schedule(s, entry["name"], time_zone) for s in entry.get("schedules", [])]
    version = _digest(wanted, schedules)
    try:  # leaving an unchanged one alone saves a second each, and keeps its scheduled runs
        found = await client.read_deployment_by_name(f"{flow.name}/{entry['name']}")
        if found.version == version:
            return
    except ObjectNotFound:
        pass
    flow_id = await client.create_flow(flow)
    await client.create_deployment(flow_id=flow_id, version=version, schedules=schedules, **wanted)


def _digest(wanted: dict[str, Any], schedules: list[DeploymentScheduleCreate]) -> str:
    parts = [wanted, [s.model_dump(mode="json") for s in schedules]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _schedule(entry: dict[str, Any], deployment: str, time_zone: str) -> DeploymentScheduleCreate:
    zone = time_zone if deployment in {RECALCULATION, PUTTING_BY} else entry["timezone"]
    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=entry["cron"], timezone=zone), active=entry["active"], slug=entry["slug"]
    )


async def _automations(client: PrefectClient) -> None:
    """Make or update the automations; they are known by their names."""
    teller = await client.read_deployment_by_name(f"{TELLER}/{TELLER}")
    for entry in read("automations.yaml")["automations"]:
        for action in entry["actions"]:
            if action.get("deployment_id") == "{{ deployment tell-operators }}":
                action["deployment_id"] = teller.id
        wanted = AutomationCore.model_validate(entry)
        found = await client.read_automations_by_name(wanted.name)
        if not found:
            await client.create_automation(wanted)
        elif not _same(found[0], wanted):
            await client.update_automation(found[0].id, wanted)


def _same(found: Automation, wanted: AutomationCore) -> bool:
    fields = set(AutomationCore.model_fields)
    return found.model_dump(mode="json", include=fields) == wanted.model_dump(mode="json", include=fields)
