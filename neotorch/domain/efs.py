"""Event-free survival of one patient under a versioned map of findings.

Registry definition (primary map): from the start of treatment to the first of progression that makes surgery
impossible, local or distant recurrence, or death from any cause. Days = date - first dose + 1 (CDISC). Without an event
a patient is censored at the last adequate disease assessment on or before the cut, else on day 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from neotorch.domain import events as ev
from neotorch.domain.time_to_event import Stop, TimeToEvent, day_number, not_started

Finding = Literal[
    "progression_precludes_surgery", "progression_operable", "distant_before_surgery", "local_recurrence",
    "regional_recurrence", "distant_recurrence", "death", "contralateral_invasive_breast", "non_breast_invasive",
    "dcis_lcis", "non_melanoma_skin", "cervix_in_situ", "in_situ_recurrence", "positive_final_margin",
]  # fmt: skip
Role = Literal["event", "no", "sensitivity"]


class EfsMap(BaseModel):
    """Which finding counts as an event. `sensitivity`: only in a sensitivity analysis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
    source: str
    assumption: bool
    findings: dict[Finding, Role]
    paramcd: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,7}$")] | None = None
    """PARAMCD in the analysis data (ADTTE); None: the map is not exported."""

    @model_validator(mode="after")
    def _says_all(self) -> Self:
        absent = [f for f in get_args(Finding) if f not in self.findings]
        if absent:  # silence would mean "no event"
            raise ValueError(f"map {self.name!r} does not say what to do with {', '.join(absent)}")
        return self

    @cached_property
    def widened(self) -> EfsMap:
        """The map under which the findings that are `sensitivity` are events too."""
        wide: dict[Finding, Role] = {f: "event" if role == "sensitivity" else role for f, role in self.findings.items()}
        return self.model_copy(update={"name": f"{self.name}-widened", "findings": wide})


@dataclass(frozen=True)
class SurvivalConflict:
    """Dates of status and survival that contradict each other."""

    code: str
    text: str
    event_ids: tuple[str, ...]


def event_free_survival(
    facts: Sequence[ev.AnyFact], start: date | None, cut: date, efs_map: EfsMap, *, stop: Stop | None = None,
    begins: str = "first dose",
) -> TimeToEvent:  # fmt: skip
    """Return time and status from effective facts in any order; facts after `cut` do not count, after `stop` neither.

    `begins` names what happened on the day `start`.
    """
    if start is None or start > cut:
        return not_started(f"no {begins} by the cut")
    last = min(cut, stop.on) if stop else cut
    in_time = (f for f in facts if start <= f.occurred <= last)
    known = sorted(in_time, key=lambda f: (f.occurred, f.rank, f.id))
    found = _event(known, start, efs_map)
    if found:
        return found
    censored = _censored(known, start, begins)
    if stop is None or stop.on > cut:
        return censored
    ids = tuple(dict.fromkeys((*censored.event_ids, *stop.event_ids)))
    return replace(censored, reason=f"{censored.reason}; {stop.why}", event_ids=ids)


def _event(known: Sequence[ev.AnyFact], first_dose: date, efs_map: EfsMap) -> TimeToEvent | None:
    """Return the first event; several on its day are one event, named after the one that comes first clinically."""
    named = [(n, name) for n, f in enumerate(known) if (name := finding_of(f, known))]
    found = [(_documents(known, n), name) for n, name in named if efs_map.findings[name] == "event"]
    if not found:
        return None
    found.sort(key=lambda f: f[0][0].occurred)  # stable: on one day the clinical order stays
    on, finding = found[0][0][0].occurred, found[0][1]
    same_day = [(documents, name) for documents, name in found if documents[0].occurred == on]
    words = " and ".join(dict.fromkeys(name.replace("_", " ") for _, name in same_day))
    days = day_number(on, first_dose)
    reason = f"{words} on {on}, day {days} (map {efs_map.name} {efs_map.version})"
    decided = found[0][0][-1].occurred
    if decided != on:
        reason += f", decided on {decided}"
    left = next((f for f in known if isinstance(f, ev.Withdrawal) and f.scope == "study" and f.occurred < on), None)
    if left:
        reason += f", after withdrawal from the study on {left.occurred}"
    ids = dict.fromkeys(f.id for documents, _ in same_day for f in documents)
    return TimeToEvent("event", days, on, finding, reason, tuple(ids))


