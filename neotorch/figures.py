"""The trial's endpoints in one process: derived from the log, kept up to date, recorded when they change.

After an event only the patients who changed are derived anew; every night all of them are, from the log, and a difference
between the two is an incident that names patient and field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from neotorch.boundaries import record_boundaries
from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Study
from neotorch.garbage import keep, little_garbage
from neotorch.rules.endpoints import ANNOUNCED, Cohort, TrialResult, member, trial_result
from neotorch.rules.endpoints.analysis import TrialAnalysis, analyse
from neotorch.rules.endpoints.monitoring import Monitor, monitors
from neotorch.rules.trial import diff_values, displayed

if TYPE_CHECKING:
    from neotorch.engine import Engine

Trigger = Literal["event", "nightly", "rebuild"]
TRIES = 3
"""So often the figures are brought up to a head that moves meanwhile; then they are derived for a head that stands."""
MANY = 5_000
"""From so many patients derived at once on it is worth the while to take them out of the search for garbage."""


@dataclass(frozen=True)
class Recalculation:
    """What a recalculation found."""

    result: TrialResult
    changes: tuple[ev.EndpointChange, ...]
    recorded: ev.EndpointsRecalculated | None
    incident: ev.Incident | None = None
    derived: int = 0
    """How many patients were derived anew."""
    boundaries: tuple[ev.BoundaryCrossed | ev.BoundaryWithdrawn, ...] = ()
    """Monitoring boundaries newly crossed, or crossed no more."""

    @property
    def changed(self) -> bool:
        """Whether any value differs from the last recorded result."""
        return bool(self.changes)


def names_to_compare(result: TrialResult, old: Mapping[str, str], derived: Iterable[str]) -> set[str]:
    """Return the names of the values that an event can have changed: the trial's own, and those of who was derived anew."""
    trial = {*result.trial_values(), *(k for k in old if "/" not in k)}
    return trial | {f"{subject}/{field}" for subject in derived for field in ANNOUNCED}


