"""Compares the journeys on a Prefect server with the log, as the reconciler does, and changes nothing: for `neotorch doctor`."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import urllib.error
import urllib.request
from importlib.metadata import version

from neotorch.engine import Engine
from neotorch.orchestration import environment
from neotorch.settings import Settings


def server_version(api: str) -> str:
    """Return the version of the Prefect server at this address; empty if it does not say."""
    request = urllib.request.Request(f"{api}/admin/version")  # noqa: S310 - an address of ours
    if sign_in := os.environ.get("PREFECT_API_AUTH_STRING"):
        request.add_header("Authorization", f"Basic {base64.b64encode(sign_in.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            return str(json.load(answer))
    except (urllib.error.URLError, OSError, ValueError):
        return ""


def prefect_version() -> str:
    """Return the version of Prefect that is installed here."""
    return version("prefect")


def journeys(settings: Settings, engine: Engine, api: str) -> tuple[int, list[str]]:
    """Return how many patients there are, and what the reconciler would set right, a line each.

    Takes seconds: Prefect is imported. Raises what its client raises where the server cannot be asked.
    """
    before = dict(os.environ)
    if "prefect" not in sys.modules:
        environment.prepare(settings.data_dir / "prefect", api)
    try:
        return asyncio.run(_compare(engine, api))
    finally:  # a look leaves no settings behind, for this process or its children
        os.environ.clear()
        os.environ.update(before)


async def _compare(engine: Engine, api: str) -> tuple[int, list[str]]:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from neotorch.orchestration.reconciler import Reconciler, now
    from neotorch.orchestration.runs import Journeys
    from neotorch.orchestration.verdicts import Surroundings
    from neotorch.orchestration.wakers import waker

    with temporary_settings({PREFECT_API_URL: api}):
        client_of_api = get_client()
    async with client_of_api as client:
        try:
            known = await Journeys.open(client, engine.study.id)
        except ObjectNotFound:
            return len(engine.subjects()), ["the deployment patient-journey has not been made"]
        looker = Reconciler(engine, known, waker(client), lambda: Surroundings(now()))
        patients, verdicts = await looker.compare()
    lines = [f"{s}: {v.why}" for s, v in sorted(verdicts.items()) if v.action != "leave"]
    lines += [f"{s}: {len(v.cancel)} runs too many" for s, v in sorted(verdicts.items()) if v.cancel]
    return patients, lines
