"""Boundaries for toxicity and futility, posterior and predictive probabilities."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain import statistics
from neotorch.domain.statistics import futility_boundary, posterior, predictive_probability, toxicity_boundary

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "monitoring.yaml").read_text(encoding="utf-8")
)


def success(value: Any) -> Any:
    """A pair comes from YAML as a list."""
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES["toxicity"], ids=lambda c: c["why"])
def test_published_toxicity_boundary(case: dict[str, Any]) -> None:
    """The boundary is the published one, and the chance of stopping a safe treatment is told."""
    found = toxicity_boundary(case["n"], case["theta"], case["phi"])
    assert " ".join(f"{k}@{m}" for k, m in found.table) == case["table"]
    assert found.probability == pytest.approx(case["probability"], abs=5e-5)
    assert found.probability <= case["phi"]
    assert found.stopping(case["theta"]) == found.probability
    assert "Ivanova" in found.method


@pytest.mark.parametrize(("n", "theta", "phi"), [(9, 0.2, 0.05), (10, 0.3, 0.1), (8, 0.5, 0.02), (7, 0.1, 0.9)])
def test_chance_of_stopping_is_that_of_all_paths(n: int, theta: float, phi: float) -> None:
    """The chance of stopping is the sum over every course the trial can take, and no larger level would keep to phi."""
    found = toxicity_boundary(n, theta, phi)

    def chance(stop_at: tuple[int | None, ...]) -> float:
        total = 0.0
        for path in product((0, 1), repeat=n):
            sums = [sum(path[:m]) for m in range(1, n + 1)]
            if any(at is not None and x >= at for x, at in zip(sums, stop_at, strict=True)):
                total += theta ** sum(path) * (1 - theta) ** (n - sum(path))
        return total

    tails = [
        [sum(comb(m, x) * theta**x * (1 - theta) ** (m - x) for x in range(k, m + 1)) for k in range(m + 1)]
        for m in range(1, n + 1)
    ]
    level = min(t for row in tails for t in row if t > found.level * (1 + 1e-9))
    bolder = tuple(next((k for k, t in enumerate(row) if t <= level), None) for row in tails)
    assert found.probability == pytest.approx(chance(found.stop_at), abs=1e-12)
    assert chance(bolder) > phi


def test_crossing_the_toxicity_boundary() -> None:
    """Three of the first three stop, two do not, nobody cannot, and what lies beyond the plan is refused."""
    found = toxicity_boundary(40, 0.2, 0.05)
    assert [found.crossed(x, m) for x, m in ((3, 3), (2, 2), (3, 4), (4, 5), (0, 0), (15, 40), (14, 40))] == [
        True,
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    for x, m in ((3, 41), (4, 3), (-1, 3)):
        with pytest.raises(ValueError, match="is not what a boundary for 40 can judge"):
            found.crossed(x, m)
    with pytest.raises(ValueError, match="20 is not a probability"):
        found.stopping(20)


def test_a_boundary_too_strict_to_be_reached() -> None:
    """Where no number of toxicities is rare enough the boundary never stops, and says so."""
    found = toxicity_boundary(2, 0.5, 0.05)
    assert (found.stop_at, found.table, found.probability, found.crossed(2, 2)) == ((None, None), (), 0, False)


@pytest.mark.parametrize("case", CASES["futility"], ids=lambda c: c["why"])
def test_futility_boundary(case: dict[str, Any]) -> None:
    """The numbers that stop for futility are the published ones; one responder more goes on."""
    found = futility_boundary(*case["prior"], case["p"], case["threshold"], case["looks"])
    assert found.stop_at == tuple(case["stop_at"])
    for n, at in zip(case["looks"], case["stop_at"], strict=True):
        for x in range(n + 1):
            hopeless = posterior(x, n, *case["prior"]).above(case["p"]) < case["threshold"]
            assert found.crossed(x, n) == hopeless == (at is not None and x <= at)
    assert not found.crossed(0, max(case["looks"]) + 1)
    assert (found.prior_a, found.prior_b, found.p, found.threshold) == (*case["prior"], case["p"], case["threshold"])
    assert "Thall" in found.method


@pytest.mark.parametrize("case", CASES["posterior"], ids=lambda c: c["why"])
def test_posterior(case: dict[str, Any]) -> None:
    """The posterior mean is that by hand, and the interval leaves equal shares on either side."""
    found = posterior(case["x"], case["n"], *case["prior"], level=0.9)
    assert found.mean == pytest.approx(case["mean"], abs=1e-7)
    assert [found.above(found.lower), found.above(found.upper)] == pytest.approx([0.95, 0.05])


@pytest.mark.parametrize("case", CASES["predictive"], ids=lambda c: c["why"])
def test_predictive_probability(case: dict[str, Any]) -> None:
    """The probability that the trial will have succeeded is the published one, and says what success is."""
    a, b = case["prior"]
    found = predictive_probability(case["x"], case["n"], case["n_max"], success(case["success"]), a=a, b=b)
    assert (found.needed, found.probability) == (case["needed"], pytest.approx(case["probability"], abs=5e-5))
    assert "respon" in found.success


@pytest.mark.parametrize(("x", "n", "n_max", "needed"), [(0, 0, 10, 4), (2, 7, 15, 6), (5, 9, 12, 6)])
def test_predictive_probability_by_counting(x: int, n: int, n_max: int, needed: int) -> None:
    """Under a flat prior it is the sum over the possible numbers of later responders, in exact fractions."""
    later, a, b = n_max - n, x + 1, n - x + 1
    chances = [
        Fraction(comb(a + y - 1, y) * comb(b + later - y - 1, later - y), comb(a + b + later - 1, later))
        for y in range(later + 1)
    ]
    assert sum(chances) == 1
    expected = sum(chances[max(0, needed - x) :], Fraction(0))
    assert predictive_probability(x, n, n_max, needed).probability == pytest.approx(float(expected), abs=1e-12)


def test_a_toxicity_that_never_or_always_comes() -> None:
    """Without toxicity no trial stops, with nothing else every trial does; a share above one is refused."""
    found = toxicity_boundary(20, 0.2, 0.05)
    assert (found.stopping(0), found.stopping(1)) == (0, pytest.approx(1))
    assert not found.crossed(0, 0)
    with pytest.raises(ValueError, match=r"1\.5 is not a probability"):
        found.stopping(1.5)


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda c: c["why"])
def test_what_cannot_be_monitored_is_refused(case: dict[str, Any]) -> None:
    """Numbers that no trial has are refused in words."""
    with pytest.raises(ValueError, match=case["says"]):
        getattr(statistics, case["call"])(*case["with"])
