"""Deviations of cycles and drugs: put off too long, a drug or a dose that is not the protocol's, a gate not heeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.departures import Chart, Deviation, place
from neotorch.rules.gates import Gate
from neotorch.rules.schedule import ACTIONABLE, VisitPlan, find_anchor

ELSEWHERE = frozenset({"gate.dose.cycle", "gate.dose.delay"})
"""Rules of a gate's conditions that have a kind of deviation of their own."""


def cycle_delays(chart: Chart) -> Iterator[Deviation]:
    """Day 1 of a cycle later than the protocol lets it be put off to, given or still awaited."""
    for plan in chart.plans.values():
        limit = too_long(plan, chart) if plan.visit.cycle else None
        if limit is None:
            continue
        planned, latest, ids = limit
        days = (latest - planned).days
        on, evidence = (plan.held_on, plan.evidence) if plan.held_on else (latest + timedelta(1), ())
        said = (
            f"{(on - planned).days} d after its day" if plan.held_on else f"over {days} d after its day and not given"
        )
        yield chart.found(
            "cycle-delay", plan.code, chart.graded.cycle_delay.at(plan.code).grade, on, f"{plan.code} {said}",
            f"planned for {planned}, one cycle length after the one before; at most {days} d later, by {latest}",
            f"the day of {plan.code} or of the cycle before corrected, or {plan.code} recorded as missed or waived",
            (*evidence, *ids), plan.code,
        )  # fmt: skip


def too_long(plan: VisitPlan, chart: Chart) -> tuple[date, date, tuple[str, ...]] | None:
    """Return planned day, latest day and the events they hang on, of a cycle that is later than that."""
    limit = latest_day_1(plan, chart.study, chart.state)
    if limit is None or plan.status not in {"held", "planned", *ACTIONABLE}:
        return None
    return limit if (plan.held_on or chart.today) > limit[1] else None


def latest_day_1(plan: VisitPlan, study: Study, state: PatientState) -> tuple[date, date, tuple[str, ...]] | None:
    """Return planned day, latest day and the events they hang on, of a cycle's day 1 that has a latest day."""
    number, most = plan.visit.cycle, study.cycle_delay_days
    if number is None or number < 2 or most is None or not study.deviations.cycle_delay.at(plan.code).counts:
        return None
    before = find_anchor(f"cycle.{number - 1}", state, study)
    if before is None or before.event_ids == _delay(number - 1, state):
        return None  # the cycle before is put off itself and has not been given
    planned = before.day + timedelta(study.cycles.length_days)
    return planned, planned + timedelta(most), before.event_ids


def _delay(number: int, state: PatientState) -> tuple[str, ...]:
    return (state.delays[number].id,) if number in state.delays else ()


def dose_deviations(chart: Chart) -> Iterator[Deviation]:
    """Drugs given in a cycle without them, and doses that are not the protocol's."""
    for number, cycle in sorted(chart.state.cycles.items()):
        for given in cycle.drugs:
            if given.status != "held" and given.drug in chart.study.drug_by_code:
                yield from _not_planned(number, cycle, given, chart)
                yield from _level(number, cycle, given, chart)
    yield from _changes(chart)


def _not_planned(number: int, cycle: ev.CycleGiven, given: ev.DrugGiven, chart: Chart) -> Iterator[Deviation]:
    visit, planned = chart.visit(number), chart.study.drug_by_code[given.drug].cycles
    rule, extra = chart.graded.drug_not_planned.at(visit), chart.study.cycles.extra
    like = chart.study.visit_by_code[extra.like].cycle if extra and number > chart.study.cycles.count else number
    if rule.counts and like not in planned:
        yield chart.found(
            "drug-not-planned", f"{visit}/{given.drug}", rule.grade, cycle.occurred, f"{given.drug} given at {visit}",
            f"{given.drug} is planned for cycles {', '.join(map(str, planned))}, given in cycle {number}",
            f"{cycle.id} corrected: {given.drug} held or left out", (cycle.id,), visit,
        )  # fmt: skip


def _level(number: int, cycle: ev.CycleGiven, given: ev.DrugGiven, chart: Chart) -> Iterator[Deviation]:
    visit = chart.visit(number)
    rule = chart.graded.dose_level.at(visit)
    fault = _dose_fault(given.drug, given.dose, given.status == "reduced", chart.study)
    if rule.counts and fault:
        yield chart.found(
            "dose-level", f"{visit}/{given.drug}", rule.grade, cycle.occurred, f"{given.drug} dose at {visit}", fault,
            f"{cycle.id} corrected to a dose of the protocol", (cycle.id,), visit,
        )  # fmt: skip


def _changes(chart: Chart) -> Iterator[Deviation]:
    rule = chart.graded.dose_level
    for change in chart.state.dose_changes:
        fault = _dose_fault(change.drug, change.dose, reduced=change.action == "reduced", study=chart.study)
        if rule.counts and fault and change.action in ("reduced", "resumed"):
            yield chart.found(
                "dose-level", f"change/{place(change.id, chart.state)}", rule.grade, change.occurred,
                f"{change.drug} {change.action} on {change.occurred}", fault,
                f"{change.id} corrected to a dose of the protocol, or retracted", (change.id,),
            )  # fmt: skip


def _dose_fault(code: str, dose: float | None, reduced: bool, study: Study) -> str | None:
    """Return what is wrong with a dose; a drug without a stated dose cannot be judged."""
    drug = study.drug_by_code.get(code)
    if drug is None or drug.dose is None:
        return None
    given = "reduced" if dose is None else f"{dose:g} {drug.unit}"
    if not drug.levels:
        wrong = reduced or dose not in (None, drug.dose)
        return f"{given}; {code} is given at {drug.dose:g} {drug.unit} or not at all" if wrong else None
    levels = ", ".join(f"{level:g}" for level in drug.levels)
    return f"{given}; levels of {code} are {levels} {drug.unit}" if dose not in (None, *drug.levels) else None


def gate_deviations(chart: Chart, gates: Sequence[Gate]) -> Iterator[Deviation]:
    """A drug given although a condition for it was not met; what is unknown is asked for by a query."""
    given = {chart.visit(n): c for n, c in chart.state.cycles.items()}
    for gate in gates:
        cycle, rule = given.get(gate.visit), chart.graded.dose_gate.at(gate.visit)
        failed = [c for c in gate.conditions if c.verdict == "not_met" and c.because.rule not in ELSEWHERE]
        taken = cycle is not None and any(d.drug == gate.drug and d.status != "held" for d in cycle.drugs)
        if cycle is None or not rule.counts or not taken or not failed:
            continue
        names = ", ".join(c.name for c in failed)
        yield chart.found(
            "dose-gate", f"{gate.visit}/{gate.drug}", rule.grade, cycle.occurred,
            f"{gate.drug} given at {gate.visit}, not met: {names}"[:120],
            f"not met on {cycle.occurred}: {names}; {gate.key} shows each condition",
            f"a value corrected so that the condition is met, or {cycle.id} corrected",
            (cycle.id, *(i for c in failed for i in c.because.event_ids)), gate.visit,
        )  # fmt: skip
