"""Four promises, held against a finished log: what was lived through is only read here, never run again.

    reminded   no visit passes without a reminder, or the reason that `neotorch explain` gives
    ended      nothing goes out after withdrawal or death, but for the exceptions named in EXCEPTIONS
    single     one open obligation per key at any time
    answered   a query is open exactly as long as the data ask for it, by `tests.seeds.byhand`

Pure: a log, the study and what the world did to the server go in, violations come out.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.state import PatientState, fold
from neotorch.rules.reminded import PASSED, Owed, reminded
from neotorch.rules.schedule import VisitPlan, visit_plans
from tests.seeds.byhand import Chart
from tests.seeds.life import Lived

LEASE = timedelta(seconds=60)
DAY = re.compile(r"/\d{4}-\d{2}-\d{2}(\.\d+)?$")
BY_HAND = frozenset(
    {"missing", "too-old", "dose-labs", "history", "survival", "pathology", "adjudication", "imaging", "manual"}
)
EXCEPTIONS = {
    "told": "safety.tell: the investigator learns of a death, and of what became known of the time before",
    "report": "safety.report: a serious adverse event is owed its report, whatever became of the patient",
    "asked": "docs/queries.md: what the data lack or contradict is asked once, and then stands on the worklist",
    "answered": "docs/queries.md: whoever asked hears of the answer",
    "found": "rules/traces.py: a departure from the time before the end, told once",
}
"""What may go out after the end, each with its rule."""


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept."""

    promise: str
    subject: str
    key: str
    day: date
    what: str
    rows: tuple[int, ...] = ()
    """Places in the log."""

    def __str__(self) -> str:
        rows = f" (rows {', '.join(map(str, self.rows))})" if self.rows else ""
        return f"{self.promise}: {self.key} on {self.day}: {self.what}{rows}"


@dataclass
class Findings:
    """What the checker saw."""

    violations: list[Violation] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    """Visits, reminders, queries, looks; and how often which reason or exception was given."""


def check(lived: Lived) -> Findings:
    """Hold a log against all four promises."""
    found = Findings()
    for promise in (no_visit_unreminded, nothing_after_the_end, one_open_per_key, queries_as_the_data_say):
        found.violations += promise(lived, found.figures)
    events = Counter(r.event.type for r in lived.rows)
    found.figures["reminders"] = sum(
        1 for r in lived.rows if isinstance(r.event, ev.NoticeSent) and r.event.subject and _of_visit(r.event)
    )
    found.figures["notices"] = events["notice_sent"]
    found.figures["queries"] = events["query_raised"]
    found.figures["deviations"] = events["deviation_found"]
    found.figures["looks"] = len(lived.looks)
    found.figures["patients"] = len(_by_subject(lived))
    return found


def _by_subject(lived: Lived) -> dict[str, list[ev.Recorded]]:
    found: dict[str, list[ev.Recorded]] = defaultdict(list)
    for row in lived.rows:
        if row.event.subject:
            found[row.event.subject].append(row)
    return found


def _notice(key: str) -> str:
    """The notice's key without role and channel."""
    return key.rsplit("/", 2)[0]


def _of_visit(event: ev.NoticeSent | ev.NoticeClaimed) -> bool:
    """Whether a notice is a reminder of a visit, or says that it moved: SUBJECT/VISIT/rung/day."""
    notice = _notice(event.key)
    return notice.count("/") == 3 and notice.startswith(f"{event.subject}/") and bool(DAY.search(notice))


# ── no visit passes without a reminder, or the reason why not ─────────────────────────────────────────────────────


def no_visit_unreminded(lived: Lived, figures: Counter[str]) -> Iterator[Violation]:
    """Yield the visits of which nobody was reminded for no reason."""
    last = lived.looks[-1]
    sent = (r.event for r in lived.rows if isinstance(r.event, ev.NoticeSent) and r.event.subject)
    told = {_notice(e.key).rsplit("/", 2)[0] for e in sent if _of_visit(e)}
    held = _held_spans(lived, last.at)
    for subject, rows in _by_subject(lived).items():
        state = fold(rows, subject)
        today = local_date(last.at, lived.study.site(state.site).time_zone)
        for plan in visit_plans(state, lived.study, today):
            if plan.status not in PASSED:
                continue
            figures["visits"] += 1
            if f"{subject}/{plan.code}" in told:
                figures["reminded: told"] += 1
                continue
            yield from _why_not(lived, state, plan, held, figures)


