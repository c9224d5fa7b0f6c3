"""The patients of a trial with their endpoint values at a cut, kept up to date: only who changed is derived anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.endpoints.evaluable import Observation, ends, observations
from neotorch.rules.endpoints.patient import PatientEndpoints, patient_endpoints
from neotorch.rules.schedule import journey


class Tally(NamedTuple):
    """What of a patient is counted in the headline figures. Few differ, so a trial is counted by them."""

    full: bool
    evaluable: bool
    pcr: str
    rcb01: str
    rcb_class: str
    """Empty without a report."""
    place: tuple[str, ...]


_tally = lru_cache(maxsize=4096)(Tally)
"""The same object for all who are alike."""


@dataclass(frozen=True, slots=True)
class Member:
    """One patient of the cohort: endpoint values, place in the flow, and the cuts at which both hold."""

    endpoints: PatientEndpoints
    place: tuple[str, ...]
    """What has happened to the patient, in the words of the flow diagram."""
    since: date
    until: date
    """The values are the same at every cut from `since` on and before `until`, as long as no fact is new."""
    evaluable: Mapping[str, Observation]
    """What the patient is evaluable for, and since when: `pcr`, `rcb01`, and the toxicity rules by code."""
    tally: Tally = field(init=False, repr=False)
    time: tuple[float, bool] | None = field(init=False, repr=False)
    """Days of event-free survival, and whether they end with an event; None outside of the full analysis set."""

    def __post_init__(self) -> None:
        """Keep at hand what every recalculation asks of everybody."""
        p = self.endpoints
        rcb_class = str(p.rcb.rcb_class) if p.rcb else ""
        tally = _tally(p.in_full_set, p.evaluable, p.pcr.answer, p.rcb01.answer, rcb_class, self.place)
        known = p.in_full_set and p.efs.days is not None
        object.__setattr__(self, "tally", tally)
        object.__setattr__(self, "time", (float(p.efs.days or 0), p.efs.status == "event") if known else None)

    def holds_at(self, cut: date) -> bool:
        """Return whether the values are those at this cut."""
        return self.since <= cut < self.until


def member(state: PatientState, study: Study, cut: date) -> Member:
    """Derive one patient's values and place in the flow at a cut."""
    last = max((f.occurred for f in state.facts), default=date.min)
    if last > cut:  # facts yet to count: tomorrow may be another matter
        since, until = cut, cut + timedelta(1)
    else:
        turns = ends(state.first_dose, study) if state.first_dose else set()
        since = max([last, *(e for e in turns if e <= cut)])
        until = min((e for e in turns if e > cut), default=date.max)
    found = patient_endpoints(state, study, cut)
    place = tuple(_place(state, found, study, cut))
    return Member(found, place, since, until, observations(state, found, study, cut))


def _place(state: PatientState, found: PatientEndpoints, study: Study, cut: date) -> Iterable[str]:
    """Yield the boxes of the flow diagram (CONSORT 2010) in which the patient is counted."""
    if not state.consent or state.consent.occurred > cut:
        return
    yield "screened"
    if state.enrolment and state.enrolment.occurred <= cut:
        yield "enrolled"
    dead = bool(state.death and state.death.occurred <= cut)
    if dead:
        yield "deaths"
    if found.efs.status == "event":
        yield "events"
    if not found.in_full_set:
        yield "not dosed: screen failure" if journey(state, study) == "screen_failure" else "not dosed"
        return
    yield "dosed"
    if not state.surgery or state.surgery.occurred > cut:
        yield f"not operated: {_why_not_operated(state, cut)}"
        return
    yield "operated"
    if found.evaluable:
        yield "assessed"
    else:
        yield "not assessed: no final report yet" if found.rcb is None else "not assessed: not evaluable"


def _why_not_operated(state: PatientState, cut: date) -> str:
    left = state.withdrawal if state.withdrawal and state.withdrawal.scope == "study" else None
    for stop, words in (
        (state.inoperable, "progression precludes surgery"), (state.death, "died"), (left, "withdrew"),
        (state.lost, "lost to follow-up"),
    ):  # fmt: skip
        if stop and stop.occurred <= cut:
            return words
    return "not yet"


class Cohort:
    """Every patient's member, by subject."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.members: dict[str, Member] = {}
        self._since, self._until = date.min, date.max
        """At cuts from the one on and before the other, everybody's values hold."""

    def refresh(self, changed: Iterable[str], cut: date, state_of: Callable[[str], PatientState]) -> set[str]:
        """Derive anew who has new facts or whose values do not hold at this cut, and return who that was."""
        all_hold = self._since <= cut < self._until
        stale = {*changed, *(() if all_hold else (s for s, m in self.members.items() if not m.holds_at(cut)))}
        if not all_hold:
            self._since, self._until = date.min, date.max
        for subject in stale:
            self.members[subject] = member(state_of(subject), self.study, cut)
        for one in (self.members[s] for s in stale) if all_hold else self.members.values():
            self._since, self._until = max(self._since, one.since), min(self._until, one.until)
        return stale
