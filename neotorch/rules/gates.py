"""Gates: what must be so before a dose is given on day 1 of a cycle, and before surgery; each condition with its why.

A gate is judged as of one day, from what is known now: of the day of a dose given or of the operation, also where that
was long ago. What is not known is "unknown", never "met".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.ctcae import exact, plain
from neotorch.domain.safety import AgedLimit, DoseGate, Limit, Safety, SurgeryGate, WashOut
from neotorch.domain.state import ENDED, PatientState
from neotorch.domain.study import Study
from neotorch.rules.readings import Reading, Readings, grade_reading
from neotorch.rules.schedule import Because, find_anchor, journey, last_dose, treatment_end

Verdict = Literal["met", "not_met", "unknown"]
WORDS: dict[Verdict, str] = {"met": "met", "not_met": "NOT MET", "unknown": "unknown"}


@dataclass(frozen=True)
class Condition:
    """One condition of a gate. `value` is what was found, in words; `because.detail` adds what is needed."""

    name: str
    verdict: Verdict
    value: str
    because: Because
    said: str = ""
    """The site's own words where it says that a value will not come; for the console only, never for a notice."""


@dataclass(frozen=True)
class Gate:
    """What must be so before a dose or the operation, as of `day`. `drug` is None for surgery."""

    key: str
    name: str
    visit: str
    drug: str | None
    day: date
    conditions: tuple[Condition, ...]

    @property
    def verdict(self) -> Verdict:
        """`met` if all conditions are, `not_met` if any is not, else `unknown`."""
        found = {c.verdict for c in self.conditions}
        if "not_met" in found:
            return "not_met"
        return "unknown" if "unknown" in found else "met"

    def lines(self) -> list[str]:
        """Return one line for each condition: name, verdict, what was found and what is needed."""
        return [f"{c.name}: {WORDS[c.verdict]} - {c.because.detail}" for c in self.conditions]

    def short(self) -> str:
        """Return the verdict in one line, naming the conditions that are not met or unknown."""
        parts = []
        for verdict in ("not_met", "unknown"):
            names = [c.name for c in self.conditions if c.verdict == verdict]
            parts += [f"{WORDS[verdict]}: {', '.join(names)}"] if names else []
        return "; ".join(parts) or "met"


@dataclass(frozen=True)
class _Chart:
    """What the conditions are judged from."""

    state: PatientState
    study: Study
    safety: Safety
    readings: Readings = field(compare=False)

    def judged(  # noqa: PLR0917 - what a condition says
        self, rule: str, name: str, verdict: Verdict, value: str, needs: str, ids: tuple[str, ...] = (), said: str = ""
    ) -> Condition:
        detail = f"{value}; needed: {needs}"
        return Condition(name, verdict, value, Because(rule, self.study.version, event_ids=ids, detail=detail), said)


def dose_gates(state: PatientState, study: Study, on: date | None = None) -> tuple[Gate, ...]:
    """Return a gate per drug for every cycle given, as of its day 1, and with `on` for the next cycle as of that day.

    Every drug has one, given or held: so the gate of a cycle for which a drug is not planned says so.
    """
    readings = Readings(state)
    days = [(n, c.occurred) for n, c in sorted(state.cycles.items())]
    coming = next_cycle(state, study)
    if on is not None and coming is not None:
        days.append((coming, on))
    charts = [(number, day, _chart(state, study.on(day), readings)) for number, day in days]
    return tuple(gate for number, day, chart in charts if chart for gate in _judged(number, day, chart))


def _judged(number: int, day: date, chart: _Chart) -> tuple[Gate, ...]:
    """Return the gates of a cycle, judged anew when something that they hang on has changed."""
    state = chart.state
    hang_on = (
        chart.study, day, state.consent, *state.cycles.values(), *state.dose_changes, *state.delays.values(),
        *state.missed.values(), *state.waived.values(), *chart.readings.until(day, chart.safety.forms),
    )  # fmt: skip
    return state.keep(f"gates {number}", hang_on, lambda: tuple(_cycle_gates(number, day, chart)))


def _chart(state: PatientState, rules: Study, readings: Readings) -> _Chart | None:
    return _Chart(state, rules, rules.safety, readings) if rules.safety else None


def next_cycle(state: PatientState, study: Study) -> int | None:
    """Return the number of the cycle to be given next, None if treatment has not begun to be planned or has ended."""
    if state.enrolment is None or journey(state, study) not in ("screening", "treatment"):
        return None
    left_out = {**state.missed, **state.waived}
    for number in range(max(state.cycles, default=0) + 1, study.cycles.count + 1):
        visit = study.cycle_visit(number)
        if visit is None or visit.code not in left_out:
            return number
    return None


