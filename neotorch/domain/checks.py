"""Checks across forms, as the study file sets them: which items they read and how many days they allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from neotorch.domain.collected import collected, never_asked
from neotorch.domain.events import Code
from neotorch.domain.misfit import Misfit, Place, unknown

if TYPE_CHECKING:
    from neotorch.domain.study import Study


class Model(BaseModel):
    """Frozen, no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(Model):
    """A check with its origin."""

    source: Annotated[str, StringConstraints(min_length=3)]
    assumption: bool


class Items(Model):
    """Some items of a form; without `items` all of them."""

    form: Code
    items: list[Code] = []


class OnlyIf(Model):
    """A condition on another item of the same form: asked only where its value is one of these."""

    item: Code
    one_of: Annotated[list[str | int | float | bool], Field(min_length=1)]


class DoseLabs(Check):
    """Values that must have been taken before a dose, at most `within_days` before day 1 or on it, at whatever visit."""

    forms: Annotated[list[Items], Field(min_length=1)]
    within_days: Annotated[int, Field(ge=0, le=60)]
    first_cycle_within_days: Annotated[int, Field(ge=0, le=60)] | None = None
    """For cycle 1, where screening values may be older; left out: as for the others."""

    def days(self, cycle: int) -> int:
        """Return how old the values may be at day 1 of a cycle."""
        first = self.first_cycle_within_days
        return first if cycle == 1 and first is not None else self.within_days


class ProgressionDecision(Check):
    """Items that record what was decided on a progressive disease; a `progression` event does so too."""

    forms: list[Items]
    after_days: Annotated[int, Field(ge=0, le=60)]
    """Days after the imaging within which the decision is expected."""


class Alive(Check):
    """The yes/no item that says whether the patient is alive."""

    form: Code
    item: Code


class Checks(Model):
    """Checks across forms; one that is left out is not made."""

    dose_labs: DoseLabs | None = None
    progression_decision: ProgressionDecision | None = None
    alive: Alive | None = None


def check_items(study: Study) -> Iterator[Misfit]:
    """Yield the forms and items that a check or a condition names and that there are not, or that no visit asks for."""
    forms, asked = {f.code: f for f in study.forms}, collected(study)
    for where, form, items in _named(study.checks):
        if form not in forms:
            yield from unknown(where, "form", form, forms, "forms")
            continue
        none = [i for i in items if i not in forms[form].items]
        if none:
            yield _no_item(where, form, none, list(forms[form].items))
        elif forms[form].event:
            what = f"form {form} is a {forms[form].event} event"
            yield Misfit(where, what, "name a form that is filled in")
        else:
            yield from never_asked(where, form, items or list(forms[form].items), asked)
    for n, each in enumerate(study.forms):
        for name, item in each.items.items():
            if item.only_if and item.only_if.item not in each.items:
                place = ("forms", n, "items", name, "only_if")
                yield _no_item(place, each.code, [item.only_if.item], list(each.items))


def _no_item(where: Place, form: str, none: list[str], items: list[str]) -> Misfit:
    return Misfit(where, f"form {form} has no item {', '.join(none)}", f"its items are {', '.join(items)}")


def _named(checks: Checks) -> Iterator[tuple[Place, str, list[str]]]:
    """Yield place, form and items of every reference of a check."""
    for name in ("dose_labs", "progression_decision"):
        check: DoseLabs | ProgressionDecision | None = getattr(checks, name)
        for n, asked in enumerate(check.forms if check else []):
            yield ("checks", name, "forms", n), asked.form, asked.items
    if checks.alive:
        yield ("checks", "alive"), checks.alive.form, [checks.alive.item]
