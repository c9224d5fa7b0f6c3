"""The Prefect settings that neotorch runs with. They are put into the environment before Prefect is first imported.

A setting that is in the environment already is left as it is, so the Prefect side can be moved with Prefect's own
variables: with PREFECT_API_URL set, that server is used and none of our own is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from neotorch.domain.errors import NeotorchError

RESULT_BLOCK = "local-file-system/neotorch-results"
"""Named storage for results, though no flow keeps any: without a name each flow run asks the server for the default."""

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_CLI_PROMPT": "false",
}
LEAN = {
    # On SQLite a lost write lock is answered 503 and costs the client seconds: write in batches.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
    # Loops of the server that have next to nothing to do here; every few seconds they would hold the write lock.
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "120",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "15",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "60",
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    # The journey's graph says what was done; Prefect's own chatter would be four log lines per wake.
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}


class PrefectTooEarly(NeotorchError):
    """Prefect was imported before its settings were made."""


def prefect_settings(home: Path, api_url: str) -> dict[str, str]:
    """Return the variables for a server and its workers that keep their files in `home`."""
    return {
        "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url, "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": RESULT_BLOCK,
        **QUIET, **LEAN,
    }  # fmt: skip


def prepare(home: Path, api_url: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Put the settings into the environment of this process and of its children; PrefectTooEarly if that is too late."""
    wanted = {k: v for k, v in prefect_settings(home, api_url).items() if k not in environment}
    if wanted and environment is os.environ and "prefect" in sys.modules:
        raise PrefectTooEarly(
            f"Prefect was imported before {', '.join(sorted(wanted))} could be set", "environment.prepare()",
            "call prepare() before anything imports prefect",
        )  # fmt: skip
    environment.update(wanted)


def external_server(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the address of a Prefect server that is run by others, if the environment names one."""
    return environment.get("PREFECT_API_URL") or None
