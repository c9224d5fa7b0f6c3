"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.postgres"]


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
