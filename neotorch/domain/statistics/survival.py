"""Kaplan-Meier: survival, limits, quantiles, numbers at risk, and follow-up by the reverse estimate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isnan, nan, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, overload

from neotorch.domain.statistics.proportion import Interval, check_share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.intp]
    Flags = NDArray[np.bool_]

IntervalType = Literal["log-log", "log"]
TOLERANCE = sqrt(2.220446049250313e-16)
"""How near to a share a survival counts as equal to it; R's survfit takes the same, the root of the machine epsilon."""


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
class RiskRow:
    """What stands under a curve at `time`: at risk just before it, and gone before it. The three add up to n."""

    time: float
    n_risk: int
    n_event: int
    n_censor: int


@dataclass(frozen=True, eq=False)
class Columns:
    """The survival table by columns, one entry per distinct time, ascending. Limits are NaN where survival is 0.

    NumPy arrays of one length that cannot be written to: for what works on many curves. `points` has the same by rows.
    """

    time: Floats
    n_risk: Counts
    n_event: Counts
    n_censor: Counts
    survival: Floats
    std_err: Floats
    lower: Floats
    upper: Floats

    def __post_init__(self) -> None:
        for column in vars(self).values():
            column.setflags(write=False)


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """A Kaplan-Meier estimate with pointwise intervals. Equal when patients, level and interval type are."""

    n: int
    events: int
    level: float
    interval: str
    columns: Columns = field(repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KaplanMeier):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[object, ...]:
        table = self.columns  # the rest follows from these
        return self.n, self.level, self.interval, *(c.tobytes() for c in (table.time, table.n_risk, table.n_event))

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The survival table, one point per distinct time, ascending."""
        table = self.columns
        limits = ([None if isnan(v) else v for v in c.tolist()] for c in (table.lower, table.upper))
        rest = (table.time, table.n_risk, table.n_event, table.n_censor, table.survival, table.std_err)
        return tuple(map(Point, *(c.tolist() for c in rest), *limits))

    def at(self, time: float) -> Interval | None:
        """Return survival at `time`; None beyond the last observation unless the curve has come down to 0.

        ValueError for a time that is not a number.
        """
        table, index = self.columns, self._index(time, side="right") - 1
        if time > table.time[-1] and table.survival[-1] > 0:
            return None
        if index < 0:
            return Interval(1.0, 1.0, 1.0, self.level, self.interval)
        survival, lower, upper = (float(c[index]) for c in (table.survival, table.lower, table.upper))
        if isnan(lower):  # nobody is left: there is no interval, and none can lie around 0
            lower = upper = survival
        return Interval(survival, lower, upper, self.level, self.interval)

    def _index(self, time: float, side: Literal["left", "right"]) -> int:
        if isnan(time):
            raise ValueError("the time must be a number")
        return int(self.columns.time.searchsorted(time, side=side))

    @property
    def median(self) -> tuple[float | None, float | None, float | None]:
        """Median with limits; None where not reached. On a flat at exactly 0.5 the midpoint, as R prints it."""
        return self.quantile(0.5)

    def quantile(self, p: float) -> tuple[float | None, float | None, float | None]:
        """Return the time by which a share `p` (0 < p < 1) has had the event, with limits; None where not reached.

        The limits are where the pointwise limits cross 1 - p (Brookmeyer and Crowley, Biometrics 1982;38:29-41). Where
        the curve is flat at exactly 1 - p, the midpoint of the flat; where it stays there to the end, the flat's
        beginning: so does the median that R prints for a survfit (its quantile() would take the midpoint there too).

        Raises:
            ValueError: p is not between 0 and 1.
        """
        check_share(p, "quantile")
        table = self.columns
        return (
            self._crossing(table.survival, 1 - p),
            self._crossing(table.lower, 1 - p),
            self._crossing(table.upper, 1 - p),
        )

    def _crossing(self, curve: Floats, share: float) -> float | None:
        reached = (curve < share + TOLERANCE).nonzero()[0]  # NaN, where nobody is left, is never reached
        if not reached.size:
            return None
        time, first = self.columns.time, int(reached[0])
        below = (curve < share - TOLERANCE).nonzero()[0]
        if curve[first] < share - TOLERANCE or not below.size:
            return float(time[first])
        return float(time[first] + time[below[0]]) / 2

    @overload
    def at_risk(self, times: float) -> int: ...
    @overload
    def at_risk(self, times: Iterable[float]) -> tuple[int, ...]: ...
    def at_risk(self, times: float | Iterable[float]) -> int | tuple[int, ...]:
        """Return the number still at risk just before a time, or before each of several."""
        if isinstance(times, Iterable):
            return tuple(row.n_risk for row in self.risk_table(times))
        return self.risk_table((times,))[0].n_risk

    def risk_table(self, times: Iterable[float]) -> tuple[RiskRow, ...]:
        """Return the table under the curve: at risk just before each time, and events and censored until then.

        The form of Morris et al. (BMJ Open 2019;9:e030215): each row adds up to n. ValueError for a time that is not a
        number.
        """
        table = self.columns
        rows = []
        for time in times:
            index = self._index(time, side="left")
            events, censored = int(table.n_event[:index].sum()), int(table.n_censor[:index].sum())
            rows.append(RiskRow(time, self.n - events - censored, events, censored))
        return tuple(rows)


def kaplan_meier(
    times: Sequence[float] | Floats, events: Sequence[bool] | Flags, *, level: float = 0.95, interval: str = "log-log"
) -> KaplanMeier:
    """Return the estimate for times (any one unit, >= 0) and event flags, both of length n > 0.

    Who is censored on the day of an event is still at risk on that day. `interval`: log-log (the default here) or log
    (R's default). Standard errors after Greenwood.

    Raises:
        ValueError: no patients, lengths that differ, a time that is negative or not finite, an event that is neither
            true nor false, a level outside 0 to 1, an interval type that is not offered.
    """
    _check(times, events, level, interval)
    import numpy as np

    when, happened = np.asarray(times, dtype=np.float64) + 0.0, _flags(events)  # + 0.0 makes 0 of -0
    if not (when.min() >= 0 and when.max() < inf):  # neither holds where one is not a number
        raise ValueError("times must be finite and not negative")
    columns = _table(when, happened, NormalDist().inv_cdf(0.5 + level / 2), interval)
    return KaplanMeier(len(times), int(happened.sum()), level, interval, columns)


def _check(times: Sequence[float] | Floats, events: Sequence[bool] | Flags, level: float, interval: str) -> None:
    if len(times) != len(events) or len(times) == 0:
        raise ValueError("times and events must be of one length, at least 1")
    check_share(level, "confidence level")
    if interval not in ("log-log", "log"):
        raise ValueError(f"no interval type {interval!r}; use log-log or log")


def _flags(events: Sequence[bool] | Flags) -> Flags:
    import numpy as np

    try:  # a list of flags is read four times faster as bytes
        flags = np.frombuffer(bytes(events), np.uint8) if isinstance(events, list | tuple) else np.asarray(events)
    except (TypeError, ValueError):  # not whole numbers, or out of a byte's range
        flags = np.asarray(events)
    happened = flags.astype(bool)
    if (happened != flags).any():
        raise ValueError("events must be true or false, or 1 or 0")
    return happened


def _table(when: Floats, happened: Flags, z: float, interval: str) -> Columns:
    import numpy as np

    time, here, died = _counted(when, happened)
    risk = when.size - here.cumsum() + here
    left = (risk - died).astype(np.float64)
    survival: Floats = (left / risk).cumprod()
    with np.errstate(divide="ignore", invalid="ignore"):  # the last patient's event leaves nobody
        deviation = np.sqrt(np.cumsum(died / (risk * left)))
        std_err = np.where(survival > 0, survival * deviation, 0.0)
        lower, upper = _limits(survival, z * deviation, interval)
    return Columns(time, risk, died, here - died, survival, std_err, lower, upper)


def _counted(when: Floats, happened: Flags) -> tuple[Floats, Counts, Counts]:
    """The distinct times, and of each how many patients and how many events. Days are counted without sorting."""
    import numpy as np

    last = when.max()
    if last <= 4 * when.size + 10_000 and ((days := when.astype(np.intp)) == when).all():
        of_day = np.bincount(2 * days + happened, minlength=2 * int(last) + 2).reshape(-1, 2)  # censored, events
        here = of_day.sum(axis=1)
        day = here.nonzero()[0]
        return day.astype(np.float64), here[day], of_day[day, 1]
    order = when.argsort()
    when = when[order]
    first = np.flatnonzero(np.concatenate(([True], when[1:] != when[:-1])))
    return when[first], np.diff(first, append=when.size), np.add.reduceat(happened[order], first, dtype=np.intp)


def _limits(survival: Floats, half: Floats, interval: str) -> tuple[Floats, Floats]:
    """The limits from `half` the width of the interval for the logarithm of survival."""
    import numpy as np

    if interval == "log":
        lower, upper = survival * np.exp(-half), np.minimum(1.0, survival * np.exp(half))
    else:
        logarithm = np.log(survival)
        factor = np.exp(half / -logarithm)
        lower, upper = np.exp(logarithm * factor), np.exp(logarithm / factor)
    before, nobody = survival >= 1, survival <= 0
    for limit in (lower, upper):
        limit[before] = 1.0
        limit[nobody] = nan
    return lower, upper


def follow_up(
    times: Sequence[float] | Floats, events: Sequence[bool] | Flags, *, level: float = 0.95, interval: str = "log-log"
) -> KaplanMeier:
    """Return the reverse Kaplan-Meier estimate, whose median is the median follow-up (Schemper and Smith 1996).

    Censoring is the event. As in R's survfit(Surv(time, 1 - status) ~ 1), who had an event on the day another was
    censored is still at risk on that day. Errors as for `kaplan_meier`.
    """
    return kaplan_meier(times, ~_flags(events), level=level, interval=interval)
