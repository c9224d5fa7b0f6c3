"""Who is to have which notice now: channels, deputies, quiet hours, digests, and what is held back for a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.domain.workdays import days_off_beside
from neotorch.news import News
from neotorch.notify import Notifier
from neotorch.rules import Duties
from neotorch.rules.notices import (
    NEVER_LOST,
    Audience,
    Delivery,
    Member,
    Notice,
    deliveries,
    delivery_key,
    outlook,
    quiet_until,
)
from neotorch.rules.post import Flood, Measure, deputies, flood, next_digest
from neotorch.rules.schedule import Because
from neotorch.settings import ChannelSettings, Settings


@dataclass(frozen=True)
class PostOffice:
    """The post of one installation at one instant."""

    settings: Settings
    study: Study
    notifier: Notifier
    news: News
    now: datetime

    def audience(self, site: str | None) -> Audience:
        """Return who listens at a site (None: about the trial as a whole), and what has to wait until when."""
        instead = deputies(self.news.facts, self._today(site))
        channels = {
            role: list(dict.fromkeys(instead.get(c.name, c.name) for c in self.notifier.channels_for(role, site)))
            for role in self.study.recipients.roles
        }
        tell = {str(kind): roles for kind, roles in self.study.recipients.tell.items()}
        quiet = quiet_until(self.now, self.study, site) if self.settings.quiet_hours else None
        digests = {c.name: self._next_digest(c.name) for c in self._collecting()}
        return Audience(tell, channels, quiet, digests, str(self.flood() or ""))

    @property
    def measure(self) -> Measure:
        """What is far more than usual here, where the working days are those of the study's sites."""
        sites = self.study.sites
        return Measure(
            self.settings.flood_factor,
            self.settings.flood_floor,
            lambda day: max(days_off_beside(day, s) for s in sites),
        )

    def flood(self) -> Flood | None:
        """Return why what can wait is held for a person: far more than usual went out; None if it is not held."""
        news, today = self.news, self._today(None)
        found = flood(news.daily, news.facts, today, self.measure, news.floods, news.calm)
        if found is None:
            news.calm = max(news.calm, today - timedelta(1))  # today more may go out
        return found

    def digests(self, patients: Iterable[tuple[PatientState, Duties]]) -> list[Delivery]:
        """Return the digests due now, one per channel and local day, each with what has been collected for it."""
        today, names = self._today(None), {c.name for c in self._collecting()}
        at = at_hour(today, self.study.reminders.digest_hour, self.study.sites[0].time_zone)
        if not names or self.now < at or self.flood():
            return []
        collected: dict[tuple[str, str], list[Member]] = {}
        for state, due in patients:
            audience = replace(self.audience(state.site), digests={}, quiet_until=None)
            for one in deliveries(list(due.notices), state.notices, audience, self.now)[0]:
                if one.channel in names and one.notice.kind not in NEVER_LOST:
                    collected.setdefault((one.role, one.channel), []).append(Member(state.subject, state.site, one))
        found = (self._digest(role, channel, today, tuple(m)) for (role, channel), m in collected.items())
        return [d for d in found if d]

    def _digest(self, role: str, channel: str, today: date, members: tuple[Member, ...]) -> Delivery | None:
        because = Because("post.digest", self.study.version)
        notice = Notice(f"digest/{channel}/{today}", "digest", f"digest to {channel}", because, {}, roles=(role,))
        trail = self.news.trails.get(delivery_key(notice.key, role, channel))
        if outlook(trail, "digest", self.now).verdict != "send":
            return None
        attempt = (trail.last_attempt if trail else 0) + 1
        return Delivery(notice, role, channel, attempt, possible_repeat=False, members=members)

    def _collecting(self) -> list[ChannelSettings]:
        """The channels whose post goes into the day's digest: by choice, or since they have had enough for today."""
        today = self._today(None)
        return [
            c for c in self.settings.channels
            if c.digest or (c.most_per_day is not None and self.news.sent[c.name, today] >= c.most_per_day)
        ]  # fmt: skip

    def _next_digest(self, channel: str) -> datetime:
        """Return when the channel's next digest goes out: one for all sites, on the days of the first."""
        today, zone = self._today(None), self.study.sites[0].time_zone
        copies = (delivery_key(f"digest/{channel}/{today}", role, channel) for role in self.study.recipients.roles)
        sent = any(copy in self.news.trails for copy in copies)
        return next_digest(today, self.study.reminders.digest_hour, zone, self.now, sent_today=sent)

    def _today(self, site: str | None) -> date:
        return local_date(self.now, self.study.site(site).time_zone)
