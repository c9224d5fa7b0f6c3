"""Takes what is new into a state that is known. The result is that of folding all anew, which is done where in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from neotorch.domain import events as ev
from neotorch.domain.state import Draft, NoticeTrail, PatientState, fold, in_order, state_of, supersede


def grown(state: PatientState, rows: Iterable[ev.Recorded]) -> PatientState:
    """Return the state with further events: the same as folding all anew, without taking every effect in again.

    What people said of a query or a deviation is looked at anew; what the engine did only adds to what it had done.
    """
    fresh = {r.event.id: r for r in rows if r.event.subject == state.subject}
    learnt = {**state.learnt, **fresh}
    if _about_effects(state, fresh, learnt):
        return fold(learnt.values(), state.subject)
    effects = Draft()
    for event in in_order(r for r in fresh.values() if isinstance(r.event, ev.Effect)):
        effects.take(event, fresh[event.id].recorded_at)
    queries = {**state.queries, **effects.query_trails(state.queries)}
    deviations = {**state.deviations, **effects.deviation_trails(state.deviations)}
    notices = {**state.notices, **effects.notice_trails(state.notices)}
    if all(isinstance(r.event, ev.Effect) for r in fresh.values()):
        return replace(state, queries=queries, deviations=deviations, notices=notices, learnt=learnt)
    facts = in_order(r for r in learnt.values() if isinstance(r.event, ev.Fact))
    superseded, problems = supersede(facts, learnt)
    draft = Draft()
    for event in facts:
        if event.id not in superseded:
            draft.take(event, learnt[event.id].recorded_at)
    said = {q: tuple(draft.answers.get(q, ())) for q in queries}
    dealt = {d: tuple(draft.acknowledged.get(d, ())) for d in deviations}
    return state_of(
        state.subject, draft, superseded, problems, learnt, kept=state.kept, notices=notices,
        queries={q: t if t.answers == said[q] else replace(t, answers=said[q]) for q, t in queries.items()},
        deviations={
            d: t if t.acknowledged == dealt[d] else replace(t, acknowledged=dealt[d]) for d, t in deviations.items()
        },
    )  # fmt: skip


def grown_notices(before: Mapping[str, NoticeTrail], rows: Iterable[ev.Recorded]) -> dict[str, NoticeTrail]:
    """Return the trails of notices after further claims and outcomes; `before`: what they were until now."""
    draft, fresh = Draft(), {r.event.id: r for r in rows if isinstance(r.event, ev.Effect)}
    for event in in_order(fresh.values()):
        draft.take(event, fresh[event.id].recorded_at)
    return {**before, **draft.notice_trails(before)}


def _about_effects(state: PatientState, fresh: Mapping[str, ev.Recorded], learnt: Mapping[str, ev.Recorded]) -> bool:
    """Whether a fact takes back, or may take back, something that the engine did; intake takes none that does."""
    if any(p.code == "unknown-target" for p in state.problems):
        return True  # one of the fresh events may be what was not there before
    targets = {r.event.retracts for r in fresh.values() if isinstance(r.event, ev.Retraction)}
    return any(t in learnt and isinstance(learnt[t].event, ev.Effect) for t in (*targets, *state.superseded))
