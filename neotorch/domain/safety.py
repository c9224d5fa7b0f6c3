"""The study file's `safety:` section: where safety values stand, normal ranges, gates before a dose or surgery, SAE clock.

Days are calendar days, limits are in the unit of the item they refer to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from neotorch.domain.collected import collected, never_asked
from neotorch.domain.ctcae import SCALES, Quantity
from neotorch.domain.events import Code, Drug
from neotorch.domain.misfit import Misfit, Place, unknown
from neotorch.domain.sourced import Model, Sourced, Words

if TYPE_CHECKING:
    from neotorch.domain.study import Study

Span = Annotated[int, Field(ge=0, le=400)]


class ValuePlace(Model):
    """Where a safety value stands, and by which CTCAE scale it is graded, if by one."""

    form: Code
    item: Code
    ctcae: Quantity | None = None


class Limits(Model):
    """A normal range, inclusive, in the unit of the value's item."""

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("neither low nor high is given; give at least one, or leave the value out")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class NormalRange(Sourced):
    """The normal ranges of one site's laboratory: name of the value -> range."""

    site: Code
    laboratory: Code
    limits: dict[Code, Limits]


class Limit(Model):
    """What a value has to be: exactly one of the tests. With `times_uln` the limit is a multiple of ULN."""

    value: Code
    """Name under `safety.values`."""
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    equals: bool | str | None = None
    known: bool = False
    """Any answer will do, zero included."""
    times_uln: bool = False

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        given = [n for n in ("at_least", "at_most", "below", "equals") if getattr(self, n) is not None]
        given += ["known"] if self.known else []
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of at_least, at_most, below, equals, known: true (found {said})")
        if self.times_uln and given[0] in ("equals", "known"):
            raise ValueError("times_uln needs at_least, at_most or below")
        return self


class AgedLimit(Limit):
    """A limit with how far back the value may lie; null: however long ago."""

    within_days: Span | None


class DoseGate(Sourced):
    """What must be so on day 1 of a cycle before each of the drugs is given."""

    drugs: Annotated[list[Drug], Field(min_length=1)]
    conditions: Annotated[list[Limit], Field(min_length=1)]
    within_days: Span
    """Values are of day 1 or at most so many days older."""
    within_days_of_c1d1: Span
    """The same before the first cycle, where screening provides them."""
    max_delay_days: Span
    """Day 1 is at most so many days later than planned from the previous one."""


class WashOut(Model):
    """Days from the last dose of a drug to surgery, at least."""

    drug: Drug
    days: Span


class SurgeryGate(Sourced):
    """What must be so before surgery."""

    visit: Code
    wash_outs: list[WashOut]
    conditions: list[AgedLimit]
    immune_related_grade: Annotated[int, Field(ge=1, le=5)] | None
    """No unresolved immune-related adverse event of this grade or above; null: not asked (no immunotherapy)."""
    restaging_within_days: Span | None
    """Imaging after baseline is at most so many days old; null: not asked."""


class SaeReport(Sourced):
    """How soon a serious adverse event is reported after the site became aware of it."""

    within_hours: Annotated[int, Field(ge=1, le=720)]
    remind_hours_before: Annotated[int, Field(ge=1, le=719)]
    terms: dict[Code, Words]
    """Terms of adverse events that are reported like serious ones, whether serious or not."""

    @model_validator(mode="after")
    def _reminder_in_time(self) -> Self:
        if self.remind_hours_before >= self.within_hours:
            raise ValueError(
                f"remind_hours_before {self.remind_hours_before} is not less than within_hours {self.within_hours}"
            )
        return self


class Safety(Model):
    """Safety clocks and gates."""

    values: dict[Code, ValuePlace]
    normal_ranges: list[NormalRange]
    dose_gates: list[DoseGate]
    surgery_gate: SurgeryGate | None = None
    sae: SaeReport

    @property
    def forms(self) -> frozenset[str]:
        """Codes of the forms on which safety values stand."""
        return frozenset(place.form for place in self.values.values())

    def limits(self, site: str | None, value: str) -> tuple[Limits, NormalRange] | None:
        """Return a value's normal range at a site and where it is from; None where the file states none."""
        found = next((r for r in self.normal_ranges if r.site == site and value in r.limits), None)
        return (found.limits[value], found) if found else None


