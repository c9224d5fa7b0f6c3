"""All that the analysis datasets are made of, asked from the engine at one position of the log."""

from __future__ import annotations

from datetime import date, datetime

from neotorch.adam.datasets import Table, tables
from neotorch.domain.calendar import local_date
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.provenance import Provenance, provenance


def gather(
    engine: Engine, *, cut: date | None = None, as_of: datetime | None = None
) -> tuple[tuple[Table, ...], Study, Provenance]:
    """Return the datasets, the study they are of, and where they come from; whatever is recorded meanwhile."""
    day = cut or (local_date(as_of, engine.study.sites[0].time_zone) if as_of else engine.today())
    head = engine.log.head()
    rows = [r for r in engine.log.read(known_at=as_of) if r.seq <= head.seq]
    versions = engine.versions(as_of=as_of, until_seq=head.seq)
    analysis = engine.analysis(cut=day, as_of=as_of, until_seq=head.seq)
    origin = provenance(versions.trial, rows[-1] if rows else None, cut=day, as_of=as_of)
    return tables(analysis, versions.trial, versions.for_patient), versions.trial, origin
