"""What the crash tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from neotorch.receivers import WebReceiver
from tests.crash.parts import House, Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server that nobody kills."""
    found = Server(tmp_path_factory.mktemp("prefect"))
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def house(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The installation whose process is killed again and again."""
    with WebReceiver() as receiver:
        found = House(tmp_path_factory.mktemp("house"), server, receiver)
        yield found
        found.stop()
