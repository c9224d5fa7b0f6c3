"""Whether anybody was reminded of a visit, and if not, why: what was due when, as it was known then.

No visit passes without a reminder or one of these reasons. Worked out from the log alone, for `neotorch explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.growth import grown
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Study
from neotorch.rules.notices import Audience, Notice, deliveries
from neotorch.rules.reminders import REMINDED, reminders, rung_of, rungs
from neotorch.rules.schedule import VisitPlan, visit_plans

Reason = Literal["told", "ahead", "no day", "early", "put off", "nobody", "waited", "held", "failed", "off"]
PASSED: frozenset[str] = frozenset({"held", "missed", "waived", "overdue", "late", "due", "open"})
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Reminded:
    """Whether somebody was reminded of a visit (`told`), need not be yet (`ahead`), or why nobody was."""

    reason: Reason
    words: str
    owed: tuple[Owed, ...] = ()
    """The times in which a reminder could have gone out, or was held, and did not go out."""

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Owed:
    """A time in which a reminder of a visit was due; `until` is None if it still is."""

    notice: Notice
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class _Spell:
    """A time in which nothing new was known of the patient; `until` is None for the present one."""

    state: PatientState
    since: datetime
    until: datetime | None
    plan: VisitPlan

    @property
    def coming(self) -> bool:
        """Whether the visit had a day and was still to be held when the spell began."""
        return self.plan.status in REMINDED and self.plan.window is not None


def reminded(
    state: PatientState, study: Study, plan: VisitPlan, now: datetime, audience: Callable[[datetime], Audience]
) -> Reminded:
    """Return whether and when somebody was reminded of a visit, or why nobody was.

    `audience`: who listened at the patient's site, and what had to wait, as known at an instant.
    """
    told = _told(state, plan.code)
    zone = study.site(state.site).time_zone
    if told:
        return Reminded("told", "; ".join(f"{_local(at, zone)} {name}" for at, name in told))
    if plan.status not in PASSED:
        return Reminded("ahead", "not yet")
    spells = list(_spells(state, study, plan.code))
    owed = [due for spell in spells for due in _owed(spell, study, now)]
    if not owed:
        return _never_due(spells, plan, study, now)
    return _not_sent(state, owed, audience, zone, now)


def _told(state: PatientState, code: str) -> list[tuple[datetime, str]]:
    """Return when which rungs of a visit went out first, escalations included."""
    first: dict[str, datetime] = {}
    for key, trail in state.notices_about.get(code, ()):
        base = key.rsplit("/", 2)[0]
        place = rung_of(base) or rung_of(base.rpartition(".")[0])  # `.2` tells a day for the second time
        if trail.sent and place and place[0] == f"{state.subject}/{code}":
            first[place[1]] = min(trail.sent.at, first.get(place[1], trail.sent.at))
    return sorted((at, name) for name, at in first.items())


def _spells(state: PatientState, study: Study, code: str) -> Iterator[_Spell]:
    """Yield what was known of a visit from one time that facts came in to the next."""
    zone = study.site(state.site).time_zone
    for known, at, until in state.once("history", (), lambda: _history(state)):
        plan = next((p for p in visit_plans(known, study, local_date(at, zone)) if p.code == code), None)
        if plan:
            yield _Spell(known, at, until, plan)


def _history(state: PatientState) -> tuple[tuple[PatientState, datetime, datetime | None], ...]:
    """Return what was known of a patient, from when until when; of what was done about it nothing."""
    rows = sorted((r for r in state.learnt.values() if isinstance(r.event, ev.Fact)), key=lambda r: r.seq)
    batches = [(at, list(batch)) for at, batch in groupby(rows, key=lambda r: r.recorded_at)]
    known, found = fold((), state.subject), []
    for (at, batch), until in zip(batches, [*(at for at, _ in batches[1:]), None], strict=True):
        known = grown(known, batch)
        found.append((known, at, until))
    return tuple(found)


def _owed(spell: _Spell, study: Study, now: datetime) -> Iterator[Owed]:
    """Yield the times within a spell in which a reminder was due."""
    if not spell.coming:
        return
    turns = [t for t in _turns(spell, study) if t == spell.since or t < (spell.until or now)]
    for since, until in zip(turns, [*turns[1:], spell.until], strict=True):
        notice = _due(spell, study, since)
        if notice:
            yield Owed(notice, since, until)


def _turns(spell: _Spell, study: Study) -> list[datetime]:
    """Return the instants from the spell's beginning on at which another reminder may be due, or none any more."""
    assert spell.plan.window is not None
    site = study.site(spell.state.site)
    days = [at_hour(day, 0, site.time_zone) for day in spell.plan.window.boundaries()]
    moments = [at for at, rung in rungs(spell.state, study, spell.plan) if not rung.roles]
    return [spell.since, *sorted({t for t in (*days, *moments) if t > spell.since})]


