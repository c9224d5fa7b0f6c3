"""Puts into the log what went wrong with the machinery, so that the operators are told through the trial's channels."""

from __future__ import annotations

from neotorch.domain import events as ev
from neotorch.engine import Engine


def record_incident(engine: Engine, kind: str, detail: str, source: str) -> None:
    """Record an incident once per `source`, such as the id of the run that reports it."""
    incident = ev.Incident(
        id=f"{ev.ENGINE_ID}incident/{kind}/{source}", study=engine.study.id, occurred=engine.today(), kind=kind,
        detail=detail[:500],
    )  # fmt: skip
    engine.log.append_new([incident], now=engine.clock())
