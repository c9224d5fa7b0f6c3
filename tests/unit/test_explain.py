"""`neotorch explain`: any reminder, query, deviation or missed visit says its rule, version, dates, events and way out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import START, SUBJECT, Trial, at, cycle, fact, forms, screened

DAY = timedelta(1)
C1D8 = START + 7 * DAY


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Twelve days after C1D1: C1D8 was reminded of and not held, a pressure is missing at C1D1."""
    trial = Trial(tmp_path_factory.mktemp("explain"), now=at(START - 20 * DAY))
    trial.now = at(START)
    trial.tell(*screened(), cycle(1, START), *forms("C1D1", START, without=["VITALS.SBP"]))
    trial.sleep_until(at(START + 15 * DAY, "23:00"))
    return trial


KEYS = [
    (f"C1D8/opens/{C1D8}", {"status": "no longer due: C1D8 is missed", "sent to": "coordinator by outbox 2026-01-23 08:00"}),
    (f"C1D8/ahead/{C1D8}", {"rule": "default ladder: ahead 3 d before the target day"}),
    (f"C1D15/escalated/{C1D8 + 7 * DAY}", {"rule": "default ladder: escalated 4 d after the window's last day, to investigator"}),
    (f"C1D15/opens/{C1D8}", {"status": "no longer due: C1D15 has moved to 2026-02-02"}),
    ("C1D8", {"status": "missed", "window": "2026-01-24 to 2026-01-28, target 2026-01-26"}),
    ("C1D15", {"status": "late", "reminders": "2026-01-30 08:00 ahead; 2026-01-30 08:00 opens"}),
    ("C1D1/VITALS", {"status": "open", "query": "SBP missing at C1D1"}),
    ("deviation/missed/C1D8", {"status": "open", "grade": "minor"}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "says"), KEYS, ids=[k for k, _ in KEYS])
def test_every_verdict_says_why_and_what_would_end_it(lived: Trial, key: str, says: dict[str, str]) -> None:
    """Rule, version, anchor, dates and events stand in `because`, the way out beside it."""
    found = lived.engine.explain(f"{SUBJECT}/{key}")
    assert {k: found.get(k, "")[: len(v)] for k, v in says.items()} == says
    assert "rule " in found["because"]
    assert "study version 1.0" in found["because"]
    assert f"{SUBJECT}." in found["because"], "the events it rests on"
    assert found.get("ends with") or found.get("remedy")


def test_a_copy_of_a_notice_says_what_it_was_about(lived: Trial) -> None:
    """The key of one copy, as the log has it, gives what became of it and why it was due."""
    copy = next(k for k in lived.engine.state(SUBJECT).notices if "/C1D8/opens/" in k)
    found = lived.engine.explain(copy)
    assert found["status"].startswith("sent 2026-01-23T00:00")
    assert "rule visit.window" in found["because"]


@pytest.mark.parametrize(
    "key", ["C1D8/never/2026-01-26", "C1D8/opens/2026-02-30", "C9D9/opens/2026-01-26", "C1D8/opens"]
)
def test_what_is_no_reminder_has_no_reason(lived: Trial, key: str) -> None:
    """An unknown rung, day or visit is not explained away."""
    assert lived.engine.explain(f"{SUBJECT}/{key}") == {}


def test_a_reminder_put_off_says_until_when(tmp_path: Path) -> None:
    """After a snooze the ladder names the one reminder that comes in place of those before it."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START))
    trial.now = at(START + 5 * DAY)
    trial.tell(fact("snoozed", START + 5 * DAY, key=f"{SUBJECT}/C1D8", until=START + 8 * DAY, reason="patient away"))
    ladder = trial.engine.explain(f"{SUBJECT}/C1D8")["reminders"]
    assert ladder.startswith("2026-01-27 08:00 again-20260127; 2026-01-29 08:00 overdue")
    assert trial.engine.explain(f"{SUBJECT}/C1D8/opens/{C1D8}")["status"] == "put off"


def reminded(trial: Trial, visit: str, subject: str = SUBJECT) -> str:
    """What is said of the reminders of a visit that went out."""
    return trial.engine.explain(f"{subject}/{visit}").get("reminded", "")


def test_a_visit_says_when_somebody_was_reminded_of_it(lived: Trial) -> None:
    """Rungs and local times of what went out; of a visit that is still far off nothing is said."""
    days = [
        "2026-01-23 08:00 opens",
        "2026-01-27 08:00 closing",
        "2026-01-29 08:00 overdue",
        "2026-02-02 08:00 escalated",
    ]
    assert reminded(lived, "C1D8").split("; ") == days
    assert reminded(lived, "C2D1") == ""


def test_a_visit_held_before_its_first_reminder_says_so(tmp_path: Path) -> None:
    """Nobody was reminded, because it was recorded as held before the first rung of its ladder."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START))
    trial.wake()
    trial.now = at(START + 2 * DAY)
    trial.tell(fact("visit_held", START + 2 * DAY, visit="C1D8"))
    trial.sleep_until(at(START + 9 * DAY))
    words = reminded(trial, "C1D8")
    assert words == "nobody: held, known on 2026-01-21 12:00, before its first reminder was due on 2026-01-23 08:00"


def test_a_visit_that_was_known_only_when_it_was_over_says_so(tmp_path: Path) -> None:
    """All at once in the log: there was never a day to be reminded of."""
    trial = Trial(tmp_path, now=at(START + 9 * DAY))
    trial.tell(*screened(), cycle(1, START), fact("visit_held", START + 7 * DAY, visit="C1D8"))
    trial.wake()
    assert reminded(trial, "C1D8") == (
        "nobody: it had no day to be reminded of before 2026-01-28 12:00, when it was held"
    )


def test_a_visit_that_lapsed_while_the_engine_was_off_says_so(tmp_path: Path) -> None:
    """Its reminders were due and nothing went out: the time is named in which nobody looked."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START))
    trial.wake()
    trial.now = at(START + 30 * DAY)
    trial.wake()
    assert reminded(trial, "C1D8") == (
        "nobody: due 2026-01-23 08:00 to 2026-02-03 00:00, and nothing was sent in that time: the engine did not run"
    )


def test_a_visit_whose_reminder_was_put_off_says_so(tmp_path: Path) -> None:
    """Held before the day to which its reminders had been put off."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START))
    trial.wake()
    trial.tell(fact("snoozed", START, key=f"{SUBJECT}/C1D8", until=START + 8 * DAY, reason="patient away"))
    trial.sleep_until(at(START + 7 * DAY))
    trial.tell(fact("visit_held", START + 7 * DAY, visit="C1D8"))
    trial.wake()
    assert "; put off until 2026-01-27, event " in reminded(trial, "C1D8")


def test_a_visit_whose_reminder_waited_for_the_morning_says_so(tmp_path: Path) -> None:
    """Its day was learnt in the quiet hours, and it was recorded as held before they ended."""
    trial = Trial(tmp_path, now=at(START + 7 * DAY, "22:00"))
    trial.tell(*screened(), cycle(1, START))
    trial.wake()
    trial.now = at(START + 7 * DAY, "23:00")
    trial.tell(fact("visit_held", START + 7 * DAY, visit="C1D8"))
    trial.wake()
    assert reminded(trial, "C1D8") == (
        "nobody: due on 2026-01-26 22:00, was to go out on 2026-01-27 07:00, and lapsed before"
    )
