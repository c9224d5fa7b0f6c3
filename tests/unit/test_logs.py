"""Log lines carry the business keys, whoever writes them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from neotorch.observe import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged in a test; the process's own handlers come back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("neotorch")
    before = root.handlers[:], root.level, ours.level
    yield io.StringIO()
    logs._ours = None
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_a_line_carries_the_keys_of_its_wake(stream: io.StringIO) -> None:
    """Set once, the keys stand as fields on every line within, other modules' and other threads' too."""
    logs.configure("json", stream=stream)
    with logs.about(study="S", subject="NT-001", run="r1"), logs.about(effect="NT-001/C1D1/opens", attempt=2):
        logging.getLogger("neotorch.somewhere").info("did %s", "it", extra={"result": "sent"})
        with ThreadPoolExecutor(1) as pool:
            pool.submit(copy_context().run, logging.getLogger("elsewhere").warning, "late").result()
    logging.getLogger("neotorch.somewhere").info("after")
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    keys = {"study": "S", "subject": "NT-001", "run": "r1", "effect": "NT-001/C1D1/opens", "attempt": 2}
    assert first.pop("at").endswith("+00:00")
    assert first == {"level": "INFO", "logger": "neotorch.somewhere", "message": "did it", "result": "sent", **keys}
    assert keys.items() <= second.items()
    assert not set(logs.KEYS) & set(third)


def test_what_a_library_adds_to_a_line_is_left_out(stream: io.StringIO) -> None:
    """Only our own keys become fields: what others put beside a line is not known to be harmless."""
    logs.configure("json", stream=stream)
    logging.getLogger("library").warning("x", extra={"password": "hunter2hunter2"})
    assert "hunter2hunter2" not in stream.getvalue()


def test_lines_for_a_person_hold_the_same_keys(stream: io.StringIO) -> None:
    """Text on a terminal, JSON elsewhere; either may be asked for."""
    logs.configure("text", stream=stream)
    with logs.about(subject="NT-001"):
        logging.getLogger("neotorch.x").warning("cannot wake yet", extra={"attempt": 3})
    assert stream.getvalue().endswith("WARNING neotorch.x: cannot wake yet  [subject=NT-001 attempt=3]\n")
    assert isinstance(logs.formatter("auto", stream), logs._Json)


def test_ours_from_the_level_on_and_others_from_warnings_on(stream: io.StringIO) -> None:
    """A library's chatter stays out whatever our own level is."""
    logs.configure("json", "DEBUG", stream)
    logging.getLogger("neotorch.x").debug("seen")
    logging.getLogger("library").info("not seen")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["seen"]
