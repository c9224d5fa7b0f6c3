"""pCR and RCB of one patient. pCR comes from the categories, RCB from the six numbers, independently of each other.

A disagreement leaves both not evaluable until it is resolved (NeoSTEEP: Litton et al., J Clin Oncol 2023;41:4433-42).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.analysis_plan import Endpoints
from neotorch.domain.pcr import Definition, agreement, pcr
from neotorch.domain.rcb import RcbResult, rcb_of, worst
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.endpoints.values import Verdict
from neotorch.rules.reads import Side, counting, differences, read_problems, sides


@dataclass(frozen=True)
class Reading:
    """The reports on one patient at a cut: which count, and what has to be said beside the values that come of them."""

    sides: tuple[Side, ...]
    reports: tuple[ev.Pathology, ...]
    """The report that counts, for each side that has one."""
    doubts: tuple[str, ...] = ()
    """What leaves every value not evaluable until it is resolved."""
    notes: tuple[str, ...] = ()
    """What anybody may know."""
    full_notes: tuple[str, ...] = ()
    """The same with what the reads say."""
    shown: bool = True
    """Whether run names and artifacts may say the values."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Events that the values come from."""
        return tuple(r.id for r in self.reports)

    @property
    def open_side(self) -> str:
        """The breast that was reported on and has no report that counts yet, in words; empty if there is none."""
        if not self.reports or len(self.reports) == len(self.sides):
            return ""
        done = {id(r) for r in self.reports}
        side = next(s for s in self.sides if not done & {id(r) for r in s.final.values()})
        return f"no final report on the {side.side or 'other'} breast yet"


def reading(state: PatientState, study: Study, cut: date) -> Reading:
    """Return the reports of a patient at `cut` as they count."""
    found, ends = sides(state, cut), study.endpoints
    counts = tuple(r for s in found if (r := counting(s, ends)))
    read = study.recipients.read
    return Reading(
        found, counts, tuple(_doubts(found, counts, state, cut)), tuple(w for w, _ in _notes(found, ends)),
        tuple(w for _, w in _notes(found, ends)), all(r.read == "adjudication" or read(r.read).shown for r in counts),
    )  # fmt: skip


def _doubts(found: tuple[Side, ...], counts: tuple[ev.Pathology, ...], state: PatientState, cut: date) -> Iterator[str]:
    """Yield what the reports that count contradict: themselves, each other, or the operation."""
    for report in counts:
        yield from (text for _, text in agreement(report))
        operated = state.surgery.occurred if state.surgery and state.surgery.occurred <= cut else None
        if operated is None or report.occurred < operated:
            yield f"the report of {report.occurred} is on no operation of that day or before"
    ids = {r.id for r in counts}
    yield from (p.text for _, p in read_problems(found) if ids & set(p.event_ids))


def _notes(found: tuple[Side, ...], ends: Endpoints) -> Iterator[tuple[str, str]]:
    """Yield what has to be said beside the values: without what the reads say, and with it."""
    for side in found:
        where = f"{side.side} breast: " if len(found) > 1 else ""
        settled = side.final.get("adjudication")
        differ = differences(side, ends)
        values = ", ".join(f"{d.local} / {d.central}" if d.what == "rcb_class" else f"pCR {d.local} / {d.central}"
                           for d in differ)  # fmt: skip
        if differ and settled is None:
            yield f"{where}adjudication awaited", f"{where}central read differs ({values}), adjudication awaited"
        elif differ and settled:
            yield f"{where}adjudicated", f"{where}central read differed ({values}), adjudicated"
        if settled and (later := [r.read for r in side.final.values() if r.occurred > settled.occurred]):
            word = f"{where}the {' and the '.join(later)} report came after the adjudication, which counts"
            yield word, word


def patient_rcb(read: Reading) -> RcbResult | None:
    """Return the patient's RCB; numbers that the categories contradict have no class until it is resolved."""
    if not read.reports:
        return None
    found = worst([rcb_of(r) for r in read.reports])
    if read.doubts:
        return RcbResult(None, None, f"to be resolved: {'; '.join(read.doubts)}", found.problems)
    return None if read.open_side and found.evaluable else found


def patient_pcr(read: Reading, definition: Definition) -> Verdict:
    """Return pCR by the reports that count; with two sides the worse one counts."""
    if read.doubts:
        return Verdict("not_evaluable", f"to be resolved: {'; '.join(read.doubts)}", read.ids)
    found = [pcr(r, definition) for r in read.reports]
    for answer in ("no", "not_evaluable", "yes"):
        first = next((f for f in found if f.answer == answer), None)
        if first and (answer == "no" or not read.open_side):
            return Verdict(first.answer, first.reason, read.ids)
    if read.open_side:
        return Verdict("pending", read.open_side, read.ids)
    return Verdict("not_evaluable", "no report", read.ids)


def low_rcb(rcb: RcbResult | None, classes: list[str], read: Reading) -> Verdict:
    """Return whether the RCB class is one of `classes`."""
    if rcb is None and read.open_side:  # the worse side counts, and one that is not low is known already
        rcb = worst([rcb_of(r) for r in read.reports])
        if rcb.rcb_class in classes:
            return Verdict("pending", read.open_side, read.ids)
    if rcb is None or rcb.rcb_class is None:
        return Verdict("not_evaluable", rcb.reason if rcb else "no report", read.ids)
    return Verdict("yes" if rcb.rcb_class in classes else "no", rcb.reason, read.ids)


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
        seen = [r for s in sides(state, cut) for r in s.newest]
        early = "".join(f"; there is a {r.status} {r.read} report of {r.occurred}" for r in seen)
        return Verdict("pending", f"operated, no final pathology report yet{early}",
                       (state.surgery.id, *(r.id for r in seen)))  # fmt: skip
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
