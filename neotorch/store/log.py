"""One study's append-only log of events, in SQLite or Postgres."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, union_all

from neotorch.crash import crash_point
from neotorch.domain.errors import BadInput
from neotorch.domain.events import AnyLogged, Recorded
from neotorch.store import connect
from neotorch.store import migrate as migrations
from neotorch.store.anchor import HeadFile, Restoration
from neotorch.store.chain import (
    GENESIS,
    Head,
    Problem,
    Row,
    check_rows,
    instant_text,
    make_row,
    parse_row,
    recorded,
)
from neotorch.store.errors import Conflict, EventConflict, HeadMoved, LogBroken, LogUnavailable
from neotorch.store.journeys import JourneyCache
from neotorch.store.tables import event as table

__all__ = ["EventConflict", "EventLog", "Head", "HeadMoved", "LogBroken", "LogUnavailable", "Problem"]


MAX_PROBLEMS = 100
"""`verify` stops after so many: the first one is what matters."""
_IDS_AT_ONCE = 500

_HEAD = (
    select(table.c.seq, table.c.hash).where(table.c.study == bindparam("study")).order_by(table.c.seq.desc()).limit(1)
)
_ROWS = select(table).where(table.c.study == bindparam("study"), table.c.seq > bindparam("after")).order_by(table.c.seq)
_STREAM = _ROWS.execution_options(yield_per=1000)
"""For the whole log: a thousand rows in memory at a time."""
_SUBJECT_ROWS = _ROWS.where(table.c.subject == bindparam("subject"))
_BY_ID = select(table).where(table.c.study == bindparam("study"), table.c.id.in_(bindparam("ids", expanding=True)))
_NEWEST = select(func.max(table.c.seq)).where(table.c.study == bindparam("study")).scalar_subquery()
_AT_HEAD = select(table).where(table.c.study == bindparam("study"), table.c.seq == _NEWEST)
_HEAD_AND_BY_ID = union_all(_AT_HEAD, _BY_ID)  # both in one round trip
_ONE = select(table).where(table.c.study == bindparam("study"), table.c.id == bindparam("id"))
_HEAD_AND_ONE = union_all(_AT_HEAD, _ONE)
"""The same for a single id, the usual case: a list of ids makes SQLAlchemy word the statement anew each time."""
_SUBJECTS = (
    select(table.c.subject)
    .where(table.c.study == bindparam("study"), table.c.subject.is_not(None))
    .distinct()
    .order_by(table.c.subject)
)
APPEND = insert(table)


class EventLog:
    """One study's log: gap-free sequence, hash chain, nothing ever changed or removed.

    `url` is `sqlite:///FILE` or `postgresql://...`. `head_file` receives the head after each commit (see HeadFile).
    Several processes may append at once; within one process the object may be shared by threads.

    What was read is kept, parsed, in memory: a log only grows, so a parsed row never goes stale. Each row's own hash
    is checked and its body validated when it is first read; `verify` looks at the database itself, and at the chain.
    """

    def __init__(self, url: str, study: str, *, head_file: Path | None = None) -> None:
        """Nothing is opened or created before the first use. BadInput for an unusable URL."""
        self.study = study
        self.engine = connect.open_engine(url)
        self._anchor = HeadFile(head_file) if head_file else None
        self._parsed: dict[int, Recorded] = {}
        self._lists: dict[str | None, list[Recorded]] = {}
        self._lock = threading.RLock()
        self._journeys = JourneyCache(self.engine, study)

    def migrate(self) -> None:
        """Create or upgrade the tables; to be called at each start, by any number of processes."""
        migrations.migrate(self.engine)
        if self._anchor and self.head().seq == 0:
            self._anchor.open()  # a new log has its file from the start: later on, no file is a finding

    def append(self, events: Sequence[AnyLogged], *, now: datetime, expect: int | None = None) -> list[Recorded]:
        """Record all of `events`, or none, in one transaction, and return them as recorded, in the order given.

        An event whose id and body are in the log already is a duplicate: the recorded one is returned. `recorded_at`
        is `now`, but never before that of the event that precedes it: if the clock was set back, time stands still
        in the log until the clock has caught up. `expect` is the head's seq that the caller has seen.

        Raises EventConflict (same id, other body; lists all of them), HeadMoved (`expect` no longer holds),
        BadInput (another study's event, `now` without zone), LogUnavailable.
        """
        return [one for one, _ in self._append(events, now, expect)]

    def append_new(self, events: Sequence[AnyLogged], *, now: datetime) -> list[Recorded]:
        """Like `append`, but return only what this call wrote: who gets it back owns it."""
        return [one for one, is_new in self._append(events, now, None) if is_new]

    def read(
        self,
        subject: str | None = None,
        *,
        after: int = 0,
        until_seq: int | None = None,
        known_at: datetime | None = None,
    ) -> list[Recorded]:
        """Events by seq, of one subject or of all, with `after` < seq <= `until_seq`, recorded at or before `known_at`.

        Raises UnknownEvent or LogBroken, naming the seq, for a row that cannot be read.
        """
        rows = self._known(subject, after)
        if not rows or rows[-1].seq <= after:  # the usual case: nothing is new
            return []
        low = bisect_right(rows, after, key=lambda row: row.seq)
        high = len(rows) if until_seq is None else bisect_right(rows, until_seq, key=lambda row: row.seq)
        if known_at is not None:  # recorded_at never decreases, so what was known then is a prefix
            high = min(high, bisect_right(rows, known_at, key=lambda row: row.recorded_at))
        return rows[low:high]

    def get(self, event_id: str) -> Recorded | None:
        """The event with this id, or None."""
        with connect.reading(self.engine) as connection:
            row = connection.execute(_BY_ID, {"study": self.study, "ids": [event_id]}).first()
        return self._parse(Row(*row)) if row else None

    def subjects(self) -> list[str]:
        """Every subject that any event is about, sorted."""
        with connect.reading(self.engine) as connection:
            return list(connection.execute(_SUBJECTS, {"study": self.study}).scalars())

    def head(self) -> Head:
        """Newest position and hash; `Head(0, GENESIS)` for an empty log. One indexed look-up."""
        with connect.reading(self.engine) as connection:
            row = connection.execute(_HEAD, {"study": self.study}).first()
        return Head(row.seq, row.hash) if row else Head(0, GENESIS)

    def newest(self) -> Row | None:
        """The newest row as it is stored; None for an empty log."""
        with connect.reading(self.engine) as connection:
            row = connection.execute(_AT_HEAD, {"study": self.study}).first()
        return Row(*row) if row else None

    def head_at(self, seq: int) -> Head | None:
        """The head when `seq` events were recorded; None if there are fewer."""
        if seq == 0:
            return Head(0, GENESIS)
        query = select(table.c.seq, table.c.hash).where(table.c.study == self.study, table.c.seq == seq)
        with connect.reading(self.engine) as connection:
            row = connection.execute(query).first()
        return Head(row.seq, row.hash) if row else None

    def rows(self, until_seq: int) -> Iterator[Row]:
        """Rows as they are stored, by seq, a thousand in memory at a time."""
        with connect.reading(self.engine) as connection:
            found = connection.execute(_STREAM, {"study": self.study, "after": 0})
            for row in found:
                if row.seq > until_seq:
                    return
                yield Row(*row)

    def restore(self, rows: Iterable[Row], *, now: datetime) -> None:
        """Write rows that were checked already into an empty log, all or none; BadInput if it holds events."""
        if self._anchor:
            self._anchor.open()
        head = Head(0, GENESIS)
        with connect.writing(self.engine, f"log/{self.study}") as connection:
            if connection.execute(_HEAD, {"study": self.study}).first():
                todo = "Restore into an empty one: set NEOTORCH_DATA_DIR or NEOTORCH_DATABASE_URL; nothing was written."
                raise BadInput("the log holds events already", f"log of {self.study}", todo)
            for some in _batched(rows, 1000):
                connection.execute(APPEND, [row._asdict() for row in some])
                head = some[-1].head
                crash_point("restore-rows")
            if self._anchor:  # before the commit: cut off here, the log is empty and can be restored again
                self._anchor.restored(head, instant_text(now))
            crash_point("restored-not-committed")

    def noted(self) -> dict[int, str]:
        """Position -> hash of the heads noted outside the database."""
        return (self._anchor.read() or {}) if self._anchor else {}

    def restorations(self) -> list[Restoration]:
        """When the log was restored from a backup, as the head file says."""
        return self._anchor.restorations() if self._anchor else []

    def verify(self) -> list[Problem]:
        """Everything wrong with the log as it is stored, first position first; an empty list means that it is whole.

        Recomputes every hash, link and indexed column, validates every body, and compares the heads noted in
        `head_file`: they show a tail cut off and a chain recomputed after an edit. A log longer than its notes is fine.
        """
        noted = self._anchor.read() if self._anchor else {}  # before the log: a note is never ahead of it
        problems: list[Problem] = []
        last = Head(0, GENESIS)
        with connect.reading(self.engine) as connection:
            problems += migrations.missing_triggers(connection)
            rows = connection.execute(_STREAM, {"study": self.study, "after": 0})
            for found in check_rows(Row(*row) for row in rows):
                if isinstance(found, Head):
                    last = found
                    problems += _off_note(noted or {}, found)
                else:
                    problems.append(found)
                if len(problems) >= MAX_PROBLEMS:
                    break
            else:
                problems += self._tail(noted, last)
        return sorted(problems, key=lambda problem: problem.seq or 0)

    def journey_seen(self, subject: str) -> tuple[str | None, int]:
        """(flow run id, newest seq its journey has dealt with); (None, 0) if not known. A cache beside the log."""
        return self._journeys.seen(subject)

    def mark_seen(self, subject: str, flow_run_id: str | None, seen: int) -> None:
        """Note how far a subject's journey has come. May be forgotten at any time."""
        self._journeys.mark(subject, flow_run_id, seen)

    def take_turn(self, name: str) -> Callable[[], None] | None:
        """Take what only one process may do at a time; returns what gives it back, or None while another has it."""
        return connect.take_turn(self.engine, name)

    def witness(self) -> None:
        """Note the head in this process's head file, whoever wrote it: each machine then vouches for the whole log."""
        if self._anchor is None:
            return
        with connect.reading(self.engine) as connection:
            row = connection.execute(_AT_HEAD, {"study": self.study}).first()
        if row is not None:
            self._anchor.write([Row(*row)])

    def probe(self) -> None:
        """See whether an event could be recorded now, without recording one; LogUnavailable says why not."""
        self._journeys.probe()
        if self._anchor:
            self._anchor.open()

    def close(self) -> None:
        """Let go of connections and files; the object opens them again if it is used once more."""
        self.engine.dispose()
        if self._anchor:
            self._anchor.close()

    def _append(self, events: Sequence[AnyLogged], now: datetime, expect: int | None) -> list[tuple[Recorded, bool]]:
        self._check(events, now)
        if self._anchor:
            self._anchor.open()
        with connect.writing(self.engine, f"log/{self.study}") as connection:
            newest, known = self._look(connection, [event.id for event in events])
            head, last_time = (newest.head, newest.recorded_at) if newest else (Head(0, GENESIS), "")
            if expect is not None and head.seq != expect:
                raise HeadMoved(
                    f"the head is at seq {head.seq}, not {expect}",
                    f"log of {self.study}",
                    "Read what was added and decide again; nothing was written.",
                )
            fresh = self._fresh(events, known)
            recorded_at = max(instant_text(now), last_time)
            rows: list[Row] = []
            for event in fresh:
                rows.append(make_row(self.study, rows[-1].head if rows else head, recorded_at, event))
            if rows:
                connection.execute(APPEND, [row._asdict() for row in rows])
                crash_point("append-not-committed")
        if rows:
            crash_point("committed-not-noted")
        if self._anchor and rows:
            self._anchor.write(rows)
            crash_point("head-noted")
        written = {row.id: recorded(row, event) for row, event in zip(rows, fresh, strict=True)}
        return self._in_order(events, known, written)

    def _check(self, events: Iterable[AnyLogged], now: datetime) -> None:
        if now.tzinfo is None:
            raise BadInput("`now` has no time zone", "EventLog.append", "Pass an aware datetime, e.g. in UTC.")
        for event in events:
            if event.study != self.study:
                raise BadInput(
                    f"event {event.id} belongs to study {event.study}",
                    f"log of {self.study}",
                    "Send it to that study's log; nothing was written.",
                )

    def _fresh(self, events: Iterable[AnyLogged], known: dict[str, Recorded]) -> list[AnyLogged]:
        """Each id once, without what is known already; EventConflict if one id comes with two bodies."""
        fresh: dict[str, AnyLogged] = {}
        conflicts: list[Conflict] = []
        for event in events:
            before = known[event.id].event if event.id in known else fresh.get(event.id)
            if before is None:
                fresh[event.id] = event
            elif before.digest != event.digest:
                seq = known[event.id].seq if event.id in known else None
                conflicts.append(Conflict(event.id, before.digest, event.digest, seq))
        if conflicts:
            raise EventConflict(self.study, tuple(conflicts))
        return list(fresh.values())

    @staticmethod
    def _in_order(
        events: Sequence[AnyLogged], known: dict[str, Recorded], written: dict[str, Recorded]
    ) -> list[tuple[Recorded, bool]]:
        """One per event given; a new one counts as new the first time only."""
        answer, told = [], set(known)
        for event in events:
            answer.append((known.get(event.id) or written[event.id], event.id not in told))
            told.add(event.id)
        return answer

    def _look(self, connection: Connection, ids: Sequence[str]) -> tuple[Row | None, dict[str, Recorded]]:
        """The newest row, and which of the ids are in the log already."""
        newest: Row | None = None
        found: dict[str, Recorded] = {}
        for start in range(0, max(len(ids), 1), _IDS_AT_ONCE):
            chunk = set(ids[start : start + _IDS_AT_ONCE])
            query = _HEAD_AND_ONE if len(chunk) == 1 else _HEAD_AND_BY_ID
            values: dict[str, Any] = {"study": self.study}
            values |= {"id": next(iter(chunk))} if len(chunk) == 1 else {"ids": list(chunk)}
            rows = [Row(*row) for row in connection.execute(query, values)]
            newest = max(rows, key=lambda row: row.seq, default=None)
            found |= {row.id: self._parse(row) for row in rows if row.id in chunk}
        return newest, found

    def _known(self, subject: str | None, after: int) -> list[Recorded]:
        """All events of the subject from the memory, brought up to date; or only those after `after`, if far ahead."""
        with self._lock:
            rows = self._lists.get(subject, [])
            upto = rows[-1].seq if rows else 0
            if after > upto:  # a look at the newest events does not load the whole log
                return self._load(subject, after)
            if new := self._load(subject, upto):
                rows = self._lists[subject] = rows + new
            return rows

    def _load(self, subject: str | None, after: int) -> list[Recorded]:
        values: dict[str, Any] = {"study": self.study, "after": after}
        query: Select[Any] = _ROWS
        if subject is not None:
            query, values["subject"] = _SUBJECT_ROWS, subject
        with connect.reading(self.engine) as connection:
            return [self._parse(Row(*row)) for row in connection.execute(query, values)]

    def _parse(self, row: Row) -> Recorded:
        """Parse a row once; LogBroken when it does not fit what this process has read before."""
        with self._lock:
            known = self._parsed.get(row.seq)
            before = self._parsed.get(row.seq - 1)
            if (known and known.hash != row.hash) or (before and before.hash != row.prev_hash):
                where = f"log of {self.study}, seq {row.seq}"
                raise LogBroken(
                    "the database was replaced or edited beneath this process", where, "Run `neotorch verify`."
                )
            if known is None:
                known = self._parsed[row.seq] = parse_row(row)
            return known

    def _tail(self, noted: dict[int, str] | None, last: Head) -> list[Problem]:
        if noted is None:
            if not last.seq:
                return []
            words = f"there is no head file {self._anchor.path if self._anchor else ''}: a cut tail would not be seen"
            return [Problem(None, "anchor", f"{words}. Restore it, or it starts anew with the next event")]
        if noted and max(noted) > last.seq:
            lost = max(noted) - last.seq
            return [
                Problem(
                    last.seq + 1,
                    "tail",
                    f"the log ends at {last.seq} but its head was once noted at {max(noted)}: {lost} cut off the end",
                )
            ]
        return []


def _batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    left = iter(rows)
    while some := list(islice(left, size)):
        yield some


def _off_note(noted: dict[int, str], head: Head) -> list[Problem]:
    if noted.get(head.seq, head.hash) == head.hash:
        return []
    return [
        Problem(
            head.seq, "anchor", "the hash differs from the head noted when it was written: the chain was recomputed"
        )
    ]