def _why_not(
    lived: Lived, state: PatientState, plan: VisitPlan, held: Sequence[tuple[datetime, datetime]], figures: Counter[str]
) -> Iterator[Violation]:
    """Yield a violation unless the engine's reason stands up to what the world and the log say."""
    now = lived.looks[-1].at
    found = reminded(state, lived.study, plan, now, partial(lived.audience, state.site))
    figures[f"reminded: {found.reason}"] += 1
    key = f"{state.subject}/{plan.code}"
    doubt = partial(Violation, "reminded", state.subject, key, local_date(now, lived.study.site(state.site).time_zone))
    rows = tuple(state.learnt[i].seq for i in plan.evidence)
    match found.reason:
        case "off" if not all(_within(o, lived.off, lived) for o in found.owed):
            yield doubt(f"due while the engine ran, and nobody was reminded: {found}", rows)
        case "held" if not all(_within(o, held, lived) for o in found.owed):
            yield doubt(f"due while nothing was held: {found}", rows)
        case "early" | "no day" if due := _surely_due(state, plan, lived):
            yield doubt(f"by hand it was due from {due} until it was known as passed: {found}", rows)
        case "told" | "ahead" | "nobody":
            yield doubt(f"no reminder of it is in the log, and the reason is none: {found}", rows)
        case "failed" if not any(
            r.seq for r in lived.rows if isinstance(r.event, ev.NoticeClaimed) and r.event.key.startswith(key)
        ):
            yield doubt(f"nobody tried to send any: {found}", rows)


ENDINGS = frozenset({"death", "withdrawal", "progression", "dose_changed", "eligibility"})
"""What may make a visit one that is not expected any more."""


def _surely_due(state: PatientState, plan: VisitPlan, lived: Lived) -> datetime | None:
    """Return an instant at which a reminder was due for sure, in the plain case: one anchor, known before, never moved.

    None where it was not, or where the case is not that plain. Counted from the ladder and the window's days alone.
    """
    visit, span = plan.visit, plan.window
    anchors = [state.learnt[i] for i in plan.because.event_ids]
    if span is None or not anchors or visit.held_by not in ("visit", "cycle", "imaging", "disease_status"):
        return None
    if any(name.startswith("last_") for t in visit.timing for name in t.anchors):
        return None  # which dose was the last shows only when no other can come
    known = max(a.recorded_at for a in anchors)
    facts = [r for r in state.learnt.values() if isinstance(r.event, ev.Fact)]
    passed = min((r.recorded_at for r in facts if _is_of(r.event, plan)), default=known)
    between = [r.event for r in facts if r.recorded_at <= passed]
    ids = {a.event.id for a in anchors} | {a.event.corrects for a in anchors if a.event.corrects}
    if len(ids) > len(anchors) or any(_interferes(e, plan, ids) for e in between):
        return None
    zone = lived.study.site(state.site).time_zone
    days = {"opens": span.opens, "target": span.target, "closes": span.closes}
    ladder = lived.study.reminders.ladders[visit.ladder]
    first = min(days[r.at] + timedelta(r.days) for r in ladder if not r.roles and r.says != "overdue")
    due = max(known, at_hour(first, lived.study.reminders.hour, zone))  # on a day off it comes even earlier
    slack = max(lived.pace, timedelta(hours=12))  # quiet hours, a clock that is off
    return due if due + slack < passed and local_date(known, zone) <= span.closes else None


