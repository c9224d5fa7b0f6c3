"""Endpoints of each patient and of the trial, derived from the facts; every value with its reason and its events.

pCR comes from the ypT/ypN categories, RCB from the six numbers, independently of each other; a disagreement leaves both
not evaluable until it is resolved. Analysis sets after NeoSTEEP (Litton et al., J Clin Oncol 2023;41:4433-42).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.efs import EfsResult, event_free_survival
from neotorch.domain.pcr import agreement, pcr
from neotorch.domain.rcb import RcbResult, rcb_of, worst
from neotorch.domain.state import PatientState
from neotorch.domain.statistics import Interval, KaplanMeier, clopper_pearson, kaplan_meier
from neotorch.domain.study import Study

Answer = Literal["yes", "no", "pending", "not_evaluable"]


@dataclass(frozen=True)
class Verdict:
    """A yes/no endpoint of one patient. `pending`: the time frame is not over and a report may still come."""

    answer: Answer
    reason: str
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class PatientEndpoints:
    """All endpoint values of one patient at one cut."""

    subject: str
    first_dose: date | None
    rcb: RcbResult | None
    """From the reference report; None before there is one."""
    pcr: Verdict
    rcb01: Verdict
    efs: EfsResult
    evaluable: bool
    """In the evaluable set: operated, with an assessable specimen."""

    @property
    def in_full_set(self) -> bool:
        """In the full analysis set: received a first dose."""
        return self.first_dose is not None

    @property
    def headline(self) -> str:
        """PCR and RCB class in one line, as in `pCR: yes, RCB-0`."""
        rcb_text = self.rcb.rcb_class if self.rcb and self.rcb.rcb_class else "RCB not evaluable"
        return f"pCR: {self.pcr.answer.replace('_', ' ')}, {rcb_text}"

    @property
    def efs_headline(self) -> str:
        """Event-free survival in one line."""
        when = f" on day {self.efs.days}" if self.efs.days is not None else ""
        return f"EFS: {self.efs.status}{when}"

    def values(self) -> dict[str, str]:
        """Return the values that a change is announced for, as printed."""
        if not self.in_full_set:
            return {}
        rcb_text = f"{self.rcb.rcb_class} ({self.rcb.index:.3f})" if self.rcb and self.rcb.index is not None else "none"
        efs_text = f"event on day {self.efs.days}" if self.efs.status == "event" else f"censored on day {self.efs.days}"
        return {"pcr": self.pcr.answer, "rcb": rcb_text, "efs": efs_text}


@dataclass(frozen=True)
class Proportion:
    """A proportion with its interval. `pending` patients are not in `n`."""

    name: str
    responders: int
    n: int
    pending: int
    interval: Interval | None
    set_name: str


@dataclass(frozen=True)
class TrialResult:
    """The trial's figures at a cut, and the patients behind them."""

    cut: date
    study_version: str
    patients: tuple[PatientEndpoints, ...]
    proportions: tuple[Proportion, ...]
    efs: KaplanMeier | None
    landmarks: tuple[tuple[int, Interval | None], ...]
    rcb_classes: Mapping[str, int]
    counts: Mapping[str, int]

    def values(self) -> dict[str, str]:
        """Return field -> value as printed: trial figures by name, patients' as `NT-007/pcr`."""
        return {f"{p.subject}/{k}": v for p in self.patients for k, v in p.values().items()} | self.trial_values()

    def trial_values(self) -> dict[str, str]:
        """Return the trial's own figures: field -> value as printed."""
        found = {f"{p.name}.{p.set_name}": f"{p.responders}/{p.n} {percent(p.interval)}" for p in self.proportions}
        return found | {f"efs.day{days}": percent(at) for days, at in self.landmarks}


def percent(interval: Interval | None) -> str:
    """Return an estimate with its limits in per cent, as papers print it."""
    if interval is None:
        return "none"
    return f"{100 * interval.estimate:.1f} % ({100 * interval.lower:.1f}-{100 * interval.upper:.1f})"


def reference_reports(state: PatientState, cut: date) -> list[ev.Pathology]:
    """Return the report that counts for each side at `cut`: the final adjudication, else the newest final local one."""
    by_side: dict[str | None, ev.Pathology] = {}
    for read in ("local", "adjudication"):
        for report in state.pathologies:
            if report.read == read and report.status == "final" and report.occurred <= cut:
                by_side[report.side] = report
    return list(by_side.values())


def patient_endpoints(state: PatientState, study: Study, cut: date) -> PatientEndpoints:
    """Derive all endpoint values of one patient from the facts dated on or before `cut`."""
    reports = reference_reports(state, cut)
    doubts = tuple(text for r in reports for _, text in agreement(r))
    rcb = _rcb(reports, doubts)
    ids = tuple(r.id for r in reports)
    efs = event_free_survival(state.facts, state.first_dose, cut, study.endpoints.efs.primary)
    frames = study.endpoints
    no_report = None if reports else _without_report(state, cut)
    pcr_found = no_report or _pcr(reports, study, doubts, ids)
    rcb_found = no_report or _rcb01(rcb, study, doubts, ids)
    return PatientEndpoints(
        subject=state.subject,
        first_dose=state.first_dose if state.first_dose and state.first_dose <= cut else None,
        rcb=rcb,
        pcr=_framed(pcr_found, state, cut, frames.pcr.frame_days),
        rcb01=_framed(rcb_found, state, cut, frames.rcb01.frame_days),
        efs=efs,
        # asked before the time frame turns what cannot be assessed into a non-response
        evaluable=bool(reports) and pcr_found.answer in ("yes", "no") and state.surgery is not None,
    )


