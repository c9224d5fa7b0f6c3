"""What a new fact must satisfy before it may enter the log. Pure; every refusal says field, fault and way out.

Refused is what nobody could act on: an unknown subject, a date to come, a dose after a recorded death. A history that
looks impossible but may be late truth (a death, a consent, an enrolment, a correction) is taken and becomes a query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from neotorch.domain import events as ev
from neotorch.domain.growth import grown
from neotorch.domain.history import history_problems
from neotorch.domain.state import PatientState
from neotorch.domain.study import Item, Study
from neotorch.rules.desk import PLANS_AHEAD, Refusal, desk_refusals
from neotorch.rules.identifiers import identifying
from neotorch.rules.manual import manual_refusals

LATE_TRUTH = (ev.Death, ev.Consent, ev.Enrolment, ev.Eligibility, ev.Withdrawal, ev.LostToFollowUp, ev.Retraction)
WORDS = (
    ev.QueryAnswered, ev.QueryOpened, ev.QueryResolved, ev.VisitBooked, ev.VisitWaived, ev.NoticeSeen, ev.Snoozed,
    ev.DeviationAcknowledged,
)  # fmt: skip
"""What somebody says about an open matter; it does not happen to the patient."""
NO_HISTORY = (ev.FormReceived, ev.AdverseEvent, ev.VisitMissed, *WORDS)
"""What no order of dates speaks against."""
NEEDS: Mapping[type[ev.Event], tuple[str, str]] = {
    ev.CycleGiven: ("enrolment", "enrolment"),
    ev.CycleDelayed: ("enrolment", "enrolment"),
    ev.Surgery: ("enrolment", "enrolment"),
    ev.Pathology: ("surgery", "surgery"),
}
"""Fact -> (what of the state must be there, the event to record first)."""


def admit(fact: ev.AnyFact, state: PatientState, study: Study, today: date) -> tuple[Refusal, ...]:
    """Return all reasons against taking `fact` now; an empty tuple admits it. `today` is the site's local date."""
    reasons = [*_identity(fact, state, study), *_dates(fact, today), *_targets(fact, state), *_vocabulary(fact, study)]
    if not reasons:
        reasons = [
            *_order(fact, state), *desk_refusals(fact, state, study, today), *manual_refusals(fact, state, study)
        ]  # fmt: skip
    return tuple(reasons)


def _identity(fact: ev.AnyFact, state: PatientState, study: Study) -> Iterator[Refusal]:
    yield from identifying(fact)
    if fact.id.startswith(ev.ENGINE_ID):
        yield Refusal("id", f"ids that begin with {ev.ENGINE_ID!r} are the engine's own", "give it another id")
    if fact.study != study.id:
        yield Refusal("study", f"{fact.study!r} is not the study {study.id!r} of this log", f"write {study.id}")
    if not re.fullmatch(study.subject_pattern, fact.subject):
        todo = f"subjects of {study.id} match {study.subject_pattern}"
        yield Refusal("subject", f"{fact.subject!r} is not a subject code of this study", todo)
    elif isinstance(fact, ev.Consent):
        if fact.site not in {s.code for s in study.sites}:
            known = ", ".join(s.code for s in study.sites)
            yield Refusal("site", f"unknown site {fact.site!r}", f"use one of {known}, or add it to the study file")
        if state.consent and not fact.corrects:
            todo = f"to change it, record a consent with corrects: {state.consent.id} and a reason"
            yield Refusal("type", f"{fact.subject} has consented on {state.consent.occurred} already", todo)
    elif state.consent is None and not (isinstance(fact, ev.Retraction) and fact.retracts in state.learnt):
        yield Refusal(
            "subject", f"{fact.subject} is not known", "record its consent first, or correct the subject code"
        )


def _dates(fact: ev.AnyFact, today: date) -> Iterator[Refusal]:
    if fact.occurred > today:
        todo = "record what has happened; plans go into planned_start, until, or a booking"
        yield Refusal("occurred", f"{fact.occurred} is in the future (today is {today} at the site)", todo)
    if fact.occurred.year < 1990:
        yield Refusal("occurred", f"{fact.occurred} is too long ago", "correct the year")
    for field, on in _further_dates(fact):
        if not fact.occurred <= on <= today:
            todo = "correct one of the two; what is planned is left out"
            yield Refusal(field, f"{on} is not between {fact.occurred} and today ({today} at the site)", todo)
    if isinstance(fact, ev.CycleDelayed) and not fact.occurred <= fact.until <= fact.occurred + PLANS_AHEAD:
        todo = f"a delay ends after it was decided, within {PLANS_AHEAD.days} days"
        yield Refusal("until", f"{fact.until} does not follow on {fact.occurred}", todo)
    if isinstance(fact, ev.Enrolment) and fact.planned_start and abs(fact.planned_start - fact.occurred) > PLANS_AHEAD:
        todo = f"a first dose is planned within {PLANS_AHEAD.days} days"
        yield Refusal("planned_start", f"{fact.planned_start} is far from {fact.occurred}", todo)


