"""What the expectations of one story cover: worked out from what it says, day by day, and from the patient as they then were.

Only what a story itself expects counts: a reminder that went out unseen by the story covers nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.calendar import Window
from neotorch.domain.efs import event_free_survival, finding_of
from neotorch.domain.state import PatientState
from neotorch.domain.study import Due, Form, Rung, Study
from neotorch.domain.workdays import shifted
from neotorch.rules.clocks import Clock
from neotorch.rules.missing import _sources, fresh_for
from neotorch.rules.queries import LAST_DAYS, age_of
from neotorch.rules.schedule import VisitPlan, find_anchor
from tests.support import SUBJECT, short_key
from tests.story_points import contradiction_codes, extra_visits, unseen, window_name

DAY = timedelta(1)
Note = tuple[str, str, str]
"""Group, name and side of a point."""


@dataclass(frozen=True)
class Seen:
    """What a story expects on a day, and the patient on that day."""

    day: date
    wanted: dict[str, Any]
    state: PatientState
    plans: dict[str, VisitPlan]
    study: Study
    zone: ZoneInfo
    clocks: tuple[Clock, ...] = ()

    @property
    def queries(self) -> set[str] | None:
        """The open queries that are expected; None if the story does not say."""
        return set(self.wanted["queries"]) if "queries" in self.wanted else None

    def told_of(self, key: str) -> set[str] | None:
        """What is expected to go out about a visit or a query: `opens`, `reminder/1/7`; None if the story does not say."""
        if key in self.wanted.get("told", {}):
            return set(self.wanted["told"][key])
        if key in self.wanted.get("about", {}):
            return {k.partition("/20")[0] for k in self.wanted["about"][key]}
        if "notices" in self.wanted:
            own = [k.removeprefix(f"{key}/") for k in self.wanted["notices"] if k.startswith(f"{key}/")]
            return {k.partition("/20")[0] for k in own}
        return None


@dataclass
class Chapter:
    """One story as it is played."""

    days: list[Seen] = field(default_factory=list)

    def saw(self, wanted: dict[str, Any], stage: Any) -> None:
        """Keep what has just been found to be as expected."""
        state, due = stage.trial.engine.duties(SUBJECT)
        plans = {p.code: p for p in due.plans}
        self.days.append(Seen(wanted["day"], wanted, state, plans, stage.trial.engine.study, stage.zone, due.clocks))

    def notes(self) -> set[Note]:
        """All that the story covers."""
        days = sorted(self.days, key=lambda s: s.day)
        found = set(_windows(days))
        for n, seen in enumerate(days):
            earlier = days[:n]
            for rule in (_visits, _reminders, _forms, _open_queries, _dose_labs, _clocks, _notices, _endpoints, _facts):
                found |= set(rule(seen))
            found |= set(_course(seen, earlier))
        return found


# ── visits ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _said(seen: Seen) -> Iterator[tuple[str, VisitPlan, str | None, dict[str, Any]]]:
    """Code, plan, expected status and all that is expected of each visit."""
    for code, want in seen.wanted.get("visits", {}).items():
        fields = {"status": want} if isinstance(want, str) else want
        yield code, seen.plans[code], fields.get("status"), fields


def _windows(days: Sequence[Seen]) -> Iterator[Note]:
    said: dict[str, dict[date, tuple[str, Window | None]]] = {}
    spans: dict[tuple[str, int, Window], Study] = {}
    for seen in days:
        for code, plan, status, _ in _said(seen):
            if status is None:
                continue
            said.setdefault(code, {})[seen.day] = status, plan.window
            timing = plan.because.timing
            if plan.window and plan.window == plan.protocol and timing in plan.visit.timing:
                spans[code, plan.visit.timing.index(timing), plan.window] = seen.study
    for (code, n, span), study in spans.items():
        if code in study.visit_by_code:
            known = {d for d, (_, at) in said[code].items() if at in (None, span)}
            yield from _boundaries(study, code, n, span, known)


def _boundaries(study: Study, code: str, n: int, span: Window, known: set[date]) -> Iterator[Note]:
    visit = study.visit_by_code[code]
    timing = visit.timing[n]
    edges = [("opens", "day before", span.opens - DAY), ("opens", "day", span.opens), ("target", "day", span.target)]
    edges += [("target", "day after", span.target + DAY)]
    edges += [("closes", "day", span.closes), ("closes", "day after", span.closes + DAY)]
    if span.last_overdue:
        edges += [("missed", "day before", span.last_overdue), ("missed", "day", span.last_overdue + DAY)]
    for boundary, side, day in edges:
        if day in known and not (side == "day before" and boundary == "opens" and unseen(timing)):
            yield "window", window_name(visit, timing, boundary), side
    longest = max(v.missed_after_days or 0 for v in study.visits)
    if span.last_overdue is None and any(day > span.closes + longest * DAY for day in known):
        yield "window", window_name(visit, timing, "stays overdue"), ""


def _visits(seen: Seen) -> Iterator[Note]:
    extra = {v.code for v in extra_visits(seen.study)}
    for code, plan, status, fields in _said(seen):
        yield "visit", f"status {status}", ""
        if status == "held":
            yield "visit", f"{code} held, a cycle added" if code in extra else f"{code} held", ""
        if status == "not_expected":
            yield "visit", f"{code} not expected", ""
        if plan.because.anchor and {"window", "target"} & set(fields):
            name = plan.because.anchor.name
            yield from (("visit", word, "") for word, mark in (("put off", "put off"), ("left out", "skipped")) if mark in name)
        booking = seen.state.booked.get(code)
        if booking and plan.protocol:
            yield "visit", f"booked {'inside' if plan.protocol.holds(booking.appointment) else 'outside'}", ""
        if "window" in fields and plan.window:
            yield from _floors(seen, plan, fields["window"][0])


def _floors(seen: Seen, plan: VisitPlan, opens: date) -> Iterator[Note]:
    anchor, timing = plan.because.anchor, plan.because.timing
    for floor in plan.visit.not_before:
        dose = find_anchor(floor.anchor, seen.state, seen.study)
        if dose and anchor and timing:
            plain = anchor.day + timedelta(timing.offset_days - timing.window_days_before)
            first = dose.day + timedelta(floor.days)
            side = "moves the opening" if opens == first > plain else "leaves it"
            yield "visit", f"{plan.code} not before {floor.days} d after {floor.anchor}", side


# ── reminders ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _reminders(seen: Seen) -> Iterator[Note]:
    ladders, site = seen.study.reminders.ladders, seen.study.site(seen.state.site)
    for code, plan in seen.plans.items():
        told = seen.told_of(code)
        if told is None or plan.window is None:
            continue
        rungs = {r.name: r for r in ladders[plan.visit.ladder]}
        for name, rung in rungs.items():
            day = _edge(rung, plan.window)
            where = f"{plan.visit.ladder}: {name}"
            if name in told:
                yield "reminder", f"{code} reminded", ""
                late = rung.says == "overdue"
                if seen.day == day:
                    yield "reminder", where, "day"
                elif seen.day == shifted(day, site, later=late):
                    yield "reminder", "overdue on a day off: the next working day" if late else "on a day off: the working day before", ""
            elif seen.day == day - DAY:
                yield "reminder", where, "day before: not"
        if any(name.startswith("again-") for name in told):
            yield "reminder", "put off", ""
        if any(name == "moved" for name in told):
            yield "visit", "moved", ""
        if f"{SUBJECT}/{code}" in seen.state.seen and not told and plan.status == "overdue":
            yield "reminder", "taken note of", ""
    for key, when in seen.wanted.get("sent_at", {}).items():
        if when and key.split("/")[0] in seen.plans:
            hour, quiet = when[11:16], seen.study.reminders.quiet
            if hour == f"{seen.study.reminders.hour:02}:00":
                yield "reminder", f"at {seen.study.reminders.hour} o'clock", ""
            if quiet and hour == f"{quiet.to_hour:02}:00":
                yield "reminder", f"held over night until {quiet.to_hour} o'clock", ""


def _edge(rung: Rung, span: Window) -> date:
    return {"opens": span.opens, "target": span.target, "closes": span.closes}[rung.at] + timedelta(rung.days)


# ── queries ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _forms(seen: Seen) -> Iterator[Note]:
    for plan in seen.plans.values():
        for due in plan.visit.due if plan.held_on else ():
            yield from _due(seen, plan, due, seen.study.form_by_code[due.form])


def _due(seen: Seen, plan: VisitPlan, due: Due, form: Form) -> Iterator[Note]:
    key, queries = f"{plan.code}/{due.form}", seen.queries
    sources = _sources(plan, form, seen.state)
    assert plan.held_on
    for name, item in form.items.items():
        if item.only_if and name in seen.wanted.get("asks", {}).get(key, ()):
            yield "query", f"{form.code}.{name} only if {item.only_if.item}", "so: asked"
    if queries is None:
        return
    days = seen.study.queries.raise_after_days
    if key in queries and seen.day == plan.held_on + timedelta(days):
        yield "query", key, f"day {days}"
    if key not in queries and seen.day == plan.held_on + timedelta(days - 1):
        yield "query", key, "day before: not"
    fresh = fresh_for(due, plan, seen.state, seen.study) if due.within_days is not None and sources else None
    if fresh and due.within_days is not None:
        age = (fresh.day - max(s.occurred for s in sources)).days
        if age == due.within_days and f"{key}/too-old" not in queries and seen.day >= fresh.day:
            yield "query", f"{key}/too-old", "as old as allowed: not"
        if age == due.within_days + 1 and f"{key}/too-old" in queries:
            yield "query", f"{key}/too-old", "a day older"
    for name, item in form.items.items():
        other = item.only_if and sources and all(getattr(s, item.only_if.item, None) not in item.only_if.one_of for s in sources)
        if item.only_if and other and key not in queries and seen.day >= plan.held_on + timedelta(days):
            yield "query", f"{form.code}.{name} only if {item.only_if.item}", "not so: not asked"


def _open_queries(seen: Seen) -> Iterator[Note]:
    rules = seen.study.queries
    for query, trail in seen.state.queries.items():
        short, age = query.removeprefix(f"{SUBJECT}/"), age_of(trail, str(seen.zone), seen.day)
        told, heard = seen.told_of(short), seen.wanted.get("heard", {}).get(short)
        if told is not None and trail.open:
            yield from _repeated(seen, age, told)
        for level in rules.escalate:
            name = f"escalated on day {level.after_days} to {', '.join(level.roles)}"
            if age == level.after_days and (
                (told and f"escalated/{trail.round}/{level.after_days}" in told) or (heard and set(level.roles) <= set(heard))
            ):
                yield "query", name, "day"
            if age == level.after_days - 1 and (told == set() or (heard and not set(level.roles) & set(heard))):
                yield "query", name, "day before: not"
        if told and any(name.startswith("answered/") for name in told):
            yield from (("query", f"asked by a person, answered to {role}", "") for role in rules.asked_by)
        if short in seen.wanted.get("ages", {}):
            for n, last in enumerate(LAST_DAYS):
                names = ("0-7", "8-14", "15-30", ">30")
                side = {last: "day", last + 1: "day after"}.get(age)
                if side:
                    yield "query", f"age {names[n]} turns {names[n + 1]} after day {last}", side
    for query in seen.queries or ():
        if query.endswith("/booking"):
            yield "query", "booking", ""
        if f"{SUBJECT}/{query}" in seen.state.asked:
            yield "query", "manual", ""
        parts = {p.removeprefix("rcb-") for p in query.split("/")} | set(query.split("/"))
        yield from (("check", f"contradiction {code}", "") for code in contradiction_codes() if code in parts)


def _repeated(seen: Seen, age: int, told: set[str]) -> Iterator[Note]:
    rules = seen.study.queries
    every, least = rules.remind_every_days, rules.remind_for_days
    reminded = any(name.startswith("reminder/") for name in told)
    if age in (every, every - 1) and reminded == (age == every):
        yield "query", f"reminded every {every} d", "day" if reminded else "day before: not"
    if least:
        last = least // every * every
        if age == last and reminded:
            yield "query", f"reminded for {least} d", "last"
        if age == last + every and not reminded:
            yield "query", f"reminded for {least} d", "none after"


def _dose_labs(seen: Seen) -> Iterator[Note]:
    check, queries = seen.study.checks.dose_labs, seen.queries
    if check is None or queries is None:
        return
    for number, dose in seen.state.cycles.items():
        visit = seen.study.cycle_visit(number)
        key = f"{visit.code if visit else ''}/dose-without-labs"
        days = (seen.day - dose.occurred).days
        grace = seen.study.queries.raise_after_days
        if days in (grace - 1, grace) and (key in queries) == (days == grace):
            yield "check", "dose_labs: none before the dose", f"day {grace}" if key in queries else "day before: not"
        for form in check.forms:
            taken = [p.occurred for (_, code), parts in seen.state.forms.items() if code == form.form for p in parts]
            before = [t for t in taken if t <= dose.occurred]
            if not before:
                continue
            over = (dose.occurred - max(before)).days - check.days(number)
            asked = key in queries or any(q.endswith(f"/{form.form}/too-old") for q in queries)
            name = f"dose_labs {form.form}, {'first' if number == 1 else 'later'} cycle"
            if over == 0 and not asked and days >= 0:
                yield "check", name, "as old as allowed: not"
            if over == 1 and asked:
                yield "check", name, "a day older"


def _course(seen: Seen, earlier: Sequence[Seen]) -> Iterator[Note]:
    """What shows only against the days before: queries closed and opened again, decisions taken."""
    if seen.queries is None:
        return
    before = [s for s in earlier if s.queries is not None]
    for query in {q for s in before for q in s.queries or ()} - seen.queries:
        if before and query in (before[-1].queries or ()):
            yield "query", "closed by the data", ""
            if query.endswith("/progression-without-decision"):
                yield from _decided(seen, before[-1])
    for query in seen.queries:
        opened = [query in (s.queries or ()) for s in before]
        if True in opened and not opened[-1]:
            yield "query", "opened again", ""
    check = seen.study.checks.progression_decision
    for scan in (f for f in seen.state.facts if isinstance(f, ev.Imaging) and check):
        days, key = (seen.day - scan.occurred).days, f"{scan.visit}/progression-without-decision"
        after = check.after_days if check else 0
        if days == after - 1 and key not in seen.queries:
            yield "check", "progression_decision", "day before: not"
        if days == after and key in seen.queries:
            yield "check", "progression_decision", f"day {after}"
    alive = seen.study.checks.alive
    parts = [f for f in seen.state.facts if isinstance(f, ev.FormReceived) and alive and f.form == alive.form]
    if alive and "survival/death-not-recorded" in seen.queries and any(p.items.get(alive.item) is False for p in parts):
        yield "check", f"alive: {alive.form}.{alive.item} says no", ""


def _decided(seen: Seen, before: Seen) -> Iterator[Note]:
    known = set(before.state.learnt)
    fresh = [r.event for i, r in seen.state.learnt.items() if i not in known]
    for event in fresh:
        if isinstance(event, ev.FormReceived | ev.Progression):
            name = event.form if isinstance(event, ev.FormReceived) else event.type
            yield "check", f"progression_decision answered by {name}", ""


# ── safety, notices, endpoints, facts ─────────────────────────────────────────────────────────────────────────────


def _clocks(seen: Seen) -> Iterator[Note]:
    safety, facts = seen.study.safety, {f.id: f for f in seen.state.facts}
    for clock in seen.clocks if safety else ():
        fact = facts[clock.event_id]
        assert safety and isinstance(fact, ev.AdverseEvent)
        kinds = [t for t in safety.sae.terms if t == fact.term] or (["a serious adverse event"] if fact.serious else ["a fatal adverse event"])
        sent = seen.wanted.get("sent_at", {})
        key = short_key(f"{clock.key}/x/y/z").removesuffix("/x")
        for word, at, name in (
            ("soon", clock.remind_at, f"{safety.sae.remind_hours_before} h before the end"),
            ("late", clock.deadline, f"{safety.sae.within_hours} h over"),
        ):
            if sent.get(f"{key}/{word}") == at.astimezone(seen.zone).isoformat(" ", "minutes"):
                yield from (("clock", f"{kind}: {name}", "") for kind in kinds)
        if clock.reported and "deviations" in seen.wanted:
            late = any(k.startswith("sae-late/") for k in seen.wanted["deviations"])
            name = f"reported after {safety.sae.within_hours} h"
            if clock.reported == clock.deadline and not late:
                yield "clock", name, "exactly: in time"
            if clock.reported - clock.deadline == timedelta(minutes=1) and late:
                yield "clock", name, "a minute later: late"


def _notices(seen: Seen) -> Iterator[Note]:
    wanted = {*seen.wanted.get("notices", ()), *(k for k, at in seen.wanted.get("sent_at", {}).items() if at)}
    wanted |= {f"{q}/{k}" for q, keys in seen.wanted.get("about", {}).items() for k in keys}
    for key, trail in seen.state.notices.items():
        if trail.sent and short_key(key) in wanted:
            yield "notice", f"{_kind(short_key(key), seen)} to {trail.sent.role}", ""


def _kind(key: str, seen: Seen) -> str:
    if key.startswith("deviation/"):
        name, _, number = key.rpartition("/found/")
        found = seen.state.deviations[f"{SUBJECT}/{name}"].found[int(number)]
        return "important_deviation" if found.grade == "important" else "deviation"
    if key.endswith("/told") or "/report/" in key:
        return "safety"
    if "/moved/" in key:
        return "moved"
    return "query" if any(f"/{word}/" in key for word in ("asked", "answered", "escalated/1", "reminder")) else "reminder"


def _endpoints(seen: Seen) -> Iterator[Note]:
    wanted, first = seen.wanted.get("endpoints", {}), seen.state.first_dose
    ends = seen.study.endpoints
    for name, frame in (("pcr", ends.pcr.frame_days), ("rcb01", ends.rcb01.frame_days)):
        if name in wanted:
            yield "endpoint", f"{name} {wanted[name]}", ""
            side = {frame: "last day: pending", frame + 1: "day after: no"}.get((seen.day - first).days + 1 if first else 0)
            if side and side.endswith(str(wanted[name])):
                yield "endpoint", f"{name} without a report after {frame} d", side
    if "rcb" in wanted:
        yield "endpoint", f"class {wanted['rcb'] or 'none'}", ""
    if "efs" in wanted:
        roles = ends.efs.primary.findings
        result = event_free_survival(seen.state.facts, first, seen.day, ends.efs.primary)
        for fact in seen.state.facts:
            name = finding_of(fact, seen.state.facts)
            if name and wanted["efs"] == ("event" if roles[name] == "event" else "censored") and result.finding in (None, name):
                yield "endpoint", f"efs {name}: {roles[name]}", ""
        if wanted["efs"] == "censored" and wanted.get("efs_day", 1) > 1:
            yield "endpoint", "efs censored at the last assessment", ""


def _facts(seen: Seen) -> Iterator[Note]:
    if "phase" in seen.wanted:
        yield "journey", seen.wanted["phase"], ""
    for recorded in seen.state.learnt.values():
        if isinstance(recorded.event, ev.Fact):
            yield "fact", recorded.event.type, ""
            if recorded.event.corrects:
                yield "fact", "corrected", ""
