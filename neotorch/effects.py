"""Writes down what the engine itself does, each thing once: notices, queries, deviations, recalculations, incidents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from neotorch.crash import crash_point
from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.study import Study
from neotorch.notify import Channel, Notifier
from neotorch.notify import Notice as Message
from neotorch.rules.departures import Deviation
from neotorch.rules.notices import Delivery, next_retry
from neotorch.store.log import EventConflict, EventLog


@dataclass(frozen=True)
class Effects:
    """The effects on one patient (or, without a subject, on the trial as a whole), bound for the log."""

    log: EventLog
    study: Study
    clock: Callable[[], datetime]
    subject: str | None = None
    site: str | None = None

    def common(self, event_id: str) -> dict[str, Any]:
        """Return the fields that every effect has; an id can be in the log only once."""
        today: date = local_date(self.clock(), self.study.site(self.site).time_zone)
        return {"id": ev.ENGINE_ID + event_id, "study": self.study.id, "subject": self.subject, "occurred": today}

    def append(self, event: ev.AnyEffect) -> bool:
        """Append an effect; False if it is in the log already, by whoever."""
        try:
            return bool(self.log.append_new([event], now=self.clock()))
        except EventConflict:  # the same effect, written by another process with another date or trigger
            return False

    def find(self, deviation: Deviation, number: int) -> str:
        """Write down a deviation, with what showed it then: the study file may say otherwise later."""
        self.append(ev.DeviationFound(
            **self.common(f"{deviation.key}/round/{number}"), deviation=deviation.key, round=number,
            kind=deviation.kind, grade=deviation.grade, visit=deviation.visit,
            reason=f"{deviation.title}; {deviation.because}"[:2000],
        ))  # fmt: skip
        return f"found, {deviation.grade}: {deviation.because}"

    def withdraw(self, key: str, number: int, why: str) -> str:
        """Write down that the data show a deviation no longer, and since which event."""
        common = self.common(f"{key}/withdrawn/{number}")
        self.append(ev.DeviationWithdrawn(**common, deviation=key, round=number, reason=why[:2000]))
        return f"withdrawn: {why}"

    def deliver(self, delivery: Delivery, notifier: Notifier, link: str | None) -> str:
        """Send one copy of a notice: claim it, send it, write down what became of it. Returns the outcome in words.

        A claim that nobody followed up (the process was killed) lapses after `rules.notices.LEASE`.
        """
        base: dict[str, Any] = {
            "key": delivery.key, "attempt": delivery.attempt, "role": delivery.role, "channel": delivery.channel,
        }  # fmt: skip
        tail = f"{delivery.key}/{delivery.attempt}"
        if not self.append(ev.NoticeClaimed(**self.common(f"{tail}/claim"), **base)):
            return "somebody else is sending it"
        crash_point("claim-written")
        channel = next(c for c in notifier.channels_for(delivery.role, self.site) if c.name == delivery.channel)
        outcome = notifier.send(channel, self._message(delivery, channel, link))
        crash_point("sent-not-recorded")
        now = self.clock()
        if outcome.ok:
            self.append(ev.NoticeSent(**self.common(f"{tail}/sent"), **base, at=now))
            crash_point("effect-recorded")
            return f"sent to {delivery.role} by {delivery.channel}"
        retry = None
        if outcome.transient:
            retry = next_retry(delivery.attempt, delivery.notice.kind, now, in_doubt=outcome.in_doubt)
        error = (outcome.error or "not delivered")[:300]
        self.append(ev.NoticeFailed(
            **self.common(f"{tail}/failed"), **base, error=error, at=now, retry_at=retry, in_doubt=outcome.in_doubt,
        ))  # fmt: skip
        again = f"; again at {retry:%Y-%m-%dT%H:%M:%SZ}" if retry else "; it stands on the worklist"
        return f"not sent to {delivery.role} by {delivery.channel}: {error}{again}"

    def _message(self, delivery: Delivery, channel: Channel, link: str | None) -> Message:
        notice, site = delivery.notice, self.study.site(self.site)
        language: Literal["en", "zh"] = "en" if (channel.language or site.languages[0]) == "en" else "zh"
        data = dict(notice.data) | notice.because.fields() | {
            "study": f"{self.study.short_title} {self.study.version}",
            "where": link or f"neotorch patient {notice.data.get('subject', '')}".strip(),
            "possible_repeat": delivery.possible_repeat, "sent_at": self.clock(),
        }  # fmt: skip
        return Message(delivery.key, notice.kind, delivery.role, language, data)
