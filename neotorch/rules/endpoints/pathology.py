"""pCR and RCB of one patient. pCR comes from the categories, RCB from the six numbers, independently of each other.

A disagreement leaves both not evaluable until it is resolved (NeoSTEEP: Litton et al., J Clin Oncol 2023;41:4433-42).
"""

from __future__ import annotations

from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.pcr import Definition, agreement, pcr
from neotorch.domain.rcb import RcbResult, rcb_of, worst
from neotorch.domain.state import PatientState
from neotorch.rules.endpoints.values import Verdict


def reference_reports(state: PatientState, cut: date) -> list[ev.Pathology]:
    """Return the report that counts for each side at `cut`: the final adjudication, else the newest final local one."""
    by_side: dict[str | None, ev.Pathology] = {}
    for read in ("local", "adjudication"):
        for report in state.pathologies:
            if report.read == read and report.status == "final" and report.occurred <= cut:
                by_side[report.side] = report
    return list(by_side.values())


def doubts(reports: list[ev.Pathology]) -> tuple[str, ...]:
    """Return what the categories and the numbers of the reports contradict each other in."""
    return tuple(text for r in reports for _, text in agreement(r))


def patient_rcb(reports: list[ev.Pathology]) -> RcbResult | None:
    """Return the patient's RCB; numbers that the categories contradict have no class until it is resolved."""
    if not reports:
        return None
    found, open_ = worst([rcb_of(r) for r in reports]), doubts(reports)
    return RcbResult(None, None, f"to be resolved: {'; '.join(open_)}", found.problems) if open_ else found


def patient_pcr(reports: list[ev.Pathology], definition: Definition) -> Verdict:
    """Return pCR by the reports that count; with two sides the worse one counts."""
    ids = tuple(r.id for r in reports)
    if open_ := doubts(reports):
        return Verdict("not_evaluable", f"to be resolved: {'; '.join(open_)}", ids)
    found = [pcr(r, definition) for r in reports]
    for answer in ("no", "not_evaluable", "yes"):
        first = next((f for f in found if f.answer == answer), None)
        if first:
            return Verdict(first.answer, first.reason, ids)
    return Verdict("not_evaluable", "no report", ids)


def low_rcb(rcb: RcbResult | None, classes: list[str], reports: list[ev.Pathology]) -> Verdict:
    """Return whether the RCB class is one of `classes`."""
    ids = tuple(r.id for r in reports)
    if rcb is None or rcb.rcb_class is None:
        return Verdict("not_evaluable", rcb.reason if rcb else "no report", ids)
    return Verdict("yes" if rcb.rcb_class in classes else "no", rcb.reason, ids)


def without_report(state: PatientState, cut: date) -> Verdict:
    """Return the verdict for a patient without a final report by the cut."""
    left = state.withdrawal if state.withdrawal and state.withdrawal.scope == "study" else None
    for stop, words in (
        (state.inoperable, "progression precludes surgery"),
        (state.death, "died before a pathology report"),
        (left, "withdrew before surgery"),
    ):
        if stop and stop.occurred <= cut and not (state.surgery and state.surgery.occurred <= stop.occurred):
            return Verdict("no", f"{words}: counts as a non-responder", (stop.id,))
    if state.surgery and state.surgery.occurred <= cut:
        return Verdict("pending", "operated, no final pathology report yet", (state.surgery.id,))
    return Verdict("pending", "not operated yet")


def framed(verdict: Verdict, state: PatientState, cut: date, frame_days: int) -> Verdict:
    """After the analysis time frame an open verdict counts as a non-response (NeoSTEEP); before it, it is open."""
    if verdict.answer in ("yes", "no") or not frame_over(state, cut, frame_days):
        return verdict
    first = state.cycles[1]
    end = first.occurred + timedelta(frame_days - 1)
    reason = f"{verdict.reason}; the time frame of {frame_days} days ended on {end}: counts as a non-responder"
    return Verdict("no", reason, (*verdict.event_ids, first.id))


def frame_over(state: PatientState, cut: date, frame_days: int) -> bool:
    """Return whether the time frame, counted from the first dose, has passed by the cut."""
    return state.first_dose is not None and (cut - state.first_dose).days >= frame_days