def _documents(known: Sequence[ev.AnyFact], at: int) -> tuple[ev.AnyFact, ...]:
    """Return the facts that document the finding, the first one first: its date is the event's date.

    A progression counts from when it was first seen, not from when it was decided that it precludes surgery.
    """
    fact = known[at]
    precludes = isinstance(fact, ev.Progression) and fact.operable is False
    return (*_undecided(known[:at]), fact) if precludes else (fact,)


def _censored(known: Sequence[ev.AnyFact], first_dose: date, begins: str = "first dose") -> TimeToEvent:
    undecided = _undecided(known)
    note = "; a progression whose operability is not decided may become the event" if undecided else ""
    last = next((f for f in reversed(known) if adequate(f)), None)
    if last is None:
        reason = f"no adequate disease assessment after the {begins}: censored on day 1{note}"
        return TimeToEvent("censored", 1, first_dose, None, reason, tuple(f.id for f in undecided))
    days = day_number(last.occurred, first_dose)
    reason = f"free of events at the last adequate assessment on {last.occurred}, day {days}{note}"
    return TimeToEvent("censored", days, last.occurred, None, reason, (last.id, *(f.id for f in undecided)))


def _undecided(known: Sequence[ev.AnyFact]) -> tuple[ev.Progression, ...]:
    """Return the progressions of which nothing later (a decision, the operation itself) tells the operability."""
    undecided: list[ev.Progression] = []
    for fact in known:
        if isinstance(fact, ev.Surgery) or (isinstance(fact, ev.Progression) and fact.operable is not None):
            undecided = []
        elif isinstance(fact, ev.Progression):
            undecided.append(fact)
    return tuple(undecided)


def finding_of(fact: ev.AnyFact, facts: Iterable[ev.AnyFact] = ()) -> Finding | None:
    """Return which finding of the map a fact is, None if none."""
    match fact:
        case ev.Progression(operable=False):
            return "progression_precludes_surgery"
        case ev.Progression(site="distant"):
            return "distant_before_surgery"
        case ev.Progression(operable=True):
            return "progression_operable"
        case ev.Recurrence(invasive=False):
            return "in_situ_recurrence"
        case ev.Recurrence():
            return f"{fact.site}_recurrence"  # type: ignore[return-value]
        case ev.SecondPrimary():
            return fact.kind
        case ev.Death():
            return "death"
        case ev.Surgery(margin="positive") if not any(
            isinstance(f, ev.Surgery) and f.occurred > fact.occurred for f in facts
        ):
            return "positive_final_margin"
        case _:
            return None


def adequate(fact: ev.AnyFact) -> bool:
    """Return whether the fact shows, at its date, whether the disease is back or has progressed."""
    match fact:
        case ev.DiseaseAssessment():
            return fact.adequate
        case ev.Imaging():
            return fact.response not in ("NE", "BASELINE")
        case _:
            return False


SIGNS_OF_LIFE = (
    ev.Consent, ev.Enrolment, ev.CycleGiven, ev.VisitHeld, ev.Imaging, ev.Surgery, ev.DiseaseAssessment, ev.Contact,
    ev.AdverseEvent, ev.Progression, ev.Recurrence, ev.SecondPrimary, ev.NewTherapy,
)  # fmt: skip
"""What happens to the living: on its day the patient was alive. A report may be dated after death."""
AliveItem = tuple[str, str] | None
"""Form and yes/no item that say whether the patient is alive; None where the study has none."""


def last_sign_of_life(facts: Iterable[ev.AnyFact], alive: AliveItem) -> ev.AnyFact | None:
    """Return the newest fact that the patient was seen or heard of, or of a form that says alive; None if there is none."""
    signs = (f for f in facts if isinstance(f, SIGNS_OF_LIFE) or _says_alive(f, alive) is True)
    return max(signs, key=lambda f: f.occurred, default=None)


