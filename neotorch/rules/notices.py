"""Notices: who has to be told what now, and what a notice's history allows.

Nothing here is stored: a reminder is worked out again at the moment of sending, so one whose visit was held or whose
date moved simply is no longer due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.calendar import Window, at_hour
from neotorch.domain.state import NoticeTrail, PatientState
from neotorch.domain.study import Rung, Study
from neotorch.rules.missing import Finding
from neotorch.rules.schedule import Because, VisitPlan

Kind = Literal["reminder", "moved", "query", "safety", "endpoint", "incident", "deviation", "important_deviation"]
NEVER_LOST: frozenset[str] = frozenset({"safety", "endpoint", "incident"})
"""Sent again when in doubt, and then says that it may be a repeat. All others are never repeated."""
LEASE = timedelta(seconds=60)
"""A claim younger than this is being sent by somebody; longer than any channel's time-out."""
BACKOFF = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120, 360))
"""Waits between attempts at a channel that is down; after the last one the notice stands on the worklist."""
REMINDED: frozenset[str] = frozenset({"planned", "open", "due", "late", "overdue"})


@dataclass(frozen=True)
class Notice:
    """Something to tell, whoever is listening. `data` are plain values for the templates: codes, dates, labels."""

    key: str
    kind: Kind
    title: str
    because: Because
    data: Mapping[str, object] = field(default_factory=dict)
    learnt_at: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """One notice for one channel."""

    notice: Notice
    role: str
    channel: str
    attempt: int
    possible_repeat: bool

    @property
    def key(self) -> str:
        """Stable key of the delivery."""
        return delivery_key(self.notice.key, self.role, self.channel)


@dataclass(frozen=True)
class Outlook:
    """What a delivery's history says: send now, wait until, done, or stuck with the reason."""

    verdict: Literal["send", "wait", "done", "stuck"]
    until: datetime | None = None
    why: str = ""


def delivery_key(notice_key: str, role: str, channel: str) -> str:
    """Return the key under which one channel's copy of a notice is claimed."""
    return f"{notice_key}/{role}/{channel}"


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


def rung_days(rungs: list[Rung], span: Window) -> list[tuple[date, Rung]]:
    """Return the reminder days of a window in order; of two on one day the one later in the study file stands last."""
    day_of = {"opens": span.opens, "target": span.target, "closes": span.closes}
    days = [(day_of[r.at] + timedelta(r.days), n, r) for n, r in enumerate(rungs)]
    return [(day, rung) for day, _, rung in sorted(days, key=lambda x: x[:2])]


def reminders(
    state: PatientState, study: Study, plans: tuple[VisitPlan, ...], now: datetime
) -> tuple[list[Notice], list[datetime]]:
    """Return the reminders due now (at most one per visit: the newest rung) and the instants of the later ones."""
    zone, hour = study.site(state.site).time_zone, study.reminders.hour
    due: list[Notice] = []
    later: list[datetime] = []
    for plan in plans:
        if plan.status not in REMINDED or plan.window is None:
            continue
        days = [(at_hour(day, hour, zone), rung) for day, rung in rung_days(study.reminders.rungs, plan.window)]
        later += [at for at, _ in days if at > now]
        if plan.window.last_overdue is not None:
            later += [at for at in [at_hour(plan.window.last_overdue + timedelta(1), hour, zone)] if at > now]
        reached = [rung for at, rung in days if at <= now]
        said = _said(state, plan.code)
        reminded = reached and not (reached[-1].name != "overdue" and plan.status == "overdue")
        reminder = _reminder(state, study, plan, reached[-1], said) if reminded else None
        if reminder and not _stale(reminder, said):
            due.append(reminder)
        elif moved := _moved(state, study, plan, said):
            due.append(moved)
    return due, later


@dataclass(frozen=True)
class _Said:
    """What the coordinator was last told about a visit: the notice's key, its day, and the day told before it."""

    key: str
    target: date
    before: date | None
    keys: frozenset[str]
    """Keys of all that was told."""


RUNGS = frozenset({"ahead", "opens", "closing", "overdue", "moved"})


def _said(state: PatientState, visit: str) -> _Said | None:
    prefix = f"{state.subject}/{visit}/"
    told: dict[str, datetime] = {}
    for key, trail in state.notices.items():
        parts = key.removeprefix(prefix).split("/")
        if trail.sent and key.startswith(prefix) and parts[0] in RUNGS and len(parts) > 1:
            base = f"{prefix}{parts[0]}/{parts[1]}"
            told[base] = min(trail.sent.at, told.get(base, trail.sent.at))
    if not told:
        return None
    days = [(at, _target(key), key) for key, at in told.items()]
    last = max(days)
    earlier = [d for d in days if d[1] != last[1]]
    return _Said(last[2], last[1], max(earlier)[1] if earlier else None, frozenset(told))


