"""Visits: which are expected, on which window, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.calendar import Window, WindowStatus, window
from neotorch.domain.state import ENDED, Journey, PatientState
from neotorch.domain.study import DrugDefinition, Study, Timing, Visit

VisitStatus = Literal["waiting", "not_expected", "held"] | WindowStatus
"""waiting: its anchor has not happened; not_expected: the journey took another way; held: took place."""
ACTIONABLE: frozenset[str] = frozenset({"open", "due", "late", "overdue"})


@dataclass(frozen=True)
class Anchor:
    """A fact that windows hang on."""

    name: str
    day: date
    event_ids: tuple[str, ...]


@dataclass(frozen=True)
class Because:
    """Why something is due: the rule, the anchor, the dates, the events, the study version."""

    rule: str
    study_version: str
    anchor: Anchor | None = None
    timing: Timing | None = None
    event_ids: tuple[str, ...] = ()
    detail: str = ""

    def __str__(self) -> str:
        parts = [self.detail] if self.detail else []
        if self.anchor and self.timing:
            offset = f"{self.timing.offset_days:+d} d" if self.timing.offset_days else "same day"
            span = f"window -{self.timing.window_days_before}/+{self.timing.window_days_after} d"
            parts.append(f"{self.anchor.name} on {self.anchor.day} {offset}, {span}")
        parts.append(f"rule {self.rule}, study version {self.study_version}")
        if self.event_ids:
            parts.append(f"from {', '.join(self.event_ids)}")
        return "; ".join(parts)

    def fields(self) -> dict[str, object]:
        """Return the reason as the values that a notice words in its reader's language."""
        found: dict[str, object] = {"rule": self.rule}
        if self.detail:
            found["why"] = self.detail
        if self.anchor and self.timing:
            found |= {
                "anchor": self.anchor.name, "anchor_day": self.anchor.day, "offset_days": self.timing.offset_days,
                "window_before": self.timing.window_days_before, "window_after": self.timing.window_days_after,
            }  # fmt: skip
        return found


@dataclass(frozen=True)
class VisitPlan:
    """One visit of one patient as it stands today."""

    visit: Visit
    status: VisitStatus
    window: Window | None
    held_on: date | None
    evidence: tuple[str, ...]
    because: Because

    @property
    def code(self) -> str:
        """Code of the visit."""
        return self.visit.code

    @property
    def in_window(self) -> bool | None:
        """Whether it was held inside its window; None if it was not held or has no window."""
        return self.window.holds(self.held_on) if self.window and self.held_on else None


def journey(state: PatientState, study: Study) -> Journey:
    """Return the phase of the patient, or how the journey ended."""
    if state.death:
        return "dead"
    if state.withdrawal and (state.withdrawal.scope == "study" or not state.cycles):
        return "withdrawn"  # without a first dose there is nothing to follow up
    if state.eligibility and not state.eligibility.eligible and not state.cycles:
        return "screen_failure"
    if state.surgery or state.inoperable:
        return "follow_up"
    if treatment_end(state, study):
        return "surgery"
    return "treatment" if state.cycles else "screening"


def treatment_end(state: PatientState, study: Study) -> Anchor | None:
    """Return the last cycle's day 1 once no other will be given: all given, stopped, withdrawn or inoperable."""
    settled = _settled(state, study)
    if not state.cycles or settled is None:
        return None
    last = state.cycles[max(state.cycles)]
    return Anchor(f"last cycle (C{last.cycle}D1)", last.occurred, tuple(dict.fromkeys((last.id, settled[1]))))


def _settled(state: PatientState, study: Study) -> tuple[date, str] | None:
    """Return the day from which it was settled that no further cycle would be given, and the event that says so."""
    last = state.cycles[max(state.cycles)] if state.cycles else None
    if last and last.cycle >= study.cycles.count:
        return last.occurred, last.id
    stops: list[ev.Event] = [
        c for c in state.dose_changes if c.drug == study.cycles.clock_drug and c.action == "stopped"
    ]
    stops += [e for e in (state.withdrawal, state.inoperable, state.surgery) if e]
    return min(((e.occurred, e.id) for e in stops), default=None)


