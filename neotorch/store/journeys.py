"""How far each subject's journey has come: a cache for the reconciler, not part of the log."""

from __future__ import annotations

from sqlalchemy import Engine, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from neotorch.store import connect
from neotorch.store.tables import journey

_SEEN = select(journey.c.flow_run_id, journey.c.seen).where(
    journey.c.study == bindparam("study"), journey.c.subject == bindparam("subject")
)


class JourneyCache:
    """(study, subject) -> (flow run id, newest seq dealt with). Emptying the table costs one extra wake each."""

    def __init__(self, engine: Engine, study: str) -> None:
        """Shares the log's connections."""
        self._engine = engine
        self._study = study
        build = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        add = build(journey)
        self._mark = add.on_conflict_do_update(
            index_elements=[journey.c.study, journey.c.subject],
            set_={"flow_run_id": add.excluded.flow_run_id, "seen": add.excluded.seen},
        )

    def seen(self, subject: str) -> tuple[str | None, int]:
        """(flow run id, seq), or (None, 0) when nothing is known."""
        with connect.reading(self._engine) as connection:
            row = connection.execute(_SEEN, {"study": self._study, "subject": subject}).first()
        return (row.flow_run_id, row.seen) if row else (None, 0)

    def probe(self) -> None:
        """Write, and take it back; LogUnavailable says why the database takes no writing, after a wait of 2 s at most."""
        values = {"study": self._study, "subject": "PROBE", "flow_run_id": None, "seen": 0}
        sqlite = self._engine.dialect.name == "sqlite"
        with connect.reading(self._engine) as connection:
            patience = "PRAGMA busy_timeout=2000" if sqlite else "SET LOCAL lock_timeout = 2000"
            connection.exec_driver_sql(patience)
            try:
                connection.execute(self._mark, values)
            finally:
                connection.rollback()
                if sqlite:
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={connect.BUSY_TIMEOUT_MS}")

    def mark(self, subject: str, flow_run_id: str | None, seen: int) -> None:
        """Set both values; the last one to write wins."""
        values = {"study": self._study, "subject": subject, "flow_run_id": flow_run_id, "seen": seen}
        with connect.writing(self._engine, f"journey/{self._study}") as connection:
            connection.execute(self._mark, values)
