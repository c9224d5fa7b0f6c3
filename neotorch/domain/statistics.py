"""Statistics of publication grade, by SciPy (imported at first use), with the method's name in each result."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, isnan, log, sqrt
from typing import Any


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence limits."""

    estimate: float
    lower: float
    upper: float
    level: float
    method: str


@lru_cache(maxsize=4096)  # the same counts come back with every recalculation
def clopper_pearson(x: int, n: int, *, level: float = 0.95) -> Interval:
    """Return x/n with the exact Clopper-Pearson interval. ValueError unless 0 <= x <= n and n > 0."""
    if not 0 <= x <= n or n == 0:
        raise ValueError(f"{x} of {n} is not a proportion")
    from scipy.stats import binomtest

    limits = binomtest(x, n).proportion_ci(confidence_level=level, method="exact")
    return Interval(x / n, float(limits.low), float(limits.high), level, "clopper-pearson")


def exact_test(x: int, n: int, null: float) -> float:
    """Return the one-sided exact binomial p value against a proportion <= `null`."""
    from scipy.stats import binomtest

    return float(binomtest(x, n, null, alternative="greater").pvalue)


@dataclass(frozen=True)
class Point:
    """One distinct time of the survival table. `survival` is just after `time`; `n_risk` just before."""

    time: float
    n_risk: int
    n_event: int
    n_censor: int
    survival: float
    std_err: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class KaplanMeier:
    """A Kaplan-Meier estimate with pointwise intervals."""

    points: tuple[Point, ...]
    n: int
    events: int
    level: float
    interval: str

    def at(self, time: float) -> Interval | None:
        """Return survival at `time`; None beyond the last observation unless the curve has come down to 0."""
        last = self.points[-1]
        if time > last.time and last.survival > 0:
            return None
        before = [p for p in self.points if p.time <= time]
        if not before:
            return Interval(1.0, 1.0, 1.0, self.level, self.interval)
        point = before[-1]
        lower, upper = (point.survival if v is None else v for v in (point.lower, point.upper))
        return Interval(point.survival, lower, upper, self.level, self.interval)

    @property
    def median(self) -> tuple[float | None, float | None, float | None]:
        """Median with limits; None where not reached. On a flat at exactly 0.5 the midpoint, as R's survfit does."""
        return (
            self._quantile([p.survival for p in self.points]),
            self._quantile([1.0 if p.lower is None else p.lower for p in self.points]),
            self._quantile([1.0 if p.upper is None else p.upper for p in self.points]),
        )

    def _quantile(self, curve: list[float], half: float = 0.5) -> float | None:
        tolerance = sqrt(2.220446049250313e-16)
        for index, value in enumerate(curve):
            if value < half - tolerance:
                return self.points[index].time
            if abs(value - half) <= tolerance:
                below = next(
                    (self.points[j].time for j in range(index + 1, len(curve)) if curve[j] < half - tolerance), None
                )
                return self.points[index].time if below is None else (self.points[index].time + below) / 2
        return None

    def at_risk(self, time: float) -> int:
        """Return the number still at risk just before `time`."""
        return next((p.n_risk for p in self.points if p.time >= time), 0)


def kaplan_meier(
    times: Sequence[float], events: Sequence[bool], *, level: float = 0.95, interval: str = "log-log"
) -> KaplanMeier:
    """Return the estimate for times (any unit, >= 0) and event flags, both of length n > 0.

    `interval`: log-log (the default here) or log (R's default). Standard errors after Greenwood.
    """
    if len(times) != len(events) or not times:
        raise ValueError("times and events must be of one length, at least 1")
    if any(isnan(t) or t < 0 or t == inf for t in times):
        raise ValueError("times must be finite and not negative")
    if not 0 < level < 1:
        raise ValueError(f"{level} is not a confidence level between 0 and 1")
    if interval not in ("log-log", "log"):
        raise ValueError(f"no interval type {interval!r}; use log-log or log")
    distinct, ordered = sorted(set(times)), sorted(times)
    here, deaths = Counter(times), Counter(t for t, e in zip(times, events, strict=True) if e)
    points: list[Point] = []
    greenwood = 0.0
    for time, s in zip(distinct, _survival(times, events, distinct), strict=True):
        risk, died = len(ordered) - bisect_left(ordered, time), deaths[time]
        greenwood += died / (risk * (risk - died)) if died < risk else inf
        lower, upper = _limits(s, greenwood, level, interval)
        error = s * sqrt(greenwood) if s > 0 else 0.0
        points.append(Point(time, risk, died, here[time] - died, s, error, lower, upper))
    return KaplanMeier(tuple(points), len(times), sum(events), level, interval)


def _survival(times: Sequence[float], events: Sequence[bool], at: Sequence[float]) -> list[float]:
    from scipy.stats import CensoredData, ecdf

    data: Any = CensoredData(
        uncensored=[t for t, e in zip(times, events, strict=True) if e],
        right=[t for t, e in zip(times, events, strict=True) if not e],
    )
    return [float(s) for s in ecdf(data).sf.evaluate(at)]


def _limits(s: float, greenwood: float, level: float, interval: str) -> tuple[float | None, float | None]:
    if s >= 1:
        return 1.0, 1.0
    if s <= 0:
        return None, None
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    if interval == "log":
        return s * exp(-z * sqrt(greenwood)), min(1.0, s * exp(z * sqrt(greenwood)))
    half = z * sqrt(greenwood) / abs(log(s))
    return s ** exp(half), s ** exp(-half)


def follow_up(
    times: Sequence[float], events: Sequence[bool], *, level: float = 0.95, interval: str = "log-log"
) -> KaplanMeier:
    """Return the reverse Kaplan-Meier estimate (Schemper and Smith 1996), whose median is the median follow-up."""
    return kaplan_meier(times, [not e for e in events], level=level, interval=interval)
