"""Notices on their way: to a real web receiver that takes them, refuses them, keeps silent or is not there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from neotorch.domain import events as ev
from neotorch.receivers import WebReceiver
from neotorch.rules.notices import BACKOFF, LEASE
from tests.support import START, SUBJECT, Trial, at, cycle, fact, forms, screened

DAY = timedelta(1)
ROLES = ("coordinator", "investigator", "statistician", "operator")


def channel(name: str, role: str, url: str) -> dict[str, str]:
    """A channel as in the settings."""
    return {"name": name, "role": role, "url": url}


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    """Where every role's notices go."""
    with WebReceiver() as receiver:
        yield receiver


@pytest.fixture
def trial(tmp_path: Path, web: WebReceiver) -> Trial:
    """A patient at C1D1, seen by the journey; who sends waits half a second for an answer."""
    told = [channel(role, role, web.url(f"/{role}")) | {"language": "en"} for role in ROLES]
    found = Trial(tmp_path, now=at(START), channels=told, notice_timeout_seconds=0.5)
    found.tell(*screened(), cycle(1, START), *forms("C1D1", START))
    found.wake()
    web.received.clear()
    web.attempts = 0
    return found


def reminder_morning(trial: Trial) -> None:
    """Move to the morning of the first reminder of C1D8."""
    trial.now = at(START + 4 * DAY, "08:00")


def undelivered(trial: Trial) -> list[str]:
    """The notices on the worklist."""
    return [o.what for o in trial.engine.worklist() if o.status == "undelivered"]


def attempts(trial: Trial, beginning: str) -> int:
    """How often it was tried to send the notices whose keys begin so, by the log."""
    rows = (r.event for r in trial.engine.log.read())
    return sum(isinstance(e, ev.NoticeClaimed) and e.key.startswith(beginning) for e in rows)


def cut_off(trial: Trial, key: str) -> None:
    """A worker claims the due notice with this beginning and is killed before it has sent it."""
    step = next(s for s in trial.engine.plan(SUBJECT).steps if s.delivery and s.delivery.key.startswith(key))
    assert step.delivery
    copy = step.delivery
    claim = ev.NoticeClaimed(
        id=f"{ev.ENGINE_ID}{copy.key}/{copy.attempt}/claim", study=trial.engine.study.id, subject=SUBJECT,
        occurred=trial.now.date(), key=copy.key, attempt=copy.attempt, role=copy.role, channel=copy.channel,
    )  # fmt: skip
    trial.engine.log.append_new([claim], now=trial.now)


# ── a channel that is down ────────────────────────────────────────────────────────────────────────────────────────


def test_a_channel_that_is_down_is_tried_again_with_growing_waits_and_then_stands_on_the_worklist(
    trial: Trial, web: WebReceiver
) -> None:
    """Each attempt waits longer, the last wait is the cap; then nobody tries any more and the worklist says so."""
    web.stop()
    reminder_morning(trial)
    tried = [trial.now]
    for wait in BACKOFF:
        trial.wake()
        assert "refused" in undelivered(trial)[0]
        assert trial.plan.until is not None
        assert trial.plan.until <= tried[-1] + wait
        if tried[-1] + wait >= at(START + 5 * DAY, "08:00"):
            break  # the next rung of the reminder takes over
        trial.now = tried[-1] + wait
        tried.append(trial.now)
    trial.wake()
    assert attempts(trial, f"{SUBJECT}/C1D8/") == len(tried)
    assert undelivered(trial)
    trial.now += timedelta(hours=1)
    trial.wake()
    assert attempts(trial, f"{SUBJECT}/C1D8/") == len(tried)


def test_a_routine_notice_gives_up_after_the_last_wait(trial: Trial, web: WebReceiver) -> None:
    """Six attempts, then it stands on the worklist; the journey sleeps on and does not fail."""
    asked = f"{SUBJECT}/C1D8/CBC/asked"
    trial.tell(fact("form_received", START, id="f", visit="C1D8", form="CBC", items={"ANC": 2}))
    trial.now = at(START + 3 * DAY)
    web.fail_with = 503
    trial.sleep_until(at(START + 30 * DAY))
    assert attempts(trial, asked) == len(BACKOFF) + 1
    assert any("after 6 attempts" in what for what in undelivered(trial))
    web.fail_with = None
    trial.sleep_until(at(START + 31 * DAY))
    assert attempts(trial, asked) == len(BACKOFF) + 1
    assert not [p for p in web.received if p.key.startswith(asked)]


def test_a_safety_notice_never_gives_up(trial: Trial, web: WebReceiver) -> None:
    """A death is told for as long as it takes, every six hours in the end, and stands on the worklist meanwhile."""
    web.fail_with = 503
    trial.tell(fact("death", START, id="d"))
    trial.sleep_until(at(START + 10 * DAY))
    assert attempts(trial, "d/told") > 35
    assert web.attempts >= attempts(trial, "d/told")
    assert undelivered(trial)
    assert not trial.plan.done
    web.fail_with = None
    trial.sleep_until(at(START + 11 * DAY))
    assert [p.key for p in web.received if p.key.startswith("d/told")] == ["d/told/investigator/investigator"]
    assert not undelivered(trial)
    assert trial.plan.done


