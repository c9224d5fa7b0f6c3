"""Named crash points: with NEOTORCH_CRASH_AT=name[:n] the process kills itself (SIGKILL) the n-th time it gets there.

They stand in the code that ships, so that the crash tests kill what users run. Without the variable they do nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_seen: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill the process if this is the point and the time that NEOTORCH_CRASH_AT names."""
    target = os.environ.get("NEOTORCH_CRASH_AT")
    if not target:
        return
    wanted, _, times = target.partition(":")
    if wanted == name:
        _seen[name] += 1
        if _seen[name] == int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)
