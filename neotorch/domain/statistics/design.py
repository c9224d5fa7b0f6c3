"""Designs of single-arm trials with a yes-or-no endpoint: one stage by the exact binomial, two stages after Simon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING

from neotorch.domain.statistics.proportion import at_least, check_share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.intp]

LARGEST_SINGLE = 100_000
LARGEST_TWO_STAGE = 500
"""Patients beyond which no design is searched: the answer would be none that a trial of this kind could use."""


@dataclass(frozen=True)
class SingleStage:
    """n patients; the null p <= p0 is rejected at `reject_at` or more responders.

    `alpha` and `power` are what was asked for, `alpha_attained` and `power_attained` what the design has, exactly.
    """

    n: int
    reject_at: int
    p0: float
    p1: float
    alpha: float
    power: float
    alpha_attained: float
    power_attained: float
    method: str = "single-stage exact binomial (A'Hern)"


def operating(n: int, reject_at: int, p: float) -> float:
    """Return the exact probability that at least `reject_at` of n patients respond where each does with probability p.

    At p0 it is the type I error, at p1 the power. ValueError unless 0 <= reject_at <= n + 1, n > 0 and 0 <= p <= 1.
    """
    return at_least(reject_at, n, p)


@lru_cache(maxsize=256)
def single_stage(p0: float, p1: float, alpha: float, power: float) -> SingleStage:
    """Return the smallest exact single-stage design (A'Hern, Stat Med 2001;20:859-66).

    The rule of the published tables: the smallest n for which some number of responders to reject at has type I error
    <= alpha at p0 and power >= `power` at p1; of these numbers the smallest, which has the most power. The power of
    exact tests goes up and down with n, so a somewhat larger n may have less: judge an n that came about otherwise by
    `operating`, not by comparison with this one.

    Raises:
        ValueError: the shares are not 0 < p0 < p1 < 1, 0 < alpha, power < 1, or no n up to 100,000 will do.
    """
    _check(p0, p1, alpha, power)
    import numpy as np

    start, size = 1, 64
    while start <= LARGEST_SINGLE:
        n = np.arange(start, start + size)
        reject_at, attained = _critical(n, p0, p1, alpha)
        if (fits := (attained >= power).nonzero()[0]).size:
            found, at = int(n[fits[0]]), int(reject_at[fits[0]])
            return SingleStage(found, at, p0, p1, alpha, power, operating(found, at, p0), operating(found, at, p1))
        start, size = start + size, 2 * size
    raise ValueError(f"no single-stage design up to {LARGEST_SINGLE} patients tells {p0} from {p1}")


def _critical(n: Counts, p0: float, p1: float, alpha: float) -> tuple[Floats, Floats]:
    """For each n the fewest responders whose type I error is at most alpha, and the power with them."""
    import numpy as np
    from scipy.stats import binom

    inverse = np.asarray(binom.isf(alpha, n, p0), dtype=np.float64)
    tails = np.stack([np.asarray(binom.sf(inverse + more, n, p0), dtype=np.float64) for more in (-2, -1, 0, 1)])
    reject_at = inverse - 1 + (tails > alpha).sum(axis=0)  # the inverse may be one off where its argument is rounded
    return reject_at, np.asarray(binom.sf(reject_at - 1, n, p1), dtype=np.float64)


@dataclass(frozen=True)
class TwoStage:
    """A two-stage design: stop after n1 patients with at most r1 responders; reject the null with more than r of n.

    `en` is the expected number of patients and `pet` the probability of stopping after stage one, both at p0; `alpha`
    and `power` are attained exactly. `name` is optimal (smallest en) or minimax (smallest n, then smallest en).
    """

    name: str
    r1: int
    n1: int
    r: int
    n: int
    en: float
    pet: float
    alpha: float
    power: float


@dataclass(frozen=True)
class Simon:
    """Simon's two designs for p0, p1, alpha and beta (1 - power)."""

    p0: float
    p1: float
    alpha: float
    beta: float
    optimal: TwoStage
    minimax: TwoStage
    method: str = "Simon two-stage, exact, whole range searched"


@lru_cache(maxsize=64)
def simon(p0: float, p1: float, alpha: float, beta: float) -> Simon:
    """Return the optimal and the minimax two-stage design (Simon, Control Clin Trials 1989;10:1-10).

    The search is complete: n rises from the first number at which any test could have the power, and ends where even
    the most hopeful first stage could not bring the expected number below the best so far.

    Raises:
        ValueError: the shares are not 0 < p0 < p1 < 1, 0 < alpha, beta < 1, or no n up to 500 will do.
    """
    _check(p0, p1, alpha, 1 - beta)
    search = _Search(p0, p1, alpha, beta)
    minimax = best = None
    for n in range(2, LARGEST_TWO_STAGE + 1):
        search.first_stages(n - 1)
        if best and search.least(n) >= best.en:
            return Simon(p0, p1, alpha, beta, replace(best, name="optimal"), minimax or best)
        found = search.best(n, below=best.en if best else inf)
        minimax, best = minimax or found, found or best
    raise ValueError(f"no two-stage design up to {LARGEST_TWO_STAGE} patients tells {p0} from {p1}")


class _Search:
    """What the search for one (p0, p1, alpha, beta) keeps: the first stages that may be, and their probabilities."""

    def __init__(self, p0: float, p1: float, alpha: float, beta: float) -> None:
        self.p0, self.p1, self.alpha, self.beta = p0, p1, alpha, beta
        self.stages: list[tuple[int, int, float]] = []
        self.masses: dict[tuple[int, float], Floats] = {}

    def first_stages(self, n1: int) -> None:
        """Take in the first stages of n1 patients, as (n1, r1, pet): those whose stopping alone leaves the power."""
        null, alternative = self._mass(n1, self.p0).cumsum(), self._mass(n1, self.p1).cumsum()
        allowed = int((alternative <= self.beta).sum())
        self.stages += [(n1, r1, float(null[r1])) for r1 in range(min(allowed, n1))]

    def least(self, n: int) -> float:
        """The number below which no design of n or more patients, stopping as soon as it may, can expect to stay."""
        return min((n1 + (1 - pet) * (n - n1) for n1, _, pet in self.stages), default=0.0)

    def best(self, n: int, below: float) -> TwoStage | None:
        """The design of n patients that expects the fewest at p0, if there is one that expects fewer than `below`."""
        if not self._possible(n):
            return None
        expected = ((n1 + (1 - pet) * (n - n1), n1, r1, pet) for n1, r1, pet in self.stages)
        for en, n1, r1, pet in sorted(e for e in expected if e[0] < below):
            if (found := self._second_stage(n1, r1, n)) is not None:
                r, alpha, power = found
                return TwoStage("minimax", r1, n1, r, n, en, pet, alpha, power)
        return None

    def _mass(self, n: int, p: float) -> Floats:
        """The probability of each number of responders among n."""
        if (n, p) not in self.masses:
            import numpy as np
            from scipy.stats import binom

            self.masses[n, p] = np.asarray(binom.pmf(np.arange(n + 1), n, p), dtype=np.float64)
        return self.masses[n, p]

    def _possible(self, n: int) -> bool:
        """Whether the best test of n patients there is (Neyman and Pearson's, randomised) has the power in one stage."""
        null, alternative = self._tail(self._mass(n, self.p0)), self._tail(self._mass(n, self.p1))
        at = int((null > self.alpha).sum())  # reject at so many, and at one fewer with the chance that is left
        chance = (self.alpha - null[at]) / (null[at - 1] - null[at])
        power = alternative[at] + chance * (alternative[at - 1] - alternative[at])
        return bool(power >= 1 - self.beta - 1e-12)

    @staticmethod
    def _tail(mass: Floats) -> Floats:
        """The probability of at least 0, 1, ... responders, and of one more than there are: 0."""
        import numpy as np

        return np.append(mass[::-1].cumsum()[::-1], 0.0)

    def _second_stage(self, n1: int, r1: int, n: int) -> tuple[int, float, float] | None:
        """The smallest r that keeps alpha after this first stage, with alpha and power; None if the power is short."""
        import numpy as np

        null = self._tail(np.convolve(self._mass(n1, self.p0)[r1 + 1 :], self._mass(n - n1, self.p0)))
        over = int((null > self.alpha).sum())  # counted from r1 + 1 responders on, with whom the trial goes on
        tail = self._tail(np.convolve(self._mass(n1, self.p1)[r1 + 1 :], self._mass(n - n1, self.p1)))
        if tail[over] < 1 - self.beta:
            return None
        return r1 + over, float(null[over]), float(tail[over])


def _check(p0: float, p1: float, alpha: float, power: float) -> None:
    if not 0 < p0 < p1 < 1:
        raise ValueError(f"p0 {p0} and p1 {p1} must be shares with 0 < p0 < p1 < 1")
    check_share(alpha, "type I error")
    check_share(power, "power")