def surgery_gate(state: PatientState, study: Study, on: date) -> Gate | None:
    """Return the gate before surgery as of the day of surgery, or of `on` once treatment has ended; None before."""
    awaited = treatment_end(state, study) and not state.inoperable and journey(state, study) not in ENDED
    day = state.surgery.occurred if state.surgery else on if awaited else None
    chart = _chart(state, study.on(day), Readings(state)) if day else None
    gate = chart.safety.surgery_gate if chart else None
    if day is None or chart is None or gate is None:
        return None
    conditions = tuple(_before_surgery(gate, day, chart))
    return Gate(f"{state.subject}/gate/{gate.visit}", "surgery", gate.visit, None, day, conditions)


# ── day 1 of a cycle ──────────────────────────────────────────────────────────────────────────────────────────────


def _cycle_gates(number: int, day: date, chart: _Chart) -> Iterator[Gate]:
    visit = chart.study.cycle_visit(number)
    code = visit.code if visit else f"C{number}D1"
    for gate in chart.safety.dose_gates:
        within = gate.within_days_of_c1d1 if number == 1 else gate.within_days
        shared = [*_delay(gate, number, day, chart)]
        shared += [_value("gate.dose", limit, within, day, chart) for limit in gate.conditions]
        for drug in gate.drugs:
            own = [_planned(drug, number, chart), _not_stopped(drug, number, day, chart)]
            key = f"{chart.state.subject}/gate/{code}/{drug}"
            yield Gate(key, f"{code} {drug}", code, drug, day, (*own, *shared))


def _planned(drug: str, number: int, chart: _Chart) -> Condition:
    """An extra cycle is like the one that the study file names for it."""
    cycles, extra = chart.study.drug_by_code[drug].cycles, chart.study.cycles.extra
    like = chart.study.visit_by_code[extra.like].cycle if extra and number > chart.study.cycles.count else number
    verdict: Verdict = "met" if like in cycles else "not_met"
    needs = f"one of the cycles planned for {drug}: {', '.join(map(str, cycles))}"
    return chart.judged("gate.dose.cycle", "planned cycle", verdict, f"cycle {number}", needs)


def _not_stopped(drug: str, number: int, day: date, chart: _Chart) -> Condition:
    """Changes on the day of a dose given came after it; before one to come they count."""
    given = number in chart.state.cycles
    changes = [
        c for c in chart.state.dose_changes
        if c.drug == drug and c.action in ("stopped", "resumed") and (c.occurred < day if given else c.occurred <= day)
    ]  # fmt: skip
    last = changes[-1] if changes else None
    stopped = last is not None and last.action == "stopped"
    said = f"{last.action} on {last.occurred} ({last.cause})" if last else "not stopped"
    ids = (last.id,) if last else ()
    return chart.judged("gate.dose.stopped", "not stopped", "not_met" if stopped else "met", said, "not stopped", ids)


def _delay(gate: DoseGate, number: int, day: date, chart: _Chart) -> Iterator[Condition]:
    before = find_anchor(f"cycle.{number - 1}", chart.state, chart.study) if number > 1 else None
    if before is None:
        return
    late = (day - before.day).days - chart.study.cycles.length_days
    verdict: Verdict = "met" if late <= gate.max_delay_days else "not_met"
    found = f"{max(late, 0)} d late, {(day - before.day).days} d after {before.name} on {before.day}"
    needs = f"at most {gate.max_delay_days} d late"
    yield chart.judged("gate.dose.delay", "delay", verdict, found, needs, before.event_ids)


# ── surgery ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _before_surgery(gate: SurgeryGate, day: date, chart: _Chart) -> Iterator[Condition]:
    for wash_out in gate.wash_outs:
        yield _washed_out(wash_out, day, chart)
    for limit in gate.conditions:
        yield _aged(limit, day, chart)
    if gate.immune_related_grade is not None:
        yield _immune_related(gate.immune_related_grade, day, chart)
    if gate.restaging_within_days is not None:
        yield _restaged(gate.restaging_within_days, day, chart)


def _aged(limit: AgedLimit, day: date, chart: _Chart) -> Condition:
    return _value("gate.surgery", limit, limit.within_days, day, chart)


def _washed_out(wash_out: WashOut, day: date, chart: _Chart) -> Condition:
    last = last_dose(chart.state, chart.study.drug_by_code[wash_out.drug])
    name, needs = f"{wash_out.drug} wash-out", f"at least {wash_out.days} d since the last dose"
    if last is None:
        return chart.judged("gate.surgery.wash-out", name, "met", "never given", needs)
    passed = (day - last[0]).days
    found = f"{passed} d since {last[0]}" if passed >= 0 else f"last dose {last[0]} is still to come on {day}"
    verdict: Verdict = "met" if passed >= wash_out.days else "not_met"
    return chart.judged("gate.surgery.wash-out", name, verdict, found, needs, (last[1],))


