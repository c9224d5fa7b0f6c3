"""A log for rehearsals: the same rows in the end, without the waiting that only real life needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from neotorch.domain.events import AnyLogged, Recorded
from neotorch.store import connect
from neotorch.store.chain import GENESIS, Head, Row, instant_text, make_row, recorded
from neotorch.store.errors import HeadMoved
from neotorch.store.log import APPEND, EventLog


class RehearsalLog(EventLog):
    """An empty log that is written by one process alone: kept in memory, and put into the database by `settle`.

    Rows, chain, duplicates and conflicts are those of EventLog. A rehearsal cut off leaves an empty log behind.
    """

    def __init__(self, url: str, study: str, *, head_file: Path | None = None) -> None:
        super().__init__(url, study, head_file=head_file)
        self._rows: list[Row] = []
        self._by_id: dict[str, Recorded] = {}
        self._lists = defaultdict(list)
        self._seen: dict[str, int] = {}

    def get(self, event_id: str) -> Recorded | None:
        """As EventLog has it."""
        return self._by_id.get(event_id)

    def subjects(self) -> list[str]:
        """As EventLog has it."""
        return sorted(subject for subject in self._lists if subject is not None)

    def rows(self, until_seq: int) -> Iterator[Row]:
        """As EventLog has it."""
        yield from self._rows[:until_seq]

    def head(self) -> Head:
        """As EventLog has it."""
        return self._rows[-1].head if self._rows else Head(0, GENESIS)

    def journey_seen(self, subject: str) -> tuple[str | None, int]:
        """As EventLog has it."""
        return None, self._seen.get(subject, 0)

    def mark_seen(self, subject: str, flow_run_id: str | None, seen: int) -> None:  # noqa: ARG002 - see EventLog
        """As EventLog has it."""
        self._seen[subject] = seen

    def settle(self) -> None:
        """Write everything in one transaction, and how far each journey has come; HeadMoved if the log is not empty."""
        with connect.writing(self.engine, f"log/{self.study}") as connection:
            newest, _ = self._look(connection, [])
            if newest is not None:
                todo = "Rehearse in an empty data folder; nothing was written."
                raise HeadMoved(f"the head is at seq {newest.seq}, not 0", f"log of {self.study}", todo)
            if self._rows:
                connection.execute(APPEND, [row._asdict() for row in self._rows])
        if self._anchor and self._rows:
            self._anchor.write(self._rows)
        for subject, seen in self._seen.items():
            super().mark_seen(subject, None, seen)
        self.close()

    def _append(self, events: Sequence[AnyLogged], now: datetime, expect: int | None) -> list[tuple[Recorded, bool]]:
        del expect  # nobody else writes
        self._check(events, now)
        known = {event.id: self._by_id[event.id] for event in events if event.id in self._by_id}
        fresh = self._fresh(events, known)
        at = max(instant_text(now), self._rows[-1].recorded_at if self._rows else "")
        written: dict[str, Recorded] = {}
        for event in fresh:
            row = make_row(self.study, self.head(), at, event)
            self._rows.append(row)
            written[event.id] = self._by_id[event.id] = one = recorded(row, event)
            self._lists[None].append(one)
            if event.subject is not None:
                self._lists[event.subject].append(one)
        return self._in_order(events, known, written)

    def _known(self, subject: str | None, after: int) -> list[Recorded]:  # noqa: ARG002 - the signature of EventLog
        return self._lists.get(subject, [])
