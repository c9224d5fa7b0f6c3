"""Since which day a patient counts in a monitored share: what boundaries are looked at by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

from neotorch.domain.analysis_plan import Figure, Toxicity
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.endpoints.patient import PatientEndpoints, patient_endpoints
from neotorch.rules.endpoints.toxicity import first_toxicity

FIGURES: tuple[Figure, ...] = get_args(Figure)
DECIDED = ("yes", "no")


@dataclass(frozen=True, order=True, slots=True)
class Observation:
    """What one patient adds to a share, and since when. Whoever has none is not evaluable yet."""

    on: date
    """The day on which the patient became evaluable."""
    counts: bool
    """A responder; a patient with the toxicity."""
    event_ids: tuple[str, ...]


def observations(state: PatientState, found: PatientEndpoints, study: Study, cut: date) -> Mapping[str, Observation]:
    """Return what a patient of the full analysis set is evaluable for at a cut: `pcr`, `rcb01`, the toxicity rules by code."""
    if found.first_dose is None:
        return {}
    seen: dict[str, Observation] = dict(_shares(state, found, study, cut))
    for code, rule in study.endpoints.monitoring.by_code.items():
        if isinstance(rule, Toxicity) and (one := _toxicity(state, rule, found.first_dose, cut)):
            seen[code] = one
    return seen


def ends(first_dose: date, study: Study) -> set[date]:
    """Return the days on which time alone makes a patient evaluable."""
    plan = study.endpoints
    after = {plan.pcr.frame_days, plan.rcb01.frame_days, *(t.observed_days for t in plan.monitoring.toxicity)}
    return {first_dose + timedelta(days) for days in after}


def _shares(
    state: PatientState, found: PatientEndpoints, study: Study, cut: date
) -> Iterator[tuple[Figure, Observation]]:
    """Yield the verdicts that are known, each since when."""
    known = [name for name in FIGURES if getattr(found, name).answer in DECIDED]
    days = _turns(state, study, cut) if known else []
    since = dict.fromkeys(known, days[-1] if days else cut)
    for day in reversed(days[:-1]):  # what holds at the cut has held since the last turn; before it, it has to be asked
        then = patient_endpoints(state, study, day, efs=found.efs)
        known = [name for name in known if getattr(then, name).answer in DECIDED]
        since |= dict.fromkeys(known, day)
        if not known:
            break
    for name, on in since.items():
        verdict = getattr(found, name)
        yield name, Observation(on, verdict.answer == "yes", verdict.event_ids)


def _turns(state: PatientState, study: Study, cut: date) -> list[date]:
    """Return the days up to the cut on which the verdict on the specimen may have become another, in order."""
    first = state.cycles[1].occurred
    told = (*state.pathologies, *state.surgeries, *state.progressions, state.death, state.withdrawal)
    days = {max(first, f.occurred) for f in told if f} | ends(first, study)
    return sorted(d for d in days if d <= cut)


def _toxicity(state: PatientState, rule: Toxicity, first_dose: date, cut: date) -> Observation | None:
    free = first_dose + timedelta(rule.observed_days)
    event = first_toxicity(state, rule, min(cut, free - timedelta(1)))
    if event:
        return Observation(event.occurred, counts=True, event_ids=(event.id,))
    return Observation(free, counts=False, event_ids=(state.cycles[1].id,)) if free <= cut else None
