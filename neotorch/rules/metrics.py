"""Figures of the queries of each site: how many are open and how old, how fast they are answered and closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median

from neotorch.domain.calendar import local_date
from neotorch.domain.state import PatientState, QueryTrail
from neotorch.domain.study import Study
from neotorch.rules.queries import BUCKETS, Bucket, age_of, answers_of, bucket, closings


@dataclass(frozen=True)
class SiteQueries:
    """The query figures of one site. Medians are in local calendar days, None where there is nothing to count."""

    site: str
    raised: int
    """Queries ever raised, each once however often it opened."""
    open: int
    by_age: Mapping[Bucket, int]
    """Open ones by days since they were (last) raised."""
    answered_open: int
    """Open ones that were answered in words."""
    days_to_answer: float | None
    """Median from raising to the first answer, in words or by the data that closed it; unanswered ones do not count."""
    days_to_close: float | None
    """Median from raising to closing; open ones do not count."""
    reopened: float | None
    """Share of the queries closed at least once that opened again, 0 to 1."""
    by_kind: Mapping[str, int]
    """Open ones by kind."""

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Line:
    """What one query adds to the figures."""

    kind: str
    age: int | None
    """Days since raised, None if closed."""
    answered: bool
    to_answer: tuple[int, ...]
    to_close: tuple[int, ...]
    """One entry per round."""
    again: bool | None
    """Whether it opened again after it was closed; None if it never was closed."""


def metrics(states: Iterable[PatientState], study: Study, now: datetime) -> tuple[SiteQueries, ...]:
    """Return the figures of every site of the study file, in its order; ages as of the site's day at `now` (aware)."""
    lines: dict[str, list[_Line]] = {site.code: [] for site in study.sites}
    for state in states:
        site = study.site(state.site)
        lines[site.code] += _lines(state, site.time_zone, now)
    return tuple(_site(code, found) for code, found in lines.items())


def _lines(state: PatientState, zone: str, now: datetime) -> Iterator[_Line]:
    closed = closings(state)
    for query, trail in state.queries.items():
        yield _Line(
            kind=trail.raised[trail.round].kind,
            age=age_of(trail, zone, local_date(now, zone)) if trail.open else None,
            answered=bool(answers_of(query, state)),
            to_answer=tuple(_days(trail, n, at, zone) for n, at in _answered(query, trail, closed, state).items()),
            to_close=tuple(_days(trail, n, closed[query, n], zone) for n in trail.raised if (query, n) in closed),
            again=trail.round > 1 if trail.closed else None,
        )


def _answered(
    query: str, trail: QueryTrail, closed: Mapping[tuple[str, int], datetime], state: PatientState
) -> dict[int, datetime]:
    """Return round -> the instant of its first answer: the site's words or the data that closed it."""
    found: dict[int, datetime] = {}
    words = sorted(state.learnt[a.id].recorded_at for a in trail.answers)
    for number, raised in trail.raised_at.items():
        end = closed.get((query, number))
        said = [at for at in words if at >= raised and (end is None or at <= end)]
        if first := min([*said, *([end] if end else [])], default=None):
            found[number] = first
    return found


def _days(trail: QueryTrail, number: int, until: datetime, zone: str) -> int:
    return (local_date(until, zone) - local_date(trail.raised_at[number], zone)).days


def _site(code: str, lines: list[_Line]) -> SiteQueries:
    still = [x for x in lines if x.age is not None]
    ages = Counter(bucket(x.age) for x in still if x.age is not None)
    again = [x.again for x in lines if x.again is not None]
    return SiteQueries(
        site=code,
        raised=len(lines),
        open=len(still),
        by_age={b: ages[b] for b in BUCKETS},
        answered_open=sum(x.answered for x in still),
        days_to_answer=_median(d for x in lines for d in x.to_answer),
        days_to_close=_median(d for x in lines for d in x.to_close),
        reopened=sum(again) / len(again) if again else None,
        by_kind=dict(sorted(Counter(x.kind for x in still).items())),
    )


def _median(days: Iterable[int]) -> float | None:
    known = list(days)
    return float(median(known)) if known else None
