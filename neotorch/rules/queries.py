"""Queries that stay open: how old they are, who is reminded, and to whom they are passed on.

Nothing is stored but what was sent: an answer, a reopening or a server that was off changes what is due at the next
look. Of the reminders whose day has come only the newest is due; of the levels of escalation the newest for each role. One
that falls on a day off at the site comes on the next working day; what is new is asked at once. A query starts anew with
each round. `notice_seen` ends its reminders, and the escalations due by that day; later levels still come, because a
query that was seen is not answered. `snoozed` puts the reminders off to the morning of `until`, which is then a
reminder's day itself, working day or not; it puts no escalation off. Once the journey has ended, a query is asked once
and then stands on the worklist.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, get_args

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.state import PatientState, QueryTrail
from neotorch.domain.study import Site, Study
from neotorch.domain.workdays import shifted
from neotorch.rules.manual import KIND as MANUAL
from neotorch.rules.missing import Finding
from neotorch.rules.notices import Notice
from neotorch.rules.wording import finding_words

Bucket = Literal["0-7", "8-14", "15-30", ">30"]
BUCKETS: tuple[Bucket, ...] = get_args(Bucket)
LAST_DAYS = (7, 14, 30)
"""Last day of each bucket but the open one."""


def bucket(days: int) -> Bucket:
    """Return the bucket of an age in days."""
    return BUCKETS[sum(days > last for last in LAST_DAYS)]


def raised_on(trail: QueryTrail, zone: str) -> date:
    """Return the local day on which the query's newest round was raised."""
    return local_date(trail.raised_at[trail.round], zone)


def age_of(trail: QueryTrail, zone: str, today: date) -> int:
    """Return the days since the newest round was raised; that day is day 0."""
    return (today - raised_on(trail, zone)).days


def closings(state: PatientState) -> dict[tuple[str, int], datetime]:
    """Return (query, round) -> the instant at which it was closed."""
    return {
        (r.event.query, r.event.round): r.recorded_at
        for r in state.learnt.values()
        if isinstance(r.event, ev.QueryClosed)
    }


def answers_of(query: str, state: PatientState) -> tuple[ev.QueryAnswered, ...]:
    """Return the site's answers in words since the query was last closed."""
    trail = state.queries.get(query)
    if trail is None or not trail.answers:
        return ()
    before = closings(state).get((query, trail.round - 1)) if trail.round > 1 else None
    return tuple(a for a in trail.answers if before is None or state.learnt[a.id].recorded_at > before)


def query_notices(
    state: PatientState, study: Study, findings: tuple[Finding, ...], now: datetime, *, ended: bool
) -> tuple[list[Notice], list[datetime]]:
    """Return what is to be told now about open queries, and the instants of what comes later.

    `findings` are those past their grace period; `ended`: the journey is over, so that nobody is reminded any more.
    """
    due: list[Notice] = []
    later: list[datetime] = []
    for finding in findings:
        trail = state.queries.get(finding.query)
        if trail is None or not trail.open:
            continue
        query = _query(state, study, finding, trail, now)
        due += _site(query, ended=ended)
        if not ended:
            due += _escalated(query)
            later += _later(query)
    return due, later


@dataclass(frozen=True)
class _Open:
    """An open query with all that its reminders hang on."""

    finding: Finding
    round: int
    raised: date
    answers: int
    """Answers in words to a question that a person asked; that person is to judge them."""
    seen: date | None
    quiet: bool
    """Whether the site has taken note and wants no more reminders."""
    until: date | None
    """The day to which the site has put the reminders off."""
    study: Study
    site: Site
    now: datetime
    subject: str

    @property
    def zone(self) -> str:
        """The site's time zone."""
        return self.site.time_zone

    def morning(self, day: date) -> datetime:
        """Return the instant of a day's notices."""
        return at_hour(day, self.study.reminders.hour, self.zone)

    def working(self, day: date) -> date:
        """Return the working day at the site on which something of a day comes."""
        return shifted(day, self.site, later=True)

    def came(self, day: date) -> bool:
        """Whether what is of a day is due by now."""
        return self.morning(self.working(day)) <= self.now

    def notice(self, what: str, state: str, *, roles: tuple[str, ...] | None = None) -> Notice:
        """Return a notice; `what` is the tail of its key. The words of a question are never in it."""
        finding, words = self.finding, {"raised": "notice", "asked": "notice", "reminder": "reminder"}
        data: dict[str, object] = {"subject": self.subject, "what": finding.title, "state": state}
        data |= finding_words(finding, self.study)
        if state in ("reminder", "escalated"):
            data["age_days"] = (local_date(self.now, self.zone) - self.raised).days
        if finding.kind == MANUAL:
            data["query"] = finding.query
        title = f"{words.get(state, state)}: {finding.name}"
        roles = finding.roles if roles is None else roles
        return Notice(f"{finding.query}/{what}", "query", title, finding.because, data, roles=roles)


