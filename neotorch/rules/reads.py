"""The reports on a patient's specimens: which one holds for each read and side, what it replaced, where the reads differ.

Of one read of one side (the local, the central, the adjudication) the newest final report holds: a later one, or a
correction, supersedes the earlier one, and both remain. A preliminary report never counts, before a final one or after it.
Two final reports of one day that say different things supersede neither each other: which holds has to be asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from neotorch.domain import events as ev
from neotorch.domain.analysis_plan import Endpoints
from neotorch.domain.pcr import agreement, pcr
from neotorch.domain.rcb import rcb_of
from neotorch.domain.state import PatientState, Problem

SAID = tuple(n for n in ev.Pathology.model_fields if n not in {*ev.Event.model_fields, "read", "side"})
"""The fields in which a report says something, `status` first."""


@dataclass(frozen=True)
class Side:
    """All that was reported on one breast."""

    side: str | None
    """Left or right; None where no report names one."""
    final: Mapping[str, ev.Pathology]
    """Read -> the final report that holds."""
    preliminary: Mapping[str, ev.Pathology] = field(default_factory=dict)
    """Read without a final report -> the newest preliminary one."""
    doubled: Mapping[str, tuple[ev.Pathology, ...]] = field(default_factory=dict)
    """Read -> the final reports of its newest day, where they say different things."""

    @property
    def newest(self) -> tuple[ev.Pathology, ...]:
        """The newest report of each read: a final one, as long as there is none the preliminary one."""
        return (*self.final.values(), *self.preliminary.values())


@dataclass(frozen=True)
class Difference:
    """In what the final local and the final central read of one side differ."""

    what: str
    local: str
    central: str


def sides(state: PatientState, cut: date = date.max) -> tuple[Side, ...]:
    """Return what was reported by `cut` for each side. If all reports that name a side name the same one, so do the rest."""
    known = [r for r in state.pathologies if r.occurred <= cut]
    named = {r.side for r in known if r.side}
    only = min(named) if len(named) == 1 else None
    found: dict[str | None, list[ev.Pathology]] = {}
    for report in known:
        found.setdefault(report.side or only, []).append(report)
    return tuple(_side(name, found[name]) for name in sorted(found, key=lambda n: n or ""))


def _side(name: str | None, reports: Sequence[ev.Pathology]) -> Side:
    final: dict[str, ev.Pathology] = {r.read: r for r in reports if r.status == "final"}
    early: dict[str, ev.Pathology] = {r.read: r for r in reports if r.status == "preliminary" and r.read not in final}
    doubled: dict[str, tuple[ev.Pathology, ...]] = {}
    for read, last in final.items():
        same_day = tuple(r for r in reports if (r.read, r.status, r.occurred) == (read, "final", last.occurred))
        if any(_said(r) != _said(last) for r in same_day):
            doubled[read] = same_day
    return Side(name, final, early, doubled)


def _said(report: ev.Pathology) -> dict[str, object]:
    return {name: getattr(report, name) for name in SAID}


def counting(side: Side, ends: Endpoints) -> ev.Pathology | None:
    """Return the report that counts: the adjudication, else that of the reference read, for want of a central one the local."""
    order = ("adjudication", "central", "local") if ends.reference_read == "central" else ("adjudication", "local")
    return next((side.final[read] for read in order if read in side.final), None)


def answer(report: ev.Pathology, what: str, ends: Endpoints) -> str | None:
    """Return the RCB class or the pCR of one report; None where it has none or contradicts itself."""
    if agreement(report):
        return None
    if what == "rcb_class":
        return rcb_of(report).rcb_class
    found = pcr(report, ends.pcr.definition).answer
    return None if found == "not_evaluable" else found


def differences(side: Side, ends: Endpoints) -> tuple[Difference, ...]:
    """Return in what the two reads of a side differ that has to be adjudicated, adjudicated or not."""
    local, central = side.final.get("local"), side.final.get("central")
    if ends.pathology is None or local is None or central is None or side.doubled:
        return ()
    found = (
        Difference(w, str(answer(local, w, ends)), str(answer(central, w, ends)))
        for w in ends.pathology.adjudicate_when
    )
    return tuple(d for d in found if d.local != d.central and "None" not in (d.local, d.central))


def awaits_adjudication(side: Side, ends: Endpoints) -> bool:
    """Whether the reads of a side differ and nobody has adjudicated yet."""
    return "adjudication" not in side.final and bool(differences(side, ends))


def read_problems(found: Sequence[Side]) -> Iterator[tuple[ev.Pathology, Problem]]:
    """Yield what is wrong between reports, each with the report at whose place it is asked."""
    for side in found:
        for reports in side.doubled.values():
            ids = tuple(r.id for r in reports)
            text = f"{len(reports)} final reports of {reports[0].occurred} say different things: which of them holds"
            yield reports[-1], Problem("two-reports", text, ids)
    for side in found if len(found) > 1 else ():
        for report in side.newest if side.side is None else ():
            text = "there are reports on both breasts, and this one names none"
            yield report, Problem("side-missing", text, (report.id,))


def replaced(report: ev.Pathology, state: PatientState, cut: date = date.max) -> Iterator[str]:
    """Yield in words what a report replaced and what that changed, the newest first, down to the first report."""
    old = _before(report, state, cut)
    seen = {report.id}
    while old and old.id not in seen:
        was = f"{old.id} of {old.occurred}"
        changed = [
            f"{n} {_word(getattr(old, n))} -> {_word(getattr(report, n))}"
            for n in SAID if getattr(old, n) != getattr(report, n)
        ]  # fmt: skip
        yield f"{report.id} replaces {was}: {', '.join(changed) or 'the same values'}"
        seen.add(old.id)
        report, old = old, _before(old, state, cut)


def _before(report: ev.Pathology, state: PatientState, cut: date) -> ev.Pathology | None:
    """Return the report that this one replaced: the one it corrects, else the one before it of the same read and side."""
    target = state.learnt.get(report.corrects or "")
    if target and isinstance(target.event, ev.Pathology):
        return target.event
    reads = [
        r for r in state.pathologies if r.read == report.read and (r.side or report.side) == (report.side or r.side)
    ]
    earlier = [r for r in reads if r.occurred <= cut and _order(r) < _order(report)]
    return max(earlier, key=_order, default=None)


def _order(report: ev.Pathology) -> tuple[date, bool, str]:
    return report.occurred, report.status == "final", report.id


def _word(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
