"""The log, append-only by triggers, and the journeys' cache. Written out here: a migration never changes afterwards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")

SQLITE_TRIGGERS = (
    """CREATE TRIGGER event_no_update BEFORE UPDATE ON event
       BEGIN SELECT RAISE(ABORT, 'the log is append-only: no UPDATE'); END""",
    """CREATE TRIGGER event_no_delete BEFORE DELETE ON event
       BEGIN SELECT RAISE(ABORT, 'the log is append-only: no DELETE'); END""",
    # Runs before a conflict is resolved, so INSERT OR REPLACE fails even where recursive_triggers is off.
    """CREATE TRIGGER event_only_next BEFORE INSERT ON event
       WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM event WHERE study = NEW.study)
            OR EXISTS (SELECT 1 FROM event WHERE study = NEW.study AND id = NEW.id)
       BEGIN SELECT RAISE(ABORT, 'the log is append-only: only the next seq with a new id'); END""",
)

POSTGRES_TRIGGERS = (
    """CREATE FUNCTION event_append_only() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the log is append-only: no %', TG_OP; END $$""",
    """CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
       FOR EACH STATEMENT EXECUTE FUNCTION event_append_only()""",
    # ALWAYS: also in sessions that switch ordinary triggers off (session_replication_role).
    "ALTER TABLE event ENABLE ALWAYS TRIGGER event_append_only",
)


def upgrade() -> None:
    """Create both tables and the triggers."""
    op.create_table(
        "event",
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("seq", POSITION, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=True),
        sa.Column("occurred", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("study", "seq", name="event_pk"),
        sa.UniqueConstraint("study", "id", name="event_id_once"),
    )
    op.create_index("event_by_subject", "event", ["study", "subject", "seq"])
    op.create_table(
        "journey",
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("flow_run_id", sa.Text, nullable=True),
        sa.Column("seen", POSITION, nullable=False),
        sa.PrimaryKeyConstraint("study", "subject", name="journey_pk"),
    )
    for statement in SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else POSTGRES_TRIGGERS:
        op.execute(statement)
