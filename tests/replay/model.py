"""What a trial's log has to come to, said as plainly as can be: lists and dictionaries, nothing of the program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]


@dataclass
class Model:
    """All that was acknowledged, and what reached the receiver."""

    told: dict[str, Body] = field(default_factory=dict)
    """Id -> body of every fact that was taken, in order."""
    rows: list[str] = field(default_factory=list)
    """Hash of every position that was ever seen."""
    received: Counter[str] = field(default_factory=Counter)
    """Delivery key -> how often its notice arrived."""
    doubtful: set[str] = field(default_factory=set)
    """Keys of which it cannot be known whether they arrived, as the process died meanwhile."""
    forgotten: set[str] = field(default_factory=set)
    """Keys that had arrived when the log was put back to an earlier day."""

    def retracted(self, ident: str) -> bool:
        """Whether somebody took it back, and has not taken that back."""
        return any(b.get("retracts") == ident and not self.retracted(i) for i, b in self.told.items())

    def replaced(self, ident: str) -> bool:
        """Whether a correction of it holds, or did until it was corrected itself."""
        return any(b.get("corrects") == ident and not self.retracted(i) for i, b in self.told.items())

    def stands(self, ident: str) -> bool:
        """Whether it is in force."""
        return not self.retracted(ident) and not self.replaced(ident)

    def standing(self, subject: str) -> dict[str, Body]:
        """What is in force of a patient: id -> body, retractions left out."""
        mine = {i: b for i, b in self.told.items() if b["subject"] == subject and b["type"] != "retraction"}
        return {i: b for i, b in mine.items() if self.stands(i)}

    def held(self, subject: str) -> set[str]:
        """Codes of the visits that took place: cycles given, the operation."""
        found = set()
        for body in self.standing(subject).values():
            if body["type"] == "cycle_given":
                found.add(f"C{body['cycle']}D1")
            elif body["type"] == "surgery":
                found.add("SURG")
        return found

    def ended(self, subject: str) -> bool:
        """Whether no visit can be due any more."""
        ends = ("death", "withdrawal")
        return any(b["type"] in ends and b.get("scope") != "treatment" for b in self.standing(subject).values())
