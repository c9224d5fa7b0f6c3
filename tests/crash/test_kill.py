"""kill -9 between any two steps of a wake: nothing is lost, nothing doubled beyond what is said, nothing stays Running.

The process that ships kills itself (SIGKILL) at the named point; then it is started again on the same folder and server.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.rules.notices import NEVER_LOST
from tests import proofs
from tests.crash.parts import House, until

JOURNEY = [
    "wake-started", "plan-made", "before-step", "before-step:2", "after-step", "after-step:3", "claim-written",
    "claim-written:2", "sent-not-recorded", "sent-not-recorded:2", "effect-recorded", "before-artifact", "before-sleep", "asleep-before-second-look", "wake-ended",
]  # fmt: skip
"""Where a wake can be cut; `:2` is the second time that it gets there."""
WRITING = [
    "append-not-committed",
    "append-not-committed:4",
    "committed-not-noted:2",
    "committed-not-noted:5",
    "head-noted:3",
]
"""Where its writing can be cut; in the short form test_recording.py has to do for these."""
ROUNDS = proofs.rounds(short=1, long=25)
CUT_SENDING = {"claim-written", "sent-not-recorded", *(point.partition(":")[0] for point in WRITING)}


@pytest.mark.parametrize("point", JOURNEY + WRITING if proofs.LONG else JOURNEY)
def test_a_wake_killed_at_any_point_is_made_good(house: House, point: str) -> None:
    """After a kill at the point and a restart the journey sleeps where it should, and each effect is there once."""
    notices = sum(kill_a_wake(house, point) for _ in range(ROUNDS))
    proofs.count("kill -9 of a wake", trials=ROUNDS, points=1, notices_received_once=notices)


def kill_a_wake(house: House, point: str) -> int:
    """Kill, start again, and look at what has become of it; returns how many notices are shown to have come in once."""
    house.up()
    house.crash_at(point)
    subject = house.new_subject()
    house.tell(subject)
    assert house.crashed() == -signal.SIGKILL
    house.up()
    run = house.asleep(subject)
    assert run["name"] == house.engine.plan(subject).title
    return check_effects(house, subject, doubt=point.partition(":")[0] in CUT_SENDING)


def check_effects(house: House, subject: str, *, doubt: bool) -> int:
    """Each query is raised once; each notice came in once (how many is returned), but for the one whose sending was cut off."""
    raised = [e.query for e in house.effects(subject, ev.QueryRaised)]
    assert len(raised) == len(set(raised)) > 0
    claims = [(e.key, e.attempt) for e in house.effects(subject, ev.NoticeClaimed)]
    assert len(claims) == len(set(claims)), "two claims of one attempt"
    sent = {e.key for e in house.effects(subject, ev.NoticeSent)}
    in_doubt = {key for key, _ in claims} - sent
    assert len(in_doubt) <= (1 if doubt else 0), "only a sending that was cut off may stay in doubt"
    kinds = {notice_kind(key) for key in sent | in_doubt}
    assert kinds >= {"safety", "query", "reminder"}, "the story is to hold notices of all kinds"
    for key in sent:
        attempts = sum(k == key for k, _ in claims)
        assert house.arrived(subject)[key] == 1 or (doubt and attempts == house.arrived(subject)[key] == 2), key
    for key in in_doubt:
        check_in_doubt(house, subject, key)
    return len(sent)


def check_in_doubt(house: House, subject: str, key: str) -> None:
    """What must not be lost is sent again once the claim has run out, a minute later; all else is on the worklist."""
    before = house.arrived(subject)[key]
    assert before <= 1
    if notice_kind(key) in NEVER_LOST:
        house.in_doubt[subject, key] = before
    else:
        assert any(key.startswith(line.key) for line in house.engine.worklist())


def test_what_must_not_be_lost_is_sent_again(house: House) -> None:
    """A safety notice whose sending was cut off comes in once more after its claim has run out, and only once."""
    house.up()
    for (subject, key), before in house.in_doubt.items():
        until(lambda k=key, s=subject: k in {e.key for e in house.effects(s, ev.NoticeSent)}, f"{key} to be sent again")
        attempts = sum(e.key == key for e in house.effects(subject, ev.NoticeClaimed))
        assert before + 1 <= house.arrived(subject)[key] <= before + attempts - 1, (
            "once for each time that it was cut off"
        )
    proofs.count("notice in doubt sent again after its claim has run out", trials=len(house.in_doubt))


def notice_kind(key: str) -> str:
    """What kind of notice a delivery key is about."""
    if "adverse_event" in key:
        return "safety"
    return "query" if "/asked/" in key else "reminder"


def test_no_journey_stays_running(house: House) -> None:
    """After all those kills every journey is asleep, and every patient has one run."""
    house.up()

    def all_asleep() -> list[dict[str, Any]] | None:
        runs = house.server.journeys()
        return runs if {r["state_type"] for r in runs} <= {"SCHEDULED", "COMPLETED"} else None

    runs = until(all_asleep, "all journeys to be asleep")
    subjects = [r["parameters"]["subject"] for r in runs]
    assert sorted(subjects) == sorted(house.engine.subjects())


def test_a_recalculation_that_was_killed_is_made_good(house: House) -> None:
    """Endpoints changed by an event are recorded and told, though the process died between the two."""
    for _ in range(ROUNDS):
        kill_a_recalculation(house)
    proofs.count("kill -9 of a recalculation", trials=ROUNDS)


def kill_a_recalculation(house: House) -> None:
    """Kill between the result and the notice of it, and wait for that notice."""
    house.up()
    subject = house.new_subject()
    house.tell_operated(subject)
    house.asleep(subject)
    until(lambda: recalculated(house, subject), "the recalculation for the operation")
    house.crash_at("recalculated")
    house.tell_pathology(subject)
    assert house.crashed() == -signal.SIGKILL
    house.up()
    found = until(lambda: recalculated(house, subject, new="yes"), "the recalculation for the report")
    until(lambda: [p for p in house.receiver.received if p.key.startswith(f"{found}/told")], "the notice of it")


def recalculated(house: House, subject: str, **values: str) -> str | None:
    """The id of a recorded result that says this of the subject."""
    results = [r.event for r in house.engine.log.read() if isinstance(r.event, ev.EndpointsRecalculated)]
    said = [(e.id, c) for e in results for c in e.changes if c.subject == subject]
    return next((i for i, c in said if all(getattr(c, k) == v for k, v in values.items())), None)


def test_a_reconciliation_that_was_killed_is_made_good(house: House) -> None:
    """A kill at the very start leaves nothing that the next start does not see to."""
    for _ in range(ROUNDS):
        house.up()
        house.stop()
        subject = house.new_subject()
        house.tell(subject)
        house.up(crash_at="reconcile-started", wait=False)
        assert house.crashed() == -signal.SIGKILL
        house.up()
        house.asleep(subject)
    proofs.count("kill -9 of a reconciliation", trials=ROUNDS)


@pytest.fixture(scope="module", autouse=True)
def _end(house: House) -> Iterator[None]:
    yield
    house.stop()