def _rcb(reports: list[ev.Pathology], doubts: tuple[str, ...]) -> RcbResult | None:
    """Return the patient's RCB; numbers that the categories contradict have no class until it is resolved."""
    if not reports:
        return None
    found = worst([rcb_of(r) for r in reports])
    return RcbResult(None, None, f"to be resolved: {'; '.join(doubts)}", found.problems) if doubts else found


def _without_report(state: PatientState, cut: date) -> Verdict:
    """Return the verdict for a patient without a final report by the cut."""
    for stop, words in (
        (state.inoperable, "progression precludes surgery"),
        (state.death, "died before a pathology report"),
        (
            state.withdrawal if state.withdrawal and state.withdrawal.scope == "study" else None,
            "withdrew before surgery",
        ),
    ):
        if stop and stop.occurred <= cut and not (state.surgery and state.surgery.occurred <= stop.occurred):
            return Verdict("no", f"{words}: counts as a non-responder", (stop.id,))
    if state.surgery and state.surgery.occurred <= cut:
        return Verdict("pending", "operated, no final pathology report yet", (state.surgery.id,))
    return Verdict("pending", "not operated yet")


def _pcr(reports: list[ev.Pathology], study: Study, doubts: tuple[str, ...], ids: tuple[str, ...]) -> Verdict:
    if doubts:
        return Verdict("not_evaluable", f"to be resolved: {'; '.join(doubts)}", ids)
    found = [pcr(r, study.endpoints.pcr.definition) for r in reports]
    for answer in ("no", "not_evaluable", "yes"):  # with two sides the worse one counts
        first = next((f for f in found if f.answer == answer), None)
        if first:
            return Verdict(first.answer, first.reason, ids)
    return Verdict("not_evaluable", "no report", ids)


def _rcb01(rcb: RcbResult | None, study: Study, doubts: tuple[str, ...], ids: tuple[str, ...]) -> Verdict:
    if doubts:
        return Verdict("not_evaluable", f"to be resolved: {'; '.join(doubts)}", ids)
    if rcb is None or rcb.rcb_class is None:
        return Verdict("not_evaluable", rcb.reason if rcb else "no report", ids)
    return Verdict("yes" if rcb.rcb_class in study.endpoints.rcb01.classes else "no", rcb.reason, ids)


def _framed(verdict: Verdict, state: PatientState, cut: date, frame_days: int) -> Verdict:
    """After the analysis time frame an open verdict counts as a non-response (NeoSTEEP); before it, it is open."""
    if verdict.answer in ("yes", "no") or not _frame_over(state, cut, frame_days):
        return verdict
    end = state.first_dose + timedelta(frame_days - 1) if state.first_dose else cut
    return Verdict("no", f"{verdict.reason}; the time frame of {frame_days} days ended on {end}: "
                   "counts as a non-responder", verdict.event_ids)  # fmt: skip


def _frame_over(state: PatientState, cut: date, frame_days: int) -> bool:
    return state.first_dose is not None and (cut - state.first_dose).days >= frame_days


def hinges(state: PatientState, study: Study, cut: date) -> tuple[date, bool, bool]:
    """Return what a patient's values at a cut hang on beside the facts: at cuts that agree in it they are the same."""
    last = max((f.occurred for f in state.facts), default=cut)
    frames = (study.endpoints.pcr.frame_days, study.endpoints.rcb01.frame_days)
    pcr_over, rcb_over = (_frame_over(state, cut, days) for days in frames)
    return min(cut, last), pcr_over, rcb_over


def trial_result(
    patients: Iterable[PatientEndpoints], states: Iterable[PatientState], study: Study, cut: date
) -> TrialResult:
    """Return the trial's figures from the patients' values at `cut`."""
    everyone = tuple(sorted(patients, key=lambda p: p.subject))
    full = [p for p in everyone if p.in_full_set]
    proportions = [
        _proportion("pcr", "full", full, "pcr", study.endpoints.pcr.level),
        _proportion("pcr", "evaluable", [p for p in full if p.evaluable], "pcr", study.endpoints.pcr.level),
        _proportion("rcb01", "full", full, "rcb01", study.endpoints.rcb01.level),
        _proportion("rcb01", "evaluable", [p for p in full if p.evaluable], "rcb01", study.endpoints.rcb01.level),
    ]
    timed = [p.efs for p in full if p.efs.days is not None]
    curve = None
    if timed:
        level = study.endpoints.efs.level
        curve = kaplan_meier([float(e.days or 0) for e in timed], [e.status == "event" for e in timed], level=level)
    classes = {
        name: sum(1 for p in full if p.rcb and p.rcb.rcb_class == name)
        for name in ("RCB-0", "RCB-I", "RCB-II", "RCB-III")
    }
    known = list(states)
    counts = {
        "screened": sum(1 for s in known if s.consent and s.consent.occurred <= cut),
        "enrolled": sum(1 for s in known if s.enrolment and s.enrolment.occurred <= cut),
        "dosed": len(full),
        "operated": sum(1 for s in known if s.surgery and s.surgery.occurred <= cut),
        "assessed": sum(1 for p in full if p.evaluable),
        "events": sum(1 for p in full if p.efs.status == "event"),
        "deaths": sum(1 for s in known if s.death and s.death.occurred <= cut),
    }
    landmarks = tuple((d, curve.at(float(d)) if curve else None) for d in study.endpoints.efs.landmarks_days)
    return TrialResult(cut, study.version, everyone, tuple(proportions), curve, landmarks, classes, counts)


def _proportion(name: str, set_name: str, patients: list[PatientEndpoints], field: str, level: float) -> Proportion:
    answers = [getattr(p, field).answer for p in patients]
    known = [a for a in answers if a in ("yes", "no")]
    x, n = known.count("yes"), len(known)
    interval = clopper_pearson(x, n, level=level) if n else None
    return Proportion(name, x, n, len(answers) - n, interval, set_name)
