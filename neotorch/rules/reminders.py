"""Reminders of visits: a ladder of rungs per visit, worked out anew each time, never stored.

Of a ladder only the newest rung that has been reached is due, so after days without a worker one reminder comes per
visit that still matters, and none for what was held, moved or has lapsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from neotorch.domain.calendar import Window, at_hour, local_date
from neotorch.domain.state import ENDED, PatientState
from neotorch.domain.study import Rung, Says, Site, Study
from neotorch.domain.workdays import shifted
from neotorch.rules.notices import Notice
from neotorch.rules.schedule import Because, VisitPlan, journey
from neotorch.rules.wording import coded, visit_title

REMINDED: frozenset[str] = frozenset({"planned", "open", "due", "late", "overdue"})
_DATED = re.compile(r"^(?P<rung>[a-z][a-z0-9-]*)/(?P<day>\d{4}-\d{2}-\d{2})(\.\d+)?(/(?P<role>[^/]+)/[^/]+)?$")
"""What follows SUBJECT/VISIT/ in the key of a reminder; `moved/2026-03-16.2` tells a day for the second time."""


def rung_days(rungs: list[Rung], span: Window, site: Site | None = None) -> list[tuple[date, Rung]]:
    """Return the reminder days of a window in order; of two on one day the one later in the study file stands last.

    On a day off at the site a reminder comes on the working day before, an overdue one on the next.
    """
    day_of = {"opens": span.opens, "target": span.target, "closes": span.closes}
    days = [(day_of[r.at] + timedelta(r.days), n, r) for n, r in enumerate(rungs)]
    if site:
        days = [(shifted(day, site, later=r.says == "overdue"), n, r) for day, n, r in days]
    return [(day, rung) for day, _, rung in sorted(days, key=lambda x: x[:2])]


def reminders(
    state: PatientState, study: Study, plans: tuple[VisitPlan, ...], now: datetime
) -> tuple[list[Notice], list[datetime]]:
    """Return the reminders due now and the instants of the later ones.

    Per visit at most one to those who are reminded and one to those it is escalated to: the newest rung of each.
    """
    due: list[Notice] = []
    later: list[datetime] = []
    for plan in plans:
        if plan.status not in REMINDED or plan.window is None:
            continue
        moments = _moments(state, study, plan, plan.window)
        later += [at for at, _ in moments if at > now] + _lapses(study.site(state.site), study, plan.window, now)
        said = _said(state, plan.code)
        told = said.keys if said else frozenset()
        reached = [
            rung for at, rung in moments
            if at <= now or (rung.says != "overdue" and _key(state, plan, rung) in told)  # told early: days off changed
        ]  # fmt: skip
        reached = [rung for rung in reached if rung.says == "overdue" or plan.status != "overdue"]
        plain, raised = ([r for r in reached if bool(r.roles) == e] for e in (False, True))
        reminder = _reminder(state, study, plan, plain[-1], said) if plain else None
        if reminder and not _stale(reminder, said):
            due.append(reminder)
        elif moved := _moved(state, study, plan, said):
            due.append(moved)
        if raised:
            due.append(_reminder(state, study, plan, raised[-1], said))
    return [*due, *_gone(state, study, plans, now)], later


VANISHED: frozenset[str] = frozenset({"waiting", "not_expected"})


def _gone(state: PatientState, study: Study, plans: tuple[VisitPlan, ...], now: datetime) -> Iterator[Notice]:
    """Yield a notice per visit that somebody was told or gave a day for, not over yet, and that is not planned any more.

    Its anchor was taken back, the course went another way, or the version that holds now has no such visit. Where the
    journey itself has ended, that is what is told.
    """
    if journey(state, study) in ENDED:
        return
    today = local_date(now, study.site(state.site).time_zone)
    standing = {p.code: p for p in plans}
    for code in dict.fromkeys((*state.notices_about, *state.booked)):
        plan = standing.get(code)
        if plan and plan.status not in VANISHED:
            continue
        said = _said(state, code) or (_appointed(state, code) if plan or code in study.older else None)
        if said and said.target + _leeway(code, study) >= today:
            yield _no_longer(state, study, code, plan.because if plan else not_planned(study), said)


def _appointed(state: PatientState, code: str) -> _Said | None:
    """Return the day that the site gave the patient, as if it had been told."""
    booking = state.booked.get(code)
    return _Said("", booking.appointment, None, frozenset(), frozenset()) if booking else None


def _leeway(code: str, study: Study) -> timedelta:
    """How long after its target a visit could have been held within its window."""
    visit = study.rules_of(code).visit_by_code.get(code)
    return timedelta(max((t.window_days_after for t in visit.timing), default=0) if visit else 0)


def not_planned(study: Study) -> Because:
    """Return why a visit that there was is in no plan: an amendment removed it, or what added it was taken back."""
    return Because("visit.removed", study.version, detail=f"version {study.version} plans no such visit")


def _no_longer(state: PatientState, study: Study, code: str, because: Because, said: _Said) -> Notice:
    times = sum(1 for k in said.keys if "/gone/" in k)
    key = said.key if said.gone else f"{state.subject}/{code}/gone/{said.target}{f'.{times + 1}' if times else ''}"
    data = {
        "subject": state.subject, "visit": code, "moved_from": said.target, "explain": f"{state.subject}/{code}",
        "visit_label": visit_title(code, study.rules_of(code)) or {"en": code, "zh": code},
    }  # fmt: skip
    return Notice(key, "moved", f"{code} no longer planned", because, data, roles=_told_before(study, said))


def _told_before(study: Study, said: _Said) -> tuple[str, ...]:
    """Return who is told of a moved day: who is listed, and whoever was told the old one."""
    return tuple(dict.fromkeys((*study.recipients.tell["moved"], *sorted(said.roles))))


def _moments(state: PatientState, study: Study, plan: VisitPlan, span: Window) -> list[tuple[datetime, Rung]]:
    return state.once(f"ladder/{plan.code}", (study, span), lambda: _ladder(state, study, plan, span))


def _ladder(state: PatientState, study: Study, plan: VisitPlan, span: Window) -> list[tuple[datetime, Rung]]:
    """Return the rungs with their instants, without those put off (one reminder in their place) or taken note of."""
    site, hour = study.site(state.site), study.reminders.hour
    rungs = study.reminders.ladders[plan.visit.ladder]
    found = [(at_hour(day, hour, site.time_zone), rung) for day, rung in rung_days(rungs, span, site)]
    key = f"{state.subject}/{plan.code}"
    seen, snoozed = state.seen.get(key), state.snoozed.get(key)
    if seen and seen.occurred >= min(day for day, _ in rung_days(rungs, span, site)):
        found = [(at, rung) for at, rung in found if not rung.roles]
    if snoozed:
        until = at_hour(snoozed.until, hour, site.time_zone)
        again = Rung(name=f"again-{snoozed.until:%Y%m%d}", says=_says(span, snoozed.until), at="target", days=0)
        found = sorted([(until, again), *(m for m in found if m[0] > until)], key=lambda m: m[0])
    return found


def _says(span: Window, day: date) -> Says:
    """What a reminder that was put off to a day says on it."""
    if day > span.closes:
        return "overdue"
    return "closing" if day > span.target else "opens" if day >= span.opens else "ahead"


def _lapses(site: Site, study: Study, span: Window, now: datetime) -> list[datetime]:
    """The instant from which the visit counts as missed, if that is to come."""
    if span.last_overdue is None:
        return []
    at = at_hour(span.last_overdue + timedelta(1), study.reminders.hour, site.time_zone)
    return [at] if at > now else []


@dataclass(frozen=True)
class _Said:
    """What was last told about a visit: the notice's key, its day, and the day told before it; and whom."""

    key: str
    target: date
    before: date | None
    keys: frozenset[str]
    """Keys of all that was told."""
    roles: frozenset[str]

    @property
    def gone(self) -> bool:
        """Whether it was told that the visit is not planned any more; `target` is the day it had been."""
        return "/gone/" in self.key


