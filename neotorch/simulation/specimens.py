"""Pathology reports whose six RCB inputs, ypT and ypN agree with each other."""

from __future__ import annotations

from random import Random
from typing import Any

from neotorch.domain.rcb import RcbClass, RcbInputs, rcb

SHARES: tuple[tuple[RcbClass, float], ...] = (("RCB-0", 0.24), ("RCB-I", 0.15), ("RCB-II", 0.41), ("RCB-III", 0.20))
"""Share of each class; RCB-0 is a pCR."""
CELLULARITY = {"RCB-I": (1, 4), "RCB-II": (3, 40), "RCB-III": (20, 85)}
BED_MM = {"RCB-0": (8, 26), "RCB-I": (2, 9), "RCB-II": (8, 35), "RCB-III": (18, 70)}
NODES = {"RCB-I": (0, 0), "RCB-II": (0, 3), "RCB-III": (1, 12)}

Report = dict[str, Any]
"""Fields of a Pathology fact."""


def class_at(quantile: float) -> RcbClass:
    """Return the class of the patient at this place (0 to 1) among all, ordered from the best response."""
    upto = 0.0
    for name, share in SHARES:
        upto += share
        if quantile < upto:
            return name
    return SHARES[-1][0]


def specimen(rng: Random, wanted: RcbClass) -> Report:
    """Return a complete report of the wanted class."""
    for _ in range(1000):
        report = _complete_response(rng) if wanted == "RCB-0" else _residual(rng, wanted)
        if class_of(report) == wanted:
            return report | _removed(rng, report["nodes_positive"])
    raise AssertionError(f"no specimen of class {wanted} in 1000 draws")


def class_of(report: Report) -> RcbClass | None:
    """Return the RCB class of a report's six numbers."""
    return rcb(RcbInputs(**{n: report.get(n) for n in RcbInputs.__dataclass_fields__})).rcb_class


def _bed(rng: Random, wanted: RcbClass) -> tuple[float, float]:
    low, high = BED_MM[wanted]
    d1 = float(rng.randint(low, high))
    return d1, float(max(1, round(d1 * rng.uniform(0.5, 1))))


def _complete_response(rng: Random) -> Report:
    """A scar without invasive cancer; one in five has carcinoma in situ left (ypTis)."""
    d1, d2 = _bed(rng, "RCB-0")
    tis = rng.random() < 0.2
    return {
        "ypt": "ypTis" if tis else "ypT0", "ypn": "ypN0", "d1_mm": d1, "d2_mm": d2,
        "cellularity_pct": float(rng.randint(2, 8)) if tis else 0.0, "in_situ_pct": 100.0 if tis else 0.0,
        "nodes_positive": 0, "largest_met_mm": 0.0, "miller_payne": 5,
    }  # fmt: skip


def _residual(rng: Random, wanted: RcbClass) -> Report:
    d1, d2 = _bed(rng, wanted)
    cellularity = float(rng.randint(*CELLULARITY[wanted]))
    in_situ = float(rng.choice((0, 0, 0, 5, 10, 20)))
    nodes = max(0, round(rng.uniform(*NODES[wanted])))
    met = round(rng.choice((0.1, rng.uniform(0.4, 2), rng.uniform(2.2, 12), rng.uniform(2.2, 12))), 1) if nodes else 0.0
    return {
        "ypt": _ypt(d1 * rng.uniform(0.35, 1)), "ypn": _ypn(nodes, met), "d1_mm": d1, "d2_mm": d2,
        "cellularity_pct": cellularity, "in_situ_pct": in_situ, "nodes_positive": nodes, "largest_met_mm": met,
        "miller_payne": 4 if cellularity < 6 else rng.choice((2, 3, 3)),
        "er_pct": float(rng.randint(40, 98)), "pr_pct": float(rng.randint(0, 95)),
        "her2": rng.choice(("0", "1+", "1+", "2+")), "ki67_pct": float(rng.randint(2, 30)),
    }  # fmt: skip


def _ypt(extent_mm: float) -> str:
    """Return the category of the largest invasive focus in mm (AJCC 8)."""
    for upper, category in ((1, "ypT1mi"), (5, "ypT1a"), (10, "ypT1b"), (20, "ypT1c"), (50, "ypT2")):
        if extent_mm <= upper:
            return category
    return "ypT3"


def _ypn(nodes: int, met_mm: float) -> str:
    if nodes == 0:
        return "ypN0"
    if met_mm <= 0.2:
        return "ypN0(i+)"
    if met_mm <= 2.0:
        return "ypN1mi"
    return "ypN1a" if nodes <= 3 else "ypN2a" if nodes <= 9 else "ypN3a"


def _removed(rng: Random, positive: int) -> Report:
    return {"nodes_removed": positive + (rng.randint(8, 16) if positive else rng.randint(2, 5))}


def second_read(rng: Random, report: Report) -> Report:
    """Return the central reader's report of the same slides: cellularity read a little differently."""
    central = dict(report)
    if report["cellularity_pct"] and report["in_situ_pct"] < 100:
        factor = rng.choice((0.4, 0.7, 0.9, 1.0, 1.1, 1.4, 2.2))
        central["cellularity_pct"] = float(max(1, min(95, round(report["cellularity_pct"] * factor))))
    return central


FOCUS_SEEN = 0.05
"""Share of the complete responses in which the second reader sees a focus of invasive cancer."""
OTHER_BED, OTHER_CELLULARITY = 0.35, (1.0, 30.0, 90.0)
"""Share of the beds with cancer in which the second reader sees quite another cellularity, and which, in per cent."""


def other_eye(rng: Random, report: Report) -> Report:
    """Return a second read with now and then another cellularity, or a focus where there was no invasive cancer."""
    if class_of(report) == "RCB-0":
        return _with_focus(rng, report) if rng.random() < FOCUS_SEEN else report
    return report | {"cellularity_pct": rng.choice(OTHER_CELLULARITY)} if rng.random() < OTHER_BED else report


def _with_focus(rng: Random, report: Report) -> Report:
    return report | {
        "ypt": "ypT1mi", "cellularity_pct": 1.0, "in_situ_pct": 0.0, "miller_payne": 4,
        "er_pct": float(rng.randint(40, 98)), "pr_pct": float(rng.randint(0, 95)), "her2": "1+",
        "ki67_pct": float(rng.randint(2, 30)),
    }  # fmt: skip


def flawed(rng: Random, report: Report) -> tuple[Report, str] | None:
    """Return the report as first sent in, with a gap or a contradiction, and the reason of its correction later."""
    first = dict(report)
    if report["ypt"] in ("ypT0", "ypTis"):
        first["cellularity_pct"], first["in_situ_pct"] = float(rng.randint(2, 6)), 0.0
        return first, "cellularity of the normal breast was entered"
    if report["nodes_positive"] and rng.random() < 0.5:
        first["nodes_positive"] = 0
        return first, "positive nodes had been left at 0"
    del first[rng.choice(("cellularity_pct", "d2_mm", "in_situ_pct", "largest_met_mm"))]
    return first, "a missing measurement was supplied"
