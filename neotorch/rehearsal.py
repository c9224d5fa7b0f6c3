"""Running a synthetic trial through the real engine on a virtual clock: years in seconds, by the code that runs for real.

Only the last step differs: what would be sent is worded and put into a folder, whatever the channel, since nobody wants
four years of mail in one minute. The log holds claims and outcomes as in life, so nothing is sent again afterwards.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.notify import Channel, Notice, Notifier, SendResult, render
from neotorch.settings import Settings
from neotorch.simulation import Dated

ROUNDS = 8


class PaperNotifier(Notifier):
    """Words every notice as its channel would get it, counts it, and sends nothing."""

    sent: int = 0

    def send(self, channel: Channel, notice: Notice) -> SendResult:
        """Word the notice; one that cannot be worded is a failure here as it would be in life."""
        del channel
        render(notice)
        self.sent += 1
        return SendResult(ok=True)


def rehearse(
    settings: Settings,
    dated: Sequence[Dated],
    until: datetime,
    *,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Engine:
    """Play the facts up to `until` into the settings' log; returns the engine, whose clock stands at `until`.

    `progress` is told of (facts played, facts in all).
    """
    now = [dated[0].known_at if dated else until]
    engine = Engine.open(settings, clock=lambda: now[0])
    old = engine.notifier
    engine.notifier = PaperNotifier(old.channels, old.folder)
    timers: list[tuple[datetime, str]] = []
    played = 0
    for (_, subject), facts in groupby(_batches(dated), key=lambda d: (d.known_at.date(), d.fact.subject)):
        batch = list(facts)
        _ring(engine, timers, now, batch[-1].known_at)
        now[0] = max(now[0], batch[-1].known_at)
        _record(engine, batch)
        _wake(engine, subject, timers)
        if any(d.fact.type in ev.ENDPOINT_TYPES for d in batch):
            _recalculate(engine)
        played += len(batch)
        progress(played, len(dated))
    _ring(engine, timers, now, until)
    now[0] = until
    _recalculate(engine)
    return engine


def _batches(dated: Sequence[Dated]) -> list[Dated]:
    """Return the facts with those that one site records on one day for one patient side by side."""
    last: dict[tuple[object, str], datetime] = {}
    for d in dated:
        last[d.known_at.date(), d.fact.subject] = d.known_at
    return sorted(dated, key=lambda d: (last[d.known_at.date(), d.fact.subject], d.fact.subject, d.known_at))


def _record(engine: Engine, batch: Sequence[Dated]) -> None:
    refused = [a for a in engine.record([d.fact for d in batch]) if a.outcome == "refused"]
    if refused:
        reasons = "; ".join(f"{a.fact.id} {r.field}: {r.what}" for a in refused for r in a.refusals)
        raise ValueError(f"the synthetic trial made facts that cannot be: {reasons}")


def _ring(engine: Engine, timers: list[tuple[datetime, str]], now: list[datetime], until: datetime) -> None:
    """Wake, in order, every journey whose time comes before `until`."""
    while timers and timers[0][0] <= until:
        at, subject = heapq.heappop(timers)
        now[0] = max(now[0], at)
        _wake(engine, subject, timers)


def _wake(engine: Engine, subject: str, timers: list[tuple[datetime, str]]) -> None:
    """Do what a journey does when it wakes; its next wake goes into `timers` in place of the one before."""
    for _ in range(ROUNDS):
        plan = engine.plan(subject)
        for step in plan.steps:
            engine.perform_now(subject, step)
        engine.mark_seen(subject, plan.seen)
        if all(step.kind in ("fact", "endpoint") for step in plan.steps):  # nothing was done that could lead to more
            break
    timers[:] = [t for t in timers if t[1] != subject]
    if plan.until:
        timers.append((plan.until, subject))
    heapq.heapify(timers)


def _recalculate(engine: Engine) -> None:
    engine.recalculate("event")
    for step in engine.trial_plan():
        engine.perform_now(None, step)
