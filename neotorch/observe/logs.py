"""Structured logs: readable lines on a terminal, otherwise JSON lines, each with the business keys that are known.

`about()` sets the keys once, e.g. per wake; every line that is logged inside carries them, whichever module writes it.
Lines go to stderr, where systemd's journal and containers pick them up. They hold codes and keys, never free text.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

Format = Literal["auto", "text", "json"]
KEYS = ("study", "subject", "effect", "run", "position", "attempt", "result")
"""Fields that a line may have: study, subject code, effect key, flow run id, log position, attempt, how it ended."""

_about: ContextVar[Mapping[str, object]] = ContextVar("_about", default={})  # noqa: B039 - never changed in place


@contextmanager
def about(**keys: object) -> Iterator[None]:
    """Have each line that is logged within carry these keys (see KEYS), beside those that are set around it."""
    token = _about.set({**_about.get(), **{k: v for k, v in keys.items() if v is not None}})
    try:
        yield
    finally:
        _about.reset(token)


class _Keys(logging.Filter):
    """Puts the keys of the context onto the record; what the call itself gave by `extra=` goes first."""

    def filter(self, record: logging.LogRecord) -> bool:
        for key, value in _about.get().items():
            if not hasattr(record, key):
                setattr(record, key, value)
        return True


class _Text(logging.Formatter):
    """One line for a person: time, level, message, keys."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with the keys behind it."""
        keys = " ".join(f"{k}={getattr(record, k)}" for k in KEYS if getattr(record, k, None) is not None)
        return super().format(record) + (f"  [{keys}]" if keys else "")


class _Json(JsonFormatter):
    """One JSON object per line. A library's own extras are left out: they may hold anything."""

    KEPT = frozenset({"at", "level", "logger", "message", "exc_info", *KEYS})

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"], rename_fields={"levelname": "level", "name": "logger"}, timestamp="at",
            json_ensure_ascii=False,
        )  # fmt: skip

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that are kept."""
        return {k: v for k, v in log_data.items() if k in self.KEPT and v is not None}


def formatter(kind: Format, stream: TextIO) -> logging.Formatter:
    """Return what makes lines of records; `auto`: text on a terminal, else JSON."""
    return _Text() if kind == "text" or (kind == "auto" and stream.isatty()) else _Json()


_ours: logging.Handler | None = None
"""The handler that all lines of this process go to, once it is configured."""


def configure(kind: Format = "auto", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all lines of this process to `stream` (stderr): ours from `level` on, those of libraries from WARNING on."""
    global _ours  # noqa: PLW0603 - logging is one per process
    stream = stream or sys.stderr
    _ours = logging.StreamHandler(stream)
    _ours.setFormatter(formatter(kind, stream))
    _ours.addFilter(_Keys())
    logging.getLogger("neotorch").setLevel(level)
    take_over()


def take_over() -> None:
    """Have all lines go our way again, where a library has set up handlers of its own; nothing if not configured."""
    if _ours is None:
        return
    root = logging.getLogger()
    root.handlers[:] = [_ours]
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "fastapi", "prefect._internal"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
