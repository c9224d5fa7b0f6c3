"""Queries that a person asks: what becomes of them, and which of their facts are refused.

They are findings like all others: open from the asking (`query_opened`) until whoever asked is content
(`query_resolved`). Taking the resolution back (a retraction) opens the query again; a new matter is a new key.
"""

from __future__ import annotations

from collections.abc import Iterator

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.desk import Refusal
from neotorch.rules.missing import Finding
from neotorch.rules.schedule import Because

KIND = "manual"
KEY_MAX = 100
"""With role, channel and attempt behind it, the id of a notice's outcome has to fit into 240 characters."""
OWN_WORDS = frozenset(
    {"history", "survival", "imaging", "ADJUDICATION", "deviation", "gate", "sae", "pcr", "rcb", "rcb01", "efs"}
)
"""What stands after the subject in the engine's own keys, besides visits."""


def asked_by_people(state: PatientState, study: Study) -> tuple[Finding, ...]:
    """Return a finding per query that a person asked and nobody has resolved. Its text stays in the log."""
    return tuple(_finding(asked, study) for key, asked in state.asked.items() if key not in state.resolved)


def _finding(asked: ev.QueryOpened, study: Study) -> Finding:
    place = f" at {asked.visit}" if asked.visit else ""
    title = f"question on {', '.join(asked.items)}{place}" if asked.items else f"question{place}"
    detail = f"asked by {asked.actor} on {asked.occurred}"
    because = Because("query.manual", study.version, event_ids=(asked.id,), detail=detail)
    return Finding(asked.query, KIND, asked.visit, tuple(asked.items), title, because, asked.occurred)


def manual_refusals(fact: ev.AnyFact, state: PatientState, study: Study) -> Iterator[Refusal]:
    """Yield the reasons against opening or resolving a query; nothing for other facts."""
    match fact:
        case ev.QueryOpened():
            yield from _opening(fact, state, study)
        case ev.QueryResolved():
            yield from _resolving(fact, state)
        case _:
            return


def _opening(fact: ev.QueryOpened, state: PatientState, study: Study) -> Iterator[Refusal]:
    example = f"such as {fact.subject}/monitor/1; the visit goes into `visit`"
    before = state.learnt.get(fact.corrects or "")
    if before and isinstance(before.event, ev.QueryOpened):
        if before.event.query != fact.query:
            todo = f"keep {before.event.query!r}, or retract that query and ask another"
            yield Refusal("query", "a correction cannot give a query another key", todo)
        return
    if not fact.query.startswith(f"{fact.subject}/") or len(fact.query) > KEY_MAX:
        what = f"{fact.query[:60]!r} does not begin with {fact.subject}/ or is longer than {KEY_MAX} characters"
        yield Refusal("query", what, f"use a short key of the subject, {example}")
        return
    if fact.query in {*state.asked, *state.queries, *state.deviations}:
        yield Refusal("query", f"there is a query {fact.query!r} already", f"use a key of its own, {example}")
    elif fact.query.split("/")[1] in {*study.visit_by_code, *OWN_WORDS, ""}:
        yield Refusal("query", f"keys such as {fact.query!r} are the engine's own", f"use another, {example}")


def _resolving(fact: ev.QueryResolved, state: PatientState) -> Iterator[Refusal]:
    earlier = state.resolved.get(fact.query)
    if fact.query not in state.asked:
        own = f"{fact.query!r} closes by the data" if fact.query in state.queries else f"no query {fact.query!r}"
        still = ", ".join(q for q in state.asked if q not in state.resolved) or "none"
        todo = f"record the value, or why there is none; open queries that a person asked: {still}"
        yield Refusal("query", own, todo)
    elif earlier and fact.corrects != earlier.id:
        todo = f"retract {earlier.id} to open it again, or ask a new query"
        yield Refusal("query", f"{fact.query!r} was resolved on {earlier.occurred}", todo)
