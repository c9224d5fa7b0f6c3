"""The post of one installation: who is away, who has had enough for today, and what is far more than usual."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from types import MappingProxyType

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour

LOOK_BACK_DAYS = 30
DAYS_NEEDED = 5
"""With fewer days to look back on nobody can say what is usual."""


TODO = "look at what went out or would, and why; then let the rest go: neotorch release --reason ..."


@dataclass(frozen=True)
class Flood:
    """Notices are held because far more than usual went out on a day, or would have; a person lets them go."""

    day: date
    what: str

    @property
    def todo(self) -> str:
        """What a person has to do."""
        return TODO

    def __str__(self) -> str:
        return f"{self.what}; {TODO}"


def effective(facts: Iterable[ev.AnyTrialFact]) -> list[ev.AnyTrialFact]:
    """Return the facts that no other one corrects or takes back, as they happened."""
    every = sorted(facts, key=lambda f: (f.occurred, f.id))
    gone = {f.retracts if isinstance(f, ev.TrialRetraction) else f.corrects for f in every}
    return [f for f in every if f.id not in gone and not isinstance(f, ev.TrialRetraction)]


def deputies(facts: Iterable[ev.AnyTrialFact], today: date) -> dict[str, str]:
    """Return channel -> the one to use in its place today. A deputy who is away too hands on to the next."""
    away = {f.channel: f.deputy for f in facts if isinstance(f, ev.Absence) and f.occurred <= today <= f.until}
    found = {}
    for channel, first in away.items():
        deputy, passed = first, {channel}
        while deputy in away and deputy not in passed:
            passed.add(deputy)
            deputy = away[deputy]
        found[channel] = channel if deputy in passed else deputy  # all of a circle are away: better late than never
    return found


def next_digest(today: date, hour: int, zone: str, now: datetime, *, sent_today: bool) -> datetime:
    """Return when the next digest of a channel goes out; at its very hour the next day's, should this one not come."""
    at = at_hour(today, hour, zone)
    return at_hour(today + timedelta(1), hour, zone) if sent_today or now >= at else at


@dataclass(frozen=True)
class Measure:
    """What is far more than usual: over `factor` times the usual day's notices, and at least `floor`.

    A working day next to days off brings what they would have: `gathers` says how many usual days' worth that adds.
    """

    factor: float
    floor: int
    gathers: Callable[[date], int] = lambda _: 0

    def exceeded(self, count: int, day: date, sent: Mapping[date, int]) -> str:
        """Return what is usual, in words, where `count` is far more; empty where it is not or nobody can say."""
        usual = _usual(sent, day)
        if count < self.floor or not usual or count <= self.factor * usual:
            return ""
        more = self.gathers(day)
        if count <= (self.factor + more) * usual:
            return ""
        return f"usual are {usual:g} a day" + (f" and {more} days off are next to it" if more else "")


def flood(  # noqa: PLR0917 - days, people's word, and what was said before
    sent: Mapping[date, int], facts: Iterable[ev.AnyTrialFact], today: date, measure: Measure,
    said: Mapping[date, str] = MappingProxyType({}), calm: date = date.min,
) -> Flood | None:  # fmt: skip
    """Return the newest day on which far more than usual went out, unless it was released since.

    `sent`: local day -> notices. Usual is the median over the days with any notice in the 30 days before; it
    takes five such days to say so. `said`: local day -> why notices were held that day before they went out. Up to the
    day `calm` it is known that it was not so many.
    """
    days = sent if calm == date.min else [calm + timedelta(n) for n in range(1, (today - calm).days + 1)]
    many = [day for day in days if sent.get(day, 0) >= measure.floor]
    if not many and not said:
        return None
    released = _released(facts)
    for day in sorted((d for d in {*many, *said} if released < d <= today), reverse=True):
        if day in said:
            return Flood(day, said[day].removesuffix(f"; {TODO}"))
        if usual := measure.exceeded(sent[day], day, sent):
            return Flood(day, f"{sent[day]} notices went out on {day}, {usual}; what can wait is held")
    return None


def foreseen(
    count: int, sent: Mapping[date, int], facts: Iterable[ev.AnyTrialFact], day: date, measure: Measure
) -> Flood | None:
    """Return why notices are to be held before they go out: `count` of a day, sent and to be sent, are far too many."""
    usual = measure.exceeded(count, day, sent)
    if not usual or _released(facts) >= day:
        return None
    return Flood(day, f"{count} notices would go out on {day}, {usual}; what can wait is held")


def _released(facts: Iterable[ev.AnyTrialFact]) -> date:
    return max((f.occurred for f in facts if isinstance(f, ev.NoticesReleased)), default=date.min)


def _usual(sent: Mapping[date, int], day: date) -> float:
    """Return the usual number of notices a day; 0 where nobody can say."""
    before = [sent[d] for n in range(1, LOOK_BACK_DAYS + 1) if (d := day - timedelta(n)) in sent]
    return float(median(before)) if len(before) >= DAYS_NEEDED else 0.0