def test_a_failed_notice_stays_on_the_worklist_when_its_next_attempt_is_overdue(trial: Trial, web: WebReceiver) -> None:
    """If nobody is awake to try again, the worklist still says that it did not get through."""
    web.fail_with = 503
    reminder_morning(trial)
    trial.wake()
    trial.now += timedelta(hours=2)  # no wake: the worker is down
    assert undelivered(trial)


def test_a_refused_notice_is_not_tried_again(trial: Trial, web: WebReceiver) -> None:
    """What no repetition can mend (the receiver says 404) goes to the worklist at once."""
    web.fail_with = 404
    reminder_morning(trial)
    trial.sleep_until(at(START + 4 * DAY, "23:00"))
    assert web.attempts == attempts(trial, f"{SUBJECT}/C1D8/") == 1
    assert "404" in undelivered(trial)[0]


# ── nobody knows whether it arrived ───────────────────────────────────────────────────────────────────────────────


def test_a_reminder_cut_off_while_sending_is_never_repeated_and_shown(trial: Trial, web: WebReceiver) -> None:
    """Nobody knows whether it arrived: a routine notice is not sent twice, and stands on the worklist as in doubt."""
    reminder_morning(trial)
    cut_off(trial, f"{SUBJECT}/C1D8/")
    trial.wake()
    trial.now += LEASE
    trial.wake()
    assert not [p for p in web.received if "/C1D8/" in p.key]
    assert "may or may not have arrived" in undelivered(trial)[0]


def test_a_reminder_without_an_answer_is_not_repeated(trial: Trial, web: WebReceiver) -> None:
    """A time-out is as doubtful as a cut."""
    web.hang_seconds = 30
    reminder_morning(trial)
    trial.sleep_until(at(START + 4 * DAY, "23:00"))
    assert web.attempts == attempts(trial, f"{SUBJECT}/C1D8/") == 1
    assert "no answer" in undelivered(trial)[0]


def test_a_safety_notice_cut_off_while_sending_is_repeated_and_says_so(trial: Trial, web: WebReceiver) -> None:
    """A death is never lost: it goes out again once the claim has lapsed, marked as a possible repeat."""
    trial.tell(fact("death", START, id="d"))
    cut_off(trial, "d/told/investigator")
    trial.wake()
    assert not [p for p in web.received if p.key.startswith("d/told")], "somebody may still be sending it"
    trial.now += LEASE
    trial.wake()
    told = [p for p in web.received if p.key.startswith("d/told")]
    assert [p.body["title"].startswith("[possible repeat]") for p in told] == [True]
    assert trial.engine.plan(SUBJECT).done


# ── who gets it ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_two_channels_the_one_that_failed_is_tried_again_also_for_a_move(tmp_path: Path) -> None:
    """That one of two coordinators knows the new day does not mean that the other one does."""
    with WebReceiver() as good, WebReceiver() as bad:
        told = [channel("one", "coordinator", good.url()), channel("two", "coordinator", bad.url())]
        trial = Trial(tmp_path, now=at(START), channels=told)
        trial.tell(*screened(), cycle(1, START), *forms("C1D1", START))
        trial.sleep_until(at(START + 19 * DAY))
        keys = [p.key for p in good.received]
        assert f"{SUBJECT}/C2D1/opens/{START + 21 * DAY}/coordinator/one" in keys
        bad.fail_with = 503
        trial.tell(fact("cycle_delayed", START + 19 * DAY, cycle=2, until=START + 40 * DAY, cause="x"))
        trial.wake()
        moved = f"{SUBJECT}/C2D1/moved/{START + 40 * DAY}/coordinator"
        assert f"{moved}/one" in [p.key for p in good.received]
        assert f"{moved}/two" not in [p.key for p in bad.received]
        assert any("moved" in o for o in undelivered(trial))
        bad.fail_with = None
        trial.sleep_until(trial.now + timedelta(minutes=10))
        assert f"{moved}/two" in [p.key for p in bad.received]
        assert len([p for p in good.received if p.key == f"{moved}/one"]) == 1
        assert not undelivered(trial)


def test_a_channel_added_later_is_not_sent_old_news(tmp_path: Path) -> None:
    """Who is newly connected gets what is new from then on, not every death since the trial began."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(
        *screened(),
        cycle(1, START),
        fact("adverse_event", START, id="sae", term="x", grade=3, serious=True, reported="2026-01-19T12:00:00+08:00"),
    )
    trial.wake()
    with WebReceiver() as web:
        again = Trial(tmp_path, now=at(START + 3 * DAY), channels=[channel("late", "investigator", web.url())])
        again.wake()
        assert web.received == []
        again.tell(fact("death", START + 3 * DAY, id="d"))
        again.wake()
        assert [p.key for p in web.received] == ["d/told/investigator/late"]


def test_without_a_channel_notices_are_files_in_the_outbox(tmp_path: Path) -> None:
    """Nobody configured: the notice is a file with the subject code and no name."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START))
    trial.sleep_until(at(START + 4 * DAY, "09:00"))
    files = list(trial.engine.settings.outbox.glob("*C1D8*.eml"))
    assert len(files) == 1
    assert trial.engine.unheard()
