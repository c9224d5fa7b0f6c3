"""The whole analysis of a trial at a cut, for reports and exports; the headline figures are in `trial`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import quantiles

from neotorch.domain.state import PatientState
from neotorch.domain.statistics import Interval, KaplanMeier, follow_up, kaplan_meier
from neotorch.domain.study import Study
from neotorch.domain.time_to_event import TimeToEvent
from neotorch.rules.endpoints.agreement import Agreement, agreements
from neotorch.rules.endpoints.cohort import Member, member
from neotorch.rules.endpoints.designs import DesignStatus, designs
from neotorch.rules.endpoints.exposure import Exposure, exposures
from neotorch.rules.endpoints.monitoring import Monitor, monitors
from neotorch.rules.endpoints.patient import patient_values
from neotorch.rules.endpoints.response import BestResponse, best_response, conservation
from neotorch.rules.endpoints.subgroups import SubgroupResult, subgroups
from neotorch.rules.endpoints.survival import Analysis, analyses, times
from neotorch.rules.endpoints.toxicity import emergent, worst_grades
from neotorch.rules.endpoints.trial import Proportion, TrialResult, proportion, trial_result
from neotorch.rules.endpoints.values import Value


@dataclass(frozen=True)
class PatientAnalysis:
    """Everything about one patient of the full analysis set."""

    state: PatientState
    member: Member
    values: tuple[Value, ...]
    times: tuple[tuple[Analysis, TimeToEvent], ...]
    best: BestResponse
    exposures: tuple[Exposure, ...]

    @property
    def subject(self) -> str:
        """Subject code."""
        return self.state.subject


@dataclass(frozen=True)
class Curve:
    """One time-to-event analysis of the trial."""

    analysis: Analysis
    km: KaplanMeier | None
    """None where nobody's time has begun."""
    follow_up: KaplanMeier | None
    """Reverse Kaplan-Meier; its median is the median follow-up."""
    landmarks: tuple[tuple[int, Interval | None], ...]


@dataclass(frozen=True)
class Intensity:
    """Relative dose intensity of one drug over the patients who received it, in per cent."""

    drug: str
    n: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    below_85: int
    """Patients under 85 %, the usual mark."""


@dataclass(frozen=True)
class ToxicityRow:
    """One adverse event term over the safety set: patients by their worst grade."""

    term: str
    by_grade: Mapping[int, int]
    serious: int
    """Patients with a serious one."""

    @property
    def any_grade(self) -> int:
        """Patients with any grade."""
        return sum(self.by_grade.values())

    @property
    def severe(self) -> int:
        """Patients with grade 3 or more."""
        return sum(n for grade, n in self.by_grade.items() if grade >= 3)


@dataclass(frozen=True)
class TrialAnalysis:
    """All figures of a trial at a cut."""

    result: TrialResult
    everyone: tuple[tuple[PatientState, Member], ...]
    """Who consented by the cut, by subject."""
    patients: tuple[PatientAnalysis, ...]
    """The full analysis set, by subject."""
    definitions: tuple[Proportion, ...]
    """pCR by the other published definitions."""
    curves: tuple[Curve, ...]
    """The primary analysis first, then the other maps, the sensitivity analyses, OS, disease-free interval."""
    responses: Mapping[str, int]
    """Best overall response -> patients."""
    objective: Proportion
    conserved: Proportion
    intensities: tuple[Intensity, ...]
    toxicities: tuple[ToxicityRow, ...]
    """The most frequent term first."""
    subgroups: tuple[SubgroupResult, ...]
    monitoring: tuple[Monitor, ...]
    designs: tuple[DesignStatus, ...]
    agreement: tuple[Agreement, ...]
    """Of the local and the central read, in RCB class and in pCR."""


def analyse(states: Iterable[PatientState], study: Study, cut: date) -> TrialAnalysis:
    """Work out everything from the patients' states."""
    everyone = [(s, member(s, study, cut)) for s in sorted(states, key=lambda s: s.subject)]
    full = tuple(_patient(s, m, study, cut) for s, m in everyone if m.endpoints.in_full_set)
    level = study.endpoints.pcr.level
    responses: Counter[str] = Counter(p.best.response or "none" for p in full)
    objective = [{True: "yes", False: "no", None: "pending"}[p.best.objective] for p in full]
    operated = [p for p in full if "operated" in p.member.place]
    return TrialAnalysis(
        result=trial_result([m for _, m in everyone], study, cut),
        everyone=tuple((s, m) for s, m in everyone if "screened" in m.place), patients=full,
        definitions=_definitions(full, level),
        curves=tuple(_curve(a, full, study) for a in analyses(study)),
        responses=responses,
        objective=proportion("objective response", "full", objective, level),
        conserved=proportion("breast conserved", "operated", [conservation(p.state, cut).answer for p in operated], level),
        intensities=tuple(_intensity(d.code, full) for d in study.drugs),
        toxicities=_toxicities(full, cut),
        subgroups=subgroups(((p.state, p.member.endpoints) for p in full), study),
        monitoring=monitors((p.member for p in full), study),
        designs=designs((p.member for p in full), study),
        agreement=agreements((p.state for p in full), study, cut),
    )  # fmt: skip


def _patient(state: PatientState, found: Member, study: Study, cut: date) -> PatientAnalysis:
    return PatientAnalysis(
        state, found, patient_values(state, study, cut), tuple(times(state, study, cut)), best_response(state, cut),
        exposures(state, study, cut),
    )  # fmt: skip


def _definitions(full: Sequence[PatientAnalysis], level: float) -> tuple[Proportion, ...]:
    codes = [v.code for v in full[0].values if v.code.startswith("pcr.")] if full else []
    found = []
    for code in codes:
        for name, patients in (("full", full), ("evaluable", [p for p in full if p.member.endpoints.evaluable])):
            answers = [next(v.text for v in p.values if v.code == code) for p in patients]
            found.append(proportion(code, name, answers, level))
    return tuple(found)


def _curve(analysis: Analysis, full: Sequence[PatientAnalysis], study: Study) -> Curve:
    level = study.endpoints.efs.level
    told = [t for p in full for a, t in p.times if a.code == analysis.code and t.days is not None]
    days, events = [float(t.days or 0) for t in told], [t.status == "event" for t in told]
    km = kaplan_meier(days, events, level=level) if told else None
    back = follow_up(days, events, level=level) if told else None
    marks = tuple((d, km.at(float(d)) if km else None) for d in study.endpoints.efs.landmarks_days)
    return Curve(analysis, km, back, marks)


def _intensity(drug: str, full: Sequence[PatientAnalysis]) -> Intensity:
    known = [e.intensity_pct for p in full for e in p.exposures if e.drug == drug and e.over]
    found = sorted(x for x in known if x is not None)
    low, middle, high = (
        quantiles(found, n=4, method="inclusive") if len(found) > 1 else [found[0] if found else None] * 3
    )
    return Intensity(drug, len(found), middle, low, high, sum(x < 85 for x in found))


def _toxicities(full: Sequence[PatientAnalysis], cut: date) -> tuple[ToxicityRow, ...]:
    grades: dict[str, Counter[int]] = {}
    serious: Counter[str] = Counter()
    for p in full:
        for term, event in worst_grades(p.state, cut).items():
            grades.setdefault(term, Counter())[event.grade] += 1
        serious.update({e.term for e in emergent(p.state, cut) if e.serious})
    rows = [ToxicityRow(term, dict(sorted(found.items())), serious[term]) for term, found in grades.items()]
    return tuple(sorted(rows, key=lambda r: (-r.any_grade, r.term)))