def _said(state: PatientState, visit: str) -> _Said | None:
    prefix = f"{state.subject}/{visit}/"
    told: dict[str, int] = {}  # by place in the log: clocks may be set back, the log never goes back
    roles = set()
    for key, trail in state.notices_about.get(visit, ()):
        found = _DATED.match(key.removeprefix(prefix)) if trail.sent else None
        if found is None or trail.sent is None:
            continue
        base, place = key.removesuffix(found[4] or ""), state.learnt[trail.sent.id].seq
        told[base] = min(place, told.get(base, place))
        roles.add(trail.sent.role)
    if not told:
        return None
    days = [(place, _target(key), key) for key, place in told.items()]
    last = max(days)
    earlier = [d for d in days if d[1] != last[1]]
    return _Said(last[2], last[1], max(earlier)[1] if earlier else None, frozenset(told), frozenset(roles))


def _target(key: str) -> date:
    """The day that a reminder or a moved notice is about."""
    return date.fromisoformat(key.rpartition("/")[2].partition(".")[0])


def _stale(reminder: Notice, said: _Said | None) -> bool:
    """Whether it went out before another day was told: it would not go out again, so `moved` takes its place."""
    if said is None or reminder.key not in said.keys:
        return False
    return _target(reminder.key) != said.target or "/moved/" in said.key or said.gone


