"""The log's contract in one process."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
import sqlalchemy
from sqlalchemy import text

from neotorch.domain.errors import BadInput, StoreError
from neotorch.domain.events import EVENT, AnyLogged, canonical
from neotorch.store.chain import GENESIS
from neotorch.store.log import EventConflict, EventLog, Head, HeadMoved, LogBroken, LogUnavailable
from tests.store.conftest import Open
from tests.store.stories import EXAMPLES, STUDY, T0, at, contact, example


def test_an_event_comes_back_as_it_was_recorded(log: EventLog, open_log: Open) -> None:
    """What append returns is what another process reads."""
    written = log.append([contact(1), contact(2)], now=T0)
    assert [row.seq for row in written] == [1, 2]
    assert open_log().read() == written == log.read()
    assert log.head() == Head(2, written[-1].hash)
    assert log.get("c2") == written[1]
    assert log.get("nothing") is None


def test_there_is_an_example_of_every_event_type() -> None:
    """The round-trip below leaves no type out."""
    types = {model.model_fields["type"].default for model in get_args(AnyLogged)}
    assert types == set(EXAMPLES)


def test_every_type_survives_the_database(log: EventLog, open_log: Open) -> None:
    """Nulls, zone offsets, Chinese, NUL characters, floats and whole numbers all come back equal, with equal digest."""
    events = [example(kind) for kind in EXAMPLES]
    log.append(events, now=T0)
    again = [row.event for row in open_log().read()]
    assert again == events
    assert [event.digest for event in again] == [event.digest for event in events]
    assert log.verify() == []


def test_the_hash_is_what_the_documentation_says(log: EventLog) -> None:
    """Anybody can recompute the chain with a JSON library and SHA-256."""
    first, second = log.append([contact(1), contact(2)], now=T0)
    body = second.event.model_dump(mode="json")
    row = canonical({"seq": 2, "recorded_at": "2026-03-04T01:30:00.000000Z", "event": body})
    assert first.prev_hash == GENESIS
    assert second.prev_hash == first.hash
    assert second.hash == hashlib.sha256(first.hash.encode() + row).hexdigest()


def test_an_empty_log_is_whole(log: EventLog) -> None:
    """Nothing recorded is not a problem."""
    assert (log.read(), log.subjects(), log.head(), log.verify()) == ([], [], Head(0, GENESIS), [])
    assert log.append([], now=T0) == []


def test_a_duplicate_has_no_effect(log: EventLog) -> None:
    """Same id and same body: the recorded event is returned, nothing is written."""
    first = log.append([contact(1)], now=T0)
    assert log.append([contact(1)], now=at(5)) == first
    assert log.append_new([contact(1)], now=at(5)) == []
    assert log.head().seq == 1


def test_a_duplicate_within_a_batch_is_written_once(log: EventLog) -> None:
    """Appending answers each event given; append_new returns only what it wrote."""
    assert [row.seq for row in log.append([contact(1), contact(2), contact(1)], now=T0)] == [1, 2, 1]
    assert [row.seq for row in log.append_new([contact(2), contact(3), contact(3)], now=T0)] == [3]


def test_the_same_id_with_another_body_is_refused(log: EventLog) -> None:
    """Both digests are shown, all conflicts at once, and nothing of the batch is written."""
    log.append([contact(1), contact(2)], now=T0)
    others = [contact(1, by="visit"), contact(2, by="record")]
    with pytest.raises(EventConflict) as refused:
        log.append([contact(3), *others, contact(4), contact(4, by="visit")], now=T0)
    assert [conflict.event_id for conflict in refused.value.conflicts] == ["c1", "c2", "c4"]
    assert contact(1).digest in str(refused.value)
    assert others[0].digest in str(refused.value)
    assert log.head().seq == 2


def test_a_batch_is_recorded_whole_or_not_at_all(log: EventLog) -> None:
    """An event of another study in the middle leaves nothing behind."""
    with pytest.raises(BadInput, match="belongs to study S2"):
        log.append([contact(1), contact(2, study="S2"), contact(3)], now=T0)
    assert log.read() == []


def test_a_failed_commit_leaves_nothing(log: EventLog, head_file: Path) -> None:
    """An exception after the rows went in rolls them back, and no head is noted for them."""

    def fail(_connection: object) -> None:
        raise RuntimeError("the power goes here")

    sqlalchemy.event.listen(log.engine, "commit", fail)
    with pytest.raises(RuntimeError):
        log.append([contact(1), contact(2)], now=T0)
    sqlalchemy.event.remove(log.engine, "commit", fail)
    assert (log.head().seq, head_file.read_text(), log.verify()) == (0, "", [])
    assert [row.seq for row in log.append([contact(2)], now=T0)] == [1]


def test_expect_refuses_when_the_head_has_moved(log: EventLog) -> None:
    """A decision taken on seq 1 is not recorded once the log is at 2."""
    log.append([contact(1)], now=T0, expect=0)
    with pytest.raises(HeadMoved, match="at seq 1, not 0"):
        log.append([contact(2)], now=T0, expect=0)
    assert log.head().seq == 1


def test_recorded_at_never_decreases(log: EventLog) -> None:
    """If the clock steps back, the log stays at its last instant."""
    rows = [log.append([contact(i)], now=at(minute))[0] for i, minute in enumerate((0, 10, 5, 20))]
    assert [row.recorded_at for row in rows] == [at(0), at(10), at(10), at(20)]
    assert log.verify() == []


def test_recorded_at_is_utc(log: EventLog) -> None:
    """An instant given in another zone is the same instant in the log; one without zone is refused."""
    shanghai = datetime(2026, 3, 4, 9, 30, tzinfo=timezone(timedelta(hours=8)))
    (row,) = log.append([contact(1)], now=shanghai)
    assert row.recorded_at == T0
    assert row.recorded_at.utcoffset() == timedelta(0)
    with pytest.raises(BadInput, match="time zone"):
        log.append([contact(2)], now=datetime(2026, 3, 4))  # noqa: DTZ001 - the point of the test


@pytest.fixture
def filled(log: EventLog) -> EventLog:
    """Twelve events of three subjects and one of the trial, one minute apart."""
    for number in range(12):
        log.append([contact(number, subject=f"NT-00{number % 3 + 1}")], now=at(number))
    log.append([example("incident").model_copy(update={"subject": None})], now=at(12))
    return log


def test_reading_by_subject_position_and_time(filled: EventLog, open_log: Open) -> None:
    """Each bound cuts where it says, warm or cold, alone or together."""
    for log in (filled, open_log()):
        assert [row.seq for row in log.read("NT-002")] == [2, 5, 8, 11]
        assert [row.seq for row in log.read("NT-002", after=2)] == [5, 8, 11]
        assert [row.seq for row in log.read("NT-002", until_seq=8)] == [2, 5, 8]
        assert [row.seq for row in log.read("NT-002", known_at=at(7))] == [2, 5, 8]
        assert [row.seq for row in log.read("NT-002", known_at=at(6.9))] == [2, 5]
        assert [row.seq for row in log.read(after=3, until_seq=9, known_at=at(6))] == [4, 5, 6, 7]
        assert log.read(known_at=at(-1)) == log.read(after=13) == log.read("NT-009") == []
        assert [row.seq for row in log.read()] == list(range(1, 14))
        assert log.subjects() == ["NT-001", "NT-002", "NT-003"]


def test_the_newest_are_read_without_the_rest(filled: EventLog, open_log: Open) -> None:
    """A fresh process that asks for the tail gets the tail, and the whole afterwards."""
    log = open_log()
    assert [row.seq for row in log.read(after=11)] == [12, 13]
    assert [row.seq for row in log.read("NT-003", after=6)] == [9, 12]
    assert log.read() == filled.read()
    assert log.read("NT-003") == filled.read("NT-003")


def test_what_another_process_adds_is_seen(filled: EventLog, open_log: Open) -> None:
    """Nothing read earlier hides what came since."""
    other = open_log()
    assert len(filled.read("NT-001")) == 4
    other.append([contact(99)], now=at(99))
    assert [row.event.id for row in filled.read("NT-001", after=10)] == ["c99"]
    assert filled.head().seq == 14


def test_the_caller_may_change_the_list_it_was_given(filled: EventLog) -> None:
    """The memory of the log is not handed out."""
    filled.read("NT-001").clear()
    filled.read().reverse()
    assert [row.seq for row in filled.read("NT-001")] == [1, 4, 7, 10]
    assert [row.seq for row in filled.read()] == list(range(1, 14))


def test_studies_in_one_database_do_not_meet(log: EventLog, open_log: Open) -> None:
    """Each study has its own sequence, ids and chain."""
    other = open_log(study="S2", head_file=None)
    log.append([contact(1)], now=T0)
    other.append([contact(1, study="S2")], now=T0)
    assert (log.head().seq, other.head().seq) == (1, 1)
    assert log.head().hash != other.head().hash
    assert other.read()[0].event.study == "S2"
    assert log.verify() == other.verify() == []


def test_migrating_twice_changes_nothing(filled: EventLog, open_log: Open) -> None:
    """It may be called at each start."""
    before = filled.read()
    filled.migrate()
    again = open_log()
    again.migrate()
    assert again.read() == before


def test_a_log_without_tables_says_what_to_do(open_log: Open) -> None:
    """No traceback of a driver: the way out is named."""
    with pytest.raises(LogUnavailable, match="migrate"):
        open_log().read()


def test_a_log_made_by_a_newer_program_is_refused(log: EventLog) -> None:
    """An unknown revision is not guessed at."""
    with log.engine.begin() as connection:
        connection.execute(text("UPDATE neotorch_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer program"):
        log.migrate()


@pytest.mark.parametrize(
    "bad", ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "u:secret@h", "postgresql://u:secret@h:x/d"]
)
def test_an_unusable_url_is_refused_without_its_password(bad: str) -> None:
    """The message says which forms work."""
    with pytest.raises(BadInput, match="sqlite:///path") as refused:
        EventLog(bad, STUDY)
    assert "secret" not in str(refused.value)


def test_an_unreachable_database_is_told_without_its_password() -> None:
    """Where and what to do, on one line."""
    log = EventLog("postgresql://u:secret@/d?host=/nowhere", STUDY)
    with pytest.raises(LogUnavailable, match="reachable") as refused:
        log.head()
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """Neither a file of another kind nor a place where no folder can be made ends in a traceback."""
    (tmp_path / "log.db").write_text("This is a letter, not a database. " * 100)
    with pytest.raises(LogUnavailable, match="not a database"):
        EventLog(f"sqlite:///{tmp_path}/log.db", STUDY).migrate()
    with pytest.raises(LogUnavailable, match="folder cannot be made"):
        EventLog(f"sqlite:///{tmp_path}/log.db/below/log.db", STUDY)


def test_a_replaced_database_is_noticed_by_a_running_process(log: EventLog, open_log: Open, url: str) -> None:
    """A process that has read one log does not go on with another."""
    log.append([contact(1)], now=T0)
    assert len(log.read()) == 1
    with log.engine.begin() as connection:
        drop = "DROP TRIGGER event_no_delete" if url.startswith("sqlite") else "DROP TRIGGER event_append_only ON event"
        connection.execute(text(drop))
        connection.execute(text("DELETE FROM event"))
    open_log().append([contact(7), contact(8)], now=T0)
    with pytest.raises(LogBroken, match="beneath"):
        log.read()


def test_the_journey_cache_can_be_forgotten(log: EventLog) -> None:
    """It is no part of the log: emptied, it only says that it knows nothing."""
    assert log.journey_seen("NT-001") == (None, 0)
    log.mark_seen("NT-001", "run-1", 3)
    log.mark_seen("NT-001", "run-2", 7)
    log.mark_seen("NT-002", None, 1)
    assert log.journey_seen("NT-001") == ("run-2", 7)
    with log.engine.begin() as connection:
        connection.execute(text("DELETE FROM journey"))
    assert log.journey_seen("NT-001") == (None, 0)
    assert log.verify() == []


def test_examples_are_valid_json_input() -> None:
    """The examples are what a site could send."""
    for kind in EXAMPLES:
        assert EVENT.validate_json(canonical(example(kind).model_dump(mode="json"))) == example(kind)
