"""The monitoring rules of the study file, looked at on the day each patient became evaluable.

Patients come in the order of those days (of one day, in the order of their codes), each with what is known of them now: a
correction moves past looks too, and so may take a crossing back. A design that stops at a look is not followed on its own;
what is done about a crossing is for people to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from heapq import nsmallest
from typing import Literal

from neotorch.domain.analysis_plan import Design, Futility, Prediction, Toxicity
from neotorch.domain.statistics import (
    futility_boundary,
    posterior,
    predictive_probability,
    simon,
    single_stage,
    toxicity_boundary,
)
from neotorch.domain.study import Study
from neotorch.rules.endpoints.cohort import Member
from neotorch.rules.endpoints.evaluable import Observation
from neotorch.rules.schedule import Because

Rule = Futility | Toxicity | Prediction
Kind = Literal["futility", "toxicity", "prediction"]


@dataclass(frozen=True)
class Look:
    """The share when one more patient became evaluable."""

    n: int
    """Patients evaluable by then, this one included."""
    on: date
    subject: str
    """Who became evaluable."""
    x: int
    """Responders, or patients with the toxicity, among the n."""
    stop_at: int | None
    """The boundary at n; None where nothing is looked at, or no number would stop."""
    crossed: bool
    event_ids: tuple[str, ...]
    """What made the patient evaluable."""
    posterior: float | None = None
    """P(share > p0 | data)."""
    predictive: float | None = None
    """Probability that the design's test succeeds once all its patients are in; None beyond them."""


@dataclass(frozen=True)
class Monitor:
    """One monitoring rule with all looks so far."""

    code: str
    kind: Kind
    measures: str
    """`pcr`, `rcb01`, or the code of the toxicity rule itself."""
    rule: Rule
    method: str
    parameters: str
    boundary: tuple[tuple[int, int | None], ...]
    """(patients, boundary there) of every planned look."""
    looks: tuple[Look, ...]

    @property
    def crossed(self) -> tuple[Look, ...]:
        """The looks at which the boundary was crossed."""
        return tuple(look for look in self.looks if look.crossed)

    @property
    def next_look(self) -> tuple[int, int] | None:
        """Patients and boundary of the next look that can cross it; None when there is none to come."""
        return next(((n, at) for n, at in self.boundary if n > len(self.looks) and at is not None), None)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom it rests on, in the order in which they became evaluable."""
        return tuple(look.subject for look in self.looks)

    def because(self, look: Look, study_version: str) -> Because:
        """Return why a look came out as it did."""
        who = ", ".join(self.subjects[: look.n])
        likely = "" if look.posterior is None else f", P(share > p0) {look.posterior:.4f}"
        likely += "" if look.predictive is None else f", P(success) {look.predictive:.4f}"
        limit = "" if self.kind == "prediction" else f", {self.stops(look.stop_at)}"
        detail = f"{counted(self.kind, look.x, look.n)}{limit}{likely}; {self.parameters}; patients {who}"
        return Because(f"{self.code} ({self.rule.source})", study_version, event_ids=look.event_ids, detail=detail)

    def stops(self, at: int | None) -> str:
        """Return a boundary in words."""
        if at is None:
            return "no boundary"
        return f"stops at {at} or more" if self.kind == "toxicity" else f"stops at {at} or fewer"


@dataclass(frozen=True)
class Crossing:
    """A boundary crossed at one look."""

    code: str
    kind: Kind
    look: Look

    @property
    def key(self) -> str:
        """Stable key: rule and number of patients."""
        return crossing_key(self.code, self.look.n)


def crossing_key(code: str, n: int) -> str:
    """Return the key of a rule's look at n patients."""
    return f"boundary/{code}/{n}"


def counted(kind: Kind, x: int, n: int) -> str:
    """Return a count in words."""
    return f"{x} of {n} {'with the toxicity' if kind == 'toxicity' else 'responded'}"


def monitors(members: Iterable[Member], study: Study) -> tuple[Monitor, ...]:
    """Return every monitoring rule with its looks."""
    everyone = tuple(members)
    return tuple(_monitor(code, rule, everyone, study) for code, rule in study.endpoints.monitoring.by_code.items())


def crossings(members: Iterable[Member], study: Study) -> tuple[Crossing, ...]:
    """Return the looks at which a boundary was crossed, and nothing else: it costs one pass over the patients a rule."""
    everyone, found = tuple(members), []
    for code, rule in study.endpoints.monitoring.by_code.items():
        if not isinstance(rule, Prediction):
            kind, boundary = _kind(rule), dict(_boundary(rule))
            seen = first_evaluable(everyone, _measures(code, rule), max(boundary))
            found += [Crossing(code, kind, look) for look in walk(seen, boundary, kind) if look.crossed]
    return tuple(found)


