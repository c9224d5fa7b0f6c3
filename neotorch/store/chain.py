"""The hash chain: how a row is linked to the one before, and how a stored log is checked. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from neotorch.domain.errors import NeotorchError
from neotorch.domain.events import AnyLogged, Recorded, canonical
from neotorch.domain.upcast import parse_event
from neotorch.store.errors import LogBroken

GENESIS = "0" * 64
"""`prev_hash` of the first event, and the hash of an empty log's head."""


class Head(NamedTuple):
    """Position and hash of the newest event; `Head(0, GENESIS)` for an empty log."""

    seq: int
    hash: str


class Row(NamedTuple):
    """One row of the table `event`, in the order of its columns."""

    study: str
    seq: int
    id: str
    type: str
    subject: str | None
    occurred: str
    recorded_at: str
    body: str
    prev_hash: str
    hash: str

    @property
    def head(self) -> Head:
        """What the head is once this row is the newest."""
        return Head(self.seq, self.hash)


@dataclass(frozen=True)
class Problem:
    """Something wrong with the log: where (`seq` is None for the log as a whole), what kind, and in words."""

    seq: int | None
    kind: str
    words: str

    def __str__(self) -> str:
        """One line for a terminal."""
        return f"seq {self.seq}: {self.words}" if self.seq else self.words


def instant_text(instant: datetime) -> str:
    """UTC in one fixed width, so that instants sort as text."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def link(prev_hash: str, seq: int, recorded_at: str, body: str) -> str:
    """SHA-256 (hex) over `prev_hash` and the canonical `{event, recorded_at, seq}`; `body` is canonical already."""
    row = f'{prev_hash}{{"event":{body},"recorded_at":"{recorded_at}","seq":{seq}}}'
    return hashlib.sha256(row.encode()).hexdigest()


def make_row(study: str, previous: Head, recorded_at: str, event: AnyLogged) -> Row:
    """Make the row that follows `previous`.

    Nulls are stored too, so that the body reads back whether or not a field has a default.
    """
    body = canonical(event.model_dump(mode="json")).decode()
    seq = previous.seq + 1
    digest = link(previous.hash, seq, recorded_at, body)
    occurred = event.occurred.isoformat()
    return Row(study, seq, event.id, event.type, event.subject, occurred, recorded_at, body, previous.hash, digest)


def recorded(row: Row, event: AnyLogged) -> Recorded:
    """The row as the rest of the program sees it. Its parts are checked already, so they are not checked again."""
    return Recorded.model_construct(
        seq=row.seq,
        recorded_at=datetime.fromisoformat(row.recorded_at),
        event=event,
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


def parse_row(row: Row) -> Recorded:
    """Check the row's own hash, then read and validate its body; LogBroken or UnknownEvent names the position."""
    where = f"log of {row.study}, seq {row.seq}"
    if link(row.prev_hash, row.seq, row.recorded_at, row.body) != row.hash:
        raise LogBroken("the row was changed after it was written", where, "Run `neotorch verify`; restore a backup.")
    return recorded(row, parse_event(row.type, row.body, where))


def check_rows(rows: Iterable[Row]) -> Iterator[Problem | Head]:
    """Yield each row's problems, and its Head after them; rows come ordered by seq."""
    previous, last_time = Head(0, GENESIS), ""
    for row in rows:
        yield from _check_row(row, previous, last_time)
        previous, last_time = Head(row.seq, row.hash), row.recorded_at
        yield previous


def _check_row(row: Row, previous: Head, last_time: str) -> Iterator[Problem]:
    if row.seq != previous.seq + 1:
        missing = f"{previous.seq + 1}" if row.seq == previous.seq + 2 else f"{previous.seq + 1} to {row.seq - 1}"
        yield Problem(previous.seq + 1, "gap", f"the log jumps from {previous.seq} to {row.seq}; {missing} was removed")
    elif row.prev_hash != previous.hash:
        yield Problem(row.seq, "chain", f"does not follow on seq {previous.seq}: a row before it was exchanged")
    if link(row.prev_hash, row.seq, row.recorded_at, row.body) != row.hash:
        yield Problem(row.seq, "edited", f"event {row.id}: content, time or place is not what was written")
    elif wrong := _columns_off(row):
        yield Problem(row.seq, "columns", f"event {row.id}: {wrong}")
    if row.recorded_at < last_time:
        yield Problem(row.seq, "time", f"recorded {row.recorded_at}, before the event that precedes it ({last_time})")


def _columns_off(row: Row) -> str:
    """Name what in the indexed columns contradicts the body, or the reason why the body is not an event."""
    try:
        parse_event(row.type, row.body, "")
    except NeotorchError as error:
        return str(error)
    body: dict[str, Any] = json.loads(row.body)  # as it was stored: the event may be read under a newer name today
    said = {name: (getattr(row, name), body.get(name)) for name in ("study", "id", "type", "subject", "occurred")}
    return "; ".join(f"column {name} says {a}, the body {b}" for name, (a, b) in said.items() if a != b)