def _target(key: str) -> date:
    """The day that a reminder or a moved notice is about: `.../moved/2026-03-16.2` tells it for the second time."""
    return date.fromisoformat(key.rpartition("/")[2].partition(".")[0])


def _stale(reminder: Notice, said: _Said | None) -> bool:
    """Whether it went out before another day was told: it would not go out again, so `moved` takes its place."""
    if said is None or reminder.key not in said.keys:
        return False
    return _target(reminder.key) != said.target or "/moved/" in said.key


def _visit_data(state: PatientState, study: Study, plan: VisitPlan) -> dict[str, object]:
    assert plan.window is not None
    return {
        "subject": state.subject,
        "visit": plan.code,
        "visit_label": {"en": plan.visit.label.en, "zh": plan.visit.label.zh},
        "opens": plan.window.opens,
        "target": plan.window.target,
        "closes": plan.window.closes,
        "due": [study.form_by_code[d.form].label.model_dump() for d in plan.visit.due],
    }


def _reminder(state: PatientState, study: Study, plan: VisitPlan, rung: Rung, said: _Said | None) -> Notice:
    assert plan.window is not None
    data = _visit_data(state, study, plan) | {"rung": rung.name}
    if said and said.target != plan.window.target:
        data["moved_from"] = said.target
    word = "overdue" if rung.name == "overdue" else "reminder"
    key = f"{state.subject}/{plan.code}/{rung.name}/{plan.window.target}"
    return Notice(key, "reminder", f"{plan.code} {word}", plan.because, data)


def _moved(state: PatientState, study: Study, plan: VisitPlan, said: _Said | None) -> Notice | None:
    """Return the notice that the visit has another day than the one told last.

    It stays due after its first copy went out, for the channels that did not take theirs.
    """
    assert plan.window is not None
    target = plan.window.target
    key = f"{state.subject}/{plan.code}/moved/{target}"
    if said is None:
        return None
    if said.target == target:
        if not said.key.startswith(key) or said.before is None:
            return None
        key, before = said.key, said.before
    else:
        times = sum(1 for k in said.keys if k.startswith(key))
        key, before = f"{key}.{times + 1}" if times else key, said.target
    data = _visit_data(state, study, plan) | {"moved_from": before}
    return Notice(key, "moved", f"{plan.code} moved", plan.because, data)


def query_notices(state: PatientState, findings: tuple[Finding, ...]) -> list[Notice]:
    """Return one notice per open query that the data still give rise to."""
    found = []
    for finding in findings:
        trail = state.queries.get(finding.query)
        if trail and trail.open:
            about: dict[str, object] = {"subject": state.subject, "visit": finding.visit, "items": list(finding.items)}
            data = about | {"what": finding.title, "state": "raised"}
            key = f"{finding.query}/asked/{trail.round}"
            found.append(Notice(key, "query", f"notice: {finding.title}", finding.because, data))
    return found


def safety_notices(state: PatientState, study: Study) -> list[Notice]:
    """Return one notice per fact that an investigator must know of at once."""
    found = []
    for fact in state.facts:
        what = _safety(fact)
        if what:
            data = {"subject": state.subject, "what": what, "occurred": fact.occurred}
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
    listeners: Mapping[str, list[tuple[str, str]]],
    now: datetime,
) -> tuple[list[Delivery], list[datetime]]:
    """Return what to send now and when the rest may be tried. `listeners`: kind -> (role, channel) pairs.

    A channel that was added later is not sent what its role was told through another channel more than a day ago.
    """
    send: list[Delivery] = []
    later: list[datetime] = []
    for notice in notices:
        for role, channel in listeners.get(notice.kind, []):
            trail = trails.get(delivery_key(notice.key, role, channel))
            if trail is None and _told_elsewhere(notice.key, role, trails, now):
                continue
            view = outlook(trail, notice.kind, now)
            if view.verdict == "send":
                attempt = (trail.last_attempt if trail else 0) + 1
                send.append(Delivery(notice, role, channel, attempt, possible_repeat=bool(trail and trail.in_doubt)))
            elif view.until:
                later.append(view.until)
    return send, later


def _told_elsewhere(key: str, role: str, trails: Mapping[str, NoticeTrail], now: datetime) -> bool:
    prefix = f"{key}/{role}/"
    return any(k.startswith(prefix) and t.sent and now - t.sent.at > timedelta(days=1) for k, t in trails.items())
