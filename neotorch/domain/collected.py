"""What a study file collects at all: nothing can be judged by an item that no visit ever asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neotorch.domain.misfit import Misfit, Place

if TYPE_CHECKING:
    from neotorch.domain.study import Study

SIX = ("d1_mm", "d2_mm", "cellularity_pct", "in_situ_pct", "nodes_positive", "largest_met_mm")
NEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "pcr": ("pathology", ("ypt", "ypn")),
    "rcb01": ("pathology", SIX),
    "efs": ("disease_assessment", ("status",)),
}
"""Endpoint -> the kind of fact that it is derived from, and the items of it that it cannot do without."""
SAID = {"pathology": "the local pathology report", "disease_assessment": "the disease assessment"}


def collected(study: Study) -> set[tuple[str, str]]:
    """Return (form, item) of all that is due at any visit."""
    forms = {f.code: f for f in study.forms}
    return {
        (due.form, item)
        for visit in study.visits for due in visit.due if due.form in forms
        for item in due.items or forms[due.form].items
    }  # fmt: skip


def never_asked(where: Place, form: str, items: list[str], asked: set[tuple[str, str]]) -> Iterator[Misfit]:
    """Yield the items of a form that no visit asks for."""
    never = [i for i in items if (form, i) not in asked]
    if never and not any(known == form for known, _ in asked):
        what = f"form {form} is due at no visit, so the value is never collected"
        yield Misfit(where, what, f"make {form} due at a visit, or leave this out")
    elif never:
        what = f"item {', '.join(never)} of form {form} is due at no visit, so the value is never collected"
        yield Misfit(where, what, f"add it to `items` of {form} where that form is due, or leave this out")


def endpoints_collected(study: Study) -> Iterator[Misfit]:
    """Yield the endpoints that are derived from something that is never collected."""
    asked = collected(study)
    for endpoint, (event, items) in NEEDED.items():
        forms = [f for f in study.forms if f.event == event and f.where.get("read", "local") == "local"]
        never = [i for i in items if not any((f.code, i) in asked for f in forms)]
        if never:
            what = f"{', '.join(never)} of {SAID[event]} is due at no visit, so the endpoint could never be derived"
            todo = f"put it on a form with `event: {event}` and make that form due at a visit"
            yield Misfit(("endpoints", endpoint), what, todo)
    if not any(v.cycle == 1 for v in study.visits):
        what = "it is counted from the first dose, and no visit has `cycle: 1`"
        yield Misfit(("endpoints", "efs"), what, "add the visit of day 1 of the first cycle")
