"""What a journey does to its own flow run: name and tags, artifact, going to sleep."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, NoReturn

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.states import Scheduled

from neotorch.orchestration.names import artifact_key
from neotorch.orchestration.runs import wake_elsewhere

_written: dict[str, bytes] = {}
"""Subject -> digest of the artifact as last written by this process."""


def this_run() -> tuple[PrefectClient, FlowRun]:
    """Return the client and the run of the flow that is calling."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not isinstance(context.client, PrefectClient):
        raise RuntimeError("only an async flow run of Prefect's can be put to sleep")
    return context.client, context.flow_run


async def label(name: str, tags: set[str]) -> None:
    """Rename and retag the run, if that changes anything."""
    client, run = this_run()
    if run.name != name or set(run.tags) != tags:
        await client.update_flow_run(run.id, name=name, tags=tags)
        run.name, run.tags = name, sorted(tags)


async def publish(subject: str, markdown: str) -> None:
    """Write the patient's artifact, if its content has changed since this process last wrote it."""
    digest = hashlib.sha256(markdown.encode()).digest()
    if _written.get(subject) == digest:
        return
    client, run = this_run()
    about = f"{subject}: what happened, what is open"
    artifact = ArtifactCreate(
        type="markdown", key=artifact_key(subject), description=about, data=markdown, flow_run_id=run.id
    )
    await client.create_artifact(artifact)
    _written[subject] = digest


async def fall_asleep(until: datetime, message: str) -> Any:
    """Put the run to sleep on the server; the caller then looks at the log once more and calls `leave`."""
    client, run = this_run()
    state: Any = Scheduled(scheduled_time=max(until, datetime.now(UTC)), message=message)
    answer = await client.set_flow_run_state(run.id, state)
    if answer.status is not SetStateStatus.ACCEPT and answer.state is not None:
        return answer.state  # an operator has cancelled the run meanwhile
    return state


async def wake_again() -> None:
    """End the run's own sleep: something came in while it went to sleep."""
    await wake_elsewhere(*this_run())


def leave(state: Any) -> NoReturn:
    """End this wake. Returning the state instead also sleeps, but a `process` worker then calls the run Crashed."""
    raise Pause(state=state)
