"""Contradictions within one patient's history. Each becomes a data query, or at intake a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState, Problem

AFTER_DEATH = (
    ev.CycleGiven, ev.VisitHeld, ev.Imaging, ev.Surgery, ev.Progression, ev.Recurrence, ev.SecondPrimary,
    ev.NewTherapy, ev.DiseaseAssessment, ev.Contact, ev.Enrolment, ev.Consent,
)  # fmt: skip
"""What only a living person can have. A report or form dated after death is ordinary."""


def history_problems(state: PatientState) -> tuple[Problem, ...]:
    """Return everything that cannot be so in the order of dates, in a fixed order."""
    found = [*state.problems, *_entry(state), *_cycles(state), *_disease(state), *_death(state)]
    return tuple(sorted(set(found), key=lambda p: (p.code, p.event_ids)))


def _before(code: str, first: ev.Event, then: ev.Event | None, words: str) -> Iterator[Problem]:
    if then is not None and first.occurred < then.occurred:
        yield Problem(code, f"{words}: {first.occurred} is before {then.occurred}", (first.id, then.id))


def _entry(state: PatientState) -> Iterator[Problem]:
    if state.enrolment:
        yield from _before("enrolment-before-consent", state.enrolment, state.consent, "enrolment before consent")
    for cycle in state.cycles.values():
        yield from _before("dose-before-consent", cycle, state.consent, f"cycle {cycle.cycle} before consent")
        yield from _before("dose-before-enrolment", cycle, state.enrolment, f"cycle {cycle.cycle} before enrolment")
    for surgery in state.surgeries:
        yield from _before("surgery-before-enrolment", surgery, state.enrolment, "surgery before enrolment")


def _cycles(state: PatientState) -> Iterator[Problem]:
    numbers = sorted(state.cycles)
    for earlier, later in pairwise(numbers):
        first, then = state.cycles[later], state.cycles[earlier]
        if first.occurred <= then.occurred:
            text = f"cycle {later} on {first.occurred} is not after cycle {earlier} on {then.occurred}"
            yield Problem("cycle-order", text, (first.id, then.id))
    if state.surgery:
        for number in numbers:
            if state.cycles[number].occurred > state.surgery.occurred:
                text = f"cycle {number} on {state.cycles[number].occurred} is after surgery on {state.surgery.occurred}"
                yield Problem("dose-after-surgery", text, (state.cycles[number].id, state.surgery.id))


def _disease(state: PatientState) -> Iterator[Problem]:
    for pathology in state.pathologies:
        yield from _before("pathology-before-surgery", pathology, state.surgery, "pathology report before surgery")
        if state.surgery is None:
            text = f"pathology report of {pathology.occurred}, and no operation is recorded"
            yield Problem("pathology-without-surgery", text, (pathology.id,))
    for recurrence in state.recurrences:
        yield from _before("recurrence-before-surgery", recurrence, state.surgery, "recurrence before surgery")
        if state.surgery is None and not any(p.occurred <= recurrence.occurred for p in state.progressions):
            text = f"recurrence on {recurrence.occurred}, and neither an operation nor a progression is recorded"
            yield Problem("recurrence-without-surgery", text, (recurrence.id,))


def after_death(state: PatientState) -> tuple[ev.AnyFact, ...]:
    """Return what only a living person can have, dated after the death."""
    if state.death is None:
        return ()
    on = state.death.occurred
    return tuple(f for f in state.facts if isinstance(f, AFTER_DEATH) and f.occurred > on)


def _death(state: PatientState) -> Iterator[Problem]:
    for fact in after_death(state):
        if state.death:
            text = f"{fact.type} on {fact.occurred} is after death on {state.death.occurred}"
            yield Problem("after-death", text, (fact.id, state.death.id))
