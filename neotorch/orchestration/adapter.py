"""All of Prefect that is not documented API, in one place; `tests/flows/test_adapter.py` is its contract.

Used are: the run engine for a given flow run (`run_flow_async`), proposing a state with details of its own, and the
names of two loggers. Checked with Prefect 3.8.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async, run_flow_sync
from prefect.states import Pending
from prefect.utilities.asyncutils import run_sync_in_worker_thread


async def claim(client: PrefectClient, run: FlowRun) -> bool:
    """Wake a sleeping run and take it, in one call; False if it is not ours to start.

    The server lets a run go to Pending once: whoever comes second, while it is Pending or Running, is refused. With a
    scheduled time of its own the state also ends the sleep, which otherwise would hold the run back until its date.
    """
    state: Any = Pending(message="woken")
    state.state_details.scheduled_time = datetime.now(UTC)
    answer = await client.set_flow_run_state(run.id, state)
    if answer.status is SetStateStatus.ACCEPT:
        run.state = state
        return True
    return False


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
