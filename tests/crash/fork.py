"""Children forked from a driver that has everything imported: a kill then costs milliseconds, not an interpreter's start."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[object], None]


@dataclass(frozen=True)
class Child:
    """A forked process and the pipe that it talks through."""

    pid: int
    pipe: int

    def kill_at(self, moment: float) -> None:
        """SIGKILL at an instant of the monotonic clock, whatever it does then."""
        time.sleep(max(0.0, moment - time.monotonic()))
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> tuple[list[str], int]:
        """Wait for its end: the whole lines that it said, and the exit code (-9 if it was killed)."""
        with os.fdopen(self.pipe, "rb") as pipe:
            said = pipe.read().decode()
        _, status = os.waitpid(self.pid, 0)
        return said.split("\n")[:-1], os.waitstatus_to_exitcode(status)


def fork(job: Callable[[Say], None], *, crash_at: str = "") -> Child:
    """Run `job` in a child; what it says arrives here at once. `crash_at` arms a crash point in it."""
    theirs, ours = os.pipe()
    pid = os.fork()
    if pid:
        os.close(ours)
        return Child(pid, theirs)
    code = 1
    try:
        os.close(theirs)
        os.environ["NEOTORCH_CRASH_AT"] = crash_at
        job(lambda what: os.write(ours, f"{what}\n".encode()))
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
        traceback.print_exc()
    os._exit(code)
