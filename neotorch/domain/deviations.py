"""How a study file grades departures from its protocol: minor, or important (ICH E3 Q&A 7), by kind and by visit.

Important is what may significantly affect the completeness, accuracy or reliability of the data, or a subject's rights,
safety or well-being. A kind or a visit with `counts: false` is not looked at. Days are calendar days.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from neotorch.domain.events import Code
from neotorch.domain.misfit import Misfit, unknown

if TYPE_CHECKING:
    from neotorch.domain.study import Study

Grade = Literal["minor", "important"]
Beyond = Annotated[int, Field(ge=1, le=400)]
"""Days outside a window; 1 is the first day outside."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Rule(_Model):
    """One kind of deviation."""

    grade: Grade
    counts: bool = True
    """False: not looked for."""


class VisitOwn(_Model):
    """What is otherwise at one visit; a setting left out is that of the kind."""

    grade: Grade = "minor"
    counts: bool = True


class VisitRule(Rule):
    """A kind of deviation that happens at visits."""

    visits: dict[Code, VisitOwn] = {}

    def at(self, visit: str) -> Self:
        """Return the rule as it is at a visit."""
        return self._at.get(visit, self)

    @cached_property
    def _at(self) -> dict[str, Self]:
        return {v: self.model_copy(update=own.model_dump(exclude_unset=True)) for v, own in self.visits.items()}


class WindowOwn(VisitOwn):
    """A window's rule at one visit."""

    important_from_days_early: Beyond | None = None
    important_from_days_late: Beyond | None = None
    not_held_after_days: Annotated[int, Field(ge=0, le=400)] | None = None


class WindowRule(VisitRule):
    """A visit outside its window, of `grade`, and important from so many days outside."""

    important_from_days_early: Beyond | None = None
    important_from_days_late: Beyond | None = None
    not_held_after_days: Annotated[int, Field(ge=0, le=400)] | None = None
    """A visit that never becomes missed by itself is late once nobody has told of it for more than so many days after
    its window; null: only when it was held."""
    visits: dict[Code, WindowOwn] = {}  # type: ignore[assignment]  # narrower than the other kinds' on purpose


class ConsentLate(Rule):
    """Consent after a study procedure."""

    routine_forms: list[Code] = []
    """Forms whose values may come from routine care before consent."""


class Deviations(_Model):
    """All kinds. A study file that leaves them out has these grades, and neither thresholds nor exceptions."""

    source: Annotated[str, StringConstraints(min_length=3)] = "Default grades after ICH E3 Q&A 7."
    assumption: bool = True
    out_of_window: WindowRule = WindowRule(grade="minor")
    missed: VisitRule = VisitRule(grade="minor")
    waived: VisitRule = VisitRule(grade="minor")
    wash_out: VisitRule = VisitRule(grade="important")
    """Held before a drug was out of the body for as long as `not_before` says."""
    dose_gate: VisitRule = VisitRule(grade="important")
    """A drug given although a condition for it was not met on day 1."""
    drug_not_planned: VisitRule = VisitRule(grade="important")
    """A drug given in a cycle for which the study file does not plan it."""
    dose_level: VisitRule = VisitRule(grade="important")
    """A dose that is no level of the drug, or a reduction of a drug that is never reduced."""
    cycle_delay: VisitRule = VisitRule(grade="important")
    """A cycle's day 1 later than the gate of the cycles' clock drug lets it be put off (`max_delay_days`)."""
    consent_late: ConsentLate = ConsentLate(grade="important")
    dose_before_eligibility: Rule = Rule(grade="important")
    dose_before_enrolment: Rule = Rule(grade="important")
    ineligible_dosed: Rule = Rule(grade="important")
    sae_late: Rule = Rule(grade="important")
    """A serious adverse event reported after its deadline, or not reported by then."""


def check_deviations(study: Study) -> Iterator[Misfit]:
    """Yield the visits and forms of the section that the study file does not have."""
    visits, forms, extra = {v.code for v in study.visits}, {f.code for f in study.forms}, study.cycles.extra
    if extra:
        visits |= {extra.code_of(n) for n in range(study.cycles.count + 1, study.cycles_allowed + 1)}
    for kind in Deviations.model_fields:
        for code in getattr(getattr(study.deviations, kind), "visits", ()):
            yield from unknown(("deviations", kind, "visits", code), "visit", code, visits, "visits")
    for n, code in enumerate(study.deviations.consent_late.routine_forms):
        yield from unknown(("deviations", "consent_late", "routine_forms", n), "form", code, forms, "forms")
