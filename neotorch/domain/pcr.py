"""Pathologic complete response from the ypT and ypN categories alone (NeoSTEEP, doi 10.1200/JCO.23.00435).

Independent of RCB on purpose: `agreement` holds the categories against the six numbers, and a disagreement is a query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from neotorch.domain.events import Pathology
from neotorch.domain.rcb import RcbInputs, invasive_fraction, rcb_of

Definition = Literal["ypT0/Tis ypN0", "ypT0 ypN0", "ypT0/Tis"]
DEFINITIONS: tuple[Definition, ...] = ("ypT0/Tis ypN0", "ypT0 ypN0", "ypT0/Tis")
ITC_MM, MICRO_MM = 0.2, 2.0
"""Upper limits in mm of isolated tumour cells and of a micrometastasis (AJCC 8)."""
NODE_COUNTS = {"ypN1a": (1, 3), "ypN2a": (4, 9), "ypN3a": (10, 200)}


@dataclass(frozen=True)
class PcrVerdict:
    """yes, no or not_evaluable, with the reason."""

    answer: Literal["yes", "no", "not_evaluable"]
    reason: str


def pcr(report: Pathology, definition: Definition) -> PcrVerdict:
    """Return whether the report is a pCR under the definition."""
    axilla = definition != "ypT0/Tis"
    breast_ok = {"ypT0", "ypTis"} if "Tis" in definition else {"ypT0"}
    if report.ypt not in breast_ok and report.ypt != "ypTX":
        return PcrVerdict(
            "no", f"residual {'in situ ' if report.ypt == 'ypTis' else 'invasive '}cancer in the breast: {report.ypt}"
        )
    if axilla and report.ypn not in ("ypN0", "ypNX"):
        extra = " (isolated tumour cells are not a pCR)" if report.ypn == "ypN0(i+)" else ""
        return PcrVerdict("no", f"cancer in the nodes: {report.ypn}{extra}")
    if report.lymphovascular_invasion:
        return PcrVerdict("no", "lymphovascular invasion is residual disease")
    if report.ypt == "ypTX":
        return PcrVerdict("not_evaluable", "ypTX: the breast specimen cannot be assessed")
    if axilla and report.ypn == "ypNX":
        return PcrVerdict("not_evaluable", "ypNX: no axillary surgery, the nodes cannot be assessed")
    if axilla and report.sentinel_positive_before_therapy:
        return PcrVerdict("no", "a positive sentinel node was removed before therapy, so ypN0 cannot give a pCR")
    if not report.bed_found:
        return PcrVerdict("not_evaluable", "no tumour bed and no clip found: not a pCR until resolved")
    return PcrVerdict("yes", f"{report.ypt} {report.ypn}" if axilla else report.ypt)


def agreement(report: Pathology) -> tuple[tuple[str, str], ...]:
    """Return every disagreement between the categories and the six numbers as (stable code, words)."""
    return (*_breast(report), *_nodes(report), *_bed(report))


def _inputs(report: Pathology) -> RcbInputs:
    return RcbInputs(cellularity_pct=report.cellularity_pct, in_situ_pct=report.in_situ_pct)


def _breast(report: Pathology) -> Iterator[tuple[str, str]]:
    fraction = invasive_fraction(_inputs(report))
    none_left = report.ypt in ("ypT0", "ypTis")
    if fraction is not None and report.ypt == "ypTX":
        yield "ypt-cellularity", f"ypTX says the breast cannot be assessed, the numbers say {100 * fraction:.1f} %"
    elif fraction is not None:
        if none_left and fraction > 0:
            yield (
                "ypt-cellularity",
                f"{report.ypt} says no invasive cancer, the numbers say {100 * fraction:.1f} % of the bed",
            )
        if not none_left and fraction == 0:
            yield "ypt-cellularity", f"{report.ypt} says invasive cancer, the numbers say none"
        if report.ypt == "ypT0" and fraction == 0 and report.cellularity_pct:
            yield "ypt-in-situ", "ypT0 says no cancer at all, the numbers say in situ cancer (ypTis)"
    result = rcb_of(report)
    complete = pcr(report, "ypT0/Tis ypN0").answer
    if result.rcb_class == "RCB-0" and complete == "no" and not report.lymphovascular_invasion:
        yield "pcr-rcb", f"the categories {report.ypt} {report.ypn} are not a pCR, the six numbers give RCB-0"
    if result.rcb_class not in (None, "RCB-0") and complete == "yes":
        yield "pcr-rcb", f"the categories {report.ypt} {report.ypn} are a pCR, the six numbers give {result.rcb_class}"


def _nodes(report: Pathology) -> Iterator[tuple[str, str]]:
    positive, removed, met, ypn = report.nodes_positive, report.nodes_removed, report.largest_met_mm, report.ypn
    if ypn == "ypNX":
        if positive is not None and removed != 0:
            yield "ypn-nodes", f"ypNX says the nodes cannot be assessed, the numbers say {positive} positive"
        return
    if removed == 0:
        yield "ypn-removed", f"{ypn} but no node was removed (then ypNX)"
    if positive is None:
        return
    if ypn == "ypN0" and positive > 0:
        yield "ypn-nodes", f"ypN0 but {positive} positive nodes"
    if ypn != "ypN0" and positive == 0:
        yield "ypn-nodes", f"{ypn} but no positive node"
    low, high = NODE_COUNTS.get(ypn, (0, 200))
    if positive and not low <= positive <= high:
        yield "ypn-count", f"{ypn} but {positive} positive nodes"
    if met is not None and positive:
        yield from _sizes(ypn, met)


def _sizes(ypn: str, met: float) -> Iterator[tuple[str, str]]:
    """Yield what the category says of the largest deposit and the size in mm does not."""
    if ypn == "ypN0(i+)" and met > ITC_MM:
        yield "ypn-size", f"ypN0(i+) but the largest deposit is {met:g} mm (> {ITC_MM} mm)"
    if ypn == "ypN1mi" and not ITC_MM < met <= MICRO_MM:
        yield "ypn-size", f"ypN1mi but the largest metastasis is {met:g} mm (not > {ITC_MM} and <= {MICRO_MM} mm)"
    if ypn in NODE_COUNTS and met <= MICRO_MM:
        yield "ypn-size", f"{ypn} but the largest metastasis is {met:g} mm (<= {MICRO_MM} mm)"


def _bed(report: Pathology) -> Iterator[tuple[str, str]]:
    if not report.bed_found:
        yield (
            "bed-not-found",
            "no tumour bed and no clip found in the specimen: confirm by specimen imaging or re-sampling",
        )
