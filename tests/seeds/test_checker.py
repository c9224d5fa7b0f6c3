"""The checker can fail: of each promise, a log in which it is broken at one place, and what is found there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.rules.reminded import Reminded
from tests.seeds import invariants
from tests.seeds.invariants import Violation, check
from tests.seeds.life import Lived
from tests.seeds.test_seeds import findings, small

QUIET, DEATH = 0, 2
"""Small worlds: one with outages, one in which somebody dies; neither breaks a promise."""
Change = Callable[[ev.Recorded], Iterable[ev.AnyLogged]]


def changed(lived: Lived, change: Change) -> Lived:
    """The log with other events in the place of each row, numbered anew; what was looked at stays where it was."""
    rows: list[ev.Recorded] = []
    last: dict[int, int] = {0: 0}
    for row in lived.rows:
        for event in change(row):
            rows.append(row.model_copy(update={"seq": len(rows) + 1, "event": event}))
        last[row.seq] = len(rows)
    looks = [replace(look, seq=last[look.seq]) for look in lived.looks]
    return replace(lived, rows=rows, looks=looks)


def without(lived: Lived, gone: Callable[[ev.AnyLogged], bool]) -> Lived:
    """The log without some events."""
    return changed(lived, lambda row: [] if gone(row.event) else [row.event])


def with_after(lived: Lived, place: ev.AnyLogged, *more: ev.AnyLogged) -> Lived:
    """The log with events behind another one."""
    return changed(lived, lambda row: [row.event, *more] if row.event.id == place.id else [row.event])


def events(lived: Lived, kind: type[Any]) -> list[Any]:
    """All events of a type."""
    return [r.event for r in lived.rows if isinstance(r.event, kind)]


def effect(kind: type[Any], like: ev.AnyLogged, /, **fields: Any) -> Any:
    """Something the engine might have done to the same patient on the same day."""
    common = {
        "id": f"engine:made-up/{kind.__name__}",
        "study": like.study,
        "subject": like.subject,
        "occurred": like.occurred,
    }
    return kind(**common | fields)


def broken(lived: Lived, promise: str) -> list[Violation]:
    """What the checker finds against one promise; there is always a day, a key and a place in the log."""
    found = [v for v in check(lived).violations if v.promise == promise]
    assert all(v.key and v.day and v.subject for v in found)
    return found


@pytest.mark.parametrize("seed", [QUIET, DEATH])
def test_the_logs_are_sound_as_they_are(seed: int) -> None:
    """What is found below was put there."""
    assert findings(seed).violations == []


# ── reminded ──────────────────────────────────────────────────────────────────────────────────────────────────────


def visit_of(event: ev.AnyLogged) -> str:
    """SUBJECT/VISIT of a visit's notice, else nothing."""
    parts = getattr(event, "key", "").split("/")
    return "/".join(parts[:2]) if len(parts) == 6 and parts[3][:2] == "20" else ""


def test_a_visit_whose_notices_are_gone_is_found() -> None:
    """Whichever visit it is: its reminders were due while the engine ran, and none is in the log."""
    lived = small(QUIET)
    shown = {f"{e.subject}/{e.visit}" for e in events(lived, ev.VisitHeld)}
    told = sorted({visit_of(e) for e in events(lived, ev.NoticeSent)} & shown)
    assert len(told) > 5
    for visit in told[::3]:
        found = broken(without(lived, lambda e, visit=visit: visit_of(e) == visit), "reminded")  # type: ignore[misc]
        assert visit in {v.key for v in found}


def test_an_outage_that_never_was_is_no_reason() -> None:
    """The engine says that it did not run; the checker knows when it did not."""
    lived = small(QUIET)
    assert findings(QUIET).figures["reminded: off"]
    assert len(broken(replace(lived, off=[]), "reminded")) == findings(QUIET).figures["reminded: off"]