def _further_dates(fact: ev.AnyFact) -> Iterator[tuple[str, date]]:
    """Yield the other days in a fact on which something had happened, by field."""
    if isinstance(fact, ev.CycleGiven):
        yield from ((f"drugs.{n}.last_dose", d.last_dose) for n, d in enumerate(fact.drugs) if d.last_dose)
    if isinstance(fact, ev.AdverseEvent) and fact.resolved:
        yield "resolved", fact.resolved


def _targets(fact: ev.AnyFact, state: PatientState) -> Iterator[Refusal]:
    target = _target(fact)
    field = "retracts" if isinstance(fact, ev.Retraction) else "corrects"
    if isinstance(fact, ev.QueryAnswered) and fact.query not in {*state.queries, *state.asked}:
        todo = f"open ones: {', '.join(q for q, t in state.queries.items() if t.open) or 'none'}"
        yield Refusal("query", f"no query {fact.query!r} for {fact.subject}", todo)
    if target is None:
        return
    if not fact.reason:
        yield Refusal("reason", "a correction needs a reason", "say why in `reason` (ICH E6(R3) 4.2.4)")
    aim = state.learnt.get(target)
    if aim is None:
        yield Refusal(
            field, f"{fact.subject} has no event {target!r}", f"neotorch patient {fact.subject} lists the ids"
        )
    elif isinstance(aim.event, ev.Effect):
        yield Refusal(field, f"{target!r} is something the engine did", "correct the fact that led to it")
    elif not isinstance(fact, ev.Retraction) and aim.event.type != fact.type:
        todo = "retract the one and record the other"
        yield Refusal(field, f"{target!r} is a {aim.event.type}; a {fact.type} cannot correct it", todo)
    elif target in state.superseded and state.superseded[target] != fact.id:
        by = state.superseded[target]
        yield Refusal(field, f"{target!r} has been superseded by {by!r} already", f"name {by} instead")


def _vocabulary(fact: ev.AnyFact, study: Study) -> Iterator[Refusal]:
    visit = getattr(fact, "visit", None)
    extra = {v.code for n in range(study.cycles.count + 1, study.cycles_allowed + 1) if (v := study.cycle_visit(n))}
    if visit is not None and visit not in {*study.visit_by_code, *study.older, *extra, "UNS"}:
        todo = f"use one of {', '.join(study.visit_by_code)}, or UNS for an unscheduled one"
        yield Refusal("visit", f"{visit!r} is not a visit of study version {study.version}", todo)
    if isinstance(fact, ev.CycleGiven | ev.CycleDelayed) and not (
        fact.cycle <= study.cycles_allowed or study.cycle_visit(fact.cycle)
    ):
        yield Refusal("cycle", f"there is no cycle {fact.cycle}", f"the study has cycles 1 to {study.cycles_allowed}")
    if isinstance(fact, ev.CycleGiven):
        codes = [d.drug for d in fact.drugs]
        for n, given in enumerate(fact.drugs):
            if given.drug not in study.drug_by_code:
                known = ", ".join(study.drug_by_code)
                yield Refusal(f"drugs.{n}.drug", f"unknown drug {given.drug!r}", f"use one of {known}")
            elif given.drug in codes[:n]:
                yield Refusal(f"drugs.{n}.drug", f"{given.drug} stands there twice", "give each drug once")
    if isinstance(fact, ev.DoseChanged) and fact.drug not in study.drug_by_code:
        yield Refusal("drug", f"unknown drug {fact.drug!r}", f"use one of {', '.join(study.drug_by_code)}")
    if isinstance(fact, ev.FormReceived):
        yield from _form(fact, study.rules_of(fact.visit))


