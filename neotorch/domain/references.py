"""What the parts of a study file say of each other: every name leads somewhere, and visits hang on facts, not in a circle."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from pydantic import BaseModel

from neotorch.domain.checks import check_items
from neotorch.domain.deviations import check_deviations
from neotorch.domain.safety import check_safety
from neotorch.domain.sourced import Words

if TYPE_CHECKING:
    from neotorch.domain.study import Study, Visit


def check_references(study: Study) -> None:
    """ValueError at the first name that leads nowhere, with its place and the way out."""
    _unique("forms", [f.code for f in study.forms])
    _unique("visits", [v.code for v in study.visits])
    _unique("sites", [s.code for s in study.sites])
    for n, visit in enumerate(study.visits):
        where = f"visits[{n}] ({visit.code})"
        _forms_due(where, visit, study)
        _ladder(where, visit, study)
        _anchors(where, visit, study)
    for name, rungs in study.reminders.ladders.items():
        for n, rung in enumerate(rungs):
            for role in rung.roles:
                if role not in study.recipients.roles:
                    raise ValueError(
                        f"reminders.ladders.{name}[{n}] ({rung.name}) names the role {role!r}, which is not under "
                        "recipients.roles"
                    )
    if study.cycles.clock_drug not in {d.code for d in study.drugs}:
        raise ValueError(f"cycles.clock_drug {study.cycles.clock_drug!r} is not under drugs")
    _extra_cycles(study)
    _every_language(study)
    check_items(study)
    _roles(study)
    if study.safety:
        check_safety(study.safety, study)
    check_deviations(study)
    if circle := anchor_circle(study.visits):
        raise ValueError(f"visits hang on each other in a circle: {' on '.join(circle)}; anchor one of them elsewhere")


def _extra_cycles(study: Study) -> None:
    extra = study.cycles.extra
    if extra is None:
        return
    if extra.like not in {v.code for v in study.visits if v.cycle}:
        raise ValueError(f"cycles.extra.like names {extra.like!r}, which is no day-1 visit")
    codes = {v.code for v in study.visits}
    for number in range(study.cycles.count + 1, study.cycles_allowed + 1):
        code = extra.code.replace("{n}", str(number))
        if code in codes:
            raise ValueError(
                f"cycles.extra.code: extra cycle {number} would be called {code}, which is a visit already"
            )


def _every_language(study: Study) -> None:
    """A site that reads Chinese is not told half of a notice in English."""
    reader = next((s.code for s in study.sites if "zh" in s.languages), None)
    if reader is None:
        return
    for where, words in _labels(study, ""):
        if "zh" not in words.model_fields_set:
            raise ValueError(f"{where}: {words.en!r} has no zh, and site {reader} reads zh; add it")


def _labels(part: object, where: str) -> Iterator[tuple[str, Words]]:
    """Yield every label below a part of the study file with its path."""
    match part:
        case Words():
            yield where, part
        case BaseModel():
            for name in type(part).model_fields:
                yield from _labels(getattr(part, name), f"{where}.{name}".lstrip("."))
        case dict():
            for key, value in part.items():
                yield from _labels(value, f"{where}.{key}")
        case list():
            for n, value in enumerate(part):
                yield from _labels(value, f"{where}[{n}]")


def _forms_due(where: str, visit: Visit, study: Study) -> None:
    forms = {f.code: f for f in study.forms}
    for due in visit.due:
        if due.form not in forms:
            raise ValueError(f"{where}.due names the form {due.form!r}, which is not under forms")
        unknown = [i for i in due.items if i not in forms[due.form].items]
        if unknown:
            raise ValueError(f"{where}.due: form {due.form} has no item {', '.join(unknown)}")


def _roles(study: Study) -> None:
    named = {f"queries.escalate[{n}].roles": e.roles for n, e in enumerate(study.queries.escalate)}
    for where, roles in (named | {"queries.asked_by": study.queries.asked_by}).items():
        for role in roles:
            if role not in study.recipients.roles:
                known = ", ".join(study.recipients.roles)
                raise ValueError(f"{where} names the role {role!r}, which is not under recipients.roles ({known})")


def _ladder(where: str, visit: Visit, study: Study) -> None:
    if visit.ladder not in study.reminders.ladders:
        raise ValueError(f"{where} has the ladder {visit.ladder!r}, which is not under reminders.ladders")
    if visit.missed_after_days is None:
        return
    for rung in study.reminders.ladders[visit.ladder]:
        if rung.at == "closes" and rung.days > visit.missed_after_days:
            raise ValueError(
                f"{where} counts as missed {visit.missed_after_days} d after its window closes, and its reminder "
                f"{rung.name!r} would come {rung.days} d after; move the rung, or give the visit another ladder"
            )


def _anchors(where: str, visit: Visit, study: Study) -> None:
    for anchor in (*visit.anchors, *(d.of for d in visit.due if d.of)):
        kind, _, name = anchor.partition(".")
        if kind == "last_dose" and name and name not in {d.code for d in study.drugs}:
            raise ValueError(f"{where} is anchored on the drug {name!r}, which is not under drugs")
        if kind == "cycle" and not 1 <= int(name) <= study.cycles.count:
            raise ValueError(f"{where} is anchored on cycle {name}; there are {study.cycles.count}")
        if kind == "visit" and name not in {v.code for v in study.visits}:
            raise ValueError(f"{where} is anchored on the visit {name!r}, which is not under visits")


def anchor_circle(visits: list[Visit]) -> list[str]:
    """Return the codes of visits that hang on each other in a circle, the first once more at the end; else nothing."""
    graph = {v.code: {w.code for w in visits for a in v.anchors if _provides(w, a)} for v in visits}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _provides(visit: Visit, anchor: str) -> bool:
    """Whether holding the visit is what makes the anchor known."""
    kind, _, name = anchor.partition(".")
    match kind:
        case "visit":
            return visit.code == name
        case "cycle":
            return visit.cycle == int(name)
        case "last_cycle" | "last_dose":
            return visit.cycle is not None
        case "surgery":
            return visit.held_by == "surgery"
        case "pathology":
            return visit.held_by == "pathology_local"
        case _:
            return False


def _unique(where: str, codes: list[str]) -> None:
    for code in codes:
        if codes.count(code) > 1:
            raise ValueError(f"{where}: the code {code!r} stands there twice")
