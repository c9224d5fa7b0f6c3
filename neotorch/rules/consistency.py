"""Checks across facts: contradictions that a site has to resolve before a value can count."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from neotorch.domain.efs import survival_conflicts
from neotorch.domain.history import history_problems
from neotorch.domain.pcr import agreement
from neotorch.domain.rcb import rcb_of
from neotorch.domain.state import PatientState, Problem
from neotorch.domain.study import Study
from neotorch.rules.missing import Finding
from neotorch.rules.schedule import Because, VisitPlan

OVER = frozenset({"held", "missed", "waived", "not_expected"})


def contradictions(state: PatientState, study: Study) -> tuple[Finding, ...]:
    """Return one finding per kind of contradiction and place, asked at once."""
    found = [_finding(state, study, None, "history", p) for p in history_problems(state)]
    newest = {(r.read, r.side): r for r in state.pathologies}  # a newer report answers for the one before it
    for report in newest.values():
        place = {"local": "PATH", "central": "CENTRAL", "adjudication": "ADJUDICATION"}[report.read]
        problems = [*agreement(report), *((f"rcb-{p.code}", p.text) for p in rcb_of(report).problems)]
        found += [_finding(state, study, place, "pathology", Problem(c, t, (report.id,))) for c, t in problems]
    found += [
        _finding(state, study, None, "survival", Problem(c.code, c.text, c.event_ids))
        for c in survival_conflicts(state.facts)
    ]
    return tuple({f.query: f for f in found}.values())


def lost_appointments(state: PatientState, study: Study, plans: Sequence[VisitPlan]) -> tuple[Finding, ...]:
    """Return one finding per appointment that its visit's window has moved away from, though nobody gave a reason."""
    found = []
    for plan in plans:
        booking = state.booked.get(plan.code)
        if booking is None or booking.reason or plan.protocol is None or plan.status in OVER:
            continue
        if plan.protocol.holds(booking.appointment):
            continue
        span = f"{plan.protocol.opens} to {plan.protocol.closes}"
        text = f"{plan.code} is booked for {booking.appointment}, and its window is now {span}"
        because = Because("visit.booking", study.version, plan.because.anchor, None, (booking.id,), text)
        title = f"appointment outside the window at {plan.code}"
        opens = state.learnt[booking.id].recorded_at.date()
        found.append(Finding(f"{state.subject}/{plan.code}/booking", "booking", plan.code, (), title, because, opens))
    return tuple(found)


def _finding(state: PatientState, study: Study, visit: str | None, kind: str, problem: Problem) -> Finding:
    where = f"{visit or kind}/{problem.code}"
    if kind == "history":
        where += "/" + _short("+".join(problem.event_ids))
    learnt = [state.learnt[i].recorded_at.date() for i in problem.event_ids if i in state.learnt]
    because = Because(f"{kind}.{problem.code}", study.version, event_ids=problem.event_ids, detail=problem.text)
    opens = min(learnt, default=study.valid_from)
    title = f"{problem.code.replace('-', ' ')}" + (f" at {visit}" if visit else "")
    return Finding(f"{state.subject}/{where}", kind, visit, (problem.code,), title, because, opens)


def _short(ids: str) -> str:
    """Return ids as part of a key: readable while they fit, else their beginning and a digest of the whole."""
    return ids if len(ids) <= 60 else f"{ids[:40]}#{sha256(ids.encode()).hexdigest()[:12]}"
