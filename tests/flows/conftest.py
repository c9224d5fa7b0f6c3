"""One real Prefect server and one real worker for all tests of this folder, on a log in a temporary folder.

Prefect reads its settings once, when it is first imported; so address and folder are settled here, before any test
module imports it, and taken out of the environment again for the child processes of other tests.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from neotorch.orchestration import environment
from neotorch.orchestration.server import PrefectServer, choose_port

HOME = Path(tempfile.mkdtemp(prefix="neotorch-flows-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
SERVER = PrefectServer(HOME / "prefect", "127.0.0.1", choose_port("127.0.0.1", 0))


def _import_prefect() -> None:
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith(("PREFECT_", "NEOTORCH_"))]:
        del os.environ[name]
    environment.prepare(SERVER.home, SERVER.api)
    import prefect.main  # noqa: F401
    from prefect.settings import get_current_settings

    assert str(get_current_settings().api.url) == SERVER.api
    os.environ.clear()
    os.environ.update(before)


_import_prefect()

from tests.flows.world import World, running_world  # noqa: E402 - only now


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Server, worker, dispatcher and a log with nobody in it yet."""
    with running_world(SERVER, HOME / "data") as found:
        yield found


@pytest.fixture
def subject(world: World) -> str:
    """A subject code that no other test uses."""
    return world.new_subject()