def last_dose(state: PatientState, drug: DrugDefinition) -> tuple[date, str] | None:
    """Return the last day on which the drug was (or will as planned have been) taken, and the event that says so."""
    days: list[tuple[date, str]] = []
    for cycle in state.cycles.values():
        given = next((d for d in cycle.drugs if d.drug == drug.code and d.status != "held"), None)
        if given is None:
            continue
        planned = cycle.occurred + timedelta(drug.days - 1)
        cut = [
            c for c in state.dose_changes
            if c.drug == drug.code and c.action in ("stopped", "interrupted") and cycle.occurred <= c.occurred < planned
        ]  # fmt: skip
        if given.last_dose:
            days.append((given.last_dose, cycle.id))
        elif cut:
            days.append((cut[0].occurred, cut[0].id))
        else:
            days.append((planned, cycle.id))
    return max(days, default=None)


def find_anchor(name: str, state: PatientState, study: Study) -> Anchor | None:
    """Return the anchor's day if its fact is known. A delayed cycle anchors on the date it was put off to."""
    kind, _, which = name.partition(".")
    match kind:
        case "consent":
            return _on("consent", state.consent)
        case "enrolment":
            return _on("enrolment", state.enrolment)
        case "planned_start":
            if state.enrolment and state.enrolment.planned_start:
                return Anchor("planned start", state.enrolment.planned_start, (state.enrolment.id,))
        case "surgery":
            return _on("surgery", state.surgery)
        case "cycle":
            return _cycle(int(which), state)
        case "last_cycle":
            return treatment_end(state, study)
        case "last_dose":
            return _last_dose(which, state, study)
    return None


def _on(name: str, event: ev.Event | None) -> Anchor | None:
    return Anchor(name, event.occurred, (event.id,)) if event else None


def _cycle(number: int, state: PatientState) -> Anchor | None:
    if number in state.cycles:
        return _on(f"C{number}D1", state.cycles[number])
    delay = state.delays.get(number)
    return Anchor(f"C{number}D1 put off", delay.until, (delay.id,)) if delay else None


def _last_dose(drug: str, state: PatientState, study: Study) -> Anchor | None:
    end = treatment_end(state, study)
    if end is None:
        return None
    drugs = [study.drug_by_code[drug]] if drug else study.drugs
    found = max((d for d in (last_dose(state, x) for x in drugs) if d), default=None)
    return Anchor(f"last {drug or 'dose'}", found[0], (found[1],)) if found else None


def visit_plans(state: PatientState, study: Study, today: date) -> tuple[VisitPlan, ...]:
    """Return every visit of the study file for this patient, in the file's order."""
    phase, settled = journey(state, study), _settled(state, study)
    return tuple(_plan(v, state, study, today, phase, settled[0] if settled else None) for v in study.visits)


def _plan(  # noqa: PLR0917 - what a visit's status hangs on
    visit: Visit, state: PatientState, study: Study, today: date, phase: Journey, settled: date | None
) -> VisitPlan:
    held = _held(visit, state)
    span, because = _window(visit, state, study)
    status: VisitStatus
    if held:
        status = "held"
    elif visit.code in state.missed:
        status, because = "missed", _told(visit, state, study)
    elif not _expected(visit, state, span, settled):
        status = "not_expected"
    elif _overtaken(visit, state):
        status = "missed"
    elif phase in ENDED:
        status = "missed" if span and span.closes < _end_of_journey(state) else "not_expected"
    else:
        status = span.status(today) if span else "waiting"
    return VisitPlan(visit, status, span, held[0] if held else None, held[1] if held else (), because)


def _end_of_journey(state: PatientState) -> date:
    """Return the day on which the journey ended; only for one that has."""
    ends: list[ev.Event | None] = [
        state.death,
        state.withdrawal if state.withdrawal and (state.withdrawal.scope == "study" or not state.cycles) else None,
        state.eligibility if state.eligibility and not state.eligibility.eligible and not state.cycles else None,
    ]
    return min((e.occurred for e in ends if e), default=date.min)


def _told(visit: Visit, state: PatientState, study: Study) -> Because:
    told = state.missed[visit.code]
    return Because(
        "visit.missed", study.version, event_ids=(told.id,), detail=f"missed, the site said on {told.occurred}"
    )


