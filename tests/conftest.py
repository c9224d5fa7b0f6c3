"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import _lru_cache_wrapper

import pytest

from tests import proofs

pytest_plugins = ["tests.postgres"]


@pytest.fixture(scope="session", autouse=True)
def nothing_kept() -> None:
    """A run of the tests begins with no figure kept, also when it is forked from one before it (`make mutate`)."""
    for name in [n for n in sys.modules if n.startswith(("neotorch.domain.statistics", "neotorch.rules.endpoints"))]:
        for kept in vars(sys.modules[name]).values():
            if isinstance(kept, _lru_cache_wrapper):
                kept.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def own_settings(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test knows no settings but those it names: neither of the desk it runs at nor of a world that runs beside it.

    The tests of flows/ live in such a world, whose settings stand in the environment for its `process` workers.
    """
    if request.path.parent.name == "flows":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("NEOTORCH_")]:
            patch.delenv(name)
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests of the promises have counted."""
    if proofs.counted:
        terminalreporter.section("promises")
        for line in proofs.counted:
            terminalreporter.write_line(line)
