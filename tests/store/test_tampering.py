"""The log is append-only, and `verify` finds the first place where somebody got around that."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from neotorch.store.chain import Row, link
from neotorch.store.log import EventLog, LogBroken, LogUnavailable
from tests.store.attacks import without_triggers
from tests.store.conftest import Open
from tests.store.stories import T0, at, contact

COPY = "study, {seq}, {id}, type, subject, occurred, recorded_at, body, prev_hash, hash FROM event"


@pytest.fixture
def filled(log: EventLog) -> EventLog:
    """Ten events in ten commits."""
    for number in range(10):
        log.append([contact(number)], now=at(number))
    return log


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET body = '{}' WHERE seq = 3",
        "UPDATE event SET hash = hash",
        "DELETE FROM event WHERE seq = 10",
        "DELETE FROM event",
    ],
)
def test_rows_cannot_be_changed_or_removed(filled: EventLog, statement: str) -> None:
    """The database itself refuses, whoever asks."""
    with pytest.raises(DBAPIError, match="append-only"), filled.engine.begin() as connection:
        connection.execute(text(statement))
    assert filled.verify() == []
    assert filled.head().seq == 10


def test_the_table_cannot_be_emptied_on_postgres(filled: EventLog, url: str) -> None:
    """TRUNCATE is refused too, also in a session that has switched ordinary triggers off."""
    if url.startswith("sqlite"):
        return  # SQLite has no TRUNCATE
    for statement in (
        "TRUNCATE event",
        "TRUNCATE event CASCADE",
        "SET session_replication_role = replica; TRUNCATE event",
    ):
        with pytest.raises(DBAPIError, match="append-only"), filled.engine.begin() as connection:
            connection.execute(text(statement))
    assert filled.head().seq == 10


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_insert_or_replace_is_refused_on_sqlite(filled: EventLog, url: str, recursive: str) -> None:
    """A tool that does not know our settings cannot overwrite a row by its position or by its id either."""
    if not url.startswith("sqlite"):
        return  # Postgres has no REPLACE; its upsert is below
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute(f"PRAGMA recursive_triggers={recursive}")
        for seq, event_id in (("seq", "'other'"), ("11", "id"), ("12", "'other'")):
            columns = COPY.format(seq=seq, id=event_id)
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(f"INSERT OR REPLACE INTO event SELECT {columns} WHERE seq = 4")
    assert filled.verify() == []


def test_an_upsert_is_refused(filled: EventLog) -> None:
    """INSERT ... ON CONFLICT DO UPDATE does not change a row on either database."""
    columns = COPY.format(seq="seq", id="id")
    upsert = f"INSERT INTO event SELECT {columns} WHERE seq = 4 ON CONFLICT (study, seq) DO UPDATE SET body = '{{}}'"
    with pytest.raises(DBAPIError, match="append-only"), filled.engine.begin() as connection:
        connection.execute(text(upsert))
    assert filled.verify() == []


def edit_body(connection: Connection) -> None:
    """Change one answer."""
    connection.execute(text("UPDATE event SET body = replace(body, '\"phone\"', '\"visit\"') WHERE seq = 4"))


def edit_time(connection: Connection) -> None:
    """Pretend that it was known earlier."""
    connection.execute(text("UPDATE event SET recorded_at = '2026-03-04T01:30:00.000001Z' WHERE seq = 4"))


def edit_column(connection: Connection) -> None:
    """Move an event to another subject in the index only, where the hash does not see it."""
    connection.execute(text("UPDATE event SET subject = 'NT-002' WHERE seq = 4"))


def swap(connection: Connection) -> None:
    """Exchange two neighbours."""
    for old, new in ((4, 99), (5, 4), (99, 5)):
        connection.execute(text(f"UPDATE event SET seq = {new} WHERE seq = {old}"))


def remove_middle(connection: Connection) -> None:
    """Take one row out."""
    connection.execute(text("DELETE FROM event WHERE seq = 4"))


def remove_first(connection: Connection) -> None:
    """Take the first rows out."""
    connection.execute(text("DELETE FROM event WHERE seq < 4"))


def cut_tail(connection: Connection) -> None:
    """Take the newest rows off; what is left is a valid chain."""
    connection.execute(text("DELETE FROM event WHERE seq >= 4"))


def cut_all(connection: Connection) -> None:
    """Start afresh."""
    connection.execute(text("DELETE FROM event"))


def recompute(connection: Connection) -> None:
    """Change one answer and recompute every hash after it: a valid chain again."""
    edit_body(connection)
    rows = [Row(*row) for row in connection.execute(text("SELECT * FROM event ORDER BY seq"))]
    previous = rows[2].hash
    for row in rows[3:]:
        values = {"seq": row.seq, "prev": previous, "hash": link(previous, row.seq, row.recorded_at, row.body)}
        connection.execute(text("UPDATE event SET prev_hash = :prev, hash = :hash WHERE seq = :seq"), values)
        previous = values["hash"]


@pytest.mark.parametrize(
    ("tamper", "seq", "kind"),
    [
        (edit_body, 4, "edited"),
        (edit_time, 4, "edited"),
        (edit_column, 4, "columns"),
        (swap, 4, "chain"),
        (remove_middle, 4, "gap"),
        (remove_first, 1, "gap"),
        (cut_tail, 4, "tail"),
        (cut_all, 1, "tail"),
        (recompute, 4, "anchor"),
    ],
)
def test_verify_names_the_first_bad_position(
    filled: EventLog, open_log: Open, tamper: Callable[[Connection], None], seq: int, kind: str
) -> None:
    """Whatever was done to the rows, the first problem is where it was done; a fresh process says the same."""
    with without_triggers(filled) as connection:
        tamper(connection)
    for log in (filled, open_log()):
        first = log.verify()[0]
        assert (first.seq, first.kind) == (seq, kind)
        assert f"seq {seq}: " in str(first)


def test_verify_stops_after_a_hundred_problems(log: EventLog) -> None:
    """A log that is wrong all over is told by its first places, and no cut tail is invented."""
    log.append([contact(number) for number in range(150)], now=T0)
    with without_triggers(log) as connection:
        connection.execute(text("UPDATE event SET body = replace(body, '\"phone\"', '\"visit\"')"))
    problems = log.verify()
    assert [problem.seq for problem in problems] == list(range(1, 101))
    assert {problem.kind for problem in problems} == {"edited"}


def test_a_changed_row_is_not_read(filled: EventLog, open_log: Open) -> None:
    """Reading does not hand out a body that does not fit its hash."""
    with without_triggers(filled) as connection:
        edit_body(connection)
    with pytest.raises(LogBroken, match="seq 4"):
        open_log().read()


def test_missing_triggers_are_reported(filled: EventLog) -> None:
    """Rows that could be changed unseen are a problem even while nothing has been changed."""
    drop = "DROP TRIGGER event_no_update"
    if filled.engine.dialect.name == "postgresql":
        drop = "ALTER TABLE event DISABLE TRIGGER event_append_only"
    with filled.engine.begin() as connection:
        connection.execute(text(drop))
    assert [problem.kind for problem in filled.verify()] == ["trigger"]


def test_the_head_file_may_lag_behind(filled: EventLog, head_file: Path) -> None:
    """A process killed between commit and note, or in the middle of a note, leaves no problem behind."""
    lines = head_file.read_text().splitlines(keepends=True)
    assert len(lines) == 10
    head_file.write_text("".join(lines[:8]) + lines[8][:30])
    assert filled.verify() == []


def test_a_half_written_note_does_not_spoil_the_next(filled: EventLog, open_log: Open, head_file: Path) -> None:
    """The next process starts a new line."""
    filled.close()
    head_file.write_text(head_file.read_text()[:-20])
    log = open_log()
    log.append([contact(77)], now=at(77))
    assert head_file.read_text().splitlines()[-1].split()[0] == "11"
    assert log.verify() == []


def test_a_missing_head_file_is_reported(filled: EventLog, open_log: Open, head_file: Path) -> None:
    """Taking the notes away does not hide a cut tail, and a restart does not hide that they were taken away."""
    filled.close()
    head_file.unlink()
    log = open_log()
    log.migrate()
    (problem,) = log.verify()
    assert problem.kind == "anchor"
    assert "head.txt" in problem.words


def test_a_head_file_removed_under_a_running_process_is_made_again(filled: EventLog, head_file: Path) -> None:
    """Notes do not go into a file that nobody can see."""
    head_file.unlink()
    filled.append([contact(77)], now=at(77))
    assert head_file.read_text().split()[0] == "11"


def test_nothing_is_recorded_while_the_head_cannot_be_noted(filled: EventLog, open_log: Open, tmp_path: Path) -> None:
    """The error comes before the commit and says where."""
    (tmp_path / "file").touch()
    log = open_log(head_file=tmp_path / "file" / "head.txt")
    with pytest.raises(LogUnavailable, match=r"file/head\.txt"):
        log.append([contact(77)], now=at(77))
    assert filled.head().seq == 10


def test_a_commit_stands_when_its_note_fails(
    filled: EventLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk after the commit is told in the program's log; the event is recorded, and verify accepts the lag."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neotorch.store.anchor.os.write", full)
    assert filled.append([contact(77)], now=at(77))[0].seq == 11
    assert "seq 11 is recorded" in caplog.text
    assert filled.verify() == []


def test_the_note_says_seq_hash_and_time(filled: EventLog, head_file: Path) -> None:
    """Anybody can compare a noted head with the log by eye."""
    row = filled.read()[0]
    assert head_file.read_text().splitlines()[0] == f"1 {row.hash} 2026-03-04T01:30:00.000000Z"
    assert row.recorded_at == T0
