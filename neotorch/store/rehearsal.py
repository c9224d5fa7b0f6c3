"""A log for rehearsals: the same file in the end, without the waiting that only real life needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import event

from neotorch.store.log import EventLog


class RehearsalLog(EventLog):
    """A log that does not wait for the disk: a rehearsal cut off is begun anew, so there is nothing to lose.

    How far the journeys have come is kept in memory and written down by `settle`.
    """

    def __init__(self, url: str, study: str, *, head_file: Path | None = None) -> None:
        super().__init__(url, study, head_file=head_file)
        self._seen: dict[str, int] = {}
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _hurry)

    def journey_seen(self, subject: str) -> tuple[str | None, int]:
        """As EventLog has it, from memory."""
        return None, self._seen.get(subject, 0)

    def mark_seen(self, subject: str, flow_run_id: str | None, seen: int) -> None:  # noqa: ARG002 - see EventLog
        """As EventLog has it, into memory."""
        self._seen[subject] = seen

    def settle(self) -> None:
        """Write down how far each journey has come, and let go of the connections; the next ones wait again."""
        for subject, seen in self._seen.items():
            super().mark_seen(subject, None, seen)
        self.close()


def _hurry(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")
