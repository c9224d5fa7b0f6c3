"""All endpoint values of one patient at a cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from neotorch.domain.history import after_death
from neotorch.domain.pcr import Definition
from neotorch.domain.rcb import RcbResult
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.domain.time_to_event import TimeToEvent
from neotorch.rules.endpoints.exposure import exposure_values
from neotorch.rules.endpoints.pathology import (
    Reading,
    framed,
    low_rcb,
    patient_pcr,
    patient_rcb,
    reading,
    without_report,
)
from neotorch.rules.endpoints.response import response_values
from neotorch.rules.endpoints.survival import Analysis, primary_efs, times
from neotorch.rules.endpoints.toxicity import toxicity_values
from neotorch.rules.endpoints.values import HIDDEN, Value, Verdict, of_time, of_verdict, sources
from neotorch.rules.reads import awaits_adjudication, replaced

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFINITIONS: tuple[tuple[str, Definition], ...] = (
    ("pcr.no-dcis", "ypT0 ypN0"), ("pcr.breast", "ypT0/Tis"), ("pcr.standard", "ypT0/Tis ypN0"),
)  # fmt: skip
"""The published definitions of pCR; all that is not the study's own is reported beside it."""
ANNOUNCED = ("pcr", "rcb", "efs")
"""The values of a patient whose changes are recorded and told."""


@dataclass(frozen=True)
class PatientEndpoints:
    """The headline endpoint values of one patient at one cut."""

    subject: str
    first_dose: date | None
    rcb: RcbResult | None
    """From the reference report; None before there is one."""
    pcr: Verdict
    rcb01: Verdict
    efs: TimeToEvent
    evaluable: bool
    """In the evaluable set: operated, with an assessable specimen."""
    notes: tuple[str, ...] = ()
    """What has to be said beside pCR and RCB, and anybody may know: `adjudication awaited`."""
    shown: bool = True
    """Whether run names and artifacts may say pCR and RCB: not while they rest on a read that they may not show."""

    @property
    def in_full_set(self) -> bool:
        """In the full analysis set: received a first dose."""
        return self.first_dose is not None

    @property
    def sets(self) -> tuple[str, ...]:
        """The analysis sets that the patient is in; who received a first dose is in the safety set too."""
        return (*(("full", "safety") if self.in_full_set else ()), *(("evaluable",) if self.evaluable else ()))

    @property
    def headline(self) -> str:
        """PCR and RCB class in one line, as in `pCR: yes, RCB-0`, for the name of a run."""
        if not self.shown:
            return f"pCR and RCB: {HIDDEN}"
        rcb_text = self.rcb.rcb_class if self.rcb and self.rcb.rcb_class else "RCB not evaluable"
        return f"pCR: {self.pcr.answer.replace('_', ' ')}, {rcb_text}"

    @property
    def pathology_why(self) -> str:
        """Why pCR is what it is, as a run may say it."""
        return "; ".join((self.pcr.reason, *self.notes)) if self.shown else HIDDEN

    @property
    def efs_headline(self) -> str:
        """Event-free survival in one line."""
        return f"EFS: {self.efs}"

    def values(self) -> dict[str, str]:
        """Return the values that a change is announced for, as printed."""
        if not self.in_full_set:
            return {}
        return dict(zip(ANNOUNCED, (self.pcr.answer, rcb_text(self.rcb), str(self.efs)), strict=True))

    @cached_property  # asked for with every recalculation, of everybody
    def named_values(self) -> dict[str, str]:
        """The same, each by its name in the trial, as in `NT-007/pcr`."""
        return {f"{self.subject}/{name}": value for name, value in self.values().items()}


def rcb_text(rcb: RcbResult | None) -> str:
    """Return class and index as printed."""
    return f"{rcb.rcb_class} ({rcb.index:.3f})" if rcb and rcb.index is not None else "none"


def patient_endpoints(
    state: PatientState, study: Study, cut: date, *, efs: TimeToEvent | None = None
) -> PatientEndpoints:
    """Derive the headline values of one patient from the facts dated on or before `cut`; `efs`: not to be derived anew."""
    return _endpoints(reading(state, study, cut), state, study, cut, efs)


def _endpoints(
    read: Reading, state: PatientState, study: Study, cut: date, efs: TimeToEvent | None = None
) -> PatientEndpoints:
    frames, rcb = study.endpoints, patient_rcb(read)
    no_report = None if read.reports else without_report(state, cut)
    pcr_found = no_report or patient_pcr(read, frames.pcr.definition)
    rcb_found = no_report or low_rcb(rcb, list(frames.rcb01.classes), read)
    return PatientEndpoints(
        subject=state.subject,
        first_dose=state.first_dose if state.first_dose and state.first_dose <= cut else None,
        rcb=rcb,
        pcr=framed(pcr_found, state, cut, frames.pcr.frame_days),
        rcb01=framed(rcb_found, state, cut, frames.rcb01.frame_days),
        efs=efs or primary_efs(state, study, cut),
        # asked before the time frame turns what cannot be assessed into a non-response
        evaluable=bool(read.reports) and pcr_found.answer in ("yes", "no") and state.surgery is not None,
        notes=read.notes,
        shown=read.shown,
    )