def _visit_data(state: PatientState, study: Study, plan: VisitPlan) -> dict[str, object]:
    assert plan.window is not None
    return {
        "subject": state.subject,
        "visit": plan.code,
        "visit_label": {"en": plan.visit.label.en, "zh": plan.visit.label.zh},
        "opens": plan.window.opens,
        "target": plan.window.target,
        "closes": plan.window.closes,
        "explain": f"{state.subject}/{plan.code}",
        "due": [coded(d.form, study.form_by_code[d.form].label) for d in plan.visit.due],
    }


def _key(state: PatientState, plan: VisitPlan, rung: Rung) -> str:
    assert plan.window is not None
    return f"{state.subject}/{plan.code}/{rung.name}/{plan.window.target}"


def _reminder(state: PatientState, study: Study, plan: VisitPlan, rung: Rung, said: _Said | None) -> Notice:
    assert plan.window is not None
    data = _visit_data(state, study, plan) | {"rung": rung.says}
    if said and said.target != plan.window.target:
        data["moved_from"] = said.target
    word = "escalated" if rung.roles else "overdue" if rung.says == "overdue" else "reminder"
    key, roles = _key(state, plan, rung), tuple(rung.roles) or None
    return Notice(key, "reminder", f"{plan.code} {word}", plan.because, data, roles=roles)


def _moved(state: PatientState, study: Study, plan: VisitPlan, said: _Said | None) -> Notice | None:
    """Return the notice that the visit has another day than the one told last.

    It stays due after its first copy went out, for the channels that did not take theirs.
    """
    assert plan.window is not None
    target = plan.window.target
    key = f"{state.subject}/{plan.code}/moved/{target}"
    if said is None:
        return None
    if said.target == target and not said.gone:
        if not said.key.startswith(key) or said.before is None:
            return None
        key, before = said.key, said.before
    else:
        times = sum(1 for k in said.keys if k.startswith(key))
        key, before = f"{key}.{times + 1}" if times else key, said.target
    data = _visit_data(state, study, plan) | {"moved_from": before}
    return Notice(key, "moved", f"{plan.code} moved", plan.because, data, roles=_told_before(study, said))


def rungs(state: PatientState, study: Study, plan: VisitPlan) -> list[tuple[datetime, Rung]]:
    """Return the ladder of a visit as it stands, with the instant of each rung; empty where the visit has no window."""
    return _moments(state, study, plan, plan.window) if plan.window else []


def rung_of(key: str) -> tuple[str, str, date] | None:
    """Return (key of the visit, name of the rung, the day it tells of) of a reminder's key; None if it is none.

    What tells that a visit moved or is gone has `moved` or `gone` for its rung, and may tell of a day again.
    """
    visit, _, rest = key.rpartition("/")
    visit, _, rung = visit.rpartition("/")
    if not visit or not _DATED.match(f"{rung}/{rest}"):
        return None
    try:
        return visit, rung, date.fromisoformat(rest.partition(".")[0] if rung in ("moved", "gone") else rest)
    except ValueError:  # no such day, or a reminder that would tell a day for the second time
        return None
