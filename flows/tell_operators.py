"""Records an incident in the log and tells the operators, through the same channels as everything else.

The automations start it when a run fails, crashes or is late.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.utilities.annotations import quote

from neotorch.engine import current_engine
from neotorch.orchestration import names, sleep
from neotorch.orchestration.dispatcher import in_engine
from neotorch.orchestration.incidents import record_incident
from neotorch.plan import Step


@flow(name=names.TELLER, persist_result=False, retries=0)
async def tell_operators(kind: str, detail: str) -> Any:
    """Record that `kind` happened, and send what is due to the operators."""
    engine = await in_engine(current_engine)
    _, run = sleep.this_run()
    await in_engine(record_incident, engine, kind, detail, str(run.id))
    return Completed(message=f"{await tell_all()} notices")


async def tell_all() -> int:
    """Send all notices about the trial as a whole that are due now; one that fails is left to the next time."""
    done: set[str] = set()
    while steps := [s for s in await in_engine(current_engine().trial_plan) if s.key not in done]:
        for step in steps:  # an incident that is written down gives rise to its notice
            named = tell.with_options(task_run_name=step.name.replace("{", "{{").replace("}", "}}"))
            await named(quote(step), return_state=True)  # type: ignore[misc]  # Prefect types the sync form
            done.add(step.key)
    return len(done)


@task(name="tell", persist_result=False, cache_policy=NO_CACHE)
async def tell(step: Step) -> Any:
    """Send one notice about the trial as a whole."""
    return Completed(message=await current_engine().perform(None, step))