def _query(state: PatientState, study: Study, finding: Finding, trail: QueryTrail, now: datetime) -> _Open:
    since = trail.raised_at[trail.round]
    told = [state.learnt[w.id] for w in (state.seen.get(finding.query), state.snoozed.get(finding.query)) if w]
    words = sorted((r for r in told if r.recorded_at >= since), key=lambda r: r.seq)
    seen = next((r.event.occurred for r in words if isinstance(r.event, ev.NoticeSeen)), None)
    until = next((r.event.until for r in words if isinstance(r.event, ev.Snoozed)), None)
    site = study.site(state.site)
    return _Open(
        finding=finding, round=trail.round, raised=raised_on(trail, site.time_zone), seen=seen, until=until,
        answers=len(answers_of(finding.query, state)) if finding.kind == MANUAL else 0,
        quiet=bool(words) and isinstance(words[-1].event, ev.NoticeSeen),  # the later of the two words counts
        study=study, site=site, now=now, subject=state.subject,
    )  # fmt: skip


def _site(query: _Open, *, ended: bool) -> list[Notice]:
    """Return what those who have to answer are told now: the newest reminder, else the first asking."""
    if query.answers:
        what = f"answered/{query.round}/{query.answers}"
        return [query.notice(what, "answered", roles=tuple(query.study.queries.asked_by))]
    if query.quiet:
        return []
    reminder = None if ended else _reached(query)
    if reminder:
        return [query.notice(f"reminder/{query.round}/{(reminder - query.raised).days}", "reminder")]
    return [query.notice(f"asked/{query.round}", "asked" if query.finding.kind == MANUAL else "raised")]


def _reached(query: _Open) -> date | None:
    """Return the newest reminder's day whose morning has come."""
    day = query.raised + timedelta(_count(query) * query.study.queries.remind_every_days)
    if query.until and day <= query.until:
        return query.until if query.morning(query.until) <= query.now else None
    return day if day > query.raised else None


def _count(query: _Open) -> int:
    """Return how many regular reminders' mornings have come."""
    every = query.study.queries.remind_every_days
    count = max((local_date(query.now, query.zone) - query.raised).days // every, 0)
    while count and not query.came(query.raised + timedelta(count * every)):
        count -= 1  # of the reminders that fall into a long holiday none has come
    return min(count, _most(query))


def _most(query: _Open) -> int:
    """Return how many regular reminders there are in all."""
    rules = query.study.queries
    return (rules.remind_for_days or 10**6) // rules.remind_every_days


def _escalated(query: _Open) -> list[Notice]:
    """Return the newest level that has come for each role."""
    told: list[Notice] = []
    covered = set(query.study.recipients.read(query.finding.read).blind) if query.finding.read else set()
    for level in reversed(query.study.queries.escalate):
        day = query.raised + timedelta(level.after_days)
        if not query.came(day) or (query.seen and query.working(day) <= query.seen):
            continue
        roles = tuple(r for r in level.roles if r not in covered)
        covered |= set(roles)
        if roles:
            told.append(query.notice(f"escalated/{query.round}/{level.after_days}", "escalated", roles=roles))
    return told[::-1]


def _later(query: _Open) -> list[datetime]:
    """Return the mornings of the next reminder and of the levels to come."""
    days = [query.working(query.raised + timedelta(level.after_days)) for level in query.study.queries.escalate]
    if not query.answers and not query.quiet:
        days += [query.until] if query.until else []
        if (number := _count(query) + 1) <= _most(query):
            days.append(query.working(query.raised + timedelta(number * query.study.queries.remind_every_days)))
    return [at for day in days if (at := query.morning(day)) > query.now]
