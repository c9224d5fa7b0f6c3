"""What one wake of a journey has to do: steps with names that a person can read in the flow run's graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules import Duties
from neotorch.rules.departures import Deviation
from neotorch.rules.endpoints import PatientEndpoints
from neotorch.rules.manual import KIND as MANUAL
from neotorch.rules.missing import Finding
from neotorch.rules.notices import Delivery
from neotorch.rules.traces import ceased_by

MANY = 12
"""From so many unseen facts on, a wake names their number and not each."""


@dataclass(frozen=True)
class Step:
    """One thing to do, done at most once whoever tries. `name` becomes the task run's name."""

    name: str
    kind: Literal["fact", "endpoint", "close", "raise", "withdraw", "deviate", "notice", "incident"]
    key: str
    why: str = ""
    finding: Finding | None = None
    deviation: Deviation | None = None
    round: int = 0
    delivery: Delivery | None = None


@dataclass(frozen=True)
class Plan:
    """What a journey has to do now and when it has to look again."""

    subject: str
    seen: int
    """Log position that the plan was made from."""
    steps: tuple[Step, ...]
    until: datetime | None
    """When to wake at the latest; None only when done."""
    done: bool
    title: str
    awaiting: str
    tags: tuple[str, ...]


def fact_steps(state: PatientState, seen: int) -> Iterable[Step]:
    """Yield a step for each fact learnt since position `seen`, in the order in which we learnt them."""
    fresh = [r for r in state.since(seen) if isinstance(r.event, ev.Fact)]
    if len(fresh) > MANY:
        yield Step(f"history: {len(fresh)} facts read", "fact", f"{state.subject}/history/{fresh[-1].seq}")
        return
    for recorded in fresh:
        event = recorded.event
        why = f"occurred {event.occurred}, recorded {recorded.recorded_at:%Y-%m-%dT%H:%M:%SZ}, event {event.id}"
        yield Step(fact_title(event, state), "fact", event.id, why)


def fact_title(event: ev.AnyLogged, state: PatientState) -> str:
    """Return the name of a fact in the journey's graph, e.g. `surgery recorded`, `C2D1 given`, `surgery corrected`."""
    if isinstance(event, ev.Retraction):
        target = state.learnt.get(event.retracts)
        return f"{_what(target.event) if target else event.retracts} retracted"
    return f"{_what(event)} {'corrected' if event.corrects else 'recorded'}"


def _what(event: ev.AnyLogged) -> str:
    match event:
        case ev.CycleGiven():
            return f"C{event.cycle}D1"
        case ev.CycleDelayed():
            return f"C{event.cycle}D1 delay"
        case ev.FormReceived():
            return f"{event.form} at {event.visit}"
        case ev.VisitHeld() | ev.VisitMissed():
            return f"{event.visit} {'held' if event.type == 'visit_held' else 'missed'},"
        case ev.Imaging():
            return f"imaging {event.response}"
        case ev.Pathology():
            return f"{event.read} pathology"
        case ev.Recurrence():
            return f"{event.site} recurrence"
        case ev.AdverseEvent():
            return f"{'serious ' if event.serious else ''}adverse event G{event.grade}"
        case ev.DeviationAcknowledged():
            return "deviation acknowledgement"
        case _:
            return event.type.replace("_", " ")


ENDPOINT_NEWS = (ev.Pathology, ev.Surgery, ev.Progression, ev.Recurrence, ev.Death, ev.Retraction)


def endpoint_steps(state: PatientState, seen: int, derive: Callable[[], PatientEndpoints]) -> Iterable[Step]:
    """Yield a step that says the patient's endpoint values, where a fact that bears on them is new."""
    fresh = [r for r in state.since(seen) if isinstance(r.event, ENDPOINT_NEWS)]
    if not fresh:
        return
    position, values = max(r.seq for r in fresh), derive()
    if any(isinstance(r.event, ev.Pathology | ev.Surgery) for r in fresh):
        yield Step(values.headline, "endpoint", f"{state.subject}/pcr/{position}", values.pathology_why)
    if any(isinstance(r.event, ev.Progression | ev.Recurrence | ev.Death) for r in fresh):
        yield Step(values.efs_headline, "endpoint", f"{state.subject}/efs/{position}", values.efs.reason)


def closed_by(query: str, state: PatientState) -> str:
    """Return why a query that is not open any more is closed: resolved by whom, taken back, or answered by the data."""
    trail = state.queries.get(query)
    if trail is None or trail.raised[trail.round].kind != MANUAL:
        return "the data answer it"
    done = state.resolved.get(query)
    return f"resolved by {done.actor} on {done.occurred}, event {done.id}" if done else "the question was taken back"


