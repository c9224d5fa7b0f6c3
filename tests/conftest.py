"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.postgres"]

SERVERS = frozenset({"browser", "crash", "flows"})
"""Folders whose tests have Prefect servers of their own: one after the other, beside all that needs none."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests have to stay in one process when two run (`-n 2 --dist loadgroup`): servers, else each file."""
    for item in items:
        group = "servers" if item.path.parent.name in SERVERS else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


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
