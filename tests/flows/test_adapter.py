"""The contract with those parts of Prefect that are not documented API; a new release that breaks it fails here."""

from __future__ import annotations

import inspect
import logging

import httpx
import pytest
from prefect.flow_engine import run_flow_async, run_flow_sync
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker

from neotorch.orchestration import adapter
from neotorch.orchestration.worker import NeotorchWorker
from tests.flows.world import World


def test_the_run_engine_takes_a_flow_run_and_its_parameters() -> None:
    """What `drive` calls has the arguments that it is called with."""
    for function in (run_flow_async, run_flow_sync):
        assert {"flow", "flow_run", "parameters"} <= inspect.signature(function).parameters.keys()


def test_the_worker_overrides_what_is_there_to_override() -> None:
    """The methods and fields of BaseWorker that our worker relies on exist, with the arguments that it expects."""
    expected = {
        "_submit_run": ["self", "flow_run"],
        "_cancel_run": ["self", "flow_run_id"],
        "_release_limit_slot": ["self", "flow_run_id"],
        "setup": ["self"],
    }
    for name, arguments in expected.items():
        assert list(inspect.signature(getattr(BaseWorker, name)).parameters) == arguments
    fields = inspect.getsource(BaseWorker.__init__)
    for name in ("_submitting_flow_run_ids", "_cancelling_observer", "_exit_stack", "_runs_task_group"):
        assert f"self.{name}" in fields


def test_prefect_knows_the_worker_type_by_its_entry_point() -> None:
    """`prefect worker start --type neotorch` finds the worker, as it finds its own."""
    assert BaseWorker.get_worker_class_from_type("neotorch") is NeotorchWorker
    assert BaseWorker.get_worker_class_from_type("process") is ProcessWorker


def test_a_wake_costs_five_requests(world: World, subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wake that changes nothing on its page: take it, run it, read it, put it to sleep; one more for its story."""
    world.patient(subject)
    world.tell(world.contact(subject))
    run = world.asleep(subject)
    calls: list[str] = []
    transport = world.worker.client._client._transport
    send = transport.handle_async_request

    async def counted(request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = await send(request)
        if str(run.id) in request.url.path or str(run.id).encode() in request.content:
            calls.append(f"{request.method} {request.url.path.rpartition('/')[2]}".replace(str(run.id), "run"))
        return answer

    monkeypatch.setattr(transport, "handle_async_request", counted)
    world.tell(world.contact(subject))
    world.asleep(subject)
    asleep = ["POST set_state", "POST set_state", "GET run", "POST ", "POST set_state"]
    assert calls[: len(asleep)] == asleep
    assert calls[len(asleep) :] in ([], ["GET run"]), "a second look of the dispatcher at most"


def test_going_to_sleep_is_not_logged_as_an_error(world: World, subject: str) -> None:
    """Prefect's `Finished in state Scheduled(...)` at ERROR level is dropped; failures still come through."""
    run = world.patient(subject)
    world.tell(world.contact(subject))
    world.asleep(subject)
    found = world.client._client.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [str(run.id)]}}})
    assert found.json() == []
    logger = logging.getLogger("prefect.flow_runs")
    adapter.calm_logs()
    failed = logger.makeRecord(logger.name, logging.ERROR, "", 0, "Finished in state Failed('x')", (), None)
    asleep = logger.makeRecord(logger.name, logging.ERROR, "", 0, "Finished in state Scheduled('x')", (), None)
    assert logger.filter(failed)
    assert not logger.filter(asleep)
