"""Notices: who has to be told what now, and what a notice's history allows.

Nothing here is stored: a reminder is worked out again at the moment of sending, so one whose visit was held or whose
date moved simply is no longer due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.state import NoticeTrail, PatientState
from neotorch.domain.study import Study
from neotorch.rules.schedule import Because

Kind = Literal[
    "reminder", "moved", "query", "safety", "endpoint", "incident", "deviation", "important_deviation", "digest",
    "boundary", "head",
]  # fmt: skip
NEVER_LOST: frozenset[str] = frozenset({"safety", "endpoint", "incident", "boundary", "head"})
"""Sent again when in doubt, and then says that it may be a repeat. All others are never repeated."""
LEASE = timedelta(seconds=60)
"""A claim younger than this is being sent by somebody; longer than any channel's time-out."""
BACKOFF = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120, 360))
"""Waits between attempts at a channel that is down; after the last one the notice stands on the worklist."""


@dataclass(frozen=True)
class Notice:
    """Something to tell, whoever is listening. `data` are plain values for the templates: codes, dates, labels."""

    key: str
    kind: Kind
    title: str
    because: Because
    data: Mapping[str, object] = field(default_factory=dict)
    learnt_at: datetime | None = None
    roles: tuple[str, ...] | None = None
    """Whom it is for, in place of those whom the study file names for its kind."""


@dataclass(frozen=True)
class Audience:
    """Who listens at one site."""

    tell: Mapping[str, Sequence[str]]
    """Kind of notice -> roles."""
    channels: Mapping[str, Sequence[str]]
    """Role -> names of the channels that its people read."""
    quiet_until: datetime | None = None
    """Set in the quiet hours: when what can wait may go out."""
    digests: Mapping[str, datetime] = field(default_factory=dict)
    """Channel -> when its next digest goes out, where what can wait goes into one."""
    held: str = ""
    """Why all that can wait is held for a person; empty: it is not."""

    def of(self, notice: Notice) -> list[tuple[str, str]]:
        """Return the (role, channel) pairs that are to have a copy."""
        roles = self.tell.get(notice.kind, ()) if notice.roles is None else notice.roles
        return [(role, channel) for role in roles for channel in self.channels.get(role, ())]


@dataclass(frozen=True)
class Delivery:
    """One notice for one channel."""

    notice: Notice
    role: str
    channel: str
    attempt: int
    possible_repeat: bool
    members: tuple[Member, ...] = ()
    """What goes out in it, if it is a digest."""

    @property
    def key(self) -> str:
        """Stable key of the delivery."""
        return delivery_key(self.notice.key, self.role, self.channel)


@dataclass(frozen=True)
class Member:
    """One patient's notice on its way in a digest."""

    subject: str
    site: str | None
    delivery: Delivery


@dataclass(frozen=True)
class Outlook:
    """What a delivery's history says: send now, wait until, done, or stuck with the reason."""

    verdict: Literal["send", "wait", "done", "stuck"]
    until: datetime | None = None
    why: str = ""


def delivery_key(notice_key: str, role: str, channel: str) -> str:
    """Return the key under which one channel's copy of a notice is claimed."""
    return f"{notice_key}/{role}/{channel}"


def quiet_until(now: datetime, study: Study, site: str | None) -> datetime | None:
    """Return when the site's quiet hours end, if it is in them; None outside."""
    quiet, zone = study.reminders.quiet, study.site(site).time_zone
    if quiet is None:
        return None
    hour, today = now.astimezone(ZoneInfo(zone)).hour, local_date(now, zone)
    over_night = quiet.from_hour > quiet.to_hour
    evening = hour >= quiet.from_hour and (over_night or hour < quiet.to_hour)
    morning = over_night and hour < quiet.to_hour
    if not evening and not morning:
        return None
    return at_hour(today + timedelta(1 if evening and over_night else 0), quiet.to_hour, zone)


