"""The versions of the study file that the log speaks of, read from it and kept until it says something new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import ValidationError

from neotorch.domain import events as ev
from neotorch.domain.study import Study
from neotorch.domain.study_file import StudyError
from neotorch.news import News
from neotorch.rules.versions import Versions
from neotorch.store.log import EventLog


class Protocols:
    """Gives the versions in force; the same object as long as nothing is new."""

    def __init__(self, base: Study) -> None:
        """`base`: the version that the settings name, which the log began with."""
        self._read: dict[str, Study] = {}
        self._looked_at = 0
        self._then: tuple[tuple[datetime | None, int | None, int], Versions] | None = None
        self.last = Versions(base)
        """What was in force when anybody last looked."""

    def now(self, news: News) -> Versions:
        """Return what is in force by the newest news."""
        if self._looked_at != len(news.rows):
            self._looked_at, rows = len(news.rows), _about(news.rows)
            if rows != self.last.rows:
                self.last = self._versions(rows)
        return self.last

    def drafted(self, told: Sequence[ev.AnyTrialFact], now: datetime) -> Versions:
        """Return what is in force once these facts about the trial are recorded `now`."""
        last = max((r.seq for r in self.last.rows), default=0)
        rows = [
            ev.Recorded.model_construct(seq=n, recorded_at=now, event=f, prev_hash="", hash="")
            for n, f in enumerate(told, last + 1)
        ]
        return self._versions((*self.last.rows, *_about(rows)))

    def known(self, log: EventLog, as_of: datetime | None, until_seq: int | None) -> Versions:
        """Return what was known to be in force at an instant or a log position."""
        if not self.last.rows:
            return self.last
        when = (as_of, until_seq, self.last.rows[-1].seq)
        if self._then is None or self._then[0] != when:
            rows = _about(log.read(known_at=as_of, until_seq=until_seq))
            self._then = when, self._versions(rows)
        return self._then[1]

    def _versions(self, rows: tuple[ev.Recorded, ...]) -> Versions:
        return Versions.of(self.last.base, rows, self._study)

    def _study(self, told: ev.ProtocolAmended) -> Study:
        if told.version == self.last.base.version:
            raise StudyError(
                f"the log began before version {told.version} and says itself who is on it since when",
                "NEOTORCH_STUDY_VERSION", f"set it to {told.amends}, or to the one that came before that",
            )  # fmt: skip
        found = self._read.get(told.fingerprint)
        if found is None:
            found = self._read[told.fingerprint] = read_definition(told)
        return found


def read_definition(told: ev.ProtocolAmended) -> Study:
    """Make a study of what an adopted version says; StudyError where it is none."""
    try:
        return Study.model_validate(told.definition)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(p) for p in first["loc"])
        raise StudyError(
            f"{path}: {first['msg']}", f"event {told.id}, version {told.version}",
            "the program that reads it is older or newer than the one that recorded it; see CHANGELOG.md",
        ) from None  # fmt: skip


def _about(rows: Iterable[ev.Recorded]) -> tuple[ev.Recorded, ...]:
    return tuple(
        r for r in rows if isinstance(r.event, ev.ProtocolAmended | ev.AmendmentActivated | ev.TrialRetraction)
    )
