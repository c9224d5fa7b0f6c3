"""Worst CTCAE grade of each adverse event term from the first dose on (treatment-emergent)."""

from __future__ import annotations

from datetime import date

from neotorch.domain import events as ev
from neotorch.domain.analysis_plan import Toxicity
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.endpoints.values import Value, source

RULE = "worst grade by CTCAE v5.0 per term, onset on or after the first dose"


def emergent(state: PatientState, cut: date) -> tuple[ev.AdverseEvent, ...]:
    """Return the adverse events with onset from the first dose up to the cut."""
    if state.first_dose is None:
        return ()
    known = (e for e in state.of_type("adverse_event") if isinstance(e, ev.AdverseEvent))
    return tuple(e for e in known if state.first_dose <= e.occurred <= cut)


def worst_grades(state: PatientState, cut: date) -> dict[str, ev.AdverseEvent]:
    """Return term -> the first adverse event of the worst grade."""
    found: dict[str, ev.AdverseEvent] = {}
    for event in emergent(state, cut):
        if event.term not in found or event.grade > found[event.term].grade:
            found[event.term] = event
    return dict(sorted(found.items()))


def toxicity_values(state: PatientState, cut: date) -> tuple[Value, ...]:
    """Return the worst grade of each term with what stands behind it."""
    then = "a report of the same term with a higher grade"
    return tuple(
        Value(
            f"ae.{term}", f"worst grade, {term}", "known", f"grade {e.grade}", f"{term} grade {e.grade} from {e.occurred}",
            RULE, then, (source(e),), e.occurred, float(e.grade), "CTCAE grade",
        )
        for term, e in worst_grades(state, cut).items()
    )  # fmt: skip


def first_toxicity(state: PatientState, rule: Toxicity, cut: date) -> ev.AdverseEvent | None:
    """Return the first adverse event that counts by a monitoring rule."""
    return next((e for e in emergent(state, cut) if counts_by(rule, e)), None)


def counts_by(rule: Toxicity, event: ev.AdverseEvent) -> bool:
    """Return whether an adverse event is of the kind that a monitoring rule counts."""
    return (
        event.grade >= rule.grade
        and (event.immune_related or not rule.immune_related)
        and (bool(event.related_to) or not rule.related)
    )


def bears_on_a_boundary(event: ev.AdverseEvent, study: Study) -> bool:
    """Return whether any monitoring rule of the study counts such an event."""
    return any(counts_by(rule, event) for rule in study.endpoints.monitoring.toxicity)