def next_retry(attempt: int, kind: str, now: datetime, *, in_doubt: bool) -> datetime | None:
    """Return when to try again after the failed `attempt` (1 is the first), None for no more.

    What may have arrived is tried again only if its kind must never be lost.
    """
    if in_doubt and kind not in NEVER_LOST:
        return None
    if attempt <= len(BACKOFF):
        return now + BACKOFF[attempt - 1]
    return now + BACKOFF[-1] if kind in NEVER_LOST else None


def outlook(trail: NoticeTrail | None, kind: str, now: datetime) -> Outlook:
    """Return what may be done about a delivery with this history."""
    if trail is None or not trail.last_attempt:
        return Outlook("send")
    if trail.sent:
        return Outlook("done")
    if trail.unresolved:
        free = trail.unresolved + LEASE
        if now < free:
            return Outlook("wait", free)
        if kind in NEVER_LOST:
            return Outlook("send", why="an earlier attempt was cut off")
        return Outlook("stuck", why="sending was cut off; it may or may not have arrived")
    failed = trail.failed[trail.last_attempt]
    if failed.retry_at is None:
        return Outlook("stuck", why=f"not delivered after {failed.attempt} attempts: {failed.error}")
    return Outlook("send") if failed.retry_at <= now else Outlook("wait", failed.retry_at, failed.error)


def safety_notices(state: PatientState, study: Study) -> list[Notice]:
    """Return one notice per fact that an investigator must know of at once."""
    return state.once("safety notices", (study,), lambda: _safety_notices(state, study))


def _safety_notices(state: PatientState, study: Study) -> list[Notice]:
    found = []
    for fact in state.facts:
        what = _safety(fact)
        if what:
            data = {"subject": state.subject, "what": what, "occurred": fact.occurred, "explain": fact.id}
            because = Because("safety.tell", study.version, event_ids=(fact.id,), detail=f"{what} on {fact.occurred}")
            title = f"notice: {what.replace('_', ' ')}"
            found.append(Notice(f"{fact.id}/told", "safety", title, because, data, state.learnt[fact.id].recorded_at))
    return found


def _safety(fact: ev.AnyFact) -> str | None:
    match fact:
        case ev.Death():
            return "death"
        case ev.Recurrence():
            return f"{fact.site}_recurrence"
        case ev.Progression():
            return "progression_inoperable" if fact.operable is False else "progression"
        case ev.AdverseEvent() if fact.serious:
            return "serious_adverse_event"
        case _:
            return None


def deliveries(
    notices: list[Notice],
    trails: Mapping[str, NoticeTrail],
    audience: Audience,
    now: datetime,
) -> tuple[list[Delivery], list[datetime]]:
    """Return what to send now and when the rest may be tried. In quiet hours only what must never be lost goes out.

    A channel that was added later is not sent what its role was told through another channel more than a day ago.
    """
    send: list[Delivery] = []
    later: list[datetime] = []
    for notice in notices:
        for role, channel in audience.of(notice):
            trail = trails.get(delivery_key(notice.key, role, channel))
            if trail is None and _told_elsewhere(notice.key, role, trails, now):
                continue
            view = outlook(trail, notice.kind, now)
            wait = view.verdict == "send" and notice.kind not in NEVER_LOST
            if wait and audience.held:
                continue
            if wait and (channel in audience.digests or audience.quiet_until):
                later.append(audience.digests.get(channel) or audience.quiet_until or now)
            elif view.verdict == "send":
                attempt = (trail.last_attempt if trail else 0) + 1
                send.append(Delivery(notice, role, channel, attempt, possible_repeat=bool(trail and trail.in_doubt)))
            elif view.until:
                later.append(view.until)
    return send, later


def _told_elsewhere(key: str, role: str, trails: Mapping[str, NoticeTrail], now: datetime) -> bool:
    prefix = f"{key}/{role}/"
    return any(k.startswith(prefix) and t.sent and now - t.sent.at > timedelta(days=1) for k, t in trails.items())