def _window(visit: Visit, state: PatientState, study: Study) -> tuple[Window | None, Because]:
    delay = state.delays.get(visit.cycle) if visit.cycle and visit.cycle not in state.cycles else None
    for timing in visit.timing:
        anchor = find_anchor(timing.anchor, state, study)
        if anchor is None:
            continue
        if delay and delay.until > anchor.day:
            anchor = Anchor(f"C{visit.cycle}D1 put off", delay.until, (delay.id,))
            timing = timing.model_copy(update={"offset_days": 0})  # noqa: PLW2901 - the delay takes the offset's place
        floor = find_anchor(visit.not_before.anchor, state, study) if visit.not_before else None
        earliest = floor.day + timedelta(visit.not_before.days) if floor and visit.not_before else None
        span = window(
            anchor.day, timing.offset_days, timing.window_days_before, timing.window_days_after,
            not_before=earliest, missed_after=visit.missed_after_days,
        )  # fmt: skip
        detail = (
            f"not before {earliest} ({visit.not_before.days} d after {floor.name} on {floor.day})"
            if floor and visit.not_before
            else ""
        )
        ids = (*anchor.event_ids, *(floor.event_ids if floor else ()))
        return span, Because("visit.window", study.version, anchor, timing, tuple(dict.fromkeys(ids)), detail)
    names = " or ".join(t.anchor for t in visit.timing)
    return None, Because("visit.window", study.version, detail=f"waits for {names}")


def _held(visit: Visit, state: PatientState) -> tuple[date, tuple[str, ...]] | None:  # noqa: C901 - one line per kind of evidence
    """Return the day on which it took place and the events that show it; facts go before forms."""
    evidence: list[ev.Event] = []
    match visit.held_by:
        case "cycle":
            evidence = [c for n, c in state.cycles.items() if n == visit.cycle]
        case "eligibility":
            evidence = [state.eligibility] if state.eligibility and state.eligibility.eligible else []
        case "surgery":
            evidence = list(state.surgeries[:1])
        case "pathology_local":
            evidence = [p for p in state.pathologies if p.read == "local"]
        case "pathology_central":
            evidence = [p for p in state.pathologies if p.read == "central"]
        case "imaging":
            evidence = [f for f in state.facts if isinstance(f, ev.Imaging) and f.visit == visit.code]
        case "disease_status":
            evidence = [f for f in state.facts if isinstance(f, ev.DiseaseAssessment) and f.visit == visit.code]
        case "visit":
            pass
    if visit.code in state.held:
        evidence.insert(0, state.held[visit.code])
    if not evidence and visit.held_by in ("visit", "imaging", "disease_status"):
        evidence = [state.first_form[visit.code]] if visit.code in state.first_form else []
    return (evidence[0].occurred, (evidence[0].id,)) if evidence else None


def _expected(visit: Visit, state: PatientState, span: Window | None, settled: date | None) -> bool:
    """A visit whose time had come before the journey took another way stays expected: it was held or missed.

    `settled` is the day from which no further cycle was to be given, None while one is.
    """
    match visit.needs:
        case "treatment":
            last = max((c.occurred for c in state.cycles.values()), default=date.min)
            return settled is None or (span is not None and (span.opens <= last or span.status(settled) == "missed"))
        case "before_surgery":
            return state.inoperable is None or (span is not None and span.closes < state.inoperable.occurred)
        case "surgery":
            return state.surgery is not None or state.inoperable is None
        case "none":
            return True


def _overtaken(visit: Visit, state: PatientState) -> bool:
    """A day-1 visit is missed once a later cycle was given without it, a pre-operative one once operated."""
    if visit.needs == "before_surgery":
        return state.surgery is not None
    return visit.cycle is not None and any(n > visit.cycle for n in state.cycles)


def is_complete(plans: tuple[VisitPlan, ...]) -> bool:
    """Return whether the whole schedule lies behind: nothing waiting, planned or still to be done."""
    open_ = {"waiting", "planned", *ACTIONABLE}
    closing = [p for p in plans if p.code == plans[-1].code]
    return all(p.status not in open_ for p in plans) or (
        # the last visit of the file is the landmark: once it is over, only paper can be outstanding
        closing[0].status in ("held", "missed") and all(_long_over(p) for p in plans if p.status in open_)
    )


def _long_over(plan: VisitPlan) -> bool:
    """Nothing hangs on it, or it stays overdue until the site says what happened; others become missed in time."""
    return plan.status == "waiting" or (
        plan.status == "overdue" and plan.window is not None and plan.window.last_overdue is None
    )
