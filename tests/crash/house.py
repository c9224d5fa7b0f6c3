"""`neotorch up` for the crash tests: says `ready` and where, and takes the name of the next crash point from stdin.

python -m tests.crash.house [neotorch|process]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import cast

from neotorch.orchestration.up import Running, WorkerType, up
from neotorch.settings import load_settings


def listen() -> None:
    """Arm the crash point that each line names."""
    for line in sys.stdin:
        os.environ["NEOTORCH_CRASH_AT"] = line.strip()
        print("armed", flush=True)  # noqa: T201 - this is the answer
    os.kill(os.getpid(), signal.SIGTERM)  # the tests are gone


def ready(running: Running) -> None:
    """Say that journeys are woken from now on, where the server is, and what was found at the start."""
    print(f"ready {running.api} {running.reconciled}", flush=True)  # noqa: T201 - see above


threading.Thread(target=listen, daemon=True).start()
asyncio.run(up(load_settings(), on_ready=ready, worker=cast("WorkerType", (sys.argv[1:] or ["neotorch"])[0])))
