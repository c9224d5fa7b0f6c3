"""The worklist: everything somebody has to do, each line with its why, worked out whenever it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from neotorch.domain.calendar import local_date
from neotorch.domain.state import NoticeTrail, PatientState
from neotorch.domain.study import Study
from neotorch.rules import Duties
from neotorch.rules.manual import KIND as MANUAL
from neotorch.rules.notices import Audience, Notice, delivery_key, outlook
from neotorch.rules.post import Flood
from neotorch.rules.queries import age_of, answers_of
from neotorch.rules.schedule import ACTIONABLE
from neotorch.rules.traces import acknowledged

Kind = Literal["visit", "query", "notice", "safety", "deviation"]
ORDER = ("unreported", "to report", "undelivered", "overdue", "due", "late", "deviation", "query", "open")


@dataclass(frozen=True)
class Obligation:
    """One line of the worklist. `key` stays the same as long as the matter does."""

    key: str
    kind: Kind
    status: str
    subject: str
    site: str | None
    what: str
    since: date
    until: date | None
    why: str
    pressing: bool = False
    """Before others of its status."""

    def as_dict(self) -> dict[str, str | None]:
        """Return the line as plain values."""
        return {
            "key": self.key, "kind": self.kind, "status": self.status, "subject": self.subject, "site": self.site,
            "what": self.what, "since": str(self.since), "until": str(self.until) if self.until else None,
            "why": self.why,
        }  # fmt: skip


def obligations(
    state: PatientState, duties: Duties, study: Study, audience: Audience, now: datetime
) -> tuple[Obligation, ...]:
    """Return one patient's open matters: visits to hold, deviations and queries to answer, notices that are stuck."""
    zone = study.site(state.site).time_zone
    lines = [
        *_reports(duties, state),
        *_visits(state, duties),
        *_deviations(state, duties),
        *_queries(state, duties, study, local_date(now, zone)),
        *stuck(state, list(duties.notices), state.notices, audience, now, zone),
    ]
    return tuple(sorted(lines, key=urgency))


def urgency(line: Obligation) -> tuple[int, bool, date, str]:
    """Return what worklists are sorted by, most urgent first."""
    return ORDER.index(line.status), not line.pressing, line.since, line.key


def _reports(duties: Duties, state: PatientState) -> Iterable[Obligation]:
    """Yield the safety reports that are still to be made: `unreported` once their time is over."""
    for clock in duties.clocks:
        if clock.open:
            status = "unreported" if clock.status == "late" else "to report"
            yield Obligation(
                clock.key, "safety", status, clock.subject, state.site,
                f"report {clock.name} by {clock.local(clock.deadline)}",
                local_date(clock.aware, clock.zone), local_date(clock.deadline, clock.zone), str(clock.because),
            )  # fmt: skip


def _visits(state: PatientState, duties: Duties) -> Iterable[Obligation]:
    for plan in duties.plans:
        if plan.status in ACTIONABLE and plan.window:
            what = f"{plan.code} {plan.visit.label.en}: target {plan.window.target}"
            yield Obligation(
                f"{state.subject}/{plan.code}", "visit", plan.status, state.subject, state.site, what,
                plan.window.opens, plan.window.closes, str(plan.because),
            )  # fmt: skip


def _queries(state: PatientState, duties: Duties, study: Study, today: date) -> Iterable[Obligation]:
    zone = study.site(state.site).time_zone
    for query, finding in {f.query: f for f in duties.findings}.items():
        trail = state.queries.get(query)
        asked = local_date(trail.raised_at[trail.round], zone) if trail and trail.open else finding.opens_on
        words = [finding.name]
        if trail and trail.open and (days := age_of(trail, zone, today)):
            words.append(f"open for {days} d")
        if answers_of(query, state):
            wait = "to be resolved by whoever asked" if finding.kind == MANUAL else "the data still lack it"
            words.append(f"answered, {wait}")
        yield Obligation(
            query, "query", "query", state.subject, state.site, ", ".join(words), asked, None, str(finding.because)
        )


def _deviations(state: PatientState, duties: Duties) -> Iterable[Obligation]:
    """Yield the deviations whose cause and action nobody has told yet."""
    for found in duties.deviations:
        if not acknowledged(state, found.key):
            yield Obligation(
                found.key, "deviation", "deviation", state.subject, state.site, f"{found.grade}: {found.title}",
                found.on, None, str(found.because), pressing=found.grade == "important",
            )  # fmt: skip


def held_back(flood: Flood) -> Obligation:
    """Return the line that says that notices are held for a person."""
    return Obligation("trial/flood", "notice", "undelivered", "", None, flood.what, flood.day, None, str(flood))


def stuck(  # noqa: PLR0917 - all of them are what a delivery hangs on
    state: PatientState | None, notices: list[Notice], trails: Mapping[str, NoticeTrail],
    audience: Audience, now: datetime, zone: str,
) -> Iterable[Obligation]:  # fmt: skip
    """Yield the notices that are due and did not get through, or of which nobody can say whether they did.

    Days and times are those of `zone`.
    """
    for notice in notices:
        for role, channel in audience.of(notice):
            key = delivery_key(notice.key, role, channel)
            trail = trails.get(key)
            view = outlook(trail, notice.kind, now)
            why = view.why or (trail.failed[max(trail.failed)].error if trail and trail.failed else "")
            if trail and view.verdict != "done" and why:  # also where the next attempt is due and nobody makes it
                again = f"; tried again at {view.until.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" if view.until else ""
                yield Obligation(
                    key, "notice", "undelivered", state.subject if state else "", state.site if state else None,
                    f"{notice.title} to {role} by {channel}: {why}{again}",
                    local_date(min(trail.claims.values()), zone), None, str(notice.because),
                )  # fmt: skip
