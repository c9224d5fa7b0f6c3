"""What a coordinator may say about an open matter: book a visit, waive it, take note of a reminder, put it off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.schedule import VisitPlan, visit_plans

PLANS_AHEAD = timedelta(days=365)
"""A plan further away than this is a slip of the keyboard."""
LONGEST_SNOOZE = timedelta(days=60)


@dataclass(frozen=True)
class Refusal:
    """Why a fact is not taken: the field, what is wrong, what to do."""

    field: str
    what: str
    todo: str


def desk_refusals(fact: ev.AnyFact, state: PatientState, study: Study, today: date) -> Iterator[Refusal]:
    """Yield the reasons against a booking, a waiver, a snooze, a note of having seen or an acknowledgement; nothing for other facts."""
    match fact:
        case ev.VisitBooked():
            yield from _booking(fact, state, study, today)
        case ev.VisitWaived():
            yield from _waiver(fact, state, study, today)
        case ev.Snoozed():
            yield from _matter(fact.key, state, study)
            yield from _snooze(fact)
        case ev.DeviationAcknowledged():
            yield from _acknowledgement(fact, state)
        case ev.NoticeSeen():
            yield from _matter(fact.key, state, study)
        case _:
            return


def _booking(fact: ev.VisitBooked, state: PatientState, study: Study, today: date) -> Iterator[Refusal]:
    plan = _plan(fact.visit, state, study, today)
    earlier = state.booked.get(fact.visit)
    if not fact.occurred <= fact.appointment <= fact.occurred + PLANS_AHEAD:
        todo = f"an appointment lies after the day it was made, within {PLANS_AHEAD.days} days"
        yield Refusal("appointment", f"{fact.appointment} does not follow on {fact.occurred}", todo)
    if earlier and fact.corrects != earlier.id:
        todo = f"to change it add corrects: {earlier.id} and a reason"
        yield Refusal("visit", f"{fact.visit} is booked for {earlier.appointment} already", todo)
    if plan is None:
        return
    yield from _still_ahead(fact.visit, plan)
    if plan.protocol and not plan.protocol.holds(fact.appointment) and not fact.reason:
        span = f"{plan.protocol.opens} to {plan.protocol.closes}"
        yield Refusal(
            "appointment",
            f"{fact.appointment} is outside the window {span}",
            "choose a day inside, or say why in `reason`",
        )


def _waiver(fact: ev.VisitWaived, state: PatientState, study: Study, today: date) -> Iterator[Refusal]:
    plan = _plan(fact.visit, state, study, today)
    if not fact.reason:
        yield Refusal("reason", "a waiver needs a reason", "say in `reason` why the visit need not take place")
    if fact.visit in state.waived and not fact.corrects:
        yield Refusal("visit", f"{fact.visit} is waived already", "retract that one to have the visit back")
    if plan:
        yield from _still_ahead(fact.visit, plan)


def _snooze(fact: ev.Snoozed) -> Iterator[Refusal]:
    if not fact.reason:
        yield Refusal("reason", "putting a reminder off needs a reason", "say why in `reason`")
    if not fact.occurred < fact.until <= fact.occurred + LONGEST_SNOOZE:
        todo = f"name a later day, at most {LONGEST_SNOOZE.days} days ahead"
        yield Refusal("until", f"{fact.until} is no day to put it off to from {fact.occurred}", todo)


def _acknowledgement(fact: ev.DeviationAcknowledged, state: PatientState) -> Iterator[Refusal]:
    if fact.deviation not in state.deviations:
        todo = f"open ones: {', '.join(k for k, t in state.deviations.items() if t.open) or 'none'}"
        yield Refusal("deviation", f"no deviation {fact.deviation!r} of {state.subject} has been found", todo)


def _matter(key: str, state: PatientState, study: Study) -> Iterator[Refusal]:
    """A matter is a visit, a query or a deviation of the subject."""
    visits = {f"{state.subject}/{code}" for code in study.visit_by_code}
    if key not in {*visits, *state.queries, *state.deviations}:
        todo = f"use a key from neotorch worklist, such as {state.subject}/{study.visits[0].code}"
        yield Refusal("key", f"{key!r} is no open matter of {state.subject}", todo)


def _plan(code: str, state: PatientState, study: Study, today: date) -> VisitPlan | None:
    return next((p for p in visit_plans(state, study, today) if p.code == code), None)


def _still_ahead(code: str, plan: VisitPlan) -> Iterator[Refusal]:
    if plan.held_on:
        todo = f"correct or retract {', '.join(plan.evidence)} if it did not take place"
        yield Refusal("visit", f"{code} was held on {plan.held_on}", todo)
