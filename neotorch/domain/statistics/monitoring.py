"""Boundaries looked at while a trial runs: toxicity after Ivanova, futility after Thall and Simon, and predictions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from neotorch.domain.statistics.proportion import check_counts, check_share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LARGEST = 1_000
"""Patients up to which a toxicity boundary is made; the work grows with the square."""


@dataclass(frozen=True)
class ToxicityBoundary:
    """Stop when at least `stop_at[m - 1]` of the first m patients had the toxicity; None: no number would stop there.

    theta is the toxicity that is still accepted, phi the largest probability of stopping by patient n where it holds,
    `probability` the one attained, exactly. `level` is the pointwise level: the largest p value that stops.
    """

    n: int
    theta: float
    phi: float
    stop_at: tuple[int | None, ...]
    level: float
    probability: float
    method: str = "Pocock-type continuous toxicity boundary (Ivanova 2005)"

    @property
    def table(self) -> tuple[tuple[int, int], ...]:
        """The boundary as it is printed: (k, m) means that k toxicities stop while no more than m were treated."""
        return tuple({k: (k, m) for m, k in enumerate(self.stop_at, 1) if k is not None}.values())

    def crossed(self, x: int, m: int) -> bool:
        """Return whether x toxicities among the first m patients stop the trial. ValueError beyond the n planned."""
        _check_looked(x, m, self.n)
        at = self.stop_at[m - 1] if m else None
        return at is not None and x >= at

    def stopping(self, p: float) -> float:
        """Return the exact probability that a trial with toxicity p (0 to 1) stops by patient n."""
        if not 0 <= p <= 1:
            raise ValueError(f"{p} is not a probability")
        return _stopping(self.stop_at, p)


@lru_cache(maxsize=64)
def toxicity_boundary(n: int, theta: float, phi: float) -> ToxicityBoundary:
    """Return the Pocock-type boundary for looking after every patient up to n (Ivanova et al., Biometrics 2005;61:540-5).

    One pointwise level for all looks: after m patients, the least number k with P(X >= k | m, theta) <= level stops. The
    level is the largest for which the trial stops at any look up to the last with probability <= phi where the toxicity
    is theta; that probability is summed over the paths exactly, not simulated.

    Raises:
        ValueError: n is not 1 to 1,000, or theta or phi not between 0 and 1.
    """
    if not 1 <= n <= LARGEST:
        raise ValueError(f"{n} is not a number of patients from 1 to {LARGEST}")
    check_share(theta, "toxicity")
    check_share(phi, "probability of stopping")
    tails = _tails(n, theta)
    levels = sorted({float(v) for row in tails for v in row if v <= phi})  # one look alone already takes its level
    chosen = bisect_right(levels, phi, key=lambda level: _stopping(_stop_at(tails, level), theta))
    level = levels[chosen - 1] if chosen else 0.0
    stop_at = _stop_at(tails, level)
    return ToxicityBoundary(n, theta, phi, stop_at, level, _stopping(stop_at, theta))


def _tails(n: int, theta: float) -> list[Floats]:
    """For 1 to n patients: the probability of at least 0, 1, ..., all of them."""
    import numpy as np
    from scipy.stats import binom

    return [np.asarray(binom.sf(np.arange(-1, m), m, theta), dtype=np.float64) for m in range(1, n + 1)]


def _stop_at(tails: Sequence[Floats], level: float) -> tuple[int | None, ...]:
    above = (int((row > level).sum()) for row in tails)
    return tuple(k if k < len(row) else None for k, row in zip(above, tails, strict=True))


def _stopping(stop_at: Sequence[int | None], p: float) -> float:
    """The probability of ever reaching the boundary: what flows over it, patient by patient."""
    import numpy as np

    going, stopped = np.ones(1), 0.0  # the probability of each number of toxicities in trials that go on
    for at in stop_at:
        going = np.convolve(going, (1 - p, p))
        if at is not None:
            stopped += float(going[at:].sum())
            going = going[:at]
    return stopped


@dataclass(frozen=True)
class FutilityBoundary:
    """Stop after `looks[i]` patients with at most `stop_at[i]` responders; None: not even with none."""

    prior_a: float
    prior_b: float
    p: float
    threshold: float
    looks: tuple[int, ...]
    stop_at: tuple[int | None, ...]
    method: str = "Bayesian futility boundary, beta-binomial (Thall and Simon 1994)"

    def crossed(self, x: int, n: int) -> bool:
        """Return whether x responders among n patients stop the trial; False where n is no look."""
        check_counts(x, n)
        at = dict(zip(self.looks, self.stop_at, strict=True)).get(n)
        return at is not None and x <= at


def futility_boundary(
    prior_a: float, prior_b: float, p: float, threshold: float, looks: Sequence[int]
) -> FutilityBoundary:
    """Return the numbers of responders that stop for futility (after Thall and Simon, Biometrics 1994;50:337-49).

    After n patients the trial stops when P(response > p | data) < threshold under a Beta(prior_a, prior_b) prior, p a
    fixed share.

    Raises:
        ValueError: the prior is not positive, p or threshold not between 0 and 1, or looks are not ascending from 1 on.
    """
    _check_prior(prior_a, prior_b)
    check_share(p, "response")
    check_share(threshold, "threshold")
    looks = tuple(looks)
    if not looks or looks[0] < 1 or any(a >= b for a, b in pairwise(looks)):
        raise ValueError(f"looks {looks} must be numbers of patients in ascending order, from 1 on")
    stop_at = tuple(_fewest(n, prior_a, prior_b, p, threshold, beyond=False) - 1 for n in looks)
    return FutilityBoundary(prior_a, prior_b, p, threshold, looks, tuple(k if k >= 0 else None for k in stop_at))


def _fewest(n: int, a: float, b: float, p: float, level: float, *, beyond: bool) -> int:
    """The fewest responders of n with whom P(response > p | data) is at least, or beyond, `level`; n + 1 if none."""
    import numpy as np
    from scipy.special import betaincc

    x = np.arange(n + 1)
    above = betaincc(a + x, b + n - x, p)  # rises with x
    return int(((above <= level) if beyond else (above < level)).sum())


@dataclass(frozen=True)
class Posterior:
    """What is known of a proportion after x of n: a Beta(a, b), its mean, and its equal-tailed credible interval."""

    x: int
    n: int
    prior_a: float
    prior_b: float
    level: float
    mean: float
    lower: float
    upper: float
    method: str = "beta-binomial posterior, equal-tailed credible interval"

    def above(self, p: float) -> float:
        """Return P(proportion > p | data). ValueError unless p is between 0 and 1."""
        check_share(p, "proportion")
        from scipy.special import betaincc

        return float(betaincc(self.prior_a + self.x, self.prior_b + self.n - self.x, p))


def posterior(x: int, n: int, a: float, b: float, *, level: float = 0.95) -> Posterior:
    """Return the posterior of a proportion after x of n under a Beta(a, b) prior; n may be 0: the prior itself.

    ValueError unless 0 <= x <= n, a > 0, b > 0 and 0 < level < 1.
    """
    if n or x:
        check_counts(x, n)
    _check_prior(a, b)
    check_share(level, "credible level")
    from scipy.special import betaincinv

    after = a + x, b + n - x
    lower, upper = (float(betaincinv(*after, share)) for share in (0.5 - level / 2, 0.5 + level / 2))
    return Posterior(x, n, a, b, level, after[0] / sum(after), lower, upper)


@dataclass(frozen=True)
class PredictiveProbability:
    """The probability that the trial succeeds once n_max are in, given x of n: that it then has `needed` responders.

    `needed` is n_max + 1 where not even all of them would do. `success` says what succeeding means.
    """

    probability: float
    x: int
    n: int
    n_max: int
    needed: int
    success: str
    prior_a: float
    prior_b: float
    method: str = "Bayesian predictive probability, beta-binomial (Lee and Liu 2008)"


def predictive_probability(
    x: int, n: int, n_max: int, success: int | tuple[float, float], *, a: float = 1.0, b: float = 1.0
) -> PredictiveProbability:
    """Return the predictive probability of success at n_max patients (Lee and Liu, Clin Trials 2008;5:93-106).

    `success` is a number of responders (that many or more, as `reject_at` of a single-stage design), or (p0, level): the
    trial succeeds when P(response > p0 | all data) > level under the prior Beta(a, b), flat unless given. The patients
    still to come are predicted under the posterior.

    Raises:
        ValueError: not 0 <= x <= n <= n_max with n_max > 0, a prior that is not positive, a success that cannot be.
    """
    if n or x:
        check_counts(x, n)
    check_counts(n, n_max)
    _check_prior(a, b)
    needed, what = _needed(n_max, success, a, b)
    from scipy.stats import betabinom

    probability = float(betabinom.sf(needed - x - 1, n_max - n, a + x, b + n - x)) if needed > x else 1.0
    return PredictiveProbability(probability, x, n, n_max, needed, what, a, b)


def _needed(n_max: int, success: int | tuple[float, float], a: float, b: float) -> tuple[int, str]:
    if isinstance(success, tuple):
        p0, level = success
        check_share(p0, "response")
        check_share(level, "level")
        return _fewest(n_max, a, b, p0, level, beyond=True), f"P(response > {p0:g}) > {level:g}"
    if not 0 <= success <= n_max:
        raise ValueError(f"{success} responders among {n_max} is no success that could be")
    return success, f"at least {success} of {n_max} respond"


def _check_prior(a: float, b: float) -> None:
    if not (0 < a < float("inf") and 0 < b < float("inf")):
        raise ValueError(f"Beta({a}, {b}) is not a prior: both numbers must be above 0 and finite")


def _check_looked(x: int, m: int, n: int) -> None:
    if not 0 <= x <= m <= n:
        raise ValueError(f"{x} toxicities among {m} patients is not what a boundary for {n} can judge")
