"""Records an incident in the log and tells the operators, through the same channels as everything else.

The automations start it when a run fails, crashes or is late.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Completed
from prefect.utilities.annotations import quote

from flows.recalculate_endpoints import tell
from neotorch.engine import current_engine
from neotorch.orchestration import names, sleep
from neotorch.orchestration.dispatcher import in_engine
from neotorch.orchestration.incidents import record_incident


@flow(name=names.TELLER, persist_result=False, retries=0)
async def tell_operators(kind: str, detail: str) -> Any:
    """Record that `kind` happened, and send what is due to the operators."""
    engine = await in_engine(current_engine)
    _, run = sleep.this_run()
    await in_engine(record_incident, engine, kind, detail, str(run.id))
    steps = await in_engine(engine.trial_plan)
    for step in steps:
        await tell.with_options(task_run_name=step.name)(quote(step), return_state=True)  # type: ignore[misc]  # Prefect types the sync form
    return Completed(message=f"{len(steps)} notices")