class Figures:
    """The endpoints of one engine's trial."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cohort: Cohort | None = None
        self._upto = 0
        self._unrecorded: set[str] = set()
        """Who was derived since the last recalculation."""

    def at(self, cut: date | None = None, as_of: datetime | None = None, until_seq: int | None = None) -> TrialResult:
        """Return the figures: facts dated up to `cut`, known at `as_of` (or at a log position); now by default."""
        if as_of is None and until_seq is None and cut in (None, self._engine.today()):
            return self._now()[0]
        study, day, states = self._known(cut, as_of, until_seq)
        return trial_result([member(s, study, day) for s in states], study, day)

    def analysis(
        self, cut: date | None = None, as_of: datetime | None = None, until_seq: int | None = None,
        site: str | None = None,
    ) -> TrialAnalysis:  # fmt: skip
        """Return the whole analysis: facts dated up to `cut`, known at `as_of` (or at a log position), of one site or all."""
        study, day, states = self._known(cut, as_of, until_seq)
        return analyse((s for s in states if site in (None, s.site)), study, day)

    def monitoring(self, as_of: datetime | None = None) -> tuple[Monitor, ...]:
        """Return the monitoring rules with their looks, as known at `as_of`; now by default."""
        study, day, states = self._known(None, as_of, None)
        return monitors([member(s, study, day) for s in states], study)

    def next_turn(self) -> date | None:
        """Return the next day on which time alone may make a value another; None before the first recalculation."""
        members = self._cohort.members.values() if self._cohort else ()
        return min((m.until for m in members if m.until < date.max), default=None)

    def _known(
        self, cut: date | None, as_of: datetime | None, until_seq: int | None
    ) -> tuple[Study, date, Iterable[PatientState]]:
        """Return study, cut and states as they were known; who was not known of is left out."""
        engine = self._engine
        zone = engine.study.sites[0].time_zone
        day = cut or (local_date(as_of, zone) if as_of else engine.today())
        study = engine.versions(as_of=as_of, until_seq=until_seq).trial
        states = (engine.state(s, as_of=as_of, until_seq=until_seq) for s in engine.subjects())
        return study, day, (state for state in states if state.learnt)

    def recalculate(self, trigger: Trigger) -> Recalculation:
        """Bring all endpoints up to the log; record what differs from the last recorded result, for it to be told."""
        engine = self._engine
        result, head = self._now()
        news = engine.news
        old, last = dict(news.values), news.recalculated
        incident = self._checked(result, head, old, last) if trigger == "nightly" else None
        crossed = record_boundaries(engine.effects(None), news.boundaries, result.crossed, head)
        derived, self._unrecorded = self._unrecorded, set()
        new = result.values()
        names = names_to_compare(result, old, derived)
        if trigger != "event" or last is None:
            names = {*old, *new}
        changes = diff_values({n: old[n] for n in names if n in old}, {n: new[n] for n in names if n in new})
        if not changes:
            return Recalculation(result, (), None, incident, len(derived), crossed)
        digest = ev.digest_of(new)
        effects = engine.effects(None)
        event = ev.EndpointsRecalculated(
            **effects.common(f"endpoints/{head}/{digest[:16]}") | {"occurred": result.cut}, trigger=trigger, log_seq=head,
            result_digest=digest, changes=list(changes), explained_by=self._explaining(changes, last),
        )  # fmt: skip
        effects.append(event)
        return Recalculation(result, changes, event, incident, len(derived), crossed)

    def _now(self) -> tuple[TrialResult, int]:
        """Return today's figures and the log position that they are of."""
        engine, cut = self._engine, self._engine.today()
        for _ in range(TRIES):
            study, head = engine.versions().trial, engine.head()
            if self._cohort is None or self._cohort.study is not study:
                self._cohort, self._upto = Cohort(study), 0
            fresh = engine.log.read(after=self._upto, until_seq=head)
            changed = {r.event.subject for r in fresh if r.event.subject and isinstance(r.event, ev.Fact)}
            with little_garbage():
                derived = self._cohort.refresh(changed, cut, engine.state)
            if len(derived) >= MANY:
                keep()
            self._unrecorded |= derived
            self._upto = head
            if engine.head() == head:
                return trial_result(self._cohort.members.values(), study, cut), head
        return self.at(cut, until_seq=head), head  # somebody records all the time: the result must be that of one head

    def _explaining(self, changes: Iterable[ev.EndpointChange], last: ev.EndpointsRecalculated | None) -> list[str]:
        """Return the events since the last result that bear on what changed."""
        moved = {c.subject for c in changes}
        ids = [
            r.event.id
            for r in self._engine.log.read(after=last.log_seq if last else 0)
            if (r.event.subject in moved and isinstance(r.event, ev.Fact)) or isinstance(r.event, ev.AmendmentActivated)
        ]
        return ids[-50:]

    def _checked(
        self, result: TrialResult, head: int, old: dict[str, str], last: ev.EndpointsRecalculated | None
    ) -> ev.Incident | None:
        """Derive everything once more from the log; an incident where what was kept or recorded comes out otherwise.

        If the last recorded result, derived from what was known then, is another today, then no event explains it.
        """
        engine = self._engine
        study = engine.versions(until_seq=head).trial
        states = (fold(engine.log.read(s, until_seq=head), s) for s in engine.subjects())
        with little_garbage():
            afresh = trial_result([member(s, study, result.cut) for s in states], study, result.cut)
        if off := diff_values(result.values(), afresh.values()):
            what = f"the result kept up to log position {head} differs from the one derived from the whole log"
            return self._incident("incremental-endpoint", what, off, head)
        if last is None:
            return None
        again = self.at(last.occurred, until_seq=last.log_seq).values()
        if off := diff_values(old, again):
            what = f"the result of log position {last.log_seq} comes out otherwise today"
            return self._incident("unexplained-endpoint", what, off, last.log_seq)
        return None

    def _incident(self, kind: str, what: str, off: tuple[ev.EndpointChange, ...], seq: int) -> ev.Incident:
        fields = ", ".join(
            f"{c.subject or 'trial'} {c.field}: {c.old} -> {c.new}" for c in displayed(off[:5], self._engine.study)
        )
        tail = ev.digest_of([c.model_dump() for c in off])[:16]
        effects = self._engine.effects(None)
        common = effects.common(f"incident/{'endpoints' if kind.startswith('un') else 'incremental'}/{seq}/{tail}")
        incident = ev.Incident(**common, kind=kind, detail=f"{what}: {fields}"[:500])
        effects.append(incident)
        return incident