def _interferes(fact: Any, plan: VisitPlan, anchors: set[str]) -> bool:
    """Whether a fact may have put the visit off, let the site off it, moved it, or ended it all."""
    target = getattr(fact, "retracts", None) or fact.corrects
    ends = fact.type in ENDINGS and not getattr(fact, "eligible", False)
    said = fact.type in ("visit_booked", "visit_waived", "visit_missed") and fact.visit == plan.code
    put_off = fact.type == "snoozed" and fact.key.endswith(f"/{plan.code}")
    delayed = fact.type == "cycle_delayed" and fact.cycle == plan.visit.cycle
    return target in anchors or ends or said or put_off or delayed


def _is_of(fact: ev.AnyLogged, plan: VisitPlan) -> bool:
    """Whether a fact tells that a visit is behind."""
    later = isinstance(fact, ev.CycleGiven) and plan.visit.cycle is not None and fact.cycle >= plan.visit.cycle
    operated = plan.visit.needs == "before_surgery" and isinstance(fact, ev.Surgery)
    return later or operated or getattr(fact, "visit", None) == plan.code


def _within(owed: Owed, spans: Sequence[tuple[datetime, datetime]], lived: Lived) -> bool:
    """Whether what was owed was owed in these spans only, but for what a daily digest may take."""
    until, at = owed.until or lived.looks[-1].at, owed.since
    for begin, end in sorted(spans):
        if begin - timedelta(hours=3) <= at < end + timedelta(hours=3):  # the server's clock may be 2 h off
            at = max(at, end)
    return until - at <= lived.pace


def _held_spans(lived: Lived, now: datetime) -> list[tuple[datetime, datetime]]:
    """Return the times in which notices were held for a person, by what the log says."""
    spans: list[tuple[datetime, datetime]] = []
    since: datetime | None = None
    for row in lived.rows:
        if isinstance(row.event, ev.Incident) and row.event.kind == ev.FLOOD:
            since = since or row.recorded_at
        if isinstance(row.event, ev.NoticesReleased) and since:
            spans.append((since, row.recorded_at))
            since = None
    return [*spans, (since, now)] if since else spans


# ── nothing after withdrawal or death ─────────────────────────────────────────────────────────────────────────────

ENDS = frozenset({"death", "withdrawal", "eligibility"})
"""What can end a journey."""
GOES_OUT = (ev.NoticeClaimed, ev.QueryRaised, ev.DeviationFound)


def nothing_after_the_end(lived: Lived, figures: Counter[str]) -> Iterator[Violation]:
    """Yield what went out about a patient whose journey had ended by what was known then."""
    for subject, rows in _by_subject(lived).items():
        chart: Chart | None = None
        first = next((n for n, r in enumerate(rows) if r.event.type in ENDS), len(rows))
        for place, row in enumerate(rows[first:], first):
            if isinstance(row.event, ev.Fact):
                chart = None
                continue
            if not isinstance(row.event, GOES_OUT):
                continue
            chart = chart or Chart(rows[:place], subject, lived.study)
            if not chart.ended:
                continue
            excuse = _excuse(row, rows[:place], chart, lived)
            if excuse in EXCEPTIONS:
                figures[f"after the end: {excuse}"] += 1
            else:
                key = getattr(row.event, "query", None) or getattr(row.event, "deviation", None) or row.event.key
                yield Violation(
                    "ended",
                    subject,
                    key,
                    row.event.occurred,
                    f"{row.event.type} though {chart.ended}; {excuse}",
                    (row.seq,),
                )


def _excuse(row: ev.Recorded, before: Sequence[ev.Recorded], chart: Chart, lived: Lived) -> str:
    """Return the exception that lets something go out after the end, or why there is none."""
    event = row.event
    if isinstance(event, ev.QueryRaised):
        known = event.query in chart.asked(row.recorded_at).may
        return "asked" if known else "the data do not ask for it"
    if isinstance(event, ev.DeviationFound):
        return _of_before(event, before, lived, row.recorded_at)
    notice = _notice(event.key)
    about, _, word = notice.rpartition("/")
    ids = {f.id: f for f in chart.facts}
    if word == "told":
        return "told" if about in ids else "it tells of nothing that holds"
    for fact_id, fact in ids.items():
        if notice.startswith(f"{fact_id}/report/"):
            owed = fact.type == "adverse_event" and fact.reported is None
            return "report" if owed else "the report has been made"
    if match := re.search(r"^(.*)/(asked|answered)/(\d+)(/\d+)?$", notice):
        return match[2] if _open(before, match[1]) else "the query is not open"
    if match := re.search(r"^(.*)/found/(\d+)$", notice):
        return "found" if _open(before, match[1]) else "the deviation is not open"
    return "no rule lets it go out"


