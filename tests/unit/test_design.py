"""Single-stage and two-stage designs against the published tables and against plain search."""

from __future__ import annotations

from math import comb
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain.statistics import TwoStage, operating, simon, single_stage

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "designs.yaml").read_text(encoding="utf-8")
)


def mass(x: int, n: int, p: float) -> float:
    """The binomial, written out."""
    return comb(n, x) * p**x * (1 - p) ** (n - x)


def at_least(x: int, n: int, p: float) -> float:
    """Its upper tail."""
    return sum(mass(k, n, p) for k in range(max(x, 0), n + 1))


@pytest.mark.parametrize("case", CASES["single_stage"], ids=lambda c: f"{c['p0']} {c['p1']}")
def test_published_single_stage_designs(case: dict[str, Any]) -> None:
    """The smallest exact design is the published one, with its attained error and power."""
    found = single_stage(case["p0"], case["p1"], case["alpha"], case["power"])
    assert (found.n, found.reject_at) == (case["n"], case["reject_at"])
    assert [found.alpha_attained, found.power_attained] == pytest.approx(case["attained"], abs=5e-5)
    assert "A'Hern" in found.method


@pytest.mark.parametrize(
    ("p0", "p1", "alpha", "power"),
    [(0.1, 0.25, 0.05, 0.8), (0.3, 0.6, 0.025, 0.9), (0.5, 0.9, 0.1, 0.8), (0.01, 0.2, 0.05, 0.8)],
)
def test_no_smaller_single_stage_design_would_do(p0: float, p1: float, alpha: float, power: float) -> None:
    """The design keeps what was asked, its number to reject at is the least, and no smaller trial has any that would do."""
    found = single_stage(p0, p1, alpha, power)
    assert at_least(found.reject_at, found.n, p0) <= alpha < at_least(found.reject_at - 1, found.n, p0)
    assert at_least(found.reject_at, found.n, p1) >= power
    for n in range(1, found.n):
        least = next(k for k in range(n + 2) if at_least(k, n, p0) <= alpha)
        assert at_least(least, n, p1) < power


@pytest.mark.parametrize("case", CASES["simon"], ids=lambda c: f"{c['p0']} {c['p1']} {c['alpha']} {c['beta']}")
@pytest.mark.parametrize("name", ["optimal", "minimax"])
def test_published_two_stage_designs(case: dict[str, Any], name: str) -> None:
    """Simon's optimal and minimax designs are the published ones."""
    found: TwoStage = getattr(simon(case["p0"], case["p1"], case["alpha"], case["beta"]), name)
    *numbers, expected, early = case[name]
    assert [found.r1, found.n1, found.r, found.n] == numbers
    assert (round(found.en, 2), round(found.pet, 2)) == (expected, early)
    assert found.name == name
    assert found.alpha <= case["alpha"]
    assert found.power >= 1 - case["beta"]


def reject(r1: int, n1: int, r: int, n: int, p: float) -> float:
    """The probability of going on after stage one and rejecting after stage two, written out."""
    return sum(mass(x, n1, p) * at_least(r + 1 - x, n - n1, p) for x in range(r1 + 1, n1 + 1))


@pytest.mark.parametrize(
    ("p0", "p1", "alpha", "beta"), [(0.1, 0.5, 0.1, 0.2), (0.05, 0.4, 0.05, 0.2), (0.3, 0.7, 0.05, 0.2)]
)
def test_no_other_two_stage_design_is_better(p0: float, p1: float, alpha: float, beta: float) -> None:
    """Trying out every first stage, second stage and limit up to 25 patients finds no better design of either kind."""
    every = []
    for n in range(2, 26):
        for n1 in range(1, n):
            for r1 in range(n1):
                r = next(r for r in range(r1, n + 1) if reject(r1, n1, r, n, p0) <= alpha)
                if reject(r1, n1, r, n, p1) >= 1 - beta:
                    pet = 1 - at_least(r1 + 1, n1, p0)
                    every.append((n1 + (1 - pet) * (n - n1), r1, n1, r, n))
    found = simon(p0, p1, alpha, beta)
    assert found.optimal.en == pytest.approx(min(every)[0])
    best = min(every, key=lambda d: (d[4], d[0]))
    assert (found.minimax.n, found.minimax.en) == (best[4], pytest.approx(best[0]))
    for design in (found.optimal, found.minimax):
        numbers = design.r1, design.n1, design.r, design.n
        assert design.alpha == pytest.approx(reject(*numbers, p0))
        assert design.power == pytest.approx(reject(*numbers, p1))


def test_a_design_for_certain_success_is_refused() -> None:
    """A true share of one is no hypothesis: every patient would have to respond."""
    with pytest.raises(ValueError, match="p1"):
        single_stage(0.2, 1.0, 0.05, 0.8)


def test_operating_characteristics() -> None:
    """What a design does at any true share is the binomial tail; none is needed, or more than there are: certain."""
    assert operating(40, 8, 0.10) == pytest.approx(at_least(8, 40, 0.10), abs=1e-14)
    assert operating(40, 8, 0.25) == pytest.approx(at_least(8, 40, 0.25), abs=1e-13)
    assert [operating(40, 0, 0.1), operating(40, 41, 0.1), operating(40, 8, 0), operating(40, 8, 1)] == [1, 0, 0, 1]


@pytest.mark.parametrize("arguments", [(0, 0, 0.1), (40, 42, 0.1), (40, -1, 0.1), (40, 8, 10)])
def test_no_question_about_a_trial(arguments: Any) -> None:
    """Numbers that no trial has are refused."""
    with pytest.raises(ValueError, match="no question"):
        operating(*arguments)


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda c: c["why"])
def test_designs_that_cannot_be_are_refused(case: dict[str, Any]) -> None:
    """What cannot be designed for is refused in words, by both kinds of design alike."""
    with pytest.raises(ValueError, match=case["says"]):
        single_stage(case["p0"], case["p1"], case["alpha"], case["power"])
    with pytest.raises(ValueError, match=case["says"]):
        simon(case["p0"], case["p1"], case["alpha"], 1 - case["power"])