def _form(fact: ev.FormReceived, study: Study) -> Iterator[Refusal]:
    form = study.form_by_code.get(fact.form)
    entered = ", ".join(f.code for f in study.forms if not f.event)
    if form is None:
        yield Refusal("form", f"{fact.form!r} is not a form to be filled in", f"use one of {entered}")
        return
    if form.event and not all(isinstance(v, ev.NotAnswered) for v in fact.items.values()):
        what = f"{fact.form!r} is not a form to be filled in, except with reasons why an item is not there"
        yield Refusal("form", what, f"record the {form.event} itself, or use one of {entered}")
        return
    for name, value in fact.items.items():
        item = form.items.get(name)
        if item is None:
            yield Refusal(f"items.{name}", f"form {form.code} has no such item", f"it has {', '.join(form.items)}")
        elif not isinstance(value, ev.NotAnswered):
            fault = item_fault(item, value)
            if fault:
                yield Refusal(
                    f"items.{name}",
                    fault,
                    "correct it, or give a status (not_done, unknown, not_applicable) with a reason",
                )


def item_fault(item: Item, value: object) -> str | None:
    """Return what is wrong with an item's value, None if nothing."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match item.kind:
        case "number" | "integer" if not number:
            return f"{value!r} is not a number"
        case "integer" if number and float(value) != int(value):  # type: ignore[arg-type, call-overload]
            return f"{value!r} is not a whole number"
        case "boolean" if not isinstance(value, bool):
            return f"{value!r} is neither true nor false"
        case "choice" if item.choices and (str(value) if type(value) is int else value) not in item.choices:
            return f"{value!r} is not one of {', '.join(item.choices)}"
        case "text" | "date" if not isinstance(value, str):
            return f"{value!r} is not text"
    if number:
        unit = f" {item.unit}" if item.unit else ""
        if item.low is not None and float(value) < item.low:  # type: ignore[arg-type]
            return f"{value}{unit} is below {item.low:g}{unit}"
        if item.high is not None and float(value) > item.high:  # type: ignore[arg-type]
            return f"{value}{unit} is above {item.high:g}{unit}"
    return None


def _order(fact: ev.AnyFact, state: PatientState) -> Iterator[Refusal]:
    need = NEEDS.get(type(fact))
    if need and getattr(state, need[0]) is None:
        yield Refusal("type", f"{fact.type} before {need[1]}: {fact.subject} has none", f"record the {need[1]} first")
        return
    if isinstance(fact, (*LATE_TRUTH, *NO_HISTORY)) or fact.corrects:
        return
    before = {(p.code, p.event_ids) for p in history_problems(state)}
    for problem in history_problems(with_facts(state, [fact])):
        if (problem.code, problem.event_ids) not in before:
            todo = "correct the date, or first correct or retract the event that it contradicts: "
            others = ", ".join(i for i in problem.event_ids if i != fact.id)
            yield Refusal("occurred", problem.text, todo + others)


def batch_order(facts: Sequence[ev.AnyTold]) -> list[int]:
    """Return the places of the facts in the order to admit them: as they happened, a correction after its target."""
    ids, placed = {f.id for f in facts}, set()
    waiting: dict[str, list[int]] = {}
    order: list[int] = []
    for first in sorted(range(len(facts)), key=lambda i: (facts[i].occurred, facts[i].rank, i)):
        ready = [first]
        while ready:
            index = ready.pop()
            fact = facts[index]
            target = _target(fact)
            if target in ids and target not in placed and target != fact.id:
                waiting.setdefault(str(target), []).append(index)
                continue
            order.append(index)
            placed.add(fact.id)
            ready += reversed(waiting.pop(fact.id, []))
    return order + [i for left in waiting.values() for i in left]


def _target(fact: ev.AnyTold) -> str | None:
    return fact.retracts if isinstance(fact, ev.Retraction) else fact.corrects


def needs_the_rest(fact: ev.AnyFact) -> bool:
    """Return whether admitting `fact` depends on others of its batch; a form stands for itself after consent."""
    return not isinstance(fact, ev.FormReceived) or fact.corrects is not None


def with_facts(state: PatientState, facts: Sequence[ev.AnyFact]) -> PatientState:
    """Return the state as it would be with `facts` recorded next."""
    latest = max((r.recorded_at for r in state.learnt.values()), default=datetime(2000, 1, 1, tzinfo=UTC))
    new = [
        ev.Recorded.model_construct(seq=state.position + n, recorded_at=latest, event=f, prev_hash="", hash="")
        for n, f in enumerate(facts, 1)
    ]
    return grown(state, new)
