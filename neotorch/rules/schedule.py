"""Visits: which are expected, on which window, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.calendar import Window, WindowStatus, window
from neotorch.domain.state import ENDED, Journey, PatientState
from neotorch.domain.study import DrugDefinition, Study, Timing, Visit

VisitStatus = Literal["waiting", "not_expected", "waived", "held"] | WindowStatus
"""waiting: its anchor has not happened; not_expected: the journey took another way; waived: the site was let off it;
held: took place."""
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
    """The days to go by: those of the protocol, or with an appointment the appointment as its target."""
    protocol: Window | None
    """The days that the protocol allows."""
    held_on: date | None
    evidence: tuple[str, ...]
    because: Because

    @property
    def code(self) -> str:
        """Code of the visit."""
        return self.visit.code

    @property
    def in_window(self) -> bool | None:
        """Whether it was held inside the protocol's window; None if it was not held or has no window."""
        return self.protocol.holds(self.held_on) if self.protocol and self.held_on else None


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
    said = settled(state, study)
    if not state.cycles or said is None:
        return None
    last = state.cycles[max(state.cycles)]
    return Anchor(f"last cycle (C{last.cycle}D1)", last.occurred, tuple(dict.fromkeys((last.id, said[1]))))


def settled(state: PatientState, study: Study) -> tuple[date, str] | None:
    """Return the day from which it was settled that no further cycle would be given, and the event that says so."""
    last = state.cycles[max(state.cycles)] if state.cycles else None
    return (last.occurred, last.id) if last and last.cycle >= study.cycles.count else _called_off(state, study)


def _called_off(state: PatientState, study: Study) -> tuple[date, str] | None:
    """Return the day from which no more of the treatment was to follow, and the event that says so.

    A course that was given to its last cycle is not called off: what is due in the weeks of that cycle still is.
    """
    last = state.cycles[max(state.cycles)] if state.cycles else None
    skipped = [_skipped(n, state, study) for n in range(last.cycle + 1 if last else 1, study.cycles.count + 1)]
    if skipped and all(skipped):  # the rest of the course was called off cycle by cycle
        return max((e.occurred, e.id) for e in skipped if e)
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
        case "planned_start":
            if state.enrolment and state.enrolment.planned_start:
                return Anchor("planned start", state.enrolment.planned_start, (state.enrolment.id,))
            return None
        case "visit":
            visit = study.visit_by_code.get(which)  # gone by an amendment for a patient who had not come to it
            held = _held(visit, state) if visit else None
            return Anchor(which, *held) if held else None
        case "cycle":
            return _cycle(int(which), state, study)
        case "last_cycle":
            return treatment_end(state, study)
        case "last_dose":
            return _last_dose(which, state, study)
        case _:
            return _on(kind, _first(kind, state))


def _first(kind: str, state: PatientState) -> ev.Event | None:
    """Return the first fact of a kind that happens to a patient once, or whose first time counts."""
    local = [p for p in state.pathologies if p.read == "local"]
    facts: dict[str, Sequence[ev.Event | None]] = {
        "consent": [state.consent], "enrolment": [state.enrolment], "surgery": [state.surgery], "pathology": local,
        "progression": state.progressions, "recurrence": state.recurrences,
    }  # fmt: skip
    return next(iter(facts.get(kind, ())), None)


def _on(name: str, event: ev.Event | None) -> Anchor | None:
    return Anchor(name, event.occurred, (event.id,)) if event else None


def _cycle(number: int, state: PatientState, study: Study) -> Anchor | None:
    """Day 1 as given, else the day it was put off to; the clock runs on through a cycle that was skipped."""
    if number in state.cycles:
        return _on(f"C{number}D1", state.cycles[number])
    delay = state.delays.get(number)
    skipped = _skipped(number, state, study)
    if skipped and number > 1:
        before = _cycle(number - 1, state, study)
        if before is None:
            return None
        day = before.day + timedelta(study.cycles.length_days)
        return Anchor(f"C{number}D1 skipped", day, (*before.event_ids, skipped.id))
    return Anchor(f"C{number}D1 put off", delay.until, (delay.id,)) if delay else None


