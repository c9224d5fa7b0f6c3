"""The trial's headline figures at a cut, from the patients' values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

from neotorch.domain.statistics import Interval, KaplanMeier, clopper_pearson, exact_test, kaplan_meier
from neotorch.domain.study import Study
from neotorch.rules.endpoints.cohort import Member, Tally
from neotorch.rules.endpoints.monitoring import Crossing, crossings
from neotorch.rules.endpoints.patient import PatientEndpoints

BOXES = ("screened", "enrolled", "dosed", "operated", "assessed", "events", "deaths")
CLASSES = ("RCB-0", "RCB-I", "RCB-II", "RCB-III")


@dataclass(frozen=True)
class Proportion:
    """A proportion with its interval. `pending` patients are not in `n`."""

    name: str
    responders: int
    n: int
    pending: int
    interval: Interval | None
    set_name: str
    p0: float | None = None
    p_value: float | None = None
    """One-sided exact p value against a share <= `p0`; None without a design or a patient."""

    def __str__(self) -> str:
        return f"{self.responders}/{self.n} {percent(self.interval)}"


@dataclass(frozen=True)
class TrialResult:
    """The trial's headline figures at a cut, and the patients behind them."""

    cut: date
    study_version: str
    patients: tuple[PatientEndpoints, ...]
    proportions: tuple[Proportion, ...]
    efs: KaplanMeier | None
    landmarks: tuple[tuple[int, Interval | None], ...]
    rcb_classes: Mapping[str, int]
    counts: Mapping[str, int]
    """The boxes of the flow diagram: screened, enrolled, dosed, operated, assessed; events and deaths."""
    losses: Mapping[str, int]
    """Who is in a box and not in the next, by the reason: `not operated: died`."""
    crossed: tuple[Crossing, ...]
    """Looks at which a monitoring boundary was crossed."""

    def values(self) -> dict[str, str]:
        """Return field -> value as printed: trial figures by name, patients' as `NT-007/pcr`."""
        found: dict[str, str] = {}
        for patient in self.patients:
            found.update(patient.named_values)
        found.update(self.trial_values())
        return found

    def trial_values(self) -> dict[str, str]:
        """Return the trial's own figures: field -> value as printed."""
        found = {f"{p.name}.{p.set_name}": str(p) for p in self.proportions}
        return found | {f"efs.day{days}": percent(at) for days, at in self.landmarks}


def percent(interval: Interval | None) -> str:
    """Return an estimate with its limits in per cent, as papers print it."""
    if interval is None:
        return "none"
    if interval.upper == 0:  # survival that has come down to 0; a share always has an upper limit above it
        return "0.0 % (no interval)"
    return f"{100 * interval.estimate:.1f} % ({100 * interval.lower:.1f}-{100 * interval.upper:.1f})"


def trial_result(members: Iterable[Member], study: Study, cut: date) -> TrialResult:
    """Return the trial's figures from the patients' values at `cut`."""
    everyone = sorted(members, key=attrgetter("endpoints.subject"))
    ends, tallies = study.endpoints, Counter(map(attrgetter("tally"), everyone))
    proportions = tuple(
        proportion(name, set_name, _answers(tallies, name, set_name), getattr(ends, name).level, _p0(ends, name))
        for name in ("pcr", "rcb01")
        for set_name in ("full", "evaluable")
    )
    timed = [m.time for m in everyone if m.time]
    curve = kaplan_meier([t for t, _ in timed], [e for _, e in timed], level=ends.efs.level) if timed else None
    placed: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for one, patients in tallies.items():
        placed.update(dict.fromkeys(one.place, patients))
        classes[one.rcb_class] += patients * one.full
    landmarks = tuple((d, curve.at(float(d)) if curve else None) for d in ends.efs.landmarks_days)
    return TrialResult(
        cut=cut, study_version=study.version, patients=tuple(m.endpoints for m in everyone), proportions=proportions,
        efs=curve, landmarks=landmarks, rcb_classes={name: classes[name] for name in CLASSES},
        counts={box: placed[box] for box in BOXES},
        losses={place: n for place, n in sorted(placed.items()) if place not in BOXES},
        crossed=crossings(everyone, study),
    )  # fmt: skip


def _answers(tallies: Mapping[Tally, int], name: str, set_name: str) -> Counter[str]:
    """Return how many of an analysis set have each answer."""
    found: Counter[str] = Counter()
    for one, patients in tallies.items():
        if one.full and (set_name == "full" or one.evaluable):
            found[getattr(one, name)] += patients
    return found


def _p0(ends: object, name: str) -> float | None:
    design = getattr(ends, name).design
    return design.p0 if design else None


def proportion(name: str, set_name: str, answers: Iterable[str], level: float, p0: float | None = None) -> Proportion:
    """Return the share of `yes` among yes and no; all other answers are pending."""
    counted = Counter(answers)
    x, n = counted["yes"], counted["yes"] + counted["no"]
    interval = clopper_pearson(x, n, level=level) if n else None
    p_value = exact_test(x, n, p0) if n and p0 is not None else None
    return Proportion(name, x, n, counted.total() - n, interval, set_name, p0, p_value)
