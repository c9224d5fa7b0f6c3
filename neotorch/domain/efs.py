"""Event-free survival of one patient under a versioned map of findings.

Registry definition (primary map): from the start of treatment to the first of progression that makes surgery
impossible, local or distant recurrence, or death from any cause. Days = date - first dose + 1 (CDISC). Without an event
a patient is censored at the last adequate disease assessment on or before the cut, else on day 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from neotorch.domain import events as ev

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

    @model_validator(mode="after")
    def _says_all(self) -> Self:
        absent = [f for f in get_args(Finding) if f not in self.findings]
        if absent:  # silence would mean "no event"
            raise ValueError(f"map {self.name!r} does not say what to do with {', '.join(absent)}")
        return self


@dataclass(frozen=True)
class EfsResult:
    """Event-free survival of one patient. `days` is None before the first dose; day 1 is the first dose."""

    status: Literal["event", "censored", "not started"]
    days: int | None
    on: date | None
    finding: str | None
    reason: str
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class SurvivalConflict:
    """Dates of status and survival that contradict each other."""

    code: str
    text: str
    event_ids: tuple[str, ...]


def event_free_survival(facts: Sequence[ev.AnyFact], first_dose: date | None, cut: date, efs_map: EfsMap) -> EfsResult:
    """Return time and status from effective facts in any order; facts after `cut` do not count."""
    if first_dose is None or first_dose > cut:
        return EfsResult("not started", None, None, None, "no first dose by the cut")
    in_time = (f for f in facts if first_dose <= f.occurred <= cut)
    known = sorted(in_time, key=lambda f: (f.occurred, f.rank, f.id))
    return _event(known, first_dose, efs_map) or _censored(known, first_dose)


def _event(known: Sequence[ev.AnyFact], first_dose: date, efs_map: EfsMap) -> EfsResult | None:
    """Return the first event; several on its day are one event, named after the one that comes first clinically."""
    found = [(f, name) for f in known if (name := finding_of(f, known)) and efs_map.findings[name] == "event"]
    if not found:
        return None
    on, finding = found[0][0].occurred, found[0][1]
    same_day = [(f.id, name) for f, name in found if f.occurred == on]
    words = " and ".join(dict.fromkeys(name.replace("_", " ") for _, name in same_day))
    days = (on - first_dose).days + 1
    reason = f"{words} on {on}, day {days} (map {efs_map.name} {efs_map.version})"
    left = next((f for f in known if isinstance(f, ev.Withdrawal) and f.scope == "study" and f.occurred < on), None)
    if left:
        reason += f", after withdrawal from the study on {left.occurred}"
    return EfsResult("event", days, on, finding, reason, tuple(i for i, _ in same_day))


def _censored(known: Sequence[ev.AnyFact], first_dose: date) -> EfsResult:
    undecided = _undecided(known)
    note = "; a progression whose operability is not decided may become the event" if undecided else ""
    last = next((f for f in reversed(known) if _adequate(f)), None)
    if last is None:
        reason = f"no adequate disease assessment after the first dose: censored on day 1{note}"
        return EfsResult("censored", 1, first_dose, None, reason, undecided)
    days = (last.occurred - first_dose).days + 1
    reason = f"free of events at the last adequate assessment on {last.occurred}, day {days}{note}"
    return EfsResult("censored", days, last.occurred, None, reason, (last.id, *undecided))


def _undecided(known: Sequence[ev.AnyFact]) -> tuple[str, ...]:
    """Return ids of progressions of which nothing later (a decision, the operation itself) tells the operability."""
    open_ids: list[str] = []
    for fact in known:
        if isinstance(fact, ev.Surgery) or (isinstance(fact, ev.Progression) and fact.operable is not None):
            open_ids = []
        elif isinstance(fact, ev.Progression):
            open_ids.append(fact.id)
    return tuple(open_ids)


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


def _adequate(fact: ev.AnyFact) -> bool:
    match fact:
        case ev.DiseaseAssessment():
            return fact.adequate
        case ev.Imaging():
            return fact.response not in ("NE", "BASELINE")
        case _:
            return False


def survival_conflicts(facts: Sequence[ev.AnyFact]) -> tuple[SurvivalConflict, ...]:
    """Return contradictions between disease status and survival."""
    found = []
    recurrences = [f for f in facts if isinstance(f, ev.Recurrence)]
    for fact in facts:
        if isinstance(fact, ev.DiseaseAssessment) and fact.status == "free":
            earlier = [r for r in recurrences if r.occurred <= fact.occurred and r.site == "distant"]
            if earlier:
                text = f"free of disease on {fact.occurred} after distant recurrence on {earlier[0].occurred}"
                found.append(SurvivalConflict("free-after-recurrence", text, (fact.id, earlier[0].id)))
    return tuple(found)
