"""Event-free survival of one patient under a versioned map of findings.

Registry definition (primary map): from the start of treatment to the first of progression that makes surgery
impossible, local or distant recurrence, or death from any cause. Days = date - first dose + 1 (CDISC). Without an event
a patient is censored at the last adequate disease assessment on or before the cut, else on day 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

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
    """Return time and status from effective facts in clinical order; facts after `cut` do not count."""
    if first_dose is None or first_dose > cut:
        return EfsResult("not started", None, None, None, "no first dose by the cut")
    known = [f for f in facts if first_dose <= f.occurred <= cut]
    found = [
        (f.occurred, name, f.id)
        for f in known
        if (name := finding_of(f, known)) and efs_map.findings.get(name) == "event"
    ]
    if found:
        on, name, _ = min(found)
        ids = tuple(i for d, _, i in found if d == on)
        days = (on - first_dose).days + 1
        return EfsResult(
            "event",
            days,
            on,
            name,
            f"{name.replace('_', ' ')} on {on}, day {days} (map {efs_map.name} {efs_map.version})",
            ids,
        )
    undecided = [f.id for f in known if isinstance(f, ev.Progression) and f.operable is None]
    note = "; a progression whose operability is not decided may become the event" if undecided else ""
    seen = [f for f in known if _adequate(f)]
    if not seen:
        return EfsResult(
            "censored",
            1,
            first_dose,
            None,
            f"no adequate disease assessment after the first dose: censored on day 1{note}",
            tuple(undecided),
        )
    last = seen[-1]
    days = (last.occurred - first_dose).days + 1
    return EfsResult(
        "censored",
        days,
        last.occurred,
        None,
        f"free of events at the last adequate assessment on {last.occurred}, day {days}{note}",
        (last.id, *undecided),
    )


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
