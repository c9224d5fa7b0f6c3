"""What the log refuses, and why."""

from __future__ import annotations

from dataclasses import dataclass

from neotorch.domain.errors import StoreError


@dataclass(frozen=True)
class Conflict:
    """One id under which two different bodies were offered; digests are SHA-256 in hex."""

    event_id: str
    stored_digest: str
    given_digest: str
    stored_seq: int | None
    """Where the first body stands in the log; None when both came in the same batch."""

    def __str__(self) -> str:
        """One line: the id, both digests, and where the first is."""
        place = f"recorded at seq {self.stored_seq}" if self.stored_seq else "given twice in this batch"
        return f"id {self.event_id} {place} with digest {self.stored_digest}, now offered with {self.given_digest}"


class EventConflict(StoreError):  # noqa: N818 - named in the interface
    """The same id with another body. Nothing of the batch was written; `conflicts` lists every one of them."""

    def __init__(self, study: str, conflicts: tuple[Conflict, ...]) -> None:
        """Say all conflicts of the batch at once."""
        super().__init__(
            "; ".join(map(str, conflicts)),
            f"log of {study}",
            "If the record changed, send it under a new id with `corrects` and `reason`; nothing was written.",
        )
        self.conflicts = conflicts


class HeadMoved(StoreError):  # noqa: N818 - a condition, not a fault
    """`append(expect=...)` found another head: somebody else wrote in between. Nothing was written."""


class LogUnavailable(StoreError):  # noqa: N818 - a condition, not a fault
    """The database cannot be reached, is locked for too long, or has no tables yet."""


class LogBroken(StoreError):  # noqa: N818 - a condition, not a fault
    """A row read back is not what was written, or the database was replaced beneath a running process."""
