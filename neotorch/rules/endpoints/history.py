"""How the trial's figures came to be what they are: every value that was ever recorded, and what moved it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from neotorch.domain import events as ev


@dataclass(frozen=True)
class Moment:
    """One change of one value. `field` as in a result: `pcr.full`, or a patient's as `NT-007/pcr`."""

    field: str
    old: str | None
    new: str | None
    recorded_at: datetime
    log_seq: int
    """The log position that the new value was derived from."""
    moved_by: tuple[str, ...]
    """Ids of the events since the result before that bear on it; of a figure of the trial those of all its patients."""
    trigger: str


def history(recorded: Iterable[ev.Recorded], *fields: str) -> tuple[Moment, ...]:
    """Return every change of the given values (of the trial's own figures if none is named), the oldest first."""
    found = []
    for row in recorded:
        event = row.event
        if not isinstance(event, ev.EndpointsRecalculated):
            continue
        for change in event.changes:
            name = f"{change.subject}/{change.field}" if change.subject else change.field
            if name in fields or (not fields and change.subject is None):
                found.append(Moment(
                    name, change.old, change.new, row.recorded_at, event.log_seq, tuple(event.explained_by), event.trigger
                ))  # fmt: skip
    return tuple(found)
