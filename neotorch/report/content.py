"""All that a report shows, asked from the engine at one position of the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from neotorch.domain.calendar import local_date
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.provenance import Provenance, provenance
from neotorch.rules.compliance import SiteVisits, compliance
from neotorch.rules.endpoints.analysis import TrialAnalysis
from neotorch.rules.endpoints.history import Moment, history
from neotorch.rules.metrics import SiteQueries, metrics


@dataclass(frozen=True)
class Content:
    """What a report is made of; `page.render` is a pure function of it."""

    study: Study
    provenance: Provenance
    analysis: TrialAnalysis
    queries: tuple[SiteQueries, ...]
    visits: tuple[SiteVisits, ...]
    moments: tuple[Moment, ...]
    """Changes of the trial's own figures; none of one site."""
    operations: datetime
    """The instant at which queries and visits are looked at: that of the knowledge, else the end of the day of the cut."""


def gather(
    engine: Engine, *, cut: date | None = None, as_of: datetime | None = None, site: str | None = None
) -> Content:
    """Return everything derived from the log up to its head of this moment, whatever is recorded meanwhile."""
    zone = engine.study.sites[0].time_zone
    today = engine.today()
    day = cut or (local_date(as_of, zone) if as_of else today)
    head, known = engine.log.head(), engine.log.read(known_at=as_of)
    rows = [r for r in known if r.seq <= head.seq]
    versions = engine.versions(as_of=as_of, until_seq=head.seq)
    at = as_of or _end_of(min(day, today), zone)
    states = [engine.state(s, as_of=at, until_seq=head.seq) for s in engine.subjects()]
    states = [s for s in states if s.consent and site in (None, s.site)]
    moments = history(r for r in rows if r.event.occurred <= day) if site is None else ()
    return Content(
        study=versions.trial,
        provenance=provenance(versions.trial, rows[-1] if rows else None, cut=day, as_of=as_of, site=site),
        analysis=engine.analysis(cut=day, as_of=as_of, until_seq=head.seq, site=site),
        queries=tuple(q for q in metrics(states, versions.trial, at) if site in (None, q.site)),
        visits=tuple(
            v for v in compliance(states, versions.trial, versions.for_patient, at) if site in (None, v.site)
        ),
        moments=moments, operations=at,
    )  # fmt: skip


def _end_of(day: date, zone: str) -> datetime:
    """Return the last second of a day at a place, in UTC."""
    return datetime.combine(day + timedelta(1), time.min, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(seconds=1)
