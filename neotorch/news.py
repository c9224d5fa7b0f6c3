"""What the log says of the trial as a whole, kept up to date: its own events, and how much post went out each day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.growth import grown_notices
from neotorch.domain.state import NoticeTrail
from neotorch.domain.study import Study
from neotorch.rules.endpoints.monitoring import crossing_key
from neotorch.rules.notices import Notice
from neotorch.rules.post import effective
from neotorch.rules.trial import apply_changes, trial_notices
from neotorch.store.log import EventLog


class News:
    """Reads only what is new each time it is asked."""

    def __init__(self, zone: str) -> None:
        """`zone`: whose days the post is counted by."""
        self._zone, self._upto = zone, 0
        self.rows: list[ev.Recorded] = []
        """Events about the trial as a whole."""
        self.sent: Counter[tuple[str, date]] = Counter()
        """(channel, local day) -> messages that went out; what went out in a digest is not counted again."""
        self.daily: Counter[date] = Counter()
        """The same by local day."""
        self.floods: dict[date, str] = {}
        """Local day -> why notices were held for a person."""
        self._facts: tuple[int, list[ev.AnyTrialFact]] = (-1, [])
        self.calm = date.min
        """Up to this local day it is known that not far more than usual went out on any."""
        self.values: dict[str, str] = {}
        """The endpoints as last recorded: the sum of all changes."""
        self.recalculated: ev.EndpointsRecalculated | None = None
        """The newest recalculation that changed anything."""
        self.boundaries: dict[str, ev.BoundaryCrossed | ev.BoundaryWithdrawn] = {}
        """Key of a look -> the last word on its boundary, of those that were ever crossed."""
        self._trails: tuple[int, Mapping[str, NoticeTrail]] = (0, {})
        self._notices: tuple[Study | None, int, list[Notice]] = (None, 0, [])

    def read(self, log: EventLog, *, known_at: datetime | None = None) -> News:
        """Take in what is new, or what of it was known at an instant."""
        for row in log.read(after=self._upto, known_at=known_at):
            self._upto = row.seq
            if row.event.subject is None:
                self.rows.append(row)
                if isinstance(row.event, ev.TrialFact):
                    self.calm = date.min  # a release may be taken back
                if isinstance(row.event, ev.EndpointsRecalculated):
                    self.recalculated = row.event
                    apply_changes(self.values, row.event.changes)
                if isinstance(row.event, ev.BoundaryCrossed | ev.BoundaryWithdrawn):
                    self.boundaries[crossing_key(row.event.rule, row.event.n)] = row.event
                if isinstance(row.event, ev.Incident) and row.event.kind == ev.FLOOD:
                    self.floods[row.event.occurred] = row.event.detail
            if isinstance(row.event, ev.NoticeSent) and row.event.part_of is None:
                day = local_date(row.event.at, self._zone)
                self.sent[row.event.channel, day] += 1
                self.daily[day] += 1
                self.calm = min(self.calm, day - timedelta(1))
        return self

    def notices(self, study: Study) -> list[Notice]:
        """Return the notices about the trial as a whole; all of them, told or not."""
        known, upto, found = self._notices
        if known is not study:
            upto, found = 0, []
        if upto != len(self.rows):
            found = [*found, *trial_notices(self.rows[upto:], study)]
        self._notices = study, len(self.rows), found
        return found

    @property
    def facts(self) -> list[ev.AnyTrialFact]:
        """What was told about the trial and its people, without what was corrected."""
        if self._facts[0] != len(self.rows):
            told = effective(r.event for r in self.rows if isinstance(r.event, ev.TrialFact))
            self._facts = len(self.rows), told
        return self._facts[1]

    @property
    def trails(self) -> Mapping[str, NoticeTrail]:
        """What became of the trial's own notices."""
        upto, known = self._trails
        if upto != len(self.rows):
            self._trails = len(self.rows), grown_notices(known, self.rows[upto:])
        return self._trails[1]
