"""Takes what is new into a state that is known. The result is that of folding all anew, which is done where in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from neotorch.domain import events as ev
from neotorch.domain.state import DeviationTrail, Draft, PatientState, QueryTrail, fold, in_order, state_of, supersede


def grown(state: PatientState, rows: Iterable[ev.Recorded]) -> PatientState:
    """Return the state with further events: the same as folding all anew, without taking every effect in again.

    What the engine did is taken in again only for those queries, deviations and notices of which something is new.
    """
    fresh = {r.event.id: r for r in rows if r.event.subject == state.subject}
    learnt = {**state.learnt, **fresh}
    if _about_effects(state, fresh, learnt):
        return fold(learnt.values(), state.subject)
    told = any(isinstance(r.event, ev.Fact) for r in fresh.values())
    facts: Iterable[ev.AnyLogged] = (*state.of_type("query_answered"), *state.of_type("deviation_acknowledged"))
    if told:
        every = in_order(r for r in learnt.values() if isinstance(r.event, ev.Fact))
        superseded, problems = supersede(every, learnt)
        facts = (f for f in every if f.id not in superseded)
    draft = Draft()
    for event in (*facts, *_same_matters(fresh, learnt)):
        draft.take(event, learnt[event.id].recorded_at)
    queries = _answered(state.queries, draft) | draft.query_trails()
    deviations = _acknowledged(state.deviations, draft) | draft.deviation_trails()
    notices = {**state.notices, **draft.notice_trails()}
    if not told:
        return replace(state, queries=queries, deviations=deviations, notices=notices, learnt=learnt)
    return state_of(
        state.subject, draft, superseded, problems, learnt, kept=state.kept,
        queries=queries, deviations=deviations, notices=notices,
    )  # fmt: skip


def matter(event: ev.AnyLogged) -> str | None:
    """Return the key of the query, deviation or notice that an effect is about."""
    match event:
        case ev.NoticeClaimed() | ev.NoticeSent() | ev.NoticeFailed():
            return event.key
        case ev.QueryRaised() | ev.QueryClosed():
            return event.query
        case ev.DeviationFound() | ev.DeviationWithdrawn():
            return event.deviation
        case _:
            return None


def _same_matters(fresh: Mapping[str, ev.Recorded], learnt: Mapping[str, ev.Recorded]) -> list[ev.AnyLogged]:
    """Return all effects on what the fresh ones are about."""
    about = {matter(r.event) for r in fresh.values()} - {None}
    return in_order(r for r in learnt.values() if matter(r.event) in about) if about else []


def _answered(trails: Mapping[str, QueryTrail], draft: Draft) -> dict[str, QueryTrail]:
    said = {q: tuple(draft.answers.get(q, ())) for q in trails}
    return {q: t if t.answers == said[q] else replace(t, answers=said[q]) for q, t in trails.items()}


def _acknowledged(trails: Mapping[str, DeviationTrail], draft: Draft) -> dict[str, DeviationTrail]:
    said = {d: tuple(draft.acknowledged.get(d, ())) for d in trails}
    return {d: t if t.acknowledged == said[d] else replace(t, acknowledged=said[d]) for d, t in trails.items()}


def _about_effects(state: PatientState, fresh: Mapping[str, ev.Recorded], learnt: Mapping[str, ev.Recorded]) -> bool:
    """Whether a fact takes back, or may take back, something that the engine did; intake takes none that does."""
    if any(p.code == "unknown-target" for p in state.problems):
        return True  # one of the fresh events may be what was not there before
    targets = {r.event.retracts for r in fresh.values() if isinstance(r.event, ev.Retraction)}
    return any(t in learnt and isinstance(learnt[t].event, ev.Effect) for t in (*targets, *state.superseded))
