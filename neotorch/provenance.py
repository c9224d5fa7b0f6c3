"""Where the figures of a report come from: study, cut, what was known, and the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from neotorch import __version__
from neotorch.domain import events as ev
from neotorch.domain.study import Study

EMPTY = "0" * 64
"""The hash before the first event."""


@dataclass(frozen=True)
class Provenance:
    """With the same of these, a report has the same bytes. The clock of the making is no part of it."""

    study: str
    version: str
    definition: str
    """SHA-256 of the study's definition."""
    cut: date
    as_of: datetime | None
    """None: everything that was in the log."""
    head_seq: int
    head_hash: str
    head_at: datetime | None
    """When the newest event of the log was recorded; None for an empty log."""
    site: str | None
    code: str = __version__

    @property
    def line(self) -> str:
        """All in one line, for under a figure."""
        known = f"known at {_instant(self.as_of)}" if self.as_of else "all that is recorded"
        site = f" · site {self.site} only" if self.site else ""
        return (
            f"{self.study} {self.version} ({self.definition[:12]}) · data cut {self.cut} · {known}{site} · log "
            f"{self.head_seq}:{self.head_hash[:16]} · neotorch {self.code}"
        )

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield each with its name."""
        yield "Study", f"{self.study}, version {self.version}"
        yield "Study definition", f"SHA-256 {self.definition}"
        yield "Data cut", f"{self.cut}: facts dated up to this day"
        yield "Knowledge", f"what was known at {_instant(self.as_of)}" if self.as_of else "all that is recorded"
        yield "Patients", f"of site {self.site} only: not the result of the trial" if self.site else "of all sites"
        yield "Log head", f"{self.head_seq}:{self.head_hash}"
        yield "Log head recorded", _instant(self.head_at) if self.head_at else "the log is empty"
        yield "Program", f"neotorch {self.code}"


def _instant(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


def provenance(
    study: Study, head: ev.Recorded | None, *, cut: date, as_of: datetime | None = None, site: str | None = None
) -> Provenance:
    """Return the provenance of what is derived from the log up to `head`; None for an empty log."""
    return Provenance(
        study=study.id, version=study.version, definition=ev.digest_of(study.definition), cut=cut, as_of=as_of,
        head_seq=head.seq if head else 0, head_hash=head.hash if head else EMPTY,
        head_at=head.recorded_at if head else None, site=site,
    )  # fmt: skip