def first_evaluable(
    members: Iterable[Member], measures: str, count: int | None = None
) -> list[tuple[date, str, Observation]]:
    """Return (day, subject, observation) of the first `count` evaluable patients (all, if None), in order."""
    seen = [(one.on, m.endpoints.subject, one) for m in members if (one := m.evaluable.get(measures)) is not None]
    return sorted(seen) if count is None else nsmallest(count, seen)


def walk(
    seen: Sequence[tuple[date, str, Observation]], boundary: Mapping[int, int | None], kind: Kind
) -> Iterator[Look]:
    """Yield a look per patient."""
    x = 0
    for n, (on, subject, one) in enumerate(seen, 1):
        x += one.counts
        at = boundary.get(n)
        over = at is not None and (x >= at if kind == "toxicity" else x <= at)
        yield Look(n, on, subject, x, at, over, one.event_ids)


def planned(design: Design) -> tuple[int, int]:
    """Return (patients, responders from which the null is rejected) of a design."""
    if design.kind == "single-stage":
        one = single_stage(design.p0, design.p1, design.alpha, design.power)
        return one.n, one.reject_at
    both = simon(design.p0, design.p1, design.alpha, round(1 - design.power, 12))
    two = both.optimal if design.kind == "simon-optimal" else both.minimax
    return two.n, two.r + 1


def _monitor(code: str, rule: Rule, everyone: Sequence[Member], study: Study) -> Monitor:
    kind, measures = _kind(rule), _measures(code, rule)
    boundary = _boundary(rule)
    looks = walk(first_evaluable(everyone, measures), dict(boundary), kind)
    design = getattr(study.endpoints, measures).design if isinstance(rule, Futility | Prediction) else None
    return Monitor(
        code, kind, measures, rule, _method(rule), _parameters(rule, design), boundary,
        tuple(_informed(look, rule, design) for look in looks),
    )  # fmt: skip


def _informed(look: Look, rule: Rule, design: Design | None) -> Look:
    """Return a look with its probabilities."""
    match rule:
        case Futility():
            return replace(look, posterior=posterior(look.x, look.n, *rule.prior).above(rule.p0))
        case Prediction() if design:
            n_max, needed = planned(design)
            above = posterior(look.x, look.n, *rule.prior).above(design.p0)
            a, b = rule.prior
            ahead = predictive_probability(look.x, look.n, n_max, needed, a=a, b=b) if look.n <= n_max else None
            return replace(look, posterior=above, predictive=ahead.probability if ahead else None)
        case _:
            return look


def _kind(rule: Rule) -> Kind:
    kinds: dict[type, Kind] = {Futility: "futility", Toxicity: "toxicity", Prediction: "prediction"}
    return kinds[type(rule)]


def _measures(code: str, rule: Rule) -> str:
    return code if isinstance(rule, Toxicity) else rule.endpoint


def _boundary(rule: Rule) -> tuple[tuple[int, int | None], ...]:
    match rule:
        case Futility():
            return _futility(rule.prior, rule.p0, rule.threshold, tuple(rule.looks))
        case Toxicity():
            found = toxicity_boundary(rule.patients, rule.theta, rule.phi)
            return tuple(enumerate(found.stop_at, 1))
        case _:
            return ()


@lru_cache(maxsize=64)  # asked for with every recalculation
def _futility(
    prior: tuple[float, float], p0: float, threshold: float, looks: tuple[int, ...]
) -> tuple[tuple[int, int | None], ...]:
    found = futility_boundary(*prior, p0, threshold, looks)
    return tuple(zip(found.looks, found.stop_at, strict=True))


def _method(rule: Rule) -> str:
    match rule:
        case Futility():
            return "Bayesian futility boundary, beta-binomial (Thall and Simon 1994)"
        case Toxicity():
            return "Pocock-type continuous toxicity boundary (Ivanova 2005)"
        case _:
            return "Bayesian predictive probability, beta-binomial (Lee and Liu 2008)"


def _parameters(rule: Rule, design: Design | None) -> str:
    match rule:
        case Futility():
            a, b = rule.prior
            return f"{rule.endpoint}, stop if P(share > {rule.p0:g}) < {rule.threshold:g}, prior Beta({a:g}, {b:g})"
        case Toxicity():
            of = f"grade {rule.grade} or more" + ", immune-related" * rule.immune_related + ", related" * rule.related
            limits = f"theta {rule.theta:g}, phi {rule.phi:g}, {rule.patients} patients"
            return f"{of}, within {rule.observed_days} days of the first dose; {limits}"
        case _:
            a, b = rule.prior
            n, needed = planned(design) if design else (0, 0)
            return f"{rule.endpoint}, success is {needed} or more of {n}, prior Beta({a:g}, {b:g})"
