"""What is due: pure functions of (state, study, now). `duties` is the whole list, in order, on one screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property, partial

from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.state import ENDED, Journey, PatientState
from neotorch.domain.study import Study
from neotorch.rules.clocks import Clock, clock_notices, clock_wakes, sae_clocks
from neotorch.rules.consistency import (
    adjudications,
    contradictions,
    doses_without_labs,
    lost_appointments,
    reconsents,
    routed,
)
from neotorch.rules.departures import Deviation
from neotorch.rules.deviations import departures, turning_days
from neotorch.rules.gates import Gate, dose_gates, surgery_gate
from neotorch.rules.manual import asked_by_people
from neotorch.rules.missing import Finding, missing_items
from neotorch.rules.notices import Notice, safety_notices
from neotorch.rules.queries import query_notices
from neotorch.rules.reminders import reminders
from neotorch.rules.schedule import ACTIONABLE, VisitPlan, is_complete, journey, visit_plans
from neotorch.rules.traces import deviation_notices


@dataclass(frozen=True)
class Duties:
    """All that is due for one patient at one instant, and when to look again."""

    phase: Journey
    plans: tuple[VisitPlan, ...]
    findings: tuple[Finding, ...]
    """Everything a site has to answer that is past its grace period."""
    to_raise: tuple[Finding, ...]
    to_close: tuple[tuple[str, int], ...]
    """(query, round) of open queries that the data no longer give rise to."""
    deviations: tuple[Deviation, ...]
    """Every departure from the protocol that the data show."""
    to_find: tuple[Deviation, ...]
    to_withdraw: tuple[tuple[str, int], ...]
    """(deviation, round) of those that the data show no longer, or with another grade: then it is found again."""
    notices: tuple[Notice, ...]
    later: tuple[datetime, ...]
    """Instants at which something more will be due, in order."""
    complete: bool
    """The last visit of the schedule lies behind."""
    clocks: tuple[Clock, ...] = ()
    """Reports of serious adverse events, owed or made."""
    judge: Callable[[], tuple[Gate, ...]] = field(default=tuple, repr=False, compare=False)

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """Gates of doses and surgery; no step of a journey hangs on them, so they are judged when asked for."""
        return self.judge()

    @property
    def ended(self) -> bool:
        """Whether the journey is over; what is still to be said may follow."""
        return self.phase in ENDED or self.complete

    @property
    def awaited(self) -> VisitPlan | None:
        """The visit that is awaited next: the one to act on first, else the one that opens first."""
        if self.ended:
            return None
        ready = [p for p in self.plans if p.status in ACTIONABLE and p.window]
        coming = ready or [p for p in self.plans if p.status == "planned" and p.window]
        return min(coming, key=lambda p: (p.window.target, p.window.opens), default=None)  # type: ignore[union-attr]


def duties(state: PatientState, study: Study, now: datetime) -> Duties:
    """Work out everything that is due for a patient at `now` (aware). The order below is the order of the work."""
    zone = study.site(state.site).time_zone
    today = local_date(now, zone)
    plans, phase, found = state.once("day", (study, today), lambda: _by_facts(state, study, today))
    opened = tuple(f for f in found if f.opens_on <= today)
    to_raise = tuple(f for f in opened if not _is_open(state, f.query))
    wanted = {f.query for f in found}
    to_close = tuple((q, t.round) for q, t in state.queries.items() if t.open and q not in wanted)
    clocks = sae_clocks(state, study, now)
    shown = departures(state, study, plans, now)
    graded = {d.key: d.grade for d in shown}
    standing = {k: t.found[t.round].grade for k, t in state.deviations.items() if t.open}
    due, later = reminders(state, study, plans, now)
    later += [at_hour(f.opens_on, 0, zone) for f in found if f.opens_on > today]
    complete = phase not in ENDED and is_complete(plans)
    asked, then = query_notices(state, study, opened, now, ended=complete or phase in ENDED)
    later += then + clock_wakes(clocks)
    turning = (at_hour(d, study.reminders.hour, zone) for d in turning_days(study, plans, state) if d >= today)
    later += [at for at in turning if at > now]
    notices = (
        *safety_notices(state, study), *clock_notices(clocks), *due, *asked, *deviation_notices(state, study, shown, plans),
    )  # fmt: skip
    return Duties(
        phase=phase,
        plans=plans,
        findings=opened,
        to_raise=to_raise,
        to_close=to_close,
        deviations=shown,
        to_find=tuple(d for d in shown if d.key not in standing),
        to_withdraw=tuple((k, state.deviations[k].round) for k, grade in standing.items() if graded.get(k) != grade),
        notices=notices,
        later=tuple(sorted(set(later))),
        complete=complete,
        clocks=clocks,
        judge=partial(_gates, state, study, today),
    )


def _by_facts(
    state: PatientState, study: Study, today: date
) -> tuple[tuple[VisitPlan, ...], Journey, tuple[Finding, ...]]:
    """Return what follows from the facts and the day: visits, phase, and all that a site has to answer."""
    plans, phase = visit_plans(state, study, today), journey(state, study)
    asked = state.once("asked", (study,), lambda: _asked(state, study, plans, phase))
    offered = () if is_complete(plans) else reconsents(state, study)
    return plans, phase, (*asked, *offered, *lost_appointments(state, study, plans))


def _asked(state: PatientState, study: Study, plans: tuple[VisitPlan, ...], phase: Journey) -> tuple[Finding, ...]:
    """Return what a site has to answer whatever day it is; of the plans only what was held counts."""
    missing = () if phase == "screen_failure" else missing_items(state, study, plans)
    found = (
        *contradictions(state, study), *adjudications(state, study), *missing,
        *doses_without_labs(state, study, plans, missing), *asked_by_people(state, study),
    )  # fmt: skip
    return tuple(routed(f, study) for f in found)


def _gates(state: PatientState, study: Study, today: date) -> tuple[Gate, ...]:
    surgery = surgery_gate(state, study, today)
    return (*dose_gates(state, study, today), *((surgery,) if surgery else ()))


def _is_open(state: PatientState, query: str) -> bool:
    trail = state.queries.get(query)
    return bool(trail and trail.open)