def query_steps(state: PatientState, duties: Duties) -> Iterable[Step]:
    """Yield the queries to close and to raise."""
    for query, number in duties.to_close:
        trail = state.queries[query]
        yield Step(f"query closed: {query.removeprefix(state.subject + '/')}", "close", query, closed_by(query, state),
                   round=number if trail.open else 0)  # fmt: skip
    for finding in duties.to_raise:
        trail_before = state.queries.get(finding.query)
        number = (trail_before.round if trail_before else 0) + 1
        word = "query" if number == 1 else "query again"
        yield Step(f"{word}: {finding.name}", "raise", finding.query, str(finding.because), finding, round=number)


def deviation_steps(state: PatientState, duties: Duties, study: Study, now: datetime) -> Iterable[Step]:
    """Yield the deviations to withdraw and to find; one of another grade than it was found with is found anew."""
    for key, number in duties.to_withdraw:
        grade = next((d.grade for d in duties.deviations if d.key == key), None)
        fact = ceased_by(state, study, key, now)
        since = f" since {fact_title(fact, state)}, event {fact.id}" if fact else ""
        why = (f"graded {grade}" if grade else "the data show it no longer") + since
        name = key.removeprefix(f"{state.subject}/deviation/")
        yield Step(f"deviation withdrawn: {name}", "withdraw", key, why, round=number)
    for found in duties.to_find:
        trail = state.deviations.get(found.key)
        number = (trail.round if trail else 0) + 1
        word = "deviation" if number == 1 else "deviation again"
        yield Step(f"{word}: {found.title}", "deviate", found.key, str(found.because), deviation=found, round=number)


def notice_steps(deliveries: Iterable[Delivery]) -> Iterable[Step]:
    """Yield one step per delivery; the channel stands in the name only from the second attempt on."""
    for delivery in deliveries:
        name = delivery.notice.title
        if delivery.attempt > 1:
            name += f" ({delivery.channel}, attempt {delivery.attempt})"
        yield Step(name, "notice", delivery.key, str(delivery.notice.because), delivery=delivery)


def title(state: PatientState, duties: Duties) -> str:
    """Return the journey's name: subject, phase and what comes next, e.g. `NT-007 · cycle 3 · C4D1 2026-12-03`.

    The day stands in the name because Prefect's list shows when a run first started, not when it will wake.
    """
    ends = {"dead": "ended: death", "withdrawn": "ended: withdrawn", "screen_failure": "ended: screen failure"}
    if duties.complete:
        where = "ended: follow-up complete"
    elif duties.phase == "treatment":
        where = f"cycle {max(state.cycles)}"
    else:
        where = ends.get(duties.phase, duties.phase.replace("_", "-"))
    plan = duties.awaited
    coming = f" · {plan.code} {plan.window.target}" if plan and plan.window and not state.lost else ""
    return f"{state.subject} · {where}{coming}"


def awaiting(state: PatientState, duties: Duties) -> str:
    """Return what is awaited in one line: the next visit with its window, and open queries."""
    parts: list[str] = []
    plan = duties.awaited
    if duties.ended:
        parts.append("the journey has ended")
    elif state.lost:
        parts.append(f"lost to follow-up since {state.lost.occurred}")
    elif plan and plan.window:
        w = plan.window
        parts.append(f"awaits {plan.code} on {w.target} (window {w.opens} to {w.closes}, {plan.status})")
    else:
        waiting = [p.code for p in duties.plans if p.status == "waiting"]
        parts.append(f"awaits what {waiting[0]} hangs on" if waiting else "awaits the site's word on overdue visits")
    asked = sum(1 for t in state.queries.values() if t.open)
    if asked:
        parts.append(f"{asked} {'query' if asked == 1 else 'queries'} open")
    return " · ".join(parts)


def tags(state: PatientState, duties: Duties, study: Study) -> tuple[str, ...]:
    """Return the run's tags: study, subject, phase, site, the awaited visit, whether queries are open."""
    found = [
        study.id,
        state.subject,
        f"phase:{'complete' if duties.complete else duties.phase}",
        f"site:{state.site or 'none'}",
    ]
    if duties.awaited:
        found.append(f"awaits:{duties.awaited.code}")
    if any(t.open for t in state.queries.values()):
        found.append("queries:open")
    return tuple(found)
