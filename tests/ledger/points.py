"""What stories have to cover: read from the study file and from the rules' own lists, never kept by hand.

A point has sides: the day before and the day, the last value allowed and the first one beyond. It is covered by what
expects all of its sides: for days one story, for values and grades perhaps two.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import neotorch
from neotorch.domain import events as ev
from neotorch.domain.deviations import Deviations, VisitRule, WindowRule
from neotorch.domain.state import Journey
from neotorch.domain.study import Study, Timing, Visit
from neotorch.rules.endpoints import Answer
from neotorch.rules.queries import BUCKETS, LAST_DAYS
from neotorch.rules.schedule import VisitStatus

CODE = Path(neotorch.__file__).parent
CHECKS = (
    "domain/history.py",
    "domain/state.py",
    "domain/rcb.py",
    "domain/pcr.py",
    "domain/efs.py",
    "rules/consistency.py",
    "rules/reads.py",
)
"""Where contradictions are found; each has a stable code."""
NEVER_IN_THE_LOG = {
    "not-finite": "an amount is finite", "range": "a share is 0 to 100 %", "negative": "an amount is not negative",
    "nodes-whole": "nodes are whole", "unknown-target": "a correction names an event that is there",
    "wrong-target": "a fact corrects one of its own type",
}  # fmt: skip
"""Contradictions that no fact can bring in, because intake refuses it: they are tried on the rules alone."""


@dataclass(frozen=True)
class Point:
    """One thing to be covered. `at`: the test table that covers it in place of stories, where it has its own."""

    group: str
    name: str
    sides: frozenset[str] = frozenset({""})
    at: str = ""


def point(group: str, name: str, *sides: str, at: str = "") -> Point:
    """A point with its sides."""
    return Point(group, name, frozenset(sides or ("",)), at)


def points(study: Study) -> list[Point]:
    """Everything that has to be covered, in the order of the study file."""
    found = [
        *_visits(study), *_windows(study), *_reminders(study), *_queries(study), *_checks(study), *_deviations(study),
        *_clocks(study), *_notices(study), *_endpoints(study), *_journeys(), *_tables(study),
    ]  # fmt: skip
    return list(dict.fromkeys(found))


# ── visits ────────────────────────────────────────────────────────────────────────────────────────────────────────


def extra_visits(study: Study) -> list[Visit]:
    """Day-1 visits of the cycles that may be added."""
    numbers = range(study.cycles.count + 1, study.cycles_allowed + 1)
    return [v for n in numbers if (v := study.cycle_visit(n))]


def _visits(study: Study) -> Iterator[Point]:
    for visit in study.visits:
        yield point("visit", f"{visit.code} held")
        yield point("visit", f"{visit.code} not expected")
    yield from (point("visit", f"{v.code} held, a cycle added") for v in extra_visits(study))
    yield from (point("visit", f"status {status}") for kind in get_args(VisitStatus) for status in get_args(kind))
    for visit in study.visits:
        for floor in visit.not_before:
            yield point(
                "visit",
                f"{visit.code} not before {floor.days} d after {floor.anchor}",
                "moves the opening",
                "leaves it",
            )
    yield from (point("visit", name) for name in ("put off", "left out", "booked inside", "booked outside", "moved"))


def window_name(visit: Visit, timing: Timing, boundary: str) -> str:
    """What a boundary of a window is called."""
    return f"{visit.code} from {' and '.join(timing.anchors)}: {boundary}"


def unseen(timing: Timing) -> bool:
    """Whether the window opens with consent itself: the day before it nobody knows the patient."""
    return timing.anchors == ("consent",) and timing.offset_days <= timing.window_days_before


def _windows(study: Study) -> Iterator[Point]:
    for visit in study.visits:
        for timing in visit.timing:
            before = () if unseen(timing) else ("day before",)
            yield point("window", window_name(visit, timing, "opens"), *before, "day")
            yield point("window", window_name(visit, timing, "target"), "day", "day after")
            yield point("window", window_name(visit, timing, "closes"), "day", "day after")
            if visit.missed_after_days is None:
                yield point("window", window_name(visit, timing, "stays overdue"))
            else:
                yield point("window", window_name(visit, timing, "missed"), "day before", "day")


# ── reminders and queries ─────────────────────────────────────────────────────────────────────────────────────────


def _reminders(study: Study) -> Iterator[Point]:
    for name, ladder in study.reminders.ladders.items():
        for rung in ladder:
            yield point("reminder", f"{name}: {rung.name}", "day before: not", "day")
    yield from (point("reminder", f"{visit.code} reminded") for visit in study.visits)
    yield point("reminder", "on a day off: the working day before")
    yield point("reminder", "overdue on a day off: the next working day")
    yield point("reminder", f"at {study.reminders.hour} o'clock")
    if study.reminders.quiet:
        yield point("reminder", f"held over night until {study.reminders.quiet.to_hour} o'clock")
    yield from (point("reminder", name) for name in ("put off", "taken note of"))


def _queries(study: Study) -> Iterator[Point]:
    rules = study.queries
    for visit in study.visits:
        for due in visit.due:
            yield point("query", f"{visit.code}/{due.form}", "day before: not", f"day {rules.raise_after_days}")
            if due.within_days is not None:
                yield point("query", f"{visit.code}/{due.form}/too-old", "as old as allowed: not", "a day older")
    for form in study.forms:
        for name, item in form.items.items():
            if item.only_if:
                yield point(
                    "query", f"{form.code}.{name} only if {item.only_if.item}", "so: asked", "not so: not asked"
                )
    yield point("query", f"reminded every {rules.remind_every_days} d", "day before: not", "day")
    if rules.remind_for_days:
        yield point("query", f"reminded for {rules.remind_for_days} d", "last", "none after")
    for level in rules.escalate:
        yield point(
            "query", f"escalated on day {level.after_days} to {', '.join(level.roles)}", "day before: not", "day"
        )
    yield from (point("query", f"asked by a person, answered to {role}") for role in rules.asked_by)
    for last, one, following in zip(LAST_DAYS, BUCKETS, BUCKETS[1:], strict=False):
        yield point("query", f"age {one} turns {following} after day {last}", "day", "day after")
    yield from (point("query", name) for name in ("closed by the data", "opened again", "booking", "manual"))


@cache
def contradiction_codes() -> tuple[str, ...]:
    """The codes of all contradictions in the rules' own words: first texts of what is made or yielded as a problem."""
    found = []
    for file in CHECKS:
        for node in ast.walk(ast.parse((CODE / file).read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="Problem" | "RcbProblem" | "SurvivalConflict" | "_before"),
                    args=[ast.Constant(value=str(code)), *_],
                ):
                    found.append(code)
                case ast.Yield(value=ast.Tuple(elts=[ast.Constant(value=str(code)), _])):
                    found.append(code)
    return tuple(dict.fromkeys(found))