def _immune_related(grade: int, day: date, chart: _Chart) -> Condition:
    """Judged by what is recorded: an event without an end goes on."""
    going_on = [
        f for f in chart.state.facts
        if isinstance(f, ev.AdverseEvent) and f.immune_related and f.grade >= grade and f.occurred <= day
        and (f.resolved is None or f.resolved > day)
    ]  # fmt: skip
    found = ", ".join(f"{f.term} G{f.grade} since {f.occurred}" for f in going_on) or "none recorded"
    ids = tuple(f.id for f in going_on)
    needs = f"no unresolved immune-related adverse event of grade {grade} or above"
    verdict: Verdict = "not_met" if going_on else "met"
    return chart.judged("gate.surgery.immune-related", "immune-related events", verdict, found, needs, ids)


def _restaged(within_days: int, day: date, chart: _Chart) -> Condition:
    scans = [
        f for f in chart.state.facts
        if isinstance(f, ev.Imaging) and f.response != "BASELINE" and f.occurred <= day
    ]  # fmt: skip
    rule, needs = "gate.surgery.restaging", f"imaging after baseline at most {within_days} d old"
    if not scans:
        return chart.judged(rule, "restaging", "unknown", "no imaging after baseline", needs)
    last = scans[-1]
    age = (day - last.occurred).days
    verdict: Verdict = "not_met" if age > within_days else "unknown" if last.response == "NE" else "met"
    found = f"{last.response} on {last.occurred}, {age} d old"
    return chart.judged(rule, "restaging", verdict, found, needs, (last.id,))


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _value(rule: str, limit: Limit, within_days: int | None, day: date, chart: _Chart) -> Condition:
    """Judge one value by its limit."""
    place, name = chart.safety.values[limit.value], limit.value
    unit = chart.study.form_by_code[place.form].items[place.item].unit or ""
    bound, needs = _bound(limit, unit, chart)
    if within_days is not None:
        needs += f", at most {within_days} d old" if within_days else ", of the same day"
    reading = chart.readings.newest(place, day, within_days)
    if reading is None:
        older = chart.readings.newest(place, day)
        found = f"none since {older.day}, {(day - older.day).days} d before {day}" if older else "none recorded"
        return chart.judged(rule, name, "unknown", found, needs, (older.event_id,) if older else ())
    if isinstance(reading.value, ev.NotAnswered):
        found = f"{reading.value.status.replace('_', ' ')} on {reading.day}"
        return chart.judged(rule, name, "unknown", found, needs, (reading.event_id,), reading.value.reason)
    graded = grade_reading(reading, name, chart.safety, chart.readings, chart.state)
    found = f"{_shown(reading)} {unit}".strip() + f" on {reading.day}"
    if graded and graded.grade:
        found += f" (CTCAE v5 grade {graded.grade})"
    ids = tuple(dict.fromkeys((reading.event_id, *(graded.event_ids if graded else ()))))
    return chart.judged(rule, name, _verdict(limit, bound, reading), found, needs, ids)


def _bound(limit: Limit, unit: str, chart: _Chart) -> tuple[Decimal | None, str]:
    """Return the number to compare with (None: not known, or none needed) and what is needed, in words."""
    if limit.known:
        return None, "a known value"
    if limit.equals is not None:
        return None, _words(limit.equals)
    tests = ((">=", limit.at_least), ("<=", limit.at_most), ("<", limit.below))
    sign, number = next((s, n) for s, n in tests if n is not None)
    bound = exact(number)
    if not limit.times_uln:
        return bound, f"{sign} {plain(bound)} {unit}".strip()
    found = chart.safety.limits(chart.state.site, limit.value)
    if found is None or found[0].high is None:
        return None, f"{sign} {plain(bound)} x ULN, and no ULN is stated for site {chart.state.site}"
    times = bound * exact(found[0].high)
    return times, f"{sign} {plain(bound)} x ULN of {found[0].high:g}, {plain(times)} {unit}".strip()


def _verdict(limit: Limit, bound: Decimal | None, reading: Reading) -> Verdict:
    if limit.known:
        return "met"
    if limit.equals is not None:
        return "met" if reading.value == limit.equals else "not_met"
    if bound is None or reading.number is None:
        return "unknown"
    number = exact(reading.number)
    if limit.below is not None:
        return "met" if number < bound else "not_met"
    return "met" if (number >= bound if limit.at_least is not None else number <= bound) else "not_met"


def _shown(reading: Reading) -> str:
    return plain(exact(reading.number)) if reading.number is not None else _words(reading.value)


def _words(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