def _skipped(number: int, state: PatientState, study: Study) -> ev.Event | None:
    """Return the event that says that a cycle is left out: its day 1 missed or waived, or a later one given."""
    if number in state.cycles:
        return None
    visit = study.cycle_visit(number)
    said = (state.missed.get(visit.code) or state.waived.get(visit.code)) if visit else None
    later = [c for n, c in sorted(state.cycles.items()) if n > number]
    return said or (later[0] if later else None)


def _last_dose(drug: str, state: PatientState, study: Study) -> Anchor | None:
    end = treatment_end(state, study)
    if end is None:
        return None
    drugs = [study.drug_by_code[drug]] if drug else study.drugs
    found = max((d for d in (last_dose(state, x) for x in drugs) if d), default=None)
    return Anchor(f"last {drug or 'dose'}", found[0], (found[1],)) if found else None


def visit_plans(state: PatientState, study: Study, today: date) -> tuple[VisitPlan, ...]:
    """Return every visit of the study file for this patient, in the file's order."""
    placed = state.once("visits", (study,), lambda: _placed(state, study))
    return tuple(_dated(plan, today) if open_ else plan for plan, open_ in placed)


def _dated(plan: VisitPlan, today: date) -> VisitPlan:
    status = plan.window.status(today) if plan.window else "waiting"
    return plan if status == plan.status else replace(plan, status=status)


def _placed(state: PatientState, study: Study) -> tuple[tuple[VisitPlan, bool], ...]:
    """Return every visit as the facts have it, and whether its status hangs on the day that it is looked at."""
    phase, called_off = journey(state, study), _called_off(state, study)
    numbers = (n for n in sorted({*state.cycles, *state.delays}) if n > study.cycles.count)
    extra = [v for n in numbers if (v := study.cycle_visit(n)) and v.code not in study.visit_by_code]
    last = max((n for n, v in enumerate(study.visits) if v.cycle), default=-1) + 1
    visits = [*study.visits[:last], *extra, *study.visits[last:]]
    return tuple(_place(v, state, study, phase, called_off[0] if called_off else None) for v in visits)


def _place(
    visit: Visit, state: PatientState, study: Study, phase: Journey, called_off: date | None
) -> tuple[VisitPlan, bool]:
    held, version = _held(visit, state), study.version_of(visit.code)
    protocol, because = _window(visit, state, study.rules_of(visit.code))
    span, because = _appointment(visit, state, protocol, because)
    status: VisitStatus | None = None
    if held:
        status = "held"
    elif visit.code in state.waived:
        status, because = "waived", _told("waived", state.waived[visit.code], version)
    elif visit.code in state.missed:
        status, because = "missed", _told("missed", state.missed[visit.code], version)
    elif not _expected(visit, state, span, called_off):
        status = "not_expected"
    elif _overtaken(visit, state):
        status = "missed"
    elif phase in ENDED:
        status = "missed" if span and span.closes < _end_of_journey(state) else "not_expected"
    day, shown = held or (None, ())
    return VisitPlan(visit, status or "planned", span, protocol, day, shown, because), status is None


def _end_of_journey(state: PatientState) -> date:
    """Return the day on which the journey ended; only for one that has."""
    ends: list[ev.Event | None] = [
        state.death,
        state.withdrawal if state.withdrawal and (state.withdrawal.scope == "study" or not state.cycles) else None,
        state.eligibility if state.eligibility and not state.eligibility.eligible and not state.cycles else None,
    ]
    return min((e.occurred for e in ends if e), default=date.min)


def _told(word: str, told: ev.Event, version: str) -> Because:
    detail = f"{word}, the site said on {told.occurred}"
    return Because(f"visit.{word}", version, event_ids=(told.id,), detail=detail)


