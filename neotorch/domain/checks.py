"""Checks across forms, as the study file sets them: which items they read and how many days they allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from neotorch.domain.events import Code

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


def check_items(study: Study) -> None:
    """ValueError at the first form or item that a check or a condition names and that there is not, with its path."""
    for where, form, items in _named(study):
        known = next((f for f in study.forms if f.code == form), None)
        if known is None:
            raise ValueError(f"{where} names the form {form!r}, which is not under forms")
        unknown = [i for i in items if i not in known.items]
        if unknown:
            raise ValueError(f"{where}: form {form} has no item {', '.join(unknown)}")
        if known.event and where.startswith("checks."):
            raise ValueError(f"{where}: form {form} is a {known.event} event; name a form that is filled in")


def _named(study: Study) -> Iterator[tuple[str, str, list[str]]]:
    """Yield path, form and items of every reference."""
    checks = study.checks
    for name in ("dose_labs", "progression_decision"):
        check: DoseLabs | ProgressionDecision | None = getattr(checks, name)
        for n, asked in enumerate(check.forms if check else []):
            yield f"checks.{name}.forms[{n}]", asked.form, asked.items
    if checks.alive:
        yield "checks.alive", checks.alive.form, [checks.alive.item]
    for n, form in enumerate(study.forms):
        for name, item in form.items.items():
            if item.only_if:
                yield f"forms[{n}] ({form.code}).items.{name}.only_if", form.code, [item.only_if.item]
