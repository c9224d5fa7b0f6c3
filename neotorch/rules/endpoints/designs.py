"""How far the planned test of an endpoint has come, and what it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from neotorch.domain.analysis_plan import Design
from neotorch.domain.statistics import TwoStage, exact_test, operating, simon, single_stage
from neotorch.domain.study import Study
from neotorch.rules.endpoints.cohort import Member
from neotorch.rules.endpoints.evaluable import FIGURES
from neotorch.rules.endpoints.monitoring import first_evaluable

Standing = Literal["running", "stop at stage 1", "null rejected", "null not rejected"]


@dataclass(frozen=True)
class Stage:
    """One stage of a design: after `n` patients, with `stop_at` responders or fewer it does not go on (or does not reject)."""

    n: int
    stop_at: int
    x: int | None
    """Responders among the first n evaluable patients; None before so many are."""
    on: date | None
    """The day on which the nth patient became evaluable."""

    @property
    def stops(self) -> bool:
        """Whether the boundary was crossed."""
        return self.x is not None and self.x <= self.stop_at


@dataclass(frozen=True)
class DesignStatus:
    """The planned test of one endpoint at a cut. Patients beyond the plan are not in it."""

    endpoint: str
    design: Design
    method: str
    stages: tuple[Stage, ...]
    """One, or Simon's two."""
    n: int
    """Evaluable patients so far, at most as many as planned."""
    x: int
    beyond: int
    """Evaluable patients beyond the plan."""
    standing: Standing
    certain: bool
    """Whether the patients still to come can change the answer no more."""
    p_value: float | None
    """One-sided exact p value of the n patients; of a finished two-stage design that of its own course."""

    @property
    def planned(self) -> int:
        """Patients planned."""
        return self.stages[-1].n

    @property
    def reject_at(self) -> int:
        """Responders from which the null is rejected."""
        return self.stages[-1].stop_at + 1

    def __str__(self) -> str:
        rule = "; ".join(
            f"stage {i}: {s.n} patients, on with more than {s.stop_at}" for i, s in enumerate(self.stages[:-1], 1)
        )
        rule = f"{rule}; " if rule else ""
        p = f", one-sided exact p {self.p_value:.4f}" if self.p_value is not None else ""
        early = (
            " whatever follows" if self.certain and self.n < self.planned and self.standing != "stop at stage 1" else ""
        )
        more = f"; {self.beyond} beyond the plan are not in it" if self.beyond else ""
        return f"{rule}{self.x} of {self.n} (planned {self.planned}, rejects at {self.reject_at}): {self.standing}{early}{p}{more}"


def designs(members: Iterable[Member], study: Study) -> tuple[DesignStatus, ...]:
    """Return where the design of each endpoint stands; patients count in the order in which they became evaluable."""
    everyone, found = tuple(members), []
    for name in FIGURES:
        design = getattr(study.endpoints, name).design
        if design:
            seen = [(on, one.counts) for on, _, one in first_evaluable(everyone, name)]
            found.append(status(name, design, seen))
    return tuple(found)


def status(endpoint: str, design: Design, seen: list[tuple[date, bool]]) -> DesignStatus:
    """Return where a design stands after these patients: (day of becoming evaluable, responded), in order."""
    two = _two_stage(design)
    ends = ((two.n1, two.r1), (two.n, two.r)) if two else (_single(design),)
    stages = tuple(_stage(n, stop_at, seen) for n, stop_at in ends)
    # who became evaluable after a first stage that stops has no part in the test
    planned = stages[0].n if stages[0].stops else stages[-1].n
    counted = [responded for _, responded in seen[:planned]]
    n, x = len(counted), sum(counted)
    standing, certain = _standing(stages, n, x)
    method = "Simon two-stage" if two else "single-stage exact binomial (A'Hern)"
    p = _p_value(two, x, n, design.p0) if n else None
    return DesignStatus(endpoint, design, method, stages, n, x, len(seen) - n, standing, certain, p)


def _two_stage(design: Design) -> TwoStage | None:
    if design.kind == "single-stage":
        return None
    both = simon(design.p0, design.p1, design.alpha, round(1 - design.power, 12))
    return both.optimal if design.kind == "simon-optimal" else both.minimax


def _single(design: Design) -> tuple[int, int]:
    one = single_stage(design.p0, design.p1, design.alpha, design.power)
    return one.n, one.reject_at - 1


def _stage(n: int, stop_at: int, seen: list[tuple[date, bool]]) -> Stage:
    if len(seen) < n:
        return Stage(n, stop_at, None, None)
    return Stage(n, stop_at, sum(responded for _, responded in seen[:n]), seen[n - 1][0])


def _standing(stages: tuple[Stage, ...], n: int, x: int) -> tuple[Standing, bool]:
    """Return what the design says, and whether further patients can change it."""
    last = stages[-1]
    if len(stages) > 1 and stages[0].stops:
        return "stop at stage 1", True
    if x > last.stop_at:
        return "null rejected", True
    if last.n - n + x <= last.stop_at:  # not even if all who are to come respond
        return "null not rejected", True
    return "running", False


def _p_value(two: TwoStage | None, x: int, n: int, p0: float) -> float:
    """Return the exact one-sided p value: the chance at p0 of a result at least as good.

    Of a two-stage design that has gone past stage 1, as good means past stage 1 too and at least x in all.
    """
    if two is None or n <= two.n1:
        return exact_test(x, n, p0)
    ways = range(two.r1 + 1, two.n1 + 1)
    rest = n - two.n1
    return sum(
        (operating(two.n1, k, p0) - operating(two.n1, k + 1, p0)) * operating(rest, min(max(x - k, 0), rest + 1), p0)
        for k in ways
    )  # fmt: skip
