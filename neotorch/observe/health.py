"""Signs of health: what was looked at, whether it is well, and what to do where it is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Sign:
    """One thing that readiness hangs on."""

    name: str
    ok: bool
    detail: str
    todo: str = ""


def as_json(signs: list[Sign]) -> dict[str, Any]:
    """Return what /ready answers."""
    return {"ready": all(s.ok for s in signs), "checks": [asdict(s) for s in signs]}


class Cached(Generic[T]):
    """What a function returns, asked for again at most every `seconds`, by one thread at a time."""

    def __init__(self, function: Callable[[], T], seconds: float) -> None:
        self._function, self._seconds = function, seconds
        self._lock = threading.Lock()
        self._known: tuple[float, T] | None = None

    def __call__(self) -> T:
        """Return the value, at most `seconds` old when the call began."""
        asked = time.monotonic()
        with self._lock:
            if self._known is None or asked - self._known[0] > self._seconds:
                self._known = time.monotonic(), self._function()
            return self._known[1]
