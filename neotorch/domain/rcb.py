"""Residual Cancer Burden (Symmans et al., J Clin Oncol 2007;25:4414-22, doi 10.1200/JCO.2007.10.6823).

    d_prim = sqrt(d1 * d2)                                      mm, the two largest dimensions of the tumour bed
    f_prim = (1 - in_situ_pct/100) * (cellularity_pct/100)
    RCB    = 1.4 * (f_prim*d_prim)**0.17 + (4 * (1 - 0.75**nodes) * d_met)**0.17        with 0**0.17 := 0

Classes: 0; up to 1.36 I; up to 3.28 II; above III, compared unrounded. A missing or contradictory input makes RCB not
evaluable, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import Literal

from neotorch.domain.events import Pathology

RcbClass = Literal["RCB-0", "RCB-I", "RCB-II", "RCB-III"]
UPPER_I, UPPER_II = 1.36, 3.28


@dataclass(frozen=True)
class RcbInputs:
    """The six numbers. `in_situ_pct` is a share of the cancer, so it may exceed `cellularity_pct`."""

    d1_mm: float | None = None
    d2_mm: float | None = None
    cellularity_pct: float | None = None
    in_situ_pct: float | None = None
    nodes_positive: int | None = None
    largest_met_mm: float | None = None


@dataclass(frozen=True)
class RcbProblem:
    """A contradiction among the inputs, for a query."""

    code: str
    text: str


@dataclass(frozen=True)
class RcbResult:
    """Index and class, or why there is none."""

    index: float | None
    rcb_class: RcbClass | None
    reason: str
    problems: tuple[RcbProblem, ...] = ()

    @property
    def evaluable(self) -> bool:
        """Whether there is an index."""
        return self.index is not None


def classify(index: float) -> RcbClass:
    """Return the class of an unrounded index."""
    if index == 0:
        return "RCB-0"
    if index <= UPPER_I:
        return "RCB-I"
    return "RCB-II" if index <= UPPER_II else "RCB-III"


def invasive_fraction(inputs: RcbInputs) -> float | None:
    """Return f_prim, the share of the bed that is invasive cancer; None where an input is missing."""
    if inputs.cellularity_pct is None or inputs.in_situ_pct is None:
        return None
    return (1 - inputs.in_situ_pct / 100) * (inputs.cellularity_pct / 100)


def rcb(inputs: RcbInputs) -> RcbResult:
    """Return index and class of the six numbers. The order of d1 and d2 does not matter to the index."""
    missing = [f.name for f in fields(inputs) if getattr(inputs, f.name) is None]
    if missing:
        return RcbResult(None, None, f"not evaluable: {', '.join(missing)} missing")
    problems = tuple(_problems(inputs))
    if problems:
        return RcbResult(None, None, f"not evaluable: {'; '.join(p.text for p in problems)}", problems)
    d1, d2, nodes, met = (
        float(getattr(inputs, n) or 0) for n in ("d1_mm", "d2_mm", "nodes_positive", "largest_met_mm")
    )
    fraction = invasive_fraction(inputs) or 0.0
    primary, nodal = fraction * sqrt(d1 * d2), 4 * (1 - 0.75**nodes) * met
    index = (1.4 * primary**0.17 if primary else 0.0) + (nodal**0.17 if nodal else 0.0)
    which = classify(index)
    return RcbResult(
        index,
        which,
        f"index {index:.3f}: bed {sqrt(d1 * d2):.1f} mm, invasive share {fraction:.3f}, {nodes:.0f} nodes, {met:g} mm",
    )


def _problems(i: RcbInputs) -> Iterator[RcbProblem]:
    d1, d2, cellularity, in_situ = (
        float(getattr(i, n) or 0) for n in ("d1_mm", "d2_mm", "cellularity_pct", "in_situ_pct")
    )
    nodes, met = float(i.nodes_positive or 0), float(i.largest_met_mm or 0)
    for name, value, top in (("cellularity", cellularity, 100), ("in situ share", in_situ, 100)):
        if not 0 <= value <= top:
            yield RcbProblem("range", f"{name} {value:g} % is not between 0 and 100")
    if min(d1, d2, nodes, met) < 0:
        yield RcbProblem("negative", "a negative size or number")
    if nodes != int(nodes):
        yield RcbProblem("nodes-whole", f"{nodes:g} nodes is not a whole number")
    if cellularity > 0 and (d1 == 0 or d2 == 0):
        yield RcbProblem("bed-size", f"cellularity {cellularity:g} % but the tumour bed measures {d1:g} x {d2:g} mm")
    if nodes == 0 and met > 0:
        yield RcbProblem("met-without-node", f"a metastasis of {met:g} mm but no positive node")
    if nodes > 0 and met == 0:
        yield RcbProblem("node-without-met", f"{nodes:g} positive nodes but no size of the largest metastasis")


def rcb_of(report: Pathology) -> RcbResult:
    """Return the RCB of one report. A node found positive before therapy cannot be put into the formula."""
    if report.sentinel_positive_before_therapy:
        return RcbResult(None, None, "not calculable: a positive sentinel node was removed before therapy")
    result = rcb(RcbInputs(**{f.name: getattr(report, f.name) for f in fields(RcbInputs)}))
    positive, removed = report.nodes_positive, report.nodes_removed
    if positive is not None and removed is not None and positive > removed:
        extra = RcbProblem("nodes-removed", f"{positive} positive nodes of {removed} removed")
        return RcbResult(None, None, f"not evaluable: {extra.text}", (*result.problems, extra))
    return result


def worst(results: Sequence[RcbResult]) -> RcbResult:
    """Return the patient's RCB from the breasts': the higher index; not evaluable if any side is not."""
    doubtful = next((r for r in results if not r.evaluable), None)
    return doubtful or max(results, key=lambda r: r.index or 0.0)
