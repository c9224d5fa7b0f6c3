"""What somebody can do who holds the database: change rows as they like and recompute every hash from there on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, insert, text

from neotorch.domain.events import canonical
from neotorch.store.chain import GENESIS, Row, link
from neotorch.store.log import EventLog
from neotorch.store.tables import event as table

Rows = list[Row]
Attack = tuple[int, Rows]
"""The first position at which the log is another, and all rows of it."""


@contextmanager
def without_triggers(log: EventLog) -> Iterator[Connection]:
    """What an administrator of the database can do: switch the triggers off, change rows, switch them on again."""
    with log.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE event DISABLE TRIGGER ALL"))
            yield connection
            connection.execute(text("ALTER TABLE event ENABLE ALWAYS TRIGGER event_append_only"))
            return
        triggers = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        for name, _ in triggers:
            connection.execute(text(f"DROP TRIGGER {name}"))
        yield connection
        for _, definition in triggers:
            connection.exec_driver_sql(definition)


def put(log: EventLog, rows: Sequence[Row], first: int) -> None:
    """Let the log hold `rows` from position `first` on."""
    with without_triggers(log) as connection:
        connection.execute(table.delete().where(table.c.seq >= first))
        if rows[first - 1 :]:
            connection.execute(insert(table), [row._asdict() for row in rows[first - 1 :]])


def rechained(rows: Sequence[Row], first: int) -> Rows:
    """The rows numbered through from `first` on, each with the hash that follows: a valid chain again."""
    found = list(rows[: first - 1])
    for seq, row in enumerate(rows[first - 1 :], first):
        before = found[-1].hash if found else GENESIS
        digest = link(before, seq, row.recorded_at, row.body)
        found.append(row._replace(seq=seq, prev_hash=before, hash=digest))
    return found


def saying(row: Row, **fields: Any) -> Row:
    """The row with other words in its body, and the columns that go with them."""
    body = json.loads(row.body) | fields
    kept = {name: body[name] for name in ("id", "type", "subject", "occurred")}
    return row._replace(body=canonical(body).decode(), **kept)


def edit(rng: Random, rows: Rows) -> Attack:
    """Another day, another subject, another person, another time of recording, or another measured value."""
    index = rng.randrange(len(rows))
    row = rows[index]
    body = json.loads(row.body)
    others = sorted({r.subject for r in rows if r.subject and r.subject != row.subject})
    ways: list[Callable[[], Row]] = [
        lambda: saying(row, occurred=(date.fromisoformat(row.occurred) - timedelta(rng.randint(1, 30))).isoformat()),
        lambda: saying(row, actor=f"{body['actor'][:50]}.x"),
        lambda: row._replace(recorded_at=_earlier(rows, index)),
    ]
    if row.subject and others:
        ways.append(lambda: saying(row, subject=rng.choice(others)))
    items = body.get("items")
    numbers = [n for n, value in items.items() if type(value) in (int, float)] if isinstance(items, dict) else []
    if numbers:
        ways += [lambda: saying(row, items=items | {rng.choice(numbers): rng.randint(1, 10**6) + 0.5})] * 3
    found = rng.choice(ways)()
    if found == row:  # it was recorded in the same instant as the one before it
        return edit(rng, rows)
    return index + 1, rechained([*rows[:index], found, *rows[index + 1 :]], index + 1)


def _earlier(rows: Rows, index: int) -> str:
    """The time of the row before, so that time still never goes back."""
    return rows[index - 1].recorded_at if index else "2000-01-01T00:00:00.000000Z"


def delete(rng: Random, rows: Rows) -> Attack:
    """A few rows taken out, and the rest numbered through so that no gap shows."""
    index = rng.randrange(len(rows) - 1)
    many = rng.randint(1, min(5, len(rows) - 1 - index))
    return index + 1, rechained(rows[:index] + rows[index + many :], index + 1)


def swap(rng: Random, rows: Rows) -> Attack:
    """Two events exchanged, each with the other's time of recording, so that time never goes back."""
    first, second = sorted(rng.sample(range(len(rows)), 2))
    one, two = rows[first], rows[second]
    found = list(rows)
    found[first] = two._replace(recorded_at=one.recorded_at)
    found[second] = one._replace(recorded_at=two.recorded_at)
    return first + 1, rechained(found, first + 1)


def put_in(rng: Random, rows: Rows) -> Attack:
    """An event that nobody recorded, put in before another one."""
    index = rng.randrange(len(rows))
    like = rng.choice(rows)
    forged = saying(like, id=f"forged-{rng.randrange(10**9)}")._replace(recorded_at=rows[index].recorded_at)
    return index + 1, rechained([*rows[:index], forged, *rows[index:]], index + 1)


def cut(rng: Random, rows: Rows) -> Attack:
    """The newest rows taken off: what is left is a valid chain without any recomputing."""
    index = rng.randrange(len(rows))
    return index + 1, rows[:index]


def cut_and_tell_another_story(rng: Random, rows: Rows) -> Attack:
    """The newest rows exchanged for as many others or more."""
    index = rng.randrange(len(rows))
    others = [saying(row, id=f"forged-{seq}-{rng.randrange(10**9)}") for seq, row in enumerate(rows[index:], index + 1)]
    more = [saying(others[-1], id=f"forged-more-{n}") for n in range(rng.randint(0, 3))]
    return index + 1, rechained([*rows[:index], *others, *more], index + 1)


ATTACKS: tuple[Callable[[Random, Rows], Attack], ...] = (edit, delete, swap, put_in, cut, cut_and_tell_another_story)
