"""Relative dose intensity of each drug (Hryniuk and Bush, J Clin Oncol 1984;2:1281-8).

    RDI = (dose given / dose planned) / (time taken / time planned)

over the planned course: a cycle left out, a held or a reduced dose lowers the dose, a delay lengthens the time, and a course
that ends early lacks the dose of the cycles that were never given. Until the course is over it is that of the cycles so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import DrugDefinition, Study
from neotorch.rules.endpoints.values import Value, source
from neotorch.rules.schedule import settled

RULE = "relative dose intensity: (dose given / planned) / (time taken / planned), Hryniuk and Bush 1984"


@dataclass(frozen=True)
class Exposure:
    """One drug of one patient. Doses in the drug's unit; a drug without a stated dose counts courses."""

    drug: str
    unit: str
    given: float
    planned: float
    """Over the whole course once it is over, else over the cycles so far."""
    days: int
    """From the first day 1 to one cycle length after the last."""
    planned_days: int
    over: bool
    event_ids: tuple[str, ...]

    @property
    def intensity_pct(self) -> float | None:
        """Relative dose intensity in per cent; None before the first dose."""
        if not self.planned or not self.days:
            return None
        return 100 * (self.given / self.planned) / (self.days / self.planned_days)


def exposures(state: PatientState, study: Study, cut: date) -> tuple[Exposure, ...]:
    """Return the exposure to each study drug by the cut, in the order of the study file; none before the first dose."""
    over = course_over(state, study, cut)
    cycles = {n: c for n, c in sorted(state.cycles.items()) if c.occurred <= cut}
    return tuple(_exposure(drug, cycles, state, study, over=over) for drug in study.drugs) if cycles else ()


def course_over(state: PatientState, study: Study, cut: date) -> bool:
    """Return whether by the cut no further cycle was to come: all given, called off, lost to follow-up, or dead."""
    said = settled(state, study)
    ends = [e.occurred for e in (state.death, state.lost) if e]
    return any(day <= cut for day in (*ends, *((said[0],) if said else ())))


def _exposure(
    drug: DrugDefinition, cycles: dict[int, ev.CycleGiven], state: PatientState, study: Study, *, over: bool
) -> Exposure:
    course = {n: c for n, c in cycles.items() if n <= max(drug.cycles)}  # further cycles are beyond what was planned
    wanted = [n for n in drug.cycles if over or n in course]
    length, first, last = study.cycles.length_days, min(cycles), max(course, default=min(cycles))
    never_given = len([n for n in wanted if n > max(cycles)])
    ids = (*(c.id for c in course.values()), *(c.id for c in state.dose_changes if c.drug == drug.code))
    return Exposure(
        drug=drug.code, unit=drug.unit, over=over, event_ids=ids,
        given=sum(dose for n, c in course.items() for dose in _taken(n, c, drug, state)),
        planned=(drug.dose or 1.0) * drug.days * len(wanted),
        days=(cycles[last].occurred - cycles[first].occurred).days + length * (1 + never_given),
        planned_days=length * len(wanted) or length,
    )  # fmt: skip


def _taken(number: int, cycle: ev.CycleGiven, drug: DrugDefinition, state: PatientState) -> Iterator[float]:
    """Yield the doses of a drug on the days of one cycle on which it was taken."""
    for given in cycle.drugs:
        if given.drug != drug.code or given.status == "held":
            continue
        day, dose = cycle.occurred, given.dose if given.dose is not None else drug.dose or 1.0
        last = min(given.last_dose or date.max, cycle.occurred + timedelta(drug.days - 1))
        following = state.cycles.get(number + 1)
        while day <= last and not (following and day >= following.occurred):
            change = next((c for c in reversed(state.dose_changes) if c.drug == drug.code and _on(c, day, cycle)), None)
            if change and change.action == "reduced" and change.dose is not None:
                dose = change.dose
            if change is None or change.action not in ("interrupted", "stopped"):
                yield dose
            day += timedelta(1)


def _on(change: ev.DoseChanged, day: date, cycle: ev.CycleGiven) -> bool:
    """Whether a change bears on a day of the cycle: an interruption begins after its day, which is the last one taken."""
    if change.occurred < cycle.occurred:
        return False  # what was changed before the cycle is in what the cycle says
    return change.occurred < day if change.action in ("interrupted", "stopped") else change.occurred <= day


def exposure_values(state: PatientState, study: Study, cut: date) -> tuple[Value, ...]:
    """Return the relative dose intensity of each drug with what stands behind it."""
    facts = {f.id: f for f in state.facts}
    found = []
    for e in exposures(state, study, cut):
        pct = e.intensity_pct
        reason = (
            f"{e.given:g} of {e.planned:g} {e.unit} in {e.days} of {e.planned_days} planned days"
            + ("" if e.over else ", the course goes on")
        )  # fmt: skip
        then = "a correction of a cycle or of a dose change" if e.over else "the next cycle"
        found.append(Value(
            f"rdi.{e.drug}", f"relative dose intensity, {e.drug}", "known" if e.over else "pending",
            "none" if pct is None else f"{pct:.1f} %", reason, RULE, then, tuple(source(facts[i]) for i in e.event_ids),
            cut if not e.over else None, pct, "%",
        ))  # fmt: skip
    return tuple(found)
