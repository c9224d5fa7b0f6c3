"""Visit compliance of each site: visits held inside their window, of those that were due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from neotorch.domain.calendar import local_date
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.schedule import VisitPlan, visit_plans


@dataclass(frozen=True)
class SiteVisits:
    """The visits of one site up to a day. Waived visits and those without a window are not due."""

    site: str
    patients: int
    """With consent."""
    in_window: int
    outside: int
    """Held before the window opened or after it closed."""
    not_held: int
    """The window has closed, and the visit did not take place."""
    waived: int

    @property
    def due(self) -> int:
        """Held, or to be held by now."""
        return self.in_window + self.outside + self.not_held

    @property
    def share(self) -> float | None:
        """Visit compliance, 0 to 1; None where nothing was due."""
        return self.in_window / self.due if self.due else None


def compliance(
    states: Iterable[PatientState], study: Study, rules_of: Callable[[PatientState], Study], now: datetime
) -> tuple[SiteVisits, ...]:
    """Return the figures of every site of the study file, in its order; `rules_of` gives the study as a patient has it."""
    patients: Counter[str] = Counter()
    visits: dict[str, Counter[str]] = {site.code: Counter() for site in study.sites}
    for state in states:
        if state.consent is None:
            continue
        site = study.site(state.site)
        patients[site.code] += 1
        plans = visit_plans(state, rules_of(state), local_date(now, site.time_zone))
        visits[site.code].update(kind for p in plans if (kind := _kind(p)))
    return tuple(
        SiteVisits(code, patients[code], found["in"], found["out"], found["not held"], found["waived"])
        for code, found in visits.items()
    )


def _kind(plan: VisitPlan) -> str:
    if plan.in_window is not None:
        return "in" if plan.in_window else "out"
    if plan.status == "waived":
        return "waived"
    return "not held" if plan.protocol and plan.status in ("overdue", "missed") else ""
