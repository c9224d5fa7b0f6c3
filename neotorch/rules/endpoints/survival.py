"""Time-to-event endpoints of one patient: EFS under each map and each sensitivity analysis, OS, disease-free interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from neotorch.domain.efs import EfsMap, adequate, event_free_survival, last_sign_of_life
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.domain.time_to_event import Stop, TimeToEvent, overall_survival
from neotorch.rules.schedule import visit_plans


@dataclass(frozen=True)
class Analysis:
    """One time-to-event analysis: what it is called and how it is defined."""

    code: str
    """efs, efs.MAP, efs.widened, efs.missed, efs.new-therapy, os, dfi."""
    label: str
    rule: str
    paramcd: str | None = None
    """PARAMCD in ADTTE; None: not exported."""
    sensitivity: bool = False
    starts: str = "first dose"


def analyses(study: Study) -> tuple[Analysis, ...]:
    """Return the time-to-event analyses of the study, the primary one first."""
    efs = study.endpoints.efs
    primary, count = efs.primary, efs.missed_assessments
    found = [Analysis("efs", "EFS", _map_rule(primary), primary.paramcd)]
    found += [
        Analysis(f"efs.{m.name}", f"EFS, {m.name}", _map_rule(m), m.paramcd) for m in efs.maps if m is not primary
    ]
    found += [
        Analysis(f"efs.{code}", f"EFS, {words}", f"{_map_rule(primary).removesuffix('.')}; {words}", param, True)
        for code, param, words in (
            ("widened", "EFSWIDE", "sensitivity findings as events"),
            ("missed", "EFSMISS", f"censored before {count} or more missed assessments in a row"),
            ("new-therapy", "EFSNEWT", "censored at a new anticancer therapy"),
        )
    ]
    found.append(Analysis("os", "OS", "overall survival: first dose to death from any cause", "OS"))
    if study.endpoints.dfi:
        dfi = study.endpoints.dfi
        found.append(Analysis("dfi", "disease-free interval", _map_rule(dfi), dfi.paramcd, starts="first operation"))
    return tuple(found)


def _map_rule(efs_map: EfsMap) -> str:
    return f"map {efs_map.name} {efs_map.version}: {efs_map.source}"


def primary_efs(state: PatientState, study: Study, cut: date) -> TimeToEvent:
    """Return event-free survival under the primary map."""
    return event_free_survival(state.facts, state.first_dose, cut, study.endpoints.efs.primary)


def times(state: PatientState, study: Study, cut: date) -> Iterator[tuple[Analysis, TimeToEvent]]:
    """Yield every analysis of the study with the patient's time in it."""
    efs, primary = study.endpoints.efs, primary_efs(state, study, cut)
    by_map = {f"efs.{m.name}": m for m in efs.maps}
    for analysis in analyses(study):
        match analysis.code:
            case "efs":
                yield analysis, primary
            case "efs.widened":
                yield analysis, event_free_survival(state.facts, state.first_dose, cut, efs.primary.widened)
            case "efs.missed":
                yield analysis, _stopped(state, study, cut, primary, _gap(state, study, cut, primary))
            case "efs.new-therapy":
                yield analysis, _stopped(state, study, cut, primary, _new_therapy(state, cut))
            case "os":
                yield analysis, patient_os(state, study, cut)
            case "dfi" if study.endpoints.dfi:
                start = state.surgery.occurred if state.surgery else None
                yield analysis, event_free_survival(state.facts, start, cut, study.endpoints.dfi, begins="operation")
            case code:
                yield analysis, event_free_survival(state.facts, state.first_dose, cut, by_map[code])


def patient_os(state: PatientState, study: Study, cut: date) -> TimeToEvent:
    """Return overall survival."""
    alive = study.checks.alive
    known = [f for f in state.facts if f.occurred <= cut]
    sign = last_sign_of_life(known, (alive.form, alive.item) if alive else None)
    return overall_survival(state.facts, state.first_dose, cut, sign)


def _stopped(state: PatientState, study: Study, cut: date, primary: TimeToEvent, stop: Stop | None) -> TimeToEvent:
    if stop is None or state.first_dose is None:
        return primary
    return event_free_survival(state.facts, state.first_dose, cut, study.endpoints.efs.primary, stop=stop)


def _new_therapy(state: PatientState, cut: date) -> Stop | None:
    """Return the first new anticancer therapy: what follows may be its doing."""
    first = next((f for f in state.of_type("new_therapy") if f.occurred <= cut), None)
    if first is None:
        return None
    return Stop(first.occurred, f"not followed beyond the new therapy of {first.occurred}", (first.id,))


ASSESSED_BY = ("imaging", "disease_status")
"""Visits at which disease is assessed are held by these."""


def _gap(state: PatientState, study: Study, cut: date, primary: TimeToEvent) -> Stop | None:
    """Return the last adequate assessment before so many missed ones in a row that the event may be older than it looks."""
    if primary.status != "event" or primary.on is None or state.first_dose is None:
        return None
    event = primary.on
    known = [f for f in state.facts if adequate(f) and state.first_dose <= f.occurred < event]
    last = known[-1].occurred if known else state.first_dose
    spans = [p.protocol for p in visit_plans(state, study, cut) if p.visit.held_by in ASSESSED_BY]
    missed = [s for s in spans if s and last < s.opens and s.closes < event]
    if len(missed) < study.endpoints.efs.missed_assessments:
        return None
    why = f"{len(missed)} assessments in a row were missed between {last} and the event on {event}"
    return Stop(last, why, primary.event_ids)
