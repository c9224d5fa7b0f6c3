"""Proportions: exact intervals and tests, and the agreement of two readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import sqrt
from statistics import NormalDist
from typing import Literal


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence limits, all shares of 1; `level` the confidence, `method` how they were made."""

    estimate: float
    lower: float
    upper: float
    level: float
    method: str


def check_share(value: float, what: str) -> None:
    """ValueError unless `value` lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{value} is not a {what} between 0 and 1")


def check_counts(x: int, n: int) -> None:
    """ValueError unless x of n is a proportion: whole numbers with 0 <= x <= n and n > 0."""
    if not 0 <= x <= n or n == 0 or x != int(x) or n != int(n):
        raise ValueError(f"{x} of {n} is not a proportion")


@lru_cache(maxsize=4096)  # the same counts come back with every recalculation
def clopper_pearson(x: int, n: int, *, level: float = 0.95) -> Interval:
    """Return x/n with the exact interval of Clopper and Pearson (Biometrika 1934;26:404-13).

    ValueError unless 0 <= x <= n, n > 0 and 0 < level < 1.
    """
    check_counts(x, n)
    check_share(level, "confidence level")
    from scipy.special import betaincinv  # not scipy.stats, which takes a second to import

    lower = float(betaincinv(x, n - x + 1, 0.5 - level / 2)) if x else 0.0
    upper = float(betaincinv(x + 1, n - x, 0.5 + level / 2)) if x < n else 1.0
    return Interval(x / n, lower, upper, level, "clopper-pearson")


def exact_test(x: int, n: int, null: float) -> float:
    """Return the one-sided exact binomial p value against a proportion <= `null`.

    ValueError unless 0 <= x <= n, n > 0 and 0 <= null <= 1.
    """
    check_counts(x, n)
    return at_least(x, n, null)


def at_least(x: int, n: int, p: float) -> float:
    """Return the exact probability of x or more among n where each has probability p.

    ValueError unless 0 <= x <= n + 1, n > 0 and 0 <= p <= 1.
    """
    if n < 1 or not 0 <= x <= n + 1 or not 0 <= p <= 1:
        raise ValueError(f"at least {x} of {n} at {p} is no question about a binomial")
    if x in (0, n + 1):
        return float(x == 0)
    from scipy.special import betainc

    return float(betainc(x, n - x + 1, p))


Weights = Literal["linear", "quadratic"]
"""How far apart two ordered categories are: by steps (Cicchetti-Allison), by squared steps (Fleiss-Cohen)."""
Table = list[list[Fraction]]
"""One reader's categories in rows, the other's in columns."""


def cohen_kappa(
    pairs: Iterable[tuple[Hashable, Hashable]],
    *,
    level: float = 0.95,
    weights: Weights | None = None,
    categories: Sequence[Hashable] | None = None,
) -> Interval | None:
    """Return Cohen's kappa of two readings per patient, with the large-sample interval; None where there is none.

    `pairs` are (one reader's category, the other's). `categories` are all there are, in their order: weights need them,
    as a category that nobody used still lies between its neighbours. The standard error is that of Fleiss, Cohen and
    Everitt (Psychol Bull 1969;72:323-7) for kappa other than 0; limits are cut at -1 and 1. It is 0, and the interval
    has no width, where the readers agree on every patient (kappa 1) or one of them put all into one category (kappa 0):
    a property of the formula, not of the readers.

    None when no kappa is defined (0/0): no pairs, or both readers put everybody into one and the same category. The
    agreement itself, `clopper_pearson(agreeing, n)`, is still defined in the latter case.

    Raises:
        ValueError: a category that is not among `categories`, weights without them, or a level outside 0 to 1.
    """
    check_share(level, "confidence level")
    if weights not in (None, "linear", "quadratic"):
        raise ValueError(f"no weights {weights!r}; use linear, quadratic or None")
    counts = Counter(pairs)
    scale, n = _scale(counts, categories, weights), counts.total()
    table = [[Fraction(counts[row, column], max(1, n)) for column in scale] for row in scale]
    found = _kappa(table, _agreement(len(scale), weights))
    if found is None:
        return None
    estimate, half = float(found[0]), NormalDist().inv_cdf(0.5 + level / 2) * sqrt(found[1] / n)
    name = f"cohen-kappa, {weights} weights, fleiss-cohen-everitt" if weights else "cohen-kappa, fleiss-cohen-everitt"
    return Interval(estimate, max(-1.0, estimate - half), min(1.0, estimate + half), level, name)


def _scale(
    counts: Counter[tuple[Hashable, Hashable]], categories: Sequence[Hashable] | None, weights: Weights | None
) -> list[Hashable]:
    """The categories in their order."""
    seen = list(dict.fromkeys(c for pair in counts for c in pair))
    if categories is None:
        if weights:
            raise ValueError(f"{weights} weights need the categories in their order")
        return sorted(seen, key=repr)  # any order will do, but the same every time
    if foreign := [c for c in seen if c not in categories]:
        raise ValueError(f"{foreign[0]!r} is not among the categories {', '.join(map(repr, categories))}")
    if len(set(categories)) < len(categories):
        raise ValueError("the categories must differ from each other")
    return list(categories)


def _agreement(size: int, weights: Weights | None) -> Table:
    """What each cell counts as agreement: 1 on the diagonal, less the further from it."""
    power, widest = {None: 0, "linear": 1, "quadratic": 2}[weights], max(1, size - 1)
    cells = range(size)
    return [[1 - (Fraction(abs(i - j), widest) ** power if i != j else Fraction(0)) for j in cells] for i in cells]


def _kappa(p: Table, w: Table) -> tuple[Fraction, Fraction] | None:
    """Kappa and n times its variance, from shares `p` and agreement `w`; None where chance agreement is complete.

    In fractions: the variance is a difference that is often 0, and a rounding error would have a root to be seen.
    """
    cells = list(product(range(len(p)), repeat=2))
    rows, columns = [sum(r) for r in p], [sum(c) for c in zip(*p, strict=True)]
    observed = sum(w[i][j] * p[i][j] for i, j in cells)
    chance = sum(w[i][j] * rows[i] * columns[j] for i, j in cells)
    if chance == 1 or not any(rows):
        return None
    kappa = (observed - chance) / (1 - chance)
    row_mean = [sum(c * v for c, v in zip(columns, r, strict=True)) for r in w]
    column_mean = [sum(r * v for r, v in zip(rows, c, strict=True)) for c in zip(*w, strict=True)]
    spread = sum(p[i][j] * (w[i][j] - (row_mean[i] + column_mean[j]) * (1 - kappa)) ** 2 for i, j in cells)
    return kappa, (spread - (kappa - chance * (1 - kappa)) ** 2) / (1 - chance) ** 2
