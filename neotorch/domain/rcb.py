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
from math import isfinite, sqrt
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
    problems = tuple(_problems(inputs))  # what contradicts itself is asked at once, not when the last number is in
    if missing or problems:
        reasons = [f"{', '.join(missing)} missing"] if missing else []
        return RcbResult(None, None, f"not evaluable: {'; '.join([*reasons, *(p.text for p in problems)])}", problems)
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
    """Yield what cannot be so among the numbers that are there; a missing one contradicts nothing."""
    known = {f.name: getattr(i, f.name) for f in fields(i) if getattr(i, f.name) is not None}
    if not all(isfinite(v) for v in known.values()):
        yield RcbProblem("not-finite", "a size or number that is not finite")
        return
    for name in ("cellularity_pct", "in_situ_pct"):
        if not 0 <= known.get(name, 0) <= 100:
            words = "cellularity" if name == "cellularity_pct" else "in situ share"
            yield RcbProblem("range", f"{words} {known[name]:g} % is not between 0 and 100")
    if min(known.get(n, 0) for n in ("d1_mm", "d2_mm", "nodes_positive", "largest_met_mm")) < 0:
        yield RcbProblem("negative", "a negative size or number")
    if i.cellularity_pct and 0 in (i.d1_mm, i.d2_mm):
        sizes = " x ".join("?" if d is None else f"{d:g}" for d in (i.d1_mm, i.d2_mm))
        yield RcbProblem("bed-size", f"cellularity {i.cellularity_pct:g} % but the tumour bed measures {sizes} mm")
    yield from _node_problems(i.nodes_positive, i.largest_met_mm)


def _node_problems(nodes: int | None, met: float | None) -> Iterator[RcbProblem]:
    if nodes is not None and nodes != int(nodes):
        yield RcbProblem("nodes-whole", f"{nodes:g} nodes is not a whole number")
    if nodes == 0 and met:
        yield RcbProblem("met-without-node", f"a metastasis of {met:g} mm but no positive node")
    if nodes and met == 0:
        yield RcbProblem("node-without-met", f"{nodes:g} positive nodes but no size of the largest metastasis")


def rcb_of(report: Pathology) -> RcbResult:
    """Return the RCB of one report.

    A node found positive before therapy cannot be put into the formula; without any node removed there is nothing to
    put in, and 0 positive nodes of 0 is not a clear axilla.
    """
    if report.sentinel_positive_before_therapy:
        return RcbResult(None, None, "not calculable: a positive sentinel node was removed before therapy")
    result = rcb(RcbInputs(**{f.name: getattr(report, f.name) for f in fields(RcbInputs)}))
    positive, removed = report.nodes_positive, report.nodes_removed
    earlier = [] if result.evaluable else [result.reason.removeprefix("not evaluable: ")]
    if positive is not None and removed is not None and positive > removed:
        extra = RcbProblem("nodes-removed", f"{positive} positive nodes of {removed} removed")
        return RcbResult(None, None, f"not evaluable: {'; '.join([*earlier, extra.text])}", (*result.problems, extra))
    if removed == 0:
        why = "; ".join([*earlier, "no node was removed, so the nodes cannot be assessed"])
        return RcbResult(None, None, f"not evaluable: {why}", result.problems)
    return result


def worst(results: Sequence[RcbResult]) -> RcbResult:
    """Return the patient's RCB from the breasts' (at least one): the higher index; not evaluable if any side is not."""
    doubtful = next((r for r in results if not r.evaluable), None)
    return doubtful or max(results, key=lambda r: r.index or 0.0)