def patient_values(state: PatientState, study: Study, cut: date) -> tuple[Value, ...]:
    """Return every endpoint value of one patient at a cut."""
    read = reading(state, study, cut)
    return (
        *(_beside(v, read, state, cut) for v in _pathology(read, state, study, cut)),
        *(_time(a, t, state) for a, t in times(state, study, cut)),
        *response_values(state, cut), *exposure_values(state, study, cut), *toxicity_values(state, cut),
    )  # fmt: skip


def _pathology(read: Reading, state: PatientState, study: Study, cut: date) -> Iterator[Value]:
    p, own, low = _endpoints(read, state, study, cut), study.endpoints.pcr, study.endpoints.rcb01
    later = _later(read, study)
    yield of_verdict(
        p.pcr, state.facts, code="pcr", label="pCR", rule=f"pCR {own.definition}: {own.source}",
        would_change=_then(p.pcr, p, own.frame_days, later),
    )  # fmt: skip
    for code, definition in DEFINITIONS:
        if definition == own.definition:
            continue
        found = patient_pcr(read, definition) if read.reports else without_report(state, cut)
        verdict = framed(found, state, cut, own.frame_days)
        yield of_verdict(
            verdict, state.facts, code=code, label=f"pCR ({definition})", rule=f"pCR {definition}: {NEOSTEEP}",
            would_change=_then(verdict, p, own.frame_days, later),
        )  # fmt: skip
    yield _rcb(p, state, read, later)
    yield of_verdict(
        p.rcb01, state.facts, code="rcb01", label=low.name, rule=f"{low.name}: {low.source}",
        would_change=_then(p.rcb01, p, low.frame_days, later),
    )  # fmt: skip


def _beside(value: Value, read: Reading, state: PatientState, cut: date) -> Value:
    """Return a value of pathology with what has to be said beside it."""
    return replace(
        value, reason="; ".join((value.reason, *read.full_notes)),
        public="; ".join((value.reason, *read.notes)) if read.full_notes else None, shown=read.shown,
        supersedes=tuple(line for r in read.reports for line in replaced(r, state, cut)),
    )  # fmt: skip


def _rcb(p: PatientEndpoints, state: PatientState, read: Reading, later: str) -> Value:
    known = p.rcb is not None and p.rcb.index is not None
    reason = p.rcb.reason if p.rcb else read.open_side or p.pcr.reason
    found = sources(state.facts, read.ids)
    return Value(
        "rcb", "RCB", "known" if known else "not_evaluable" if p.rcb else "pending", rcb_text(p.rcb), reason,
        "RCB index and class: Symmans et al., J Clin Oncol 2007;25:4414-22",
        later if p.rcb else "the final pathology report",
        found, max((s.occurred for s in found), default=None), p.rcb.index if p.rcb else None,
    )  # fmt: skip


def _later(read: Reading, study: Study) -> str:
    awaited = any(awaits_adjudication(s, study.endpoints) for s in read.sides)
    return "the adjudication, or an amended report" if awaited else LATER_REPORT


NEOSTEEP = "NeoSTEEP, Litton et al., J Clin Oncol 2023;41:4433-42"
LATER_REPORT = "a later final report or an adjudication"


def _then(verdict: Verdict, p: PatientEndpoints, frame_days: int, later: str) -> str:
    """Return what further data would change a verdict."""
    if verdict.answer == "not_evaluable":
        return "an amended report that resolves it"
    if verdict.answer != "pending":
        return later if p.rcb else "a final pathology report"
    end = p.first_dose + timedelta(frame_days - 1) if p.first_dose else None
    return f"the final pathology report; without one it counts as a non-response after {end}"


def _time(analysis: Analysis, time: TimeToEvent, state: PatientState) -> Value:
    then = {
        "event": "a correction of what documents the event, or an earlier event",
        "censored": "the next adequate assessment, or an event",
        "not started": f"the {analysis.starts}",
    }[time.status]
    if analysis.code == "os" and time.status == "censored":
        then = "the next sign of life, or death"
    alive = after_death(state) if time.finding == "death" else ()
    if alive:
        time = replace(
            time, reason=f"{time.reason}; to be resolved: {alive[0].type} on {alive[0].occurred} is after it"
        )
    return of_time(time, state.facts, code=analysis.code, label=analysis.label, rule=analysis.rule, would_change=then)
