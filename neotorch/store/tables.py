"""The tables. `event` is the log; `journey` is a cache that may be emptied at any time.

All columns of `event` are text or integers so that SQLite and Postgres hold the same bytes and one hash fits both.
Instants are UTC in one fixed width, `2026-03-04T01:30:00.000000Z`, so that they sort as text.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text, UniqueConstraint

metadata = MetaData()

# SQLite's 64-bit integer is INTEGER; a BIGINT key would work too, but costs it nothing to say it its own way.
Position = BigInteger().with_variant(Integer, "sqlite")

event = Table(
    "event",
    metadata,
    Column("study", Text, nullable=False),
    Column("seq", Position, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=True),
    Column("occurred", Text, nullable=False),
    Column("recorded_at", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    PrimaryKeyConstraint("study", "seq", name="event_pk"),
    UniqueConstraint("study", "id", name="event_id_once"),
    Index("event_by_subject", "study", "subject", "seq"),
)

journey = Table(
    "journey",
    metadata,
    Column("study", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("flow_run_id", Text, nullable=True),
    Column("seen", Position, nullable=False),
    PrimaryKeyConstraint("study", "subject", name="journey_pk"),
)

VERSION_TABLE = "neotorch_version"
"""Not alembic's default name: Prefect keeps its own `alembic_version`, and the two may share one Postgres database."""
