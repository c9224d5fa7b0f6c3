"""Which notices are due, and what their history allows: pure rules, no channel."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.domain.calendar import Window
from neotorch.domain.state import NoticeTrail
from neotorch.domain.study import Rung
from neotorch.rules import duties
from neotorch.rules.notices import (
    BACKOFF,
    LEASE,
    NEVER_LOST,
    Audience,
    Notice,
    deliveries,
    next_retry,
    outlook,
)
from neotorch.rules.reminders import rung_days
from neotorch.rules.schedule import Because
from tests.support import START, STUDY_ID, SUBJECT, at, course, cycle, fact, learnt, screened, state_of, study

DAY, NOW = timedelta(1), datetime(2026, 3, 1, 4, tzinfo=UTC)
KINDS = ["reminder", "moved", "query", "safety", "endpoint", "incident", "deviation", "important_deviation", "boundary"]


def effect(kind: str, attempt: int, when: datetime, key: str = "k/coordinator/c", **fields: Any) -> Any:
    """A claim or an outcome of one attempt."""
    base = {"type": kind, "id": f"{kind}{attempt}", "study": STUDY_ID, "occurred": when.date()}
    body = {"key": key, "attempt": attempt, "role": "coordinator", "channel": "c"}
    at_ = {} if kind == "notice_claimed" else {"at": when}
    return ev.EVENT.validate_python(base | body | at_ | fields)


def trail(claims: dict[int, datetime], sent: Any = None, failed: dict[int, Any] | None = None) -> NoticeTrail:
    """A delivery's history."""
    return NoticeTrail(claims=claims, sent=sent, failed=failed or {})


def failure(attempt: int, retry: datetime | None, **fields: Any) -> Any:
    """A failed attempt."""
    return effect("notice_failed", attempt, NOW, error="down", retry_at=retry, **fields)


ROUTINE_AND_NOT = [
    pytest.param(None, "reminder", "send", id="never tried"),
    pytest.param(trail({1: NOW}, effect("notice_sent", 1, NOW)), "safety", "done", id="sent"),
    pytest.param(trail({1: NOW - LEASE + timedelta(seconds=1)}), "reminder", "wait", id="being sent, routine"),
    pytest.param(trail({1: NOW - LEASE + timedelta(seconds=1)}), "safety", "wait", id="being sent, safety"),
    pytest.param(trail({1: NOW - LEASE}), "reminder", "stuck", id="cut off, routine: never repeated"),
    pytest.param(trail({1: NOW - LEASE}), "safety", "send", id="cut off, safety: repeated"),
    pytest.param(trail({1: NOW}, None, {1: failure(1, NOW + DAY)}), "query", "wait", id="to be tried again tomorrow"),
    pytest.param(trail({1: NOW}, None, {1: failure(1, NOW)}), "query", "send", id="to be tried again now"),
    pytest.param(trail({1: NOW}, None, {1: failure(1, None)}), "query", "stuck", id="given up"),
    pytest.param(trail({1: NOW, 2: NOW}, None, {1: failure(1, NOW)}), "query", "wait", id="second attempt running"),
]


@pytest.mark.parametrize(("history", "kind", "verdict"), ROUTINE_AND_NOT)
def test_outlook(history: NoticeTrail | None, kind: str, verdict: str) -> None:
    """What may be done about a delivery follows from its history and from whether it may be lost or repeated."""
    found = outlook(history, kind, NOW)
    assert found.verdict == verdict
    assert found.why or verdict in ("send", "done", "wait")


@pytest.mark.parametrize("kind", KINDS)
def test_waits_grow_to_a_cap(kind: str) -> None:
    """One minute, five, half an hour, two hours, six hours; then the worklist, or six hours for ever."""
    waits = [next_retry(n, kind, NOW, in_doubt=False) for n in range(1, 12)]
    assert waits[: len(BACKOFF)] == [NOW + w for w in BACKOFF]
    assert list(BACKOFF) == sorted(BACKOFF)
    rest = {NOW + BACKOFF[-1]} if kind in NEVER_LOST else {None}
    assert set(waits[len(BACKOFF) :]) == rest


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_have_arrived_is_repeated_only_if_it_must_not_be_lost(kind: str) -> None:
    """After a time-out nobody knows: reminders and queries are not sent again, safety, endpoints and incidents are."""
    again = next_retry(1, kind, NOW, in_doubt=True)
    assert (again is not None) is (kind in {"safety", "endpoint", "incident", "boundary"})


def test_a_repeat_says_that_it_may_be_one() -> None:
    """Only an attempt after one in doubt is a possible repeat; one after a refused connection is not."""
    notice = Notice("k", "safety", "x", Because("r", "1.0"))
    audience = Audience({"safety": ["coordinator"]}, {"coordinator": ["c"]})
    cut = trail({1: NOW - LEASE})
    refused = trail({1: NOW - DAY}, None, {1: failure(1, NOW - DAY)})
    doubtful = trail({1: NOW - DAY}, None, {1: failure(1, NOW - DAY, in_doubt=True)})
    later = trail({1: NOW - DAY, 2: NOW - DAY}, None, {1: failure(1, NOW, in_doubt=True), 2: failure(2, NOW)})
    for history, repeat in ((cut, True), (refused, False), (doubtful, True), (later, True)):
        send, _ = deliveries([notice], {"k/coordinator/c": history}, audience, NOW)
        assert [d.possible_repeat for d in send] == [repeat]
        assert send[0].attempt == history.last_attempt + 1