def check_safety(safety: Safety, study: Study) -> Iterator[Misfit]:
    """Yield the names in `safety` that lead nowhere, and the values that are never collected."""
    places = list(_places(safety, study))
    yield from places
    yield from _ranges(safety, study)
    yield from _dose_gates(safety, study)
    if safety.surgery_gate:
        yield from _surgery_gate(safety.surgery_gate, study)
    if not places:  # conditions are judged by the items that the values stand on
        for n, gate in enumerate(safety.dose_gates):
            yield from _conditions(("safety", "dose_gates", n), gate.conditions, safety, study)
        if safety.surgery_gate:
            yield from _conditions(("safety", "surgery_gate"), safety.surgery_gate.conditions, safety, study)


def _ranges(safety: Safety, study: Study) -> Iterator[Misfit]:
    seen: set[str] = set()
    for n, normal in enumerate(safety.normal_ranges):
        where = ("safety", "normal_ranges", n)
        yield from unknown((*where, "site"), "site", normal.site, [s.code for s in study.sites], "sites")
        for name in normal.limits:
            yield from unknown((*where, "limits", name), "value", name, safety.values, "safety.values")
        if normal.site in seen:
            what = f"site {normal.site} has its ranges already"
            yield Misfit((*where, "site"), what, "keep one list for each site")
        seen.add(normal.site)


def _places(safety: Safety, study: Study) -> Iterator[Misfit]:
    """Every value stands on a form that is filled in and collected at some visit, in CTCAE's unit where graded."""
    forms = {f.code: f for f in study.forms if f.event is None}
    asked = collected(study)
    for name, place in safety.values.items():
        where = ("safety", "values", name)
        if place.form not in forms:
            yield from unknown((*where, "form"), "form", place.form, forms, "the forms to be filled in")
            continue
        items = forms[place.form].items
        if place.item not in items:
            yield from unknown((*where, "item"), "item", place.item, items, f"the items of form {place.form}")
            continue
        yield from never_asked(where, place.form, [place.item], asked)
        unit, wanted = items[place.item].unit, SCALES[place.ctcae].unit if place.ctcae else None
        if wanted and unit != wanted:
            what = f"item {place.item} is in {unit}, CTCAE grades {place.ctcae} in {wanted}"
            yield Misfit((*where, "ctcae"), what, f"collect it in {wanted}, or leave ctcae out")


def _dose_gates(safety: Safety, study: Study) -> Iterator[Misfit]:
    drugs = [d.code for d in study.drugs]
    gated: set[str] = set()
    for n, gate in enumerate(safety.dose_gates):
        for m, drug in enumerate(gate.drugs):
            where = ("safety", "dose_gates", n, "drugs", m)
            yield from unknown(where, "drug", drug, drugs, "drugs")
            if drug in gated:
                yield Misfit(where, f"{drug} has a gate already", "keep one")
            gated.add(drug)


def _surgery_gate(gate: SurgeryGate, study: Study) -> Iterator[Misfit]:
    where = ("safety", "surgery_gate")
    yield from unknown((*where, "visit"), "visit", gate.visit, [v.code for v in study.visits], "visits")
    for n, wash_out in enumerate(gate.wash_outs):
        drugs = [d.code for d in study.drugs]
        yield from unknown((*where, "wash_outs", n, "drug"), "drug", wash_out.drug, drugs, "drugs")


def _conditions(gate: Place, conditions: Sequence[Limit], safety: Safety, study: Study) -> Iterator[Misfit]:
    forms = {f.code: f for f in study.forms}
    names = [c.value for c in conditions]
    for n, limit in enumerate(conditions):
        where = (*gate, "conditions", n)
        if limit.value not in safety.values:
            yield from unknown((*where, "value"), "value", limit.value, safety.values, "safety.values")
            continue
        if names.index(limit.value) < n:
            yield Misfit((*where, "value"), f"{limit.value} stands there twice", "keep one condition for each value")
        place = safety.values[limit.value]
        item = forms[place.form].items[place.item]
        measured = limit.at_least is not None or limit.at_most is not None or limit.below is not None
        if measured and item.kind not in ("number", "integer"):
            what = f"item {place.item} is a {item.kind}, so it cannot be compared with a number"
            yield Misfit(where, what, "use equals, or known: true")
        if isinstance(limit.equals, str) and limit.equals not in item.choices:
            what = f"item {place.item} has no choice {limit.equals!r}"
            yield Misfit((*where, "equals"), what, f"its choices are {', '.join(item.choices) or 'none'}")
