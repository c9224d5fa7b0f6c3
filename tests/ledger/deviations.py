"""Which deviations, grades and thresholds a story, or a case of tests/cases/deviations.yaml, expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neotorch.domain import events as ev
from neotorch.rules.drug_deviations import latest_day_1
from neotorch.rules.schedule import VisitPlan, find_anchor, visit_plans
from tests.ledger.seen import Note, Seen
from tests.stories import CASES, facts_of, read_yaml
from tests.support import SUBJECT, ZONE, state_of, study

Grades = dict[str, str | None]
"""Key of an expected deviation -> its grade, None where the story does not say."""


def table() -> list[tuple[str, Seen]]:
    """The cases of the table of deviations, as if each were a story of one day."""
    found = []
    for case in read_yaml(CASES / "deviations.yaml"):
        before: dict[str, ev.AnyFact] = {}
        for line in case["facts"]:
            on, what = next(iter(line.items()))
            before |= {f.id.removeprefix(f"{SUBJECT}."): f for f in facts_of(on, what, before)}
        state = state_of(before.values())
        plans = {p.code: p for p in visit_plans(state, study(), case["day"])}
        wanted = {"day": case["day"], "deviations": list(case["expect"]), "grades": case["expect"]}
        found.append((f"deviations.yaml: {case['case']}", Seen(case["day"], wanted, state, plans, study(), ZONE)))
    return found


def deviation_notes(seen: Seen) -> Iterator[Note]:
    """What an expectation covers."""
    for words in seen.wanted.get("traces", {}).values():
        yield from (("deviation", w, "") for w in ("acknowledged", "withdrawn") if any(x.startswith(w) for x in words))
        if sum(not x.startswith(("acknowledged", "withdrawn")) for x in words) > 1:
            yield "deviation", "found again", ""
    grades = _grades(seen.wanted)
    for key, grade in grades.items():
        if grade:
            yield from _kind(seen, key, grade)
    if "deviations" not in seen.wanted:
        return
    for plan in seen.plans.values():
        yield from _outside(seen, plan, grades)
        yield from _not_held(seen, plan, grades)
        yield from _delayed(seen, plan, grades)
        yield from _wash_out(seen, plan, grades)
    consent = seen.state.consent
    for fact in seen.state.facts:
        routine = isinstance(fact, ev.FormReceived) and fact.form in seen.study.deviations.consent_late.routine_forms
        if routine and consent and fact.occurred < consent.occurred and "consent-late" not in grades:
            yield "deviation", f"{fact.form} before consent: none", ""  # type: ignore[union-attr]


def _grades(wanted: dict[str, Any]) -> Grades:
    found: Grades = dict.fromkeys(wanted.get("deviations", ()))
    for key, words in wanted.get("traces", {}).items():
        said = [x.split()[0] for x in words if not x.startswith(("acknowledged", "withdrawn"))]
        if said and not words[-1].startswith("withdrawn"):
            found[key] = said[-1]
    return found | {k: grade for k, (grade, _) in wanted.get("grades", {}).items()}


def _kind(seen: Seen, key: str, grade: str) -> Iterator[Note]:
    kind, _, place = key.partition("/")
    rule = getattr(seen.study.deviations, kind.replace("-", "_"))
    own = getattr(rule, "visits", {}).get(place)
    if own and "grade" in own.model_fields_set:
        yield "deviation", f"{kind} of {place}: {grade}", ""
    else:
        yield "deviation", f"{kind}: {grade}", ""


def _outside(seen: Seen, plan: VisitPlan, grades: Grades) -> Iterator[Note]:
    rule, key = seen.study.deviations.out_of_window.at(plan.code), f"out-of-window/{plan.code}"
    if not plan.held_on or not plan.protocol:
        return
    if not rule.counts and not plan.in_window and key not in grades:
        yield "deviation", f"out-of-window of {plan.code}: not looked at", ""
    if rule.counts and key not in grades and plan.protocol.opens < plan.protocol.closes:
        edges = {plan.protocol.opens: "first", plan.protocol.closes: "last"}
        if plan.held_on in edges and plan.visit.phase != "screening":  # screening ends with a decision, on any day
            yield "deviation", f"{edges[plan.held_on]} day of the window: none", ""
    own = seen.study.deviations.out_of_window.visits.get(plan.code)
    for word, days, limit in (
        ("early", (plan.protocol.opens - plan.held_on).days, rule.important_from_days_early),
        ("late", (plan.held_on - plan.protocol.closes).days, rule.important_from_days_late),
    ):
        if days == 1 and grades.get(key) == rule.grade:
            yield "deviation", f"1 d {word}: {rule.grade}", ""
        prefix = f"{plan.code} " if own and f"important_from_days_{word}" in own.model_fields_set else ""
        if limit and days in (limit - 1, limit) and grades.get(key) == ("important" if days == limit else "minor"):
            yield (
                "deviation",
                f"{prefix}important from {limit} d {word}",
                "day" if days == limit else "day before: minor",
            )


def _not_held(seen: Seen, plan: VisitPlan, grades: Grades) -> Iterator[Note]:
    rule, key = seen.study.deviations.out_of_window.at(plan.code), f"out-of-window/{plan.code}"
    limit = rule.not_held_after_days
    if limit is None or plan.status != "overdue" or not plan.protocol:
        return
    name, days = f"{plan.code} not held for over {limit} d", (seen.day - plan.protocol.closes).days
    if days == limit and key not in grades:
        yield "deviation", name, "last day: none"
    if days == limit + 1 and key in grades:
        yield "deviation", name, "day after"


def _delayed(seen: Seen, plan: VisitPlan, grades: Grades) -> Iterator[Note]:
    limit = latest_day_1(plan, seen.study, seen.state)
    if limit is None or plan.status in {"missed", "not_expected", "waived"}:
        return
    days = ((plan.held_on or seen.day) - limit[1]).days
    name = f"cycle-delay, {'given' if plan.held_on else 'awaited'}"
    found = f"cycle-delay/{plan.code}" in grades
    if days == 0 and not found:
        yield "deviation", name, f"{seen.study.cycle_delay_days} d: not"
    if days == 1 and found:
        yield "deviation", name, "a day more"


def _wash_out(seen: Seen, plan: VisitPlan, grades: Grades) -> Iterator[Note]:
    for floor in plan.visit.not_before if plan.held_on else ():
        dose = find_anchor(floor.anchor, seen.state, seen.study)
        if dose is None or plan.held_on is None:
            continue
        days, found = (plan.held_on - dose.day).days, f"wash-out/{plan.code}/{floor.anchor}" in grades
        name = f"wash-out {floor.anchor} before {plan.code}"
        if days == floor.days and not found:
            yield "deviation", name, f"{floor.days} d: not"
        if days == floor.days - 1 and found:
            yield "deviation", name, "a day less"