def _of_before(event: ev.DeviationFound, before: Sequence[ev.Recorded], lived: Lived, at: datetime) -> str:
    """Whether a deviation is about the time before the end: a visit that is not behind any more cannot be late."""
    if event.kind not in ("missed", "out-of-window"):  # all others are about what was done, not about time gone by
        return "found"
    state = fold(before, event.subject or "")
    today = local_date(at, lived.study.site(state.site).time_zone)
    plan = next((p for p in visit_plans(state, lived.study, today) if p.code == event.visit), None)
    behind = plan is None or plan.status in ("held", "missed", "waived")
    return "found" if behind else f"{event.visit} is {plan.status if plan else 'unknown'}"


def _open(rows: Sequence[ev.Recorded], key: str) -> bool:
    """Whether a query or deviation is open at the end of these rows."""
    for row in reversed(rows):
        event = row.event
        if isinstance(event, ev.QueryRaised | ev.QueryClosed) and event.query == key:
            return isinstance(event, ev.QueryRaised)
        if isinstance(event, ev.DeviationFound | ev.DeviationWithdrawn) and event.deviation == key:
            return isinstance(event, ev.DeviationFound)
    return False


# ── one open obligation per key ───────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Copy:
    """One copy of a notice on its way."""

    attempt: int = 0
    claimed: datetime | None = None
    """Set while nobody knows what became of it."""
    retry_at: datetime | None = None
    settled: str = ""
    rows: tuple[int, ...] = ()


def one_open_per_key(lived: Lived, figures: Counter[str]) -> Iterator[Violation]:
    """Yield what was opened while it was open, closed while it was not, or sent twice."""
    opened: dict[str, int] = {}
    rounds: Counter[str] = Counter()
    copies: dict[str, _Copy] = defaultdict(_Copy)
    for row in lived.rows:
        event = row.event
        match event:
            case ev.QueryRaised() | ev.QueryClosed():
                yield from _turn(row, event.query, opened, rounds)
            case ev.DeviationFound() | ev.DeviationWithdrawn():
                yield from _turn(row, event.deviation, opened, rounds)
            case ev.NoticeClaimed() | ev.NoticeSent() | ev.NoticeFailed():
                copy = copies[event.key]
                wrong = _claim(copy, event, row) if isinstance(event, ev.NoticeClaimed) else _settle(copy, event)
                if wrong:
                    yield _single(row, event.key, wrong, *copy.rows)
                copy.rows += (row.seq,)
    figures["open at the end"] += len(opened)
    for look in lived.looks:
        lines = Counter(key for key, _, _ in look.worklist)
        for key in (k for k, n in lines.items() if n > 1):
            yield Violation(
                "single", key.split("/")[0], key, look.at.date(), "stands on the worklist twice", (look.seq,)
            )


def _turn(row: ev.Recorded, key: str, opened: dict[str, int], rounds: Counter[str]) -> Iterator[Violation]:
    """Take note of an opening or a closing; yield what is wrong with it."""
    before = opened.pop(key, None)
    if isinstance(row.event, ev.QueryClosed | ev.DeviationWithdrawn):
        if before is None:
            yield _single(row, key, "closed while it was not open")
        return
    rounds[key] += 1
    opened[key] = row.seq
    if before is not None:
        yield _single(row, key, "opened while it was open", before)
    elif row.event.round != rounds[key]:  # type: ignore[union-attr]
        yield _single(row, key, f"named round {row.event.round}, and it is number {rounds[key]}")  # type: ignore[union-attr]


