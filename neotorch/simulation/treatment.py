"""From consent to the last cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.rcb import RcbClass
from neotorch.domain.recist import Response
from neotorch.domain.study import DrugDefinition
from neotorch.simulation.accrual import Fate, Slot
from neotorch.simulation.adverse import adverse_events
from neotorch.simulation.chart import INVESTIGATOR, RADIOLOGY, Chart, workday
from neotorch.simulation.imaging import Tumour
from neotorch.simulation.specimens import class_at

DELAYED, HELD, REDUCED, STOPPED, CHEMO_STOPPED = 0.09, 0.03, 0.04, 0.02, 0.008
"""Per cycle: put off; one drug held; a dose reduced; a targeted drug stopped; chemotherapy stopped."""
PROGRESSES = 0.055
"""Progression before surgery; about half of them stay operable."""
DAY_8_MISSED = 0.04
IMAGED = {3: ("IMG1", 0.55), 5: ("IMG2", 0.85)}
"""Cycle -> the imaging before it, and how far the response has come."""

Ending = Literal["surgery", "inoperable"]


@dataclass
class Course:
    """What treatment was in the end."""

    start: date
    fate: Fate
    rcb_class: RcbClass
    tumour: Tumour
    days: list[date] = field(default_factory=list)
    """Day 1 of each cycle given."""
    last_dose: dict[str, date] = field(default_factory=dict)
    level: dict[str, int] = field(default_factory=dict)
    """Drug -> dose level, 0 is the full dose."""
    stopped: set[str] = field(default_factory=set)
    silent_after: int = 0
    """The site is behind with its records from this cycle on; 0: it is not."""
    ending: Ending = "surgery"
    settled_on: date | None = None
    """The day on which it was decided that no further cycle follows, where that came early."""


def screening(chart: Chart, consent: date, slot: Slot) -> Course | None:
    """Write consent to enrolment; None where the patient does not enter, else the course with the date of C1D1."""
    consent = workday(consent)
    rcb_class = class_at(slot.quantile)
    course = Course(consent, slot.fate, rcb_class, Tumour.draw(chart.rng, rcb_class))
    site = chart.site.code
    chart.take(ev.Consent, "CONSENT", consent, chart.known(consent, 0), INVESTIGATOR, site=site, icf_version="2.0")
    decided = workday(consent + timedelta(chart.rng.randint(9, 14)))
    known_at = chart.known(decided, 0)
    if slot.fate == "screen_failure":
        criteria = [chart.rng.choice(("EX04-LVEF", "EX07-HBV", "IN03-HER2", "EX11-METASTATIC", "IN06-PLT"))]
        chart.take(ev.Eligibility, "ELIG", decided, known_at, INVESTIGATOR, eligible=False, failed_criteria=criteria)
        return None
    _screening_visit(chart, decided, known_at, course.tumour)
    chart.take(ev.Eligibility, "ELIG", decided, known_at, INVESTIGATOR, eligible=True)
    course.silent_after = int(slot.stage.split()[1]) if slot.stage and slot.since_dose else 0
    course.start = workday(decided + timedelta(chart.rng.randint(3, 6)))
    chart.take(ev.Enrolment, "ENROL", decided, known_at, INVESTIGATOR, planned_start=course.start)
    if chart.chance(0.06) and slot.fate != "stay":  # the bed or the patient is not ready on the planned day
        course.start = workday(course.start + timedelta(chart.rng.randint(1, 2)))
    return course


def _screening_visit(chart: Chart, day: date, known_at: datetime, tumour: Tumour) -> None:
    chart.take(ev.VisitHeld, "SCR", day, known_at, visit="SCR")
    chart.forms("SCR", day, known_at)
    chart.take(
        ev.Imaging, "SCR-RECIST", workday(day - timedelta(2)), known_at, RADIOLOGY, visit="SCR",
        modality=["US", "MRI"], sum_mm=tumour.baseline_mm, response="BASELINE",
    )  # fmt: skip


def treatment(chart: Chart, course: Course) -> Course:
    """Write the cycles with all that belongs to them, until all are given or it is settled that no other will be."""
    cycles = chart.study.cycles
    for number in range(1, cycles.count + 1):
        day = course.start if number == 1 else _day_one(chart, course, number)
        if number in IMAGED and f"{IMAGED[number][0]}" in chart.study.visit_by_code:
            _image(chart, course, number, day)
        if course.settled_on:
            break
        _cycle(chart, course, number, day)
        if course.settled_on:
            break
    return course


def _day_one(chart: Chart, course: Course, number: int) -> date:
    """Return day 1 of the next cycle; a delay is written on the day on which the dose was to be given."""
    planned = workday(course.days[-1] + timedelta(chart.study.cycles.length_days))
    if number == course.silent_after + 1:
        return planned + timedelta(14)
    if not chart.chance(DELAYED):
        return chart.about(planned, 0.9, -2, 3)
    cause = chart.rng.choice(("neutropenia", "alt_raised", "infection", "patient_wish", "public_holiday"))
    until = workday(planned + timedelta(chart.rng.choice((4, 7, 7, 7, 10, 14))))
    known_at = chart.known(planned, 0)
    chart.take(
        ev.CycleDelayed, f"C{number}D1-delay", planned, known_at, INVESTIGATOR, cycle=number, until=until, cause=cause
    )
    return until


def _cycle(chart: Chart, course: Course, number: int, day: date) -> None:
    code = f"C{number}D1"
    known_at = chart.known(day)
    course.days.append(day)
    drugs = [_given(chart, course, d, number, day) for d in chart.study.drugs if number in d.cycles]
    drugs = [d for d in drugs if d.drug not in course.stopped]
    chart.take(ev.CycleGiven, code, day, known_at, INVESTIGATOR, cycle=number, drugs=drugs)
    chart.forms(code, day, known_at)
    for within in (8, 15):
        if f"C{number}D{within}" in chart.study.visit_by_code:
            chart.visit(
                f"C{number}D{within}", chart.about(day + timedelta(within - 1), 0.8, -2, 2), missed=DAY_8_MISSED
            )
    adverse_events(chart, number, day, [d.drug for d in drugs])
    _changes(chart, course, number, day)


def _given(chart: Chart, course: Course, drug: DrugDefinition, number: int, day: date) -> ev.DrugGiven:
    level = course.level.get(drug.code, 0)
    dose = drug.levels[level] if drug.levels else drug.dose
    if number > 1 and drug.code != chart.study.cycles.clock_drug and chart.chance(HELD):
        return ev.DrugGiven(drug=drug.code, status="held")
    if drug.code not in course.stopped:
        course.last_dose[drug.code] = day + timedelta(drug.days - 1)
    return ev.DrugGiven(drug=drug.code, status="reduced" if level else "given", dose=dose)


def _changes(chart: Chart, course: Course, number: int, day: date) -> None:
    """Reduce or stop drugs after a cycle; a stop of the drug that the cycles follow settles the course."""
    for drug in chart.study.drugs:
        if drug.code in course.stopped or number not in drug.cycles:
            continue
        on = workday(day + timedelta(chart.rng.randint(5, 12)))
        name, known_at = f"C{number}-{drug.code}", chart.known(on, 0)
        if drug.code == chart.study.cycles.clock_drug:
            if number > 2 and course.fate != "stay" and chart.chance(CHEMO_STOPPED):
                _stop(chart, course, drug.code, on, "toxicity")
                course.settled_on = on
        elif chart.chance(STOPPED):
            course.last_dose[drug.code] = min(course.last_dose.get(drug.code, on), on)
            _stop(chart, course, drug.code, on, chart.rng.choice(("hypertension", "proteinuria", "hepatitis")))
        elif len(drug.levels) > course.level.get(drug.code, 0) + 1 and chart.chance(REDUCED):
            course.level[drug.code] = course.level.get(drug.code, 0) + 1
            dose, cause = drug.levels[course.level[drug.code]], chart.rng.choice(("hypertension", "hand_foot_syndrome"))
            fields = {"drug": drug.code, "action": "reduced", "dose": dose, "cause": cause}
            chart.take(ev.DoseChanged, f"{name}-reduced", on, known_at, INVESTIGATOR, **fields)


def _stop(chart: Chart, course: Course, drug: str, on: date, cause: str) -> None:
    course.stopped.add(drug)
    name = f"C{len(course.days)}-{drug}-stopped"
    chart.take(ev.DoseChanged, name, on, chart.known(on, 0), INVESTIGATOR, drug=drug, action="stopped", cause=cause)


# ── imaging and progression ───────────────────────────────────────────────────────────────────────────────────────────


def _image(chart: Chart, course: Course, number: int, day: date) -> None:
    """Image before a dose: usually response, sometimes a progression that ends the course."""
    visit, part = IMAGED[number]
    on = workday(day - timedelta(chart.rng.randint(1, 5)))
    progresses = course.fate != "stay" and chart.chance(PROGRESSES / 2)
    read = course.tumour.grown(chart.rng) if progresses else course.tumour.measure(chart.rng, part)
    known_at = chart.known(on)
    image(chart, visit, on, known_at, read)
    chart.forms(visit, on, known_at)
    if progresses:
        progression(chart, course, on, known_at)


def image(chart: Chart, visit: str, on: date, known_at: datetime, read: tuple[float, Response]) -> None:
    """Write the imaging of a visit; `read` is the sum of diameters in mm and the response."""
    modality = ["US"] if visit == "IMG1" else ["US", "MRI"]
    chart.take(
        ev.Imaging, f"{visit}-RECIST", on, known_at, RADIOLOGY, visit=visit, modality=modality, sum_mm=read[0],
        response=read[1],
    )  # fmt: skip


def progression(chart: Chart, course: Course, on: date, known_at: datetime) -> None:
    """Write a progression before surgery, first without, then with the decision on operability."""
    course.settled_on = on
    site = chart.rng.choice(("breast", "breast", "regional", "distant"))
    if site == "distant" or chart.chance(0.35):
        course.ending = "inoperable"
        chart.take(
            ev.Progression, "PROGR", on, known_at, INVESTIGATOR, operable=False, basis="imaging", site=site,
        )  # fmt: skip
        return
    chart.take(ev.Progression, "PROGR", on, known_at, INVESTIGATOR, operable=None, basis="imaging", site=site)
    decided = workday(on + timedelta(chart.rng.randint(3, 7)))
    at = max(chart.known(decided, 0), known_at + timedelta(hours=1))
    chart.take(ev.Progression, "PROGR-decision", decided, at, INVESTIGATOR, operable=True, basis="decision", site=site)
    _stop(chart, course, chart.study.cycles.clock_drug, decided, "progression")
