"""All of Prefect that is not documented API, in one place; `tests/flows/test_adapter.py` is its contract.

Used are: the run engine for a given flow run (`run_flow_async`) and what it writes to the run before it starts, proposing
a state with details of its own, and the names of two loggers. Checked with Prefect 3.8.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async, run_flow_sync
from prefect.states import Pending
from prefect.utilities.asyncutils import run_sync_in_worker_thread

WOKEN_BY = "woken by "


async def claim(client: PrefectClient, run: FlowRun, by: str = "") -> bool:
    """Wake a sleeping run and take it, in one call; False if it is not ours to start. `by` is the worker's name.

    The server lets a run go to Pending once: whoever comes second, while it is Pending or Running, is refused. With a
    scheduled time of its own the state also ends the sleep, which otherwise would hold the run back until its date.
    """
    state: Any = Pending(message=f"{WOKEN_BY}{by}" if by else "woken")
    state.state_details.scheduled_time = datetime.now(UTC)
    answer = await client.set_flow_run_state(run.id, state)
    # A client that gets no answer asks again, with the same id of the transition, and is told that the run is so already.
    again = answer.status is SetStateStatus.REJECT and answer.state is not None and answer.state.is_pending()
    if answer.status is SetStateStatus.ACCEPT or again:
        run.state = state
        return True
    return False


async def holder(client: PrefectClient, run: FlowRun) -> str:
    """Return the name of the worker that took a run that is Pending or Running; empty if it does not say."""
    pending = run.state is not None and run.state.is_pending()
    states = [run.state] if pending else await client.read_flow_run_states(run.id)
    taken = [s for s in states if s is not None and s.is_pending() and (s.message or "").startswith(WOKEN_BY)]
    newest = max(taken, key=lambda state: state.timestamp, default=None)
    return str(newest.message).removeprefix(WOKEN_BY) if newest else ""


async def drive(flow: Flow[..., Any], run: FlowRun, parameters: dict[str, Any]) -> None:
    """Run a claimed flow run in this process until it ends or goes to sleep.

    Raises what the flow raised; its state is on the server by then.
    """
    # Without a deployment id the engine does not start a thread with an event loop and a websocket of its own per run,
    # to watch for `suspend`; it reads the whole run from the server again before it calls the flow.
    bare = run.model_copy(update={"deployment_id": None})
    try:
        if flow.isasync:
            await run_flow_async(flow, flow_run=bare, parameters=parameters)
        else:
            await run_sync_in_worker_thread(run_flow_sync, flow, flow_run=bare, parameters=parameters)
    except (Pause, Abort):
        return  # asleep, or taken away by the server (cancelled)


def spare(client: PrefectClient) -> None:
    """Have a client leave out what changes nothing: at each wake the engine writes version and policy of the flow again."""
    plain = client.update_flow_run
    written: dict[UUID, tuple[str, ...]] = {}

    async def update_flow_run(flow_run_id: UUID, **changes: Any) -> Any:
        if changes.keys() != {"flow_version", "empirical_policy"}:
            return await plain(flow_run_id, **changes)
        content = (str(changes["flow_version"]), changes["empirical_policy"].model_dump_json())
        if written.get(flow_run_id) == content:
            return None
        answer = await plain(flow_run_id, **changes)
        written[flow_run_id] = content
        return answer

    client.update_flow_run = update_flow_run  # type: ignore[method-assign,assignment]


class _Asleep(logging.Filter):
    """Going to sleep is no error: Prefect logs each state but Completed at ERROR level when a run leaves its engine."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the record of a run that ended its wake asleep."""
        return not str(record.msg).startswith("Finished in state Scheduled(")


def calm_logs() -> None:
    """Keep the engine's chatter out of the run logs; warnings and errors stay."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("prefect.flow_runs", "prefect.engine"):
        logger = logging.getLogger(name)
        if not any(isinstance(f, _Asleep) for f in logger.filters):
            logger.addFilter(_Asleep())


def first_line(error: BaseException) -> str:
    """Return kind and first line of an error; Prefect's carry the whole answer of the server behind it."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def loudness(error: BaseException) -> int:
    """Return the level to log a passing fault at: a server that is busy (503) is tried again and no news."""
    return logging.INFO if "503" in first_line(error) else logging.WARNING