def test_a_new_channel_hears_of_what_is_a_day_old_at_most() -> None:
    """A role told through one channel yesterday is not told again through one that was added since."""
    notice = Notice("k", "safety", "x", Because("r", "1.0"))
    audience = Audience({"safety": ["coordinator", "operator"]}, {"coordinator": ["c", "new"], "operator": ["other"]})
    for age, new in ((timedelta(hours=23), ["new", "other"]), (timedelta(hours=25), ["other"])):
        told = {"k/coordinator/c": trail({1: NOW}, effect("notice_sent", 1, NOW - age))}
        send, _ = deliveries([notice], told, audience, NOW)
        assert [d.channel for d in send] == new


def test_a_notice_nobody_listens_to_goes_nowhere() -> None:
    """No listeners for its kind: nothing to send and nothing to wait for."""
    assert deliveries([Notice("k", "query", "x", Because("r", "1.0"))], {}, Audience({}, {}), NOW) == ([], [])


def test_rungs_on_one_day_come_in_the_order_of_the_study_file() -> None:
    """A window of one day: the reminder that stands later in the file is the newer one."""
    rungs = [Rung(name="ahead", says="ahead", at="target", days=-3), Rung(name="opens", says="opens", at="opens", days=0),
             Rung(name="closing", says="closing", at="closes", days=-1), Rung(name="overdue", says="overdue", at="closes", days=1)]  # fmt: skip
    span = Window(START, START, START, None)
    assert [r.name for _, r in rung_days(rungs, span)] == ["ahead", "closing", "opens", "overdue"]
    span = Window(START, START + DAY, START + DAY, None)
    assert [r.name for _, r in rung_days(rungs, span)] == ["ahead", "opens", "closing", "overdue"]


def reminders_at(on: date, clock: str, *facts: ev.AnyFact) -> set[str]:
    """The reminders due at an instant, without the subject."""
    found = duties(state_of(facts), study(), at(on, clock)).notices
    return {n.key.removeprefix(f"{SUBJECT}/") for n in found if n.kind == "reminder"}


MORNINGS = [
    (22, "07:59", set()),
    (23, "07:59", set()),
    (23, "08:00", {"C1D8/opens/2026-01-26"}),  # opens on Saturday the 24th, so the site is told on the Friday
    (24, "08:00", {"C1D8/opens/2026-01-26"}),
    (27, "08:00", {"C1D8/closing/2026-01-26"}),
    (29, "00:00", set()),
    (29, "08:00", {"C1D8/overdue/2026-01-26"}),
]


@pytest.mark.parametrize(("on", "clock", "due"), MORNINGS)
def test_reminders_come_at_eight_in_the_morning_at_the_site(on: int, clock: str, due: set[str]) -> None:
    """One rung after the other, at most one per visit, and no late one in the night before it is overdue."""
    found = reminders_at(date(2026, 1, on), clock, *screened(), cycle(1, START))
    assert {k for k in found if k.startswith("C1D8")} == due


def test_a_visit_held_or_not_expected_is_not_reminded_of() -> None:
    """Worked out anew each time: what was held or fell away is simply no longer due."""
    morning = START + 8 * DAY
    held = fact("visit_held", START + 7 * DAY, visit="C1D8")
    dead = fact("death", START + 6 * DAY)
    for told in (held, dead):
        assert not reminders_at(morning, "09:00", *screened(), cycle(1, START), told)


def test_a_safety_notice_is_due_at_once_and_for_each_fact() -> None:
    """Death, recurrence, progression and a serious adverse event are told; others are not."""
    told = [
        fact("adverse_event", START, id="mild", term="rash", grade=1),
        fact(
            "adverse_event", START, id="sae", term="rash", grade=3, serious=True, reported="2026-01-19T15:00:00+08:00"
        ),
        fact("progression", START + 30 * DAY, id="pd", operable=None, basis="imaging"),
        fact("recurrence", START + 300 * DAY, id="rec", site="local"),
        fact("death", START + 400 * DAY, id="dead"),
    ]
    found = duties(state_of([*screened(), *course(1), *told]), study(), at(START + 500 * DAY)).notices
    assert {n.key for n in found if n.kind == "safety"} == {f"{i}/told" for i in ("sae", "pd", "rec", "dead")}


def test_no_notice_holds_free_text() -> None:
    """A reason, an answer, a cause typed by somebody never gets into what is sent."""
    secret = "Mrs Li, room 7"
    told = [
        *screened(), cycle(1, START, reason=secret), fact("death", START + 30 * DAY, id="d", reason=secret),
        fact("form_received", START + 7 * DAY, visit="C1D8", form="CBC", reason=secret,
             items={"ANC": {"status": "not_done", "reason": secret}}),
        fact("adverse_event", START, id="sae", term="rash", grade=3, serious=True, reason=secret),
    ]  # fmt: skip
    rows = learnt(told)
    found = duties(state_of(told), study(), at(START + 40 * DAY))
    assert rows
    assert found.notices
    assert secret not in repr([(n.key, n.title, n.data, str(n.because)) for n in found.notices])
