"""Agreement of two readers."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from neotorch.domain.statistics import cohen_kappa

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "agreement.yaml").read_text(encoding="utf-8")
)
Z = 1.959963984540054


def pairs(table: list[list[int]]) -> list[tuple[int, int]]:
    """One pair per patient."""
    return [cell for cell in product(range(len(table)), repeat=2) for _ in range(table[cell[0]][cell[1]])]


@pytest.mark.parametrize("case", CASES["published"], ids=lambda c: c["why"])
def test_published_kappas(case: dict[str, Any]) -> None:
    """Kappa and its standard error are the published ones, and the result says how it was made."""
    found = cohen_kappa(pairs(case["table"]), weights=case["weights"], categories=range(len(case["table"])))
    assert found is not None
    assert found.estimate == pytest.approx(case["estimate"], abs=5e-5)
    if case["error"] is not None:
        half = min(1, case["estimate"] + Z * case["error"]) - case["estimate"]
        assert found.upper - found.estimate == pytest.approx(half, abs=2e-4)
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    assert "fleiss-cohen-everitt" in found.method
    assert (case["weights"] or "cohen") in found.method


@pytest.mark.parametrize("case", CASES["undefined"], ids=lambda c: c["why"])
@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_where_there_is_no_kappa_there_is_none(case: dict[str, Any], weights: Any) -> None:
    """Where chance agreement is complete kappa is 0/0, so there is no number rather than a wrong one."""
    assert cohen_kappa(pairs(case["table"]), weights=weights, categories=range(len(case["table"]))) is None


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_standard_error_is_the_delta_methods(weights: Any) -> None:
    """The closed formula of the standard error is what differentiating kappa by its cells gives."""
    table = np.array([[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]], dtype=float)
    shares, distance = table / table.sum(), np.abs(np.subtract.outer(range(4), range(4))).astype(float)
    cost = {None: (distance > 0).astype(float), "linear": distance, "quadratic": distance**2}[weights]

    def kappa(p: np.ndarray) -> float:
        return float(1 - (cost * p).sum() / (cost * np.outer(p.sum(1), p.sum(0))).sum())

    slopes = np.zeros((4, 4))
    for cell in np.ndindex(4, 4):
        step = np.zeros((4, 4))
        step[cell] = 1e-6
        slopes[cell] = (kappa(shares + step) - kappa(shares - step)) / 2e-6
    error = np.sqrt(((shares * slopes**2).sum() - (shares * slopes).sum() ** 2) / table.sum())
    found = cohen_kappa(pairs(table.astype(int).tolist()), weights=weights, categories=range(4))
    assert found is not None
    assert found.estimate == pytest.approx(kappa(shares), abs=1e-12)
    assert found.upper - found.estimate == pytest.approx(Z * error, abs=1e-7)


def test_readers_and_their_names_do_not_matter() -> None:
    """Swapping the readers, the patients' order or the names of the categories changes nothing."""
    read = [("RCB-0", "RCB-0"), ("RCB-I", "RCB-II"), ("RCB-II", "RCB-II"), ("RCB-III", "RCB-II")]
    other = {"RCB-0": "d", "RCB-I": "c", "RCB-II": "b", "RCB-III": "a"}
    same = cohen_kappa(read)
    assert same == cohen_kappa([(b, a) for a, b in reversed(read)])
    assert same == cohen_kappa([(other[a], other[b]) for a, b in read])


def test_a_category_nobody_used_still_lies_between() -> None:
    """With weights the distance counts the categories that are, not those that happened to be read."""
    read = [(0, 0), (0, 1), (1, 3), (3, 3), (3, 1)]
    assert cohen_kappa(read, weights="linear", categories=range(4)) != cohen_kappa(
        read, weights="linear", categories=[0, 1, 3]
    )
    assert cohen_kappa(read, categories=range(4)) == cohen_kappa(read)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"weights": "linear"}, "linear weights need the categories in their order"),
        ({"weights": "cubic", "categories": [0, 1]}, "no weights 'cubic'"),
        ({"categories": [0]}, "1 is not among the categories 0"),
        ({"categories": [0, 1, 1]}, "must differ"),
        ({"level": 95}, "95 is not a confidence level"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_meant_is_refused(arguments: dict[str, Any], says: str) -> None:
    """Weights without an order, categories that are none and levels in per cent are refused in words."""
    with pytest.raises(ValueError, match=says):
        cohen_kappa([(0, 1), (1, 1)], **arguments)
