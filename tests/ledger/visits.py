"""Which visits, windows and reminders a story covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from neotorch.domain.calendar import Window
from neotorch.domain.study import Rung, Study
from neotorch.domain.workdays import shifted
from neotorch.rules.schedule import VisitPlan, find_anchor
from tests.ledger.points import extra_visits, unseen, window_name
from tests.ledger.seen import DAY, Note, Seen
from tests.support import SUBJECT


def _said(seen: Seen) -> Iterator[tuple[str, VisitPlan, str | None, dict[str, Any]]]:
    """Code, plan, expected status and all that is expected of each visit."""
    for code, want in seen.wanted.get("visits", {}).items():
        fields = {"status": want} if isinstance(want, str) else want
        yield code, seen.plans[code], fields.get("status"), fields


def window_notes(days: Sequence[Seen]) -> Iterator[Note]:
    """Which boundaries of which windows a story names with the status on both of their sides."""
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


def visit_notes(seen: Seen) -> Iterator[Note]:
    """What is expected of visits beside their windows."""
    extra = {v.code for v in extra_visits(seen.study)}
    for code, plan, status, fields in _said(seen):
        yield "visit", f"status {status}", ""
        if status == "held":
            yield "visit", f"{code} held, a cycle added" if code in extra else f"{code} held", ""
        if status == "not_expected":
            yield "visit", f"{code} not expected", ""
        if plan.because.anchor and {"window", "target"} & set(fields):
            name = plan.because.anchor.name
            yield from (
                ("visit", word, "") for word, mark in (("put off", "put off"), ("left out", "skipped")) if mark in name
            )
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


def reminder_notes(seen: Seen) -> Iterator[Note]:
    """Which rungs of the ladders are expected on their day, and not on the day before."""
    for code, plan in seen.plans.items():
        told = seen.told_of(code)
        if told is None or plan.window is None:
            continue
        for rung in seen.study.reminders.ladders[plan.visit.ladder]:
            yield from _rung(seen, plan, rung, _edge(rung, plan.window), told)
        if any(name.startswith("again-") for name in told):
            yield "reminder", "put off", ""
        if "moved" in told:
            yield "visit", "moved", ""
        if f"{SUBJECT}/{code}" in seen.state.seen and not told and plan.status == "overdue":
            yield "reminder", "taken note of", ""
    for key, when in seen.wanted.get("sent_at", {}).items():
        if when and key.split("/")[0] in seen.plans:
            yield from _hours(seen, when[11:16])


def _rung(seen: Seen, plan: VisitPlan, rung: Rung, day: date, told: set[str]) -> Iterator[Note]:
    where, late = f"{plan.visit.ladder}: {rung.name}", rung.says == "overdue"
    if rung.name not in told:
        if seen.day == day - DAY:
            yield "reminder", where, "day before: not"
        return
    yield "reminder", f"{plan.code} reminded", ""
    if seen.day == day:
        yield "reminder", where, "day"
    elif seen.day == shifted(day, seen.study.site(seen.state.site), later=late):
        words = "overdue on a day off: the next working day" if late else "on a day off: the working day before"
        yield "reminder", words, ""


def _hours(seen: Seen, clock: str) -> Iterator[Note]:
    rules = seen.study.reminders
    if clock == f"{rules.hour:02}:00":
        yield "reminder", f"at {rules.hour} o'clock", ""
    if rules.quiet and clock == f"{rules.quiet.to_hour:02}:00":
        yield "reminder", f"held over night until {rules.quiet.to_hour} o'clock", ""


def _edge(rung: Rung, span: Window) -> date:
    return {"opens": span.opens, "target": span.target, "closes": span.closes}[rung.at] + timedelta(rung.days)
