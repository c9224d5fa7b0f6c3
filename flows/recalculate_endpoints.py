"""The trial's endpoints, derived anew from the whole log: each night, and soon after an event that bears on them.

A result that differs is recorded with its difference and told to those who are listed. Nothing else depends on this
flow: figures are always computed from the log when they are asked for.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from prefect import flow, task
from prefect.artifacts import acreate_image_artifact, acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.utilities.annotations import quote

from flows.tell_operators import tell_all
from neotorch.domain.statistics import Interval
from neotorch.engine import Recalculation, crash_point, current_engine
from neotorch.orchestration import names
from neotorch.orchestration.dispatcher import in_engine
from neotorch.orchestration.successes import succeeded
from neotorch.rules.endpoints import TrialResult
from neotorch.rules.trial import displayed


@flow(name=names.RECALCULATION, persist_result=False, retries=0)
async def recalculate_endpoints(trigger: Literal["event", "nightly", "rebuild"] = "event") -> Any:
    """Recalculate all endpoints; record and tell what differs from the last recorded result."""
    await in_engine(current_engine)
    found = await recalculate(trigger)
    crash_point("recalculated")
    await publish(quote(found))  # type: ignore[call-overload]  # a quoted value is unquoted by Prefect
    await tell_all()
    await in_engine(succeeded, "recalculation")
    if found.changed:
        await show(quote(found))  # type: ignore[call-overload]  # as above
    return Completed(message=_words(found))


@task(task_run_name="derive from the log", persist_result=False, cache_policy=NO_CACHE)
async def recalculate(trigger: Literal["event", "nightly", "rebuild"]) -> Recalculation:
    """Derive all endpoints and record what differs."""
    return await in_engine(current_engine().recalculate, trigger)


@task(task_run_name="publish tables", persist_result=False, cache_policy=NO_CACHE)
async def publish(found: Recalculation) -> Any:
    """Write the figures as a table artifact and the last change as a markdown artifact."""
    rows = _rows(found.result)
    await acreate_table_artifact(rows, key="endpoints", description="The trial's endpoints as of the newest event")
    await acreate_markdown_artifact(_markdown(found), key="endpoints-change", description="What changed last")
    return Completed(message=f"{len(rows)} figures")


@task(task_run_name="draw figures", persist_result=False, cache_policy=NO_CACHE)
async def show(found: Recalculation) -> Any:
    """Write the figures as image artifacts; drawn in a thread of their own, after everybody has been told."""
    from neotorch.report.pictures import pictures

    drawn = await asyncio.to_thread(pictures, found.result)
    for picture in drawn:
        await acreate_image_artifact(picture.url, key=picture.key, description=picture.words)
    return Completed(message=f"{len(drawn)} figures")


def _rows(result: TrialResult) -> list[dict[str, Any]]:
    found = [
        (p.name, p.set_name, f"{p.responders}/{p.n}", _interval(p.interval), str(p.pending)) for p in result.proportions
    ]
    for day, at in result.landmarks:
        found.append((f"efs at day {day}", "", f"{at.estimate:.3f}" if at else "not reached", _interval(at), ""))
    return [dict(zip(("endpoint", "set", "value", "interval", "pending"), row, strict=True)) for row in found]


def _interval(found: Interval | None) -> str:
    return f"{found.lower:.3f} to {found.upper:.3f} ({found.level:.0%}, {found.method})" if found else "none"


def _words(found: Recalculation) -> str:
    words = f"{len(found.changes)} values changed" if found.changed else "nothing changed"
    for event in found.boundaries:
        words += f"; boundary {event.rule} at {event.n} {'crossed' if event.type == 'boundary_crossed' else 'crossed no more'}"
    return words + (f"; INCIDENT: {found.incident.kind}" if found.incident else "")


def _markdown(found: Recalculation) -> str:
    lines = [f"# Endpoints: {_words(found)}", ""]
    if found.incident:
        lines += [f"**Incident {found.incident.kind}:** {found.incident.detail}", ""]
    if found.changed:
        lines += ["| patient | value | was | is |", "|---|---|---|---|"]
        changes = displayed(found.changes, current_engine().study)
        lines += [f"| {c.subject or 'trial'} | {c.field} | {c.old or '-'} | {c.new or '-'} |" for c in changes]
    return "\n".join(lines)
