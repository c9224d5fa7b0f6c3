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