def _checks(study: Study) -> Iterator[Point]:
    checks = study.checks
    if labs := checks.dose_labs:
        yield point(
            "check", "dose_labs: none before the dose", "day before: not", f"day {study.queries.raise_after_days}"
        )
        for form in labs.forms:
            for which in ("first cycle", "later cycle"):
                yield point("check", f"dose_labs {form.form}, {which}", "as old as allowed: not", "a day older")
    if decision := checks.progression_decision:
        yield point("check", "progression_decision", "day before: not", f"day {decision.after_days}")
        for name in (*(f.form for f in decision.forms), "progression"):
            yield point("check", f"progression_decision answered by {name}")
    if checks.alive:
        yield point("check", f"alive: {checks.alive.form}.{checks.alive.item} says no")
    for code in contradiction_codes():
        yield point("check", f"contradiction {code}", at="refused at intake" if code in NEVER_IN_THE_LOG else "")


# ── deviations and safety ─────────────────────────────────────────────────────────────────────────────────────────


def _deviations(study: Study) -> Iterator[Point]:
    for name in Deviations.model_fields:
        rule = getattr(study.deviations, name)
        if not hasattr(rule, "grade"):
            continue
        kind = name.replace("_", "-")
        if rule.counts:
            yield point("deviation", f"{kind}: {rule.grade}")
        for code, own in rule.visits.items() if isinstance(rule, VisitRule) else ():
            if not own.counts:
                yield point("deviation", f"{kind} of {code}: not looked at")
            elif "grade" in own.model_fields_set:
                yield point("deviation", f"{kind} of {code}: {own.grade}")
    yield from _thresholds(study)
    yield from (point("deviation", name) for name in ("acknowledged", "withdrawn", "found again"))


