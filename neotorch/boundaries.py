"""Writes down, once each, that a monitoring boundary was crossed, and that the data do not show it any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neotorch.domain import events as ev
from neotorch.effects import Effects
from neotorch.rules.endpoints.monitoring import Crossing, counted, crossing_key

Told = ev.BoundaryCrossed | ev.BoundaryWithdrawn


def record_boundaries(
    effects: Effects, newest: Mapping[str, Told], crossed: Iterable[Crossing], head: int
) -> tuple[Told, ...]:
    """Record what differs from `newest`, the last word on each look, and return it; `head`: the position it is of.

    Whoever else finds the same records the same id, and an id can be in the log only once.
    """
    now = {c.key: c for c in crossed}
    fresh: list[Told] = [
        _crossed(effects, c, newest.get(key), head)
        for key, c in now.items()
        if not isinstance(newest.get(key), ev.BoundaryCrossed)
    ]
    gone: list[Told] = [
        _withdrawn(effects, told, head)
        for key, told in newest.items()
        if isinstance(told, ev.BoundaryCrossed) and key not in now
    ]
    return tuple(event for event in (*fresh, *gone) if effects.append(event))


def _crossed(effects: Effects, crossing: Crossing, before: Told | None, head: int) -> ev.BoundaryCrossed:
    look, number = crossing.look, (before.round if before else 0) + 1
    assert look.stop_at is not None
    assert crossing.kind != "prediction"
    limit = f"stops at {look.stop_at} or {'more' if crossing.kind == 'toxicity' else 'fewer'}"
    return ev.BoundaryCrossed(
        **effects.common(f"{crossing.key}/round/{number}"), rule=crossing.code, kind=crossing.kind, n=look.n, x=look.x,
        stop_at=look.stop_at, on=look.on, round=number, log_seq=head,
        reason=f"{counted(crossing.kind, look.x, look.n)}, {limit}; {look.subject} became evaluable on {look.on}",
    )  # fmt: skip


def _withdrawn(effects: Effects, told: ev.BoundaryCrossed, head: int) -> ev.BoundaryWithdrawn:
    key = crossing_key(told.rule, told.n)
    return ev.BoundaryWithdrawn(
        **effects.common(f"{key}/withdrawn/{told.round}"), rule=told.rule, kind=told.kind, n=told.n, round=told.round,
        log_seq=head, reason=f"the data up to log position {head} do not show it any more",
    )  # fmt: skip