def _appointment(
    visit: Visit, state: PatientState, protocol: Window | None, because: Because
) -> tuple[Window | None, Because]:
    """Return the window with the booked day as its target; one outside the protocol's days stretches it that far."""
    booking = state.booked.get(visit.code)
    if booking is None:
        return protocol, because
    if protocol is None:
        span = window(booking.appointment, 0, 0, 0, not_before=None, missed_after=visit.missed_after_days)
        return span, replace(because, detail=f"booked for {booking.appointment}", event_ids=(booking.id,))
    inside = (
        "" if protocol.holds(booking.appointment) else f", outside the protocol's {protocol.opens} to {protocol.closes}"
    )
    detail = "; ".join(d for d in (because.detail, f"booked for {booking.appointment}{inside}") if d)
    ids = tuple(dict.fromkeys((*because.event_ids, booking.id)))
    return protocol.booked(booking.appointment), replace(because, detail=detail, event_ids=ids)


def _window(visit: Visit, state: PatientState, study: Study) -> tuple[Window | None, Because]:
    version = study.version
    delay = state.delays.get(visit.cycle) if visit.cycle and visit.cycle not in state.cycles else None
    for timing in visit.timing:
        anchor = _latest(timing.anchors, state, study)
        if anchor is None:
            continue
        if delay and delay.until > anchor.day:
            anchor = Anchor(f"C{visit.cycle}D1 put off", delay.until, (delay.id,))
            timing = timing.model_copy(update={"offset_days": 0})  # noqa: PLW2901 - the delay takes the offset's place
        floors = [(n, f) for n in visit.not_before if (f := find_anchor(n.anchor, state, study))]
        earliest = max((f.day + timedelta(n.days) for n, f in floors), default=None)
        span = window(
            anchor.day, timing.offset_days, timing.window_days_before, timing.window_days_after,
            not_before=earliest, missed_after=visit.missed_after_days,
        )  # fmt: skip
        detail = "; ".join(
            f"not before {f.day + timedelta(n.days)} ({n.days} d after {f.name} on {f.day})" for n, f in floors
        )
        ids = (*anchor.event_ids, *(i for _, f in floors for i in f.event_ids))
        return span, Because("visit.window", version, anchor, timing, tuple(dict.fromkeys(ids)), detail)
    names = " or ".join(" and ".join(t.anchors) for t in visit.timing)
    return None, Because("visit.window", version, detail=f"waits for {names}")


def _latest(names: tuple[str, ...], state: PatientState, study: Study) -> Anchor | None:
    """Return the anchor that happened last; None until all have."""
    found = [find_anchor(n, state, study) for n in names]
    known = [a for a in found if a]
    return max(known, key=lambda a: a.day) if len(known) == len(names) else None


def _held(visit: Visit, state: PatientState) -> tuple[date, tuple[str, ...]] | None:  # noqa: C901 - one line per kind of evidence
    """Return the day on which it took place and the events that show it; facts go before forms."""
    evidence: list[ev.Event] = []
    match visit.held_by:
        case "cycle":
            given = state.cycles.get(visit.cycle or 0)
            evidence = [given] if given else []
        case "eligibility":
            evidence = [state.eligibility] if state.eligibility and state.eligibility.eligible else []
        case "surgery":
            evidence = list(state.surgeries[:1])
        case "pathology_local":
            evidence = [p for p in state.pathologies if p.read == "local"]
        case "pathology_central":
            evidence = [p for p in state.pathologies if p.read == "central"]
        case "imaging":
            evidence = [f for f in state.of_type("imaging") if isinstance(f, ev.Imaging) and f.visit == visit.code]
        case "disease_status":
            every = state.of_type("disease_assessment")
            evidence = [f for f in every if isinstance(f, ev.DiseaseAssessment) and f.visit == visit.code]
        case "visit":
            pass
    if visit.code in state.held:
        evidence.insert(0, state.held[visit.code])
    if not evidence and visit.held_by in ("visit", "imaging", "disease_status"):
        evidence = [state.first_form[visit.code]] if visit.code in state.first_form else []
    return (evidence[0].occurred, (evidence[0].id,)) if evidence else None


def _expected(visit: Visit, state: PatientState, span: Window | None, called_off: date | None) -> bool:
    """A visit whose time had come before the journey took another way stays expected: it was held or missed.

    `called_off` is the day from which no more of the treatment was to follow, None where nobody said so.
    """
    match visit.needs:
        case "treatment":
            last = max((c.occurred for c in state.cycles.values()), default=date.min)
            return called_off is None or (
                span is not None and (span.opens <= last or span.status(called_off) == "missed")
            )
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
