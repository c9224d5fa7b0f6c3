"""The trial's endpoints, derived anew from the whole log: each night, and soon after an event that bears on them.

A result that differs is recorded with its difference and told to those who are listed. Nothing else depends on this
flow: figures are always computed from the log when they are asked for.
"""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.utilities.annotations import quote

from neotorch.engine import Recalculation, crash_point, current_engine
from neotorch.orchestration import names
from neotorch.orchestration.dispatcher import in_engine
from neotorch.plan import Step


@flow(name=names.RECALCULATION, persist_result=False, retries=0)
async def recalculate_endpoints(trigger: Literal["event", "nightly", "rebuild"] = "event") -> Any:
    """Recalculate all endpoints; record and tell what differs from the last recorded result."""
    await in_engine(current_engine)
    found = await recalculate(trigger)
    crash_point("recalculated")
    await publish(quote(found))  # type: ignore[call-overload]  # a quoted value is unquoted by Prefect
    for step in await in_engine(current_engine().trial_plan):
        await tell.with_options(task_run_name=step.name)(quote(step), return_state=True)  # type: ignore[misc]  # Prefect types the sync form
    return Completed(message=_words(found))


@task(task_run_name="derive from the log", persist_result=False, cache_policy=NO_CACHE)
async def recalculate(trigger: Literal["event", "nightly", "rebuild"]) -> Recalculation:
    """Derive all endpoints and record what differs."""
    return await in_engine(current_engine().recalculate, trigger)


@task(task_run_name="publish tables", persist_result=False, cache_policy=NO_CACHE)
async def publish(found: Recalculation) -> Any:
    """Write the figures as a table artifact and the last change as a markdown artifact."""
    result = found.result
    rows = [{"endpoint": k, "value": v} for k, v in sorted(result.values().items()) if "/" not in k]
    await acreate_table_artifact(rows, key="endpoints", description="The trial's endpoints as of the newest event")
    await acreate_markdown_artifact(_markdown(found), key="endpoints-change", description="What changed last")
    return Completed(message=f"{len(rows)} figures")


@task(name="tell", persist_result=False, cache_policy=NO_CACHE)
async def tell(step: Step) -> Any:
    """Send one notice about the trial as a whole."""
    return Completed(message=await current_engine().perform(None, step))


def _words(found: Recalculation) -> str:
    words = f"{len(found.changes)} values changed" if found.changed else "nothing changed"
    return words + (f"; INCIDENT: {found.incident.kind}" if found.incident else "")


def _markdown(found: Recalculation) -> str:
    lines = [f"# Endpoints: {_words(found)}", ""]
    if found.incident:
        lines += [f"**Incident {found.incident.kind}:** {found.incident.detail}", ""]
    if found.changed:
        lines += ["| patient | value | was | is |", "|---|---|---|---|"]
        lines += [f"| {c.subject or 'trial'} | {c.field} | {c.old or '-'} | {c.new or '-'} |" for c in found.changes]
    return "\n".join(lines)
