"""Writes down what the engine itself does, each thing once: notices, queries, deviations, recalculations, incidents."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from neotorch.crash import crash_point
from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.study import Study
from neotorch.notify import Channel, Notifier, render
from neotorch.notify import Notice as Message
from neotorch.rules.departures import Deviation
from neotorch.rules.notices import Delivery, Notice, next_retry
from neotorch.rules.wording import drug_title
from neotorch.store.log import EventConflict, EventLog

journal = logging.getLogger("neotorch.notices")


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

    def deliver(self, delivery: Delivery, notifier: Notifier, link: str) -> str:
        """Send one copy of a notice: claim it, send it, write down what became of it. Returns the outcome in words.

        A digest is claimed together with all that goes out in it; what somebody else has claimed by then stays out. A claim
        that nobody followed up (the process was killed) lapses after `rules.notices.LEASE`.
        """
        parts = self._claim(delivery)
        if parts is None:
            return "somebody else is sending it"
        if delivery.members and len(parts) == 1:  # all of it was sent meanwhile by somebody else
            empty = self.failed(delivery, "nothing is left to say", self.clock(), None, in_doubt=False)
            self.log.append_new([empty], now=self.clock())
            return "nothing is left to say"
        crash_point("claim-written")
        channel = notifier.channel(delivery.channel, delivery.role, self.site)
        message = self.message(delivery, channel, link)
        if delivery.members:
            lines = [render(effects.message(one, channel, link)).subject for effects, one in parts[1:]]
            message = replace(message, data={**message.data, "lines": lines, "count": len(lines)})
        outcome = notifier.send(channel, message)
        crash_point("sent-not-recorded")
        now = self.clock()
        keys = {"subject": self.subject, "effect": delivery.key, "attempt": delivery.attempt}
        if outcome.ok:
            journal.info("sent by channel %s", delivery.channel, extra={**keys, "result": "sent"})
            self.log.append_new([e.sent(one, delivery, now) for e, one in parts], now=now)
            crash_point("effect-recorded")
            return f"sent to {delivery.role} by {delivery.channel}"
        retry = None
        if outcome.transient:
            retry = next_retry(delivery.attempt, delivery.notice.kind, now, in_doubt=outcome.in_doubt)
        error = (outcome.error or "not delivered")[:300]
        keys["result"] = "retry" if retry else "undelivered"
        journal.warning("not sent by channel %s: %s", delivery.channel, error, extra=keys)
        failed = [e.failed(one, error, now, retry, in_doubt=outcome.in_doubt) for e, one in parts]
        self.log.append_new(failed, now=now)
        again = f"; again at {retry:%Y-%m-%dT%H:%M:%SZ}" if retry else "; it stands on the worklist"
        return f"not sent to {delivery.role} by {delivery.channel}: {error}{again}"

    def _claim(self, delivery: Delivery) -> list[tuple[Effects, Delivery]] | None:
        """Claim the delivery and what goes out in it; None if it is not ours to send."""
        parts = [(self, delivery)]
        parts += [(replace(self, subject=m.subject, site=m.site), m.delivery) for m in delivery.members]
        claims = [
            ev.NoticeClaimed(
                **e.common(f"{one.key}/{one.attempt}/claim"), **_about(one), part_of=_part_of(one, delivery)
            )
            for e, one in parts
        ]
        try:
            ours = {r.event.id for r in self.log.append_new(claims, now=self.clock())}
        except EventConflict:  # claimed by another process on another date
            return None
        parts = [part for part, claim in zip(parts, claims, strict=True) if claim.id in ours]
        return parts if claims[0].id in ours else None

    def sent(self, one: Delivery, whole: Delivery, now: datetime) -> ev.NoticeSent:
        """Return the event that a copy went out, by itself or in the digest `whole`."""
        common = self.common(f"{one.key}/{one.attempt}/sent")
        return ev.NoticeSent(**common, **_about(one), at=now, part_of=_part_of(one, whole))

    def failed(
        self, one: Delivery, error: str, now: datetime, retry: datetime | None, *, in_doubt: bool
    ) -> ev.NoticeFailed:
        """Return the event that a copy did not go out."""
        common = self.common(f"{one.key}/{one.attempt}/failed")
        return ev.NoticeFailed(**common, **_about(one), error=error, at=now, retry_at=retry, in_doubt=in_doubt)

    def message(self, delivery: Delivery, channel: Channel, link: str) -> Message:
        """Return what the channel gets, in its language or the site's first."""
        notice, site = delivery.notice, self.study.site(self.site)
        language: Literal["en", "zh"] = "en" if (channel.language or site.languages[0]) == "en" else "zh"
        data = dict(notice.data) | self._reason(notice, language) | {
            "study": f"{self.study.short_title} {self.study.version}",
            "where": link or _command(notice),
            "possible_repeat": delivery.possible_repeat, "sent_at": self.clock(),
        }  # fmt: skip
        return Message(delivery.key, notice.kind, delivery.role, language, data)

    def _reason(self, notice: Notice, language: str) -> dict[str, Any]:
        """Return the notice's reason. Its details are English: other readers are led to the console instead."""
        found = notice.because.fields()
        drug = str(found.get("anchor", "")).removeprefix("last ")
        found["anchor_drug"] = drug_title(drug, self.study)
        if language == "en" or "why" not in found:
            found["explain"] = None
        else:
            found.pop("why")
        return found


def _command(notice: Notice) -> str:
    """Return where to look on the console."""
    if notice.data.get("subject"):
        return f"neotorch patient {notice.data['subject']}"
    return {"boundary": "neotorch endpoints", "head": "neotorch verify"}.get(notice.kind, "neotorch patient")


def _about(one: Delivery) -> dict[str, Any]:
    return {"key": one.key, "attempt": one.attempt, "role": one.role, "channel": one.channel}


def _part_of(one: Delivery, whole: Delivery) -> str | None:
    return None if one is whole else whole.key