def last_known_alive(facts: Iterable[ev.AnyFact], alive: AliveItem) -> date | None:
    """Return the date of the last sign of life."""
    sign = last_sign_of_life(facts, alive)
    return sign.occurred if sign else None


def _says_alive(fact: ev.AnyFact, alive: AliveItem) -> bool | None:
    if alive is None or not isinstance(fact, ev.FormReceived) or fact.form != alive[0]:
        return None
    answer = fact.items.get(alive[1])
    return answer if isinstance(answer, bool) else None


def survival_conflicts(facts: Sequence[ev.AnyFact], alive: AliveItem) -> tuple[SurvivalConflict, ...]:
    """Return contradictions between disease status and survival, at most one per code: the first in the given order.

    Most of them are events that were told by the way and would be missing from the analysis without a word.
    """
    form = alive[0] if alive else None  # the other forms, most of what is on record, say nothing of it
    facts = [f for f in facts if not isinstance(f, ev.FormReceived) or f.form == form]
    found = (*_free_after_recurrence(facts), *_death_not_recorded(facts, alive), *_disease_not_recorded(facts))
    first: dict[str, SurvivalConflict] = {}
    for conflict in found:
        first.setdefault(conflict.code, conflict)
    return tuple(first.values())


def _free_after_recurrence(facts: Sequence[ev.AnyFact]) -> Iterator[SurvivalConflict]:
    distant = [f for f in facts if isinstance(f, ev.Recurrence) and f.site == "distant"]
    for fact in facts:
        if isinstance(fact, ev.DiseaseAssessment) and fact.status == "free":
            earlier = next((r for r in distant if r.occurred <= fact.occurred), None)
            if earlier:
                text = f"free of disease on {fact.occurred} after distant recurrence on {earlier.occurred}"
                yield SurvivalConflict("free-after-recurrence", text, (fact.id, earlier.id))


def _death_not_recorded(facts: Sequence[ev.AnyFact], alive: AliveItem) -> Iterator[SurvivalConflict]:
    """Yield a death that only an adverse event or a form tells, and what is dated after it."""
    if any(isinstance(f, ev.Death) for f in facts):  # with a date of death, the history's own checks apply
        return
    for fact in facts:
        fatal = isinstance(fact, ev.AdverseEvent) and fact.grade == 5
        if not fatal and _says_alive(fact, alive) is not False:
            continue
        told = "an adverse event of grade 5" if fatal else "a form that says not alive"
        last = last_known_alive(facts, alive)
        text = f"{told} on {fact.occurred} but no death is recorded; last known alive: {last or 'no date'}"
        yield SurvivalConflict("death-not-recorded", text, (fact.id,))
        for later in () if fatal else facts:  # an adverse event is dated at its onset, death may be weeks later
            if isinstance(later, ev.DiseaseAssessment) and later.status == "free" and later.occurred > fact.occurred:
                text = f"free of disease on {later.occurred} after {told} on {fact.occurred}"
                yield SurvivalConflict("free-after-last-alive", text, (later.id, fact.id))


def _disease_not_recorded(facts: Sequence[ev.AnyFact]) -> Iterator[SurvivalConflict]:
    """Yield disease that was seen and of which no event is on record by then; event dates are first documentations."""
    for fact in facts:
        progressive = isinstance(fact, ev.Imaging) and fact.response == "PD"
        ill = isinstance(fact, ev.DiseaseAssessment) and fact.status == "disease"
        if not progressive and not ill:
            continue
        operated = any(isinstance(f, ev.Surgery) and f.occurred <= fact.occurred for f in facts)
        if not progressive and not (ill and operated):  # before surgery there is disease in everybody
            continue
        kinds = (ev.Progression, ev.Recurrence, ev.SecondPrimary) if not operated else (ev.Recurrence, ev.SecondPrimary)
        if not any(isinstance(f, kinds) and f.occurred <= fact.occurred for f in facts):
            seen = "progressive disease (RECIST)" if progressive else "disease"
            missing = "recurrence" if operated else "progression"
            text = f"{seen} on {fact.occurred} but no {missing} is recorded up to that day"
            yield SurvivalConflict("disease-not-recorded", text, (fact.id,))