def _due(spell: _Spell, study: Study, at: datetime) -> Notice | None:
    """Return the reminder of the visit that is due at an instant, as the spell knows it; escalations apart."""
    today = local_date(at, study.site(spell.state.site).time_zone)
    plans = tuple(p for p in visit_plans(spell.state, study, today) if p.code == spell.plan.code)
    return next((n for n in reminders(spell.state, study, plans, at)[0] if n.roles is None), None)


def _never_due(spells: Sequence[_Spell], plan: VisitPlan, study: Study, now: datetime) -> Reminded:
    """Return why no reminder of a visit was ever due."""
    coming = [s for s in spells if s.coming]
    zone = study.site(spells[-1].state.site).time_zone
    if not coming:
        first = next((s for s in spells if s.plan.status in PASSED), spells[-1])
        known = f"it had no day to be reminded of before {_local(first.since, zone)}, when it was {first.plan.status}"
        return Reminded("no day", f"nobody: {known}")
    last = coming[-1]
    ahead = [t for t in _turns(last, study) if _due(last, study, t)]
    due = (
        f"before its first reminder was due on {_local(ahead[0], zone)}"
        if ahead
        else "and no reminder of it would come"
    )
    by = f"known on {_local(last.until, zone)}" if last.until else f"as of {_local(now, zone)}"
    words = f"nobody: {plan.status.replace('_', ' ')}, {by}, {due}"
    snoozed = last.state.snoozed.get(f"{last.state.subject}/{plan.code}")
    if snoozed:
        return Reminded("put off", f"{words}; put off until {snoozed.until}, event {snoozed.id}")
    return Reminded("early", words)


def _not_sent(
    state: PatientState, owed: Sequence[Owed], audience: Callable[[datetime], Audience], zone: str, now: datetime
) -> Reminded:
    """Return why none of the reminders that were due went out."""
    found = [_why(one, audience, zone) for one in owed]
    idle = tuple(left for reason, _, left in found if reason == "off" and left)
    held = tuple(left for reason, _, left in found if reason == "held" and left)
    tried = [k for o in owed for k, t in state.notices.items() if k.startswith(f"{o.notice.key}/") and t.claims]
    if tried:
        return Reminded("failed", f"nobody: {tried[0]} did not get through", idle)
    if idle:
        until = idle[-1].until
        span = f"{_local(idle[0].since, zone)} to {_local(until or now, zone)}"
        return Reminded("off", f"nobody: due {span}, and nothing was sent in that time: the engine did not run", idle)
    reason, words, _ = found[-1]
    return Reminded(reason, words, held)


def _why(one: Owed, audience: Callable[[datetime], Audience], zone: str) -> tuple[Reason, str, Owed | None]:
    """Return why a reminder did not go out in the time it was due, and the part of it in which it could have."""
    at = one.since
    for _ in range(4):  # what waits for a morning may then have to wait for a digest
        heard = audience(at)
        if not heard.of(one.notice):
            return "nobody", f"nobody: the study names nobody who is told, {one.notice.key}", None
        if heard.held:
            return "held", f"nobody: due on {_local(one.since, zone)}, and held: {heard.held}", one
        send, waits = deliveries([one.notice], {}, heard, at)
        if send or not waits:
            break
        at = min(waits)
        if one.until and at >= one.until:
            words = f"due on {_local(one.since, zone)}, was to go out on {_local(at, zone)}, and lapsed before"
            return "waited", f"nobody: {words}", None
    return "off", "", Owed(one.notice, at, one.until)


def _local(instant: datetime, zone: str) -> str:
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
