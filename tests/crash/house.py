"""`neotorch up` for the crash tests: says `ready`, and takes the name of the next crash point from standard input."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from neotorch.orchestration.up import up
from neotorch.settings import load_settings


def listen() -> None:
    """Arm the crash point that each line names."""
    for line in sys.stdin:
        os.environ["NEOTORCH_CRASH_AT"] = line.strip()
        print("armed", flush=True)  # noqa: T201 - this is the answer


def ready(_: object) -> None:
    """Say that journeys are woken from now on."""
    print("ready", flush=True)  # noqa: T201 - see above


threading.Thread(target=listen, daemon=True).start()
asyncio.run(up(load_settings(), on_ready=ready))
