"""Endpoints by groups of patients at baseline. Estimates with intervals only: nothing is tested between groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from neotorch.domain import events as ev
from neotorch.domain.analysis_plan import Subgroup
from neotorch.domain.safety import ValuePlace
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.endpoints.evaluable import FIGURES
from neotorch.rules.endpoints.patient import PatientEndpoints
from neotorch.rules.endpoints.trial import Proportion, proportion
from neotorch.rules.readings import Readings

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Belonging:
    """Which group a patient is in, and why."""

    subject: str
    group: str
    reason: str
    event_id: str | None
    """The form that says so."""


@dataclass(frozen=True)
class Group:
    """One group with its shares: each endpoint over the full and the evaluable set."""

    name: str
    patients: tuple[str, ...]
    proportions: tuple[Proportion, ...]


@dataclass(frozen=True)
class SubgroupResult:
    """The patients of the full analysis set divided by one baseline value."""

    subgroup: Subgroup
    groups: tuple[Group, ...]
    """In the order of the study file; patients without a value last."""
    belongings: tuple[Belonging, ...]


def subgroups(full: Iterable[tuple[PatientState, PatientEndpoints]], study: Study) -> tuple[SubgroupResult, ...]:
    """Return each subgroup of the study file over the full analysis set."""
    patients = [(Readings(s), s, p) for s, p in sorted(full, key=lambda pair: pair[0].subject)]
    return tuple(_result(one, patients, study) for one in study.endpoints.subgroups)


def _result(
    subgroup: Subgroup, patients: Sequence[tuple[Readings, PatientState, PatientEndpoints]], study: Study
) -> SubgroupResult:
    found = [(belonging(subgroup, r, s), p) for r, s, p in patients]
    present = {b.group for b, _ in found}
    named = _named(subgroup)
    names = [*named, *sorted(present - {*named, UNKNOWN}), *({UNKNOWN} & present)]
    groups = tuple(_group(name, [p for b, p in found if b.group == name], study) for name in names)
    return SubgroupResult(subgroup, groups, tuple(b for b, _ in found))


def _group(name: str, members: Sequence[PatientEndpoints], study: Study) -> Group:
    shares = tuple(
        proportion(figure, set_name, [getattr(p, figure).answer for p in among], getattr(study.endpoints, figure).level)
        for figure in FIGURES
        for set_name, among in (("full", members), ("evaluable", [p for p in members if p.evaluable]))
    )
    return Group(name, tuple(p.subject for p in members), shares)


def belonging(subgroup: Subgroup, readings: Readings, state: PatientState) -> Belonging:
    """Return the group of a patient by the last value up to the first dose."""
    assert state.first_dose is not None
    what = f"{subgroup.form}.{subgroup.item}"
    reading = readings.newest(ValuePlace(form=subgroup.form, item=subgroup.item), state.first_dose)
    if reading is None:
        return Belonging(state.subject, UNKNOWN, f"no {what} up to the first dose", None)
    if isinstance(reading.value, ev.NotAnswered):
        reason = f"{what} of {reading.day}: {reading.value.status.replace('_', ' ')}"
        return Belonging(state.subject, UNKNOWN, reason, reading.event_id)
    if subgroup.cuts and reading.number is None:
        reason = f"{what} of {reading.day} is no number"
        return Belonging(state.subject, UNKNOWN, reason, reading.event_id)
    name = (
        _cut(subgroup.cuts, reading.number)
        if subgroup.cuts and reading.number is not None
        else _choice(subgroup, reading.value)
    )
    return Belonging(state.subject, name, f"{what} {_said(reading.value)} of {reading.day}", reading.event_id)


def _named(subgroup: Subgroup) -> list[str]:
    """Return the groups that there are whether anybody is in them or not."""
    if not subgroup.cuts:
        return list(subgroup.groups)
    between = (f"{low:g} to < {high:g}" for low, high in pairwise(subgroup.cuts))
    return [f"< {subgroup.cuts[0]:g}", *between, f">= {subgroup.cuts[-1]:g}"]


def _cut(cuts: Sequence[float], value: float) -> str:
    low = max((c for c in cuts if c <= value), default=None)
    if low is None:
        return f"< {cuts[0]:g}"
    high = min((c for c in cuts if c > value), default=None)
    return f">= {low:g}" if high is None else f"{low:g} to < {high:g}"


def _choice(subgroup: Subgroup, value: object) -> str:
    said = _said(value)
    return next((name for name, choices in subgroup.groups.items() if said in choices), said)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