def _single(row: ev.Recorded, key: str, what: str, *rows: int) -> Violation:
    return Violation("single", row.event.subject or "trial", key, row.event.occurred, what, (*rows, row.seq))


def _claim(copy: _Copy, event: ev.NoticeClaimed, row: ev.Recorded) -> str:
    """Take note of a claim; return what is wrong with it."""
    notice = _notice(event.key)
    must_arrive = notice.endswith("/told") or "/report/" in notice  # safety, endpoints, incidents: never lost
    wrong = ""
    if copy.settled:
        wrong = f"claimed again though {copy.settled}"
    elif copy.claimed and not (must_arrive and row.recorded_at - copy.claimed >= LEASE):
        wrong = "claimed while it is being sent"
    elif copy.retry_at and row.recorded_at < copy.retry_at - timedelta(hours=2):
        wrong = f"claimed before {copy.retry_at}"
    elif event.attempt != copy.attempt + 1:
        wrong = f"attempt {event.attempt} follows on {copy.attempt}"
    copy.attempt, copy.claimed, copy.retry_at = event.attempt, row.recorded_at, None
    return wrong


def _settle(copy: _Copy, event: ev.NoticeSent | ev.NoticeFailed) -> str:
    """Take note of an outcome; return what is wrong with it."""
    copy.claimed = None
    if isinstance(event, ev.NoticeSent):
        copy.settled = "it was sent"
    elif event.retry_at is None:
        copy.settled = "it was given up"
    else:
        copy.retry_at = event.retry_at
    return "" if copy.attempt == event.attempt else f"outcome of attempt {event.attempt} without its claim"


# ── a query is open as long as the data ask for it ────────────────────────────────────────────────────────────────


def queries_as_the_data_say(lived: Lived, figures: Counter[str]) -> Iterator[Violation]:
    """Yield open queries that the data answer, and what the data ask for and no open query does."""
    kinds = {r.event.query: r.event.kind for r in lived.rows if isinstance(r.event, ev.QueryRaised)}
    for subject, every in _by_subject(lived).items():
        for look in lived.looks:
            rows = every[: bisect_right(every, look.seq, key=lambda r: r.seq)]
            chart = Chart(rows, subject, lived.study)
            if not chart.of("consent"):
                continue
            asked, today, mine = chart.asked(look.at), chart.local(look.at), _opened(rows)
            figures["queries looked at"] += len(mine)
            for key, seq in mine.items():
                if kinds[key] in BY_HAND and key not in asked.may:
                    yield Violation(
                        "answered", subject, key, today, f"open, and the data answer it ({kinds[key]})", (seq, look.seq)
                    )
                elif kinds[key] not in BY_HAND:
                    yield from _booking(key, kinds[key], chart, lived, look.at)
            for key in asked.must - mine.keys():
                yield Violation("answered", subject, key, today, "the data ask for it, and it is not open", (look.seq,))


def _opened(rows: Sequence[ev.Recorded]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        if isinstance(row.event, ev.QueryRaised):
            found[row.event.query] = row.seq
        elif isinstance(row.event, ev.QueryClosed):
            found.pop(row.event.query, None)
    return found


def _booking(key: str, kind: str, chart: Chart, lived: Lived, now: datetime) -> Iterator[Violation]:
    """Yield an open question about an appointment that is no more outside its window; windows are the schedule's."""
    doubt = partial(Violation, "answered", chart.subject, key, chart.local(now))
    if kind != "booking":
        yield doubt(f"no look by hand at queries of kind {kind}")
        return
    code = key.split("/")[1]
    state = fold(chart.rows, chart.subject)
    plan = next(p for p in visit_plans(state, lived.study, chart.local(now)) if p.code == code)
    booked = [f for f in chart.of("visit_booked") if f.visit == code]
    outside = booked and plan.protocol and not plan.protocol.opens <= booked[-1].appointment <= plan.protocol.closes
    if not outside or booked[-1].reason or chart.held(plan.visit):
        yield doubt("open, and the appointment is no question any more")
