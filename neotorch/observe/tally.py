"""What the event log tells about the machinery: effects by kind and result, notices that are stuck, its own age.

Counted from the log, the figures outlive restarts and hold for all workers together. Each look reads only what is new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from neotorch.domain import events as ev
from neotorch.domain.state import NoticeTrail
from neotorch.engine import Engine
from neotorch.rules.notices import Audience, Notice, delivery_key, outlook


@dataclass
class Tally:
    """Counts up to log position `position`."""

    position: int = 0
    newest: datetime | None = None
    """When the newest event was recorded."""
    events: Counter[str] = field(default_factory=Counter)
    """Type -> events."""
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, result) -> effects."""
    notices: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(channel, result) -> attempts."""
    incidents: Counter[str] = field(default_factory=Counter)
    """Kind -> incidents."""
    open: dict[str, str | None] = field(default_factory=dict)
    """Key of a copy that was claimed and has not gone out -> its subject (None: about the trial)."""

    def read(self, engine: Engine) -> Tally:
        """Take in what is new."""
        for row in engine.log.read(after=self.position):
            self.position, self.newest = row.seq, row.recorded_at
            self.events[row.event.type] += 1
            self._effect(row.event)
        return self

    def _effect(self, event: ev.AnyLogged) -> None:
        if found := effect(event):
            self.effects[found] += 1
        match event:
            case ev.NoticeClaimed():
                self.open[event.key] = event.subject
            case ev.NoticeSent():
                self.open.pop(event.key, None)
                self.notices[event.channel, "sent"] += 1
            case ev.NoticeFailed():
                self.notices[event.channel, _failure(event)] += 1
            case ev.Incident():
                self.incidents[event.kind] += 1
            case _:
                pass


RESULTS = {
    "notice_sent": ("notice", "sent"), "query_raised": ("query", "raised"), "query_closed": ("query", "closed"),
    "deviation_found": ("deviation", "found"), "deviation_withdrawn": ("deviation", "withdrawn"),
    "endpoints_recalculated": ("endpoints", "changed"), "boundary_crossed": ("boundary", "crossed"),
    "boundary_withdrawn": ("boundary", "withdrawn"), "incident": ("incident", "recorded"),
}  # fmt: skip
"""Type of an effect -> kind and result. A claim has no result yet; a notice that failed has one of three."""


def effect(event: ev.AnyLogged) -> tuple[str, str] | None:
    """Return kind and result of an effect; None for a fact and for a claim."""
    return ("notice", _failure(event)) if isinstance(event, ev.NoticeFailed) else RESULTS.get(event.type)


def _failure(event: ev.NoticeFailed) -> str:
    """Return whether it will be tried again, and if not, whether it may have arrived."""
    if event.retry_at is not None:
        return "retry"
    return "in_doubt" if event.in_doubt else "undelivered"


@dataclass(frozen=True)
class Stuck:
    """A copy of a notice that is due, was tried and has not gone out. `given_up`: nothing more happens by itself."""

    key: str
    since: datetime
    given_up: bool


def stuck(engine: Engine, tally: Tally) -> list[Stuck]:
    """Return the copies that are still to go out, oldest first; what is due no more is left out.

    To be called where the engine may be called.
    """
    found: list[Stuck] = []
    now, known = engine.clock(), set(engine.subjects())
    for subject in {s for s in tally.open.values() if s in known}:
        state, due = engine.duties(str(subject))
        found += _stuck(due.notices, state.notices, engine.post.audience(state.site), now)
    if None in tally.open.values():
        post = engine.post
        found += _stuck(post.news.notices(engine.study), post.news.trails, post.audience(None), now)
    return sorted(found, key=lambda one: one.since)


def _stuck(
    notices: Iterable[Notice], trails: Mapping[str, NoticeTrail], audience: Audience, now: datetime
) -> Iterator[Stuck]:
    for notice in notices:
        for role, channel in audience.of(notice):
            key = delivery_key(notice.key, role, channel)
            trail = trails.get(key)
            if trail and trail.claims and not trail.sent:
                yield Stuck(key, min(trail.claims.values()), outlook(trail, notice.kind, now).verdict == "stuck")