def _thresholds(study: Study) -> Iterator[Point]:
    graded = study.deviations
    window = graded.out_of_window
    yield from (point("deviation", f"{n} day of the window: none") for n in ("first", "last"))
    yield from (point("deviation", f"1 d {word}: {window.grade}") for word in ("early", "late"))
    yield from _important("", window)
    for code in window.visits:
        own = window.at(code)
        yield from _important(
            f"{code} ", own, {n for n in own.model_fields_set if n in window.visits[code].model_fields_set}
        )
    if study.cycle_delay_days is not None:
        for word in ("given", "awaited"):
            yield point("deviation", f"cycle-delay, {word}", f"{study.cycle_delay_days} d: not", "a day more")
    for visit in study.visits:
        for floor in visit.not_before:
            yield point(
                "deviation", f"wash-out {floor.anchor} before {visit.code}", f"{floor.days} d: not", "a day less"
            )
    yield from (point("deviation", f"{form} before consent: none") for form in graded.consent_late.routine_forms)


def _important(prefix: str, rule: WindowRule, own: set[str] | None = None) -> Iterator[Point]:
    for word, limit in (("early", rule.important_from_days_early), ("late", rule.important_from_days_late)):
        if limit and (own is None or f"important_from_days_{word}" in own):
            yield point("deviation", f"{prefix}important from {limit} d {word}", "day before: minor", "day")
    if rule.not_held_after_days is not None and own is not None and rule.counts:
        yield point(
            "deviation", f"{prefix}not held for over {rule.not_held_after_days} d", "last day: none", "day after"
        )


def _clocks(study: Study) -> Iterator[Point]:
    if study.safety is None:
        return
    sae = study.safety.sae
    for what in ("a serious adverse event", "a fatal adverse event", *sae.terms):
        yield point("clock", f"{what}: {sae.remind_hours_before} h before the end")
        yield point("clock", f"{what}: {sae.within_hours} h over")
    yield point("clock", f"reported after {sae.within_hours} h", "exactly: in time", "a minute later: late")


def _notices(study: Study) -> Iterator[Point]:
    for kind, roles in study.recipients.tell.items():
        at = (
            "tests/unit/test_engine.py, test_post.py" if kind in ("endpoint", "incident", "boundary") else ""
        )  # of the trial, of no patient
        yield from (point("notice", f"{kind} to {role}", at=at) for role in roles)


# ── endpoints, journeys, facts ────────────────────────────────────────────────────────────────────────────────────


def _endpoints(study: Study) -> Iterator[Point]:
    ends = study.endpoints
    for name, frame in (("pcr", ends.pcr.frame_days), ("rcb01", ends.rcb01.frame_days)):
        yield from (point("endpoint", f"{name} {answer}") for answer in get_args(Answer))
        yield point("endpoint", f"{name} without a report after {frame} d", "last day: pending", "day after: no")
    yield from (point("endpoint", f"class {name}") for name in ("RCB-0", "RCB-I", "RCB-II", "RCB-III", "none"))
    primary = ends.efs.primary
    yield from (point("endpoint", f"efs {finding}: {role}") for finding, role in primary.findings.items())
    yield point("endpoint", "efs censored at the last assessment")


def _journeys() -> Iterator[Point]:
    yield from (point("journey", phase) for phase in (*get_args(Journey), "complete"))
    yield from (point("fact", kind) for kind in ev.FACT_TYPES)
    yield point("fact", "corrected")


def _tables(study: Study) -> Iterator[Point]:
    """What is looked up rather than lived through has tables of its own."""
    gates, verdicts = "tests/cases/gates.yaml", ("met", "not_met", "unknown")
    if safety := study.safety:
        for gate in safety.dose_gates:
            yield from (point("gate", f"dose: {c.value}", *verdicts, at=gates) for c in gate.conditions)
        yield point("gate", "dose: delay", "met", "not_met", at=gates)
        if surgery := safety.surgery_gate:
            names: list[Any] = [f"{w.drug} wash-out" for w in surgery.wash_outs]
            yield from (point("gate", f"surgery: {name}", "met", "not_met", at=gates) for name in names)
            for c in surgery.conditions:
                sides = ("met", "unknown") if c.known else verdicts
                yield point("gate", f"surgery: {c.value}", *sides, at=gates)
            yield point("gate", "surgery: immune-related events", "met", "not_met", at=gates)
            yield point("gate", "surgery: restaging", *verdicts, at=gates)
    for other in study.endpoints.efs.maps:
        if other.name != study.endpoints.efs.primary_map:
            yield point("endpoint", f"efs by the map {other.name}", at="tests/cases/efs.yaml")
