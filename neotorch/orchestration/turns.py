"""What only one process of an installation may do at a time: a lock in the database of the log, which all of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from prefect.client.orchestration import PrefectClient

from neotorch.engine import Engine
from neotorch.orchestration.deploy import deploy
from neotorch.orchestration.dispatcher import in_engine

LOOK_SECONDS = 0.5


async def deploy_for(engine: Engine, client: PrefectClient, pool: str, pool_type: str) -> None:
    """Make what the flows need on the server, one process at a time: two at once would make each automation twice."""
    async with turn(engine, "deploy"):
        await deploy(client, pool=pool, pool_type=pool_type, time_zone=engine.study.sites[0].time_zone)


@asynccontextmanager
async def turn(engine: Engine, name: str) -> AsyncIterator[None]:
    """Wait until nobody else has the turn, and have it. The database takes it back when the process dies."""
    while (give_back := await in_engine(engine.log.take_turn, name)) is None:
        await anyio.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await in_engine(give_back)