def test_an_engine_that_gives_a_wrong_reason_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that a visit was held before its first reminder; by the days of its window and ladder it was not."""
    monkeypatch.setattr(invariants, "reminded", lambda *_: Reminded("early", "nobody: held before"))
    lived = small(QUIET)
    told = {visit_of(e) for e in events(lived, ev.NoticeSent)} - {""}
    found = broken(without(lived, lambda e: bool(visit_of(e))), "reminded")
    assert len({v.key for v in found} & told) > 3, "all whose case is plain"


# ── ended ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def death(lived: Lived) -> ev.AnyLogged:
    """A death that nobody took back."""
    back = {getattr(e, "retracts", None) or e.corrects for e in events(lived, ev.Fact)}
    return next(e for e in events(lived, ev.Death) if e.id not in back)


AFTER = {
    "a reminder of a visit": (ev.NoticeClaimed, {"key": "{s}/FU1/opens/2026-01-05/coordinator/outbox", "role": "coordinator"}),
    "that a visit moved": (ev.NoticeClaimed, {"key": "{s}/FU1/moved/2026-01-05/coordinator/outbox", "role": "coordinator"}),
    "a reminder of a query": (ev.NoticeClaimed, {"key": "{s}/C1D1/CBC/reminder/1/7/coordinator/outbox", "role": "coordinator"}),
    "an escalated query": (ev.NoticeClaimed, {"key": "{s}/C1D1/CBC/escalated/1/14/monitor/outbox", "role": "monitor"}),
    "a report that is not owed": (ev.NoticeClaimed, {"key": "{s}-CONSENT/report/late/investigator/outbox", "role": "investigator"}),
    "a query that the data do not ask": (ev.QueryRaised, {"query": "{s}/FU9/EXAM", "round": 1, "kind": "missing"}),
    "a visit missed after the end": (ev.DeviationFound, {"deviation": "{s}/deviation/missed/FU10", "round": 1, "kind": "missed", "grade": "minor", "visit": "FU10"}),
}  # fmt: skip


@pytest.mark.parametrize("what", AFTER)
def test_what_goes_out_after_death_is_found(what: str) -> None:
    """No rule lets it go out, and it stands behind the death in the log."""
    lived = small(DEATH)
    died = death(lived)
    kind, fields = AFTER[what]
    said = {k: v.format(s=died.subject) if isinstance(v, str) else v for k, v in fields.items()}
    extra = {"attempt": 1, "channel": "outbox"} if kind is ev.NoticeClaimed else {}
    found = broken(with_after(lived, died, effect(kind, died, **said, **extra)), "ended")
    assert {v.key for v in found} & set(map(str, said.values()))
    assert all(v.rows for v in found)


# ── single ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [ev.QueryRaised, ev.QueryClosed, ev.DeviationFound, ev.NoticeClaimed, ev.NoticeSent])
def test_what_is_done_twice_is_found(kind: type[Any]) -> None:
    """A second opening, closing, claim or outcome under the same key, at once or after another attempt's number."""
    lived = small(QUIET)
    one = events(lived, kind)[-1]
    twin = one.model_copy(update={"id": f"{one.id}/again"})
    if kind is ev.NoticeSent:
        twin = twin.model_copy(update={"attempt": one.attempt + 1})
    key = getattr(one, "query", None) or getattr(one, "deviation", None) or one.key
    assert key in {v.key for v in broken(with_after(lived, one, twin), "single")}


def test_a_notice_sent_once_more_is_found() -> None:
    """A further attempt at what has arrived."""
    lived = small(QUIET)
    sent = events(lived, ev.NoticeSent)[5]
    again = effect(ev.NoticeClaimed, sent, key=sent.key, attempt=2, role=sent.role, channel=sent.channel)
    assert sent.key in {v.key for v in broken(with_after(lived, sent, again), "single")}


def test_a_line_that_stands_twice_on_the_worklist_is_found() -> None:
    """One matter, two lines."""
    lived = small(QUIET)
    looks = [replace(look, worklist=look.worklist * 2) for look in lived.looks]
    lines = sum(len(look.worklist) for look in lived.looks)
    assert len(broken(replace(lived, looks=looks), "single")) == lines > 0


# ── answered ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_query_that_is_never_closed_is_found() -> None:
    """Each of the closings taken out of the log by itself: the data answer a query that is open."""
    lived = small(QUIET)
    closings = events(lived, ev.QueryClosed)
    reopened = {q.query for q in events(lived, ev.QueryRaised) if q.round > 1}
    last = lived.looks[-1].at.date() - timedelta(60)
    for closed in [c for c in closings if c.query not in reopened and c.occurred < last][:4]:
        found = broken(without(lived, lambda e, closed=closed: e.id == closed.id), "answered")  # type: ignore[misc]
        assert closed.query in {v.key for v in found}
        assert all(v.rows for v in found)


def test_a_query_that_is_closed_too_soon_is_found() -> None:
    """Closed as soon as it was raised, and at some look the data still lacked it."""
    lived = small(QUIET)
    closed = {e.query for e in events(lived, ev.QueryClosed)}
    one = next(e for e in events(lived, ev.QueryRaised) if e.query not in closed)
    early = effect(ev.QueryClosed, one, query=one.query, round=one.round)
    assert one.query in {v.key for v in broken(with_after(lived, one, early), "answered")}


def test_a_query_that_was_not_raised_is_found() -> None:
    """The data ask for it, and nothing in the log does."""
    lived = small(QUIET)
    closed = {e.query for e in events(lived, ev.QueryClosed)}
    one = next(e for e in events(lived, ev.QueryRaised) if e.query not in closed)
    assert one.query in {
        v.key for v in broken(without(lived, lambda e: getattr(e, "query", "") == one.query), "answered")
    }


def test_an_answer_that_is_taken_away_is_found() -> None:
    """Without the form that answered it, a query is closed that the data still ask."""
    lived = small(QUIET)
    closed = [c for c in events(lived, ev.QueryClosed) if c.query.count("/") == 2]
    by_key = {(e.subject, e.visit, e.form): e for e in events(lived, ev.FormReceived)}
    keys = [c.query for c in closed if tuple(c.query.split("/")) in by_key]
    assert keys
    gone = by_key[tuple(keys[0].split("/"))]  # type: ignore[index]
    assert keys[0] in {v.key for v in broken(without(lived, lambda e: e.id == gone.id), "answered")}
