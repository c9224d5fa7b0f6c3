"""What a story expects on a day, beside the patient as they were on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.clocks import Clock
from neotorch.rules.schedule import VisitPlan

DAY = timedelta(1)
Note = tuple[str, str, str]
"""Group, name and side of a point."""


@dataclass(frozen=True)
class Seen:
    """What a story expects on a day, and the patient on that day."""

    day: date
    wanted: dict[str, Any]
    state: PatientState
    plans: dict[str, VisitPlan]
    study: Study
    zone: ZoneInfo
    clocks: tuple[Clock, ...] = ()

    @property
    def queries(self) -> set[str] | None:
        """The open queries that are expected; None if the story does not say."""
        return set(self.wanted["queries"]) if "queries" in self.wanted else None

    def told_of(self, key: str) -> set[str] | None:
        """What is expected to go out about a visit or a query: `opens`, `reminder/1/7`; None if the story does not say."""
        if key in self.wanted.get("told", {}):
            return set(self.wanted["told"][key])
        if key in self.wanted.get("about", {}):
            return {k.partition("/20")[0] for k in self.wanted["about"][key]}
        if "notices" in self.wanted:
            own = [k.removeprefix(f"{key}/") for k in self.wanted["notices"] if k.startswith(f"{key}/")]
            return {k.partition("/20")[0] for k in own}
        return None
