"""From the last cycle to the end: surgery, pathology, follow-up, recurrence, and how people leave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from neotorch.domain import events as ev
from neotorch.domain.rcb import RcbClass
from neotorch.simulation.chart import CENTRAL, COORDINATOR, INVESTIGATOR, PATHOLOGY, Chart, workday
from neotorch.simulation.specimens import class_of, flawed, other_eye, second_read, specimen
from neotorch.simulation.treatment import Course, image

FLAWED, FLAW_STAYS, PRELIMINARY, UNREAD, DATE_WRONG, RE_EXCISED = 0.09, 0.2, 0.06, 0.07, 0.05, 0.05
REFUSES = 0.012
VISIT_MISSED, SAFETY_MISSED = 0.06, 0.04
RECURS_PER_YEAR = 0.043
RISK: dict[RcbClass, float] = {"RCB-0": 0.3, "RCB-I": 0.6, "RCB-II": 1.0, "RCB-III": 2.1}
"""Hazard of recurrence relative to RCB-II."""
DIES_OTHERWISE, LEAVES_STUDY, IS_LOST, SECOND_CANCER = 0.004, 0.018, 0.014, 0.006
"""Per patient-year: death without recurrence; withdrawal from the study; loss to follow-up; second primary."""
YEAR = 365.25
FAR = timedelta(days=20_000)


@dataclass
class _Ahead:
    """What lies ahead of a patient after treatment; days far away mean never."""

    recurs: date
    dies: date
    leaves: date
    lost: date
    second: date


def after_treatment(chart: Chart, course: Course) -> None:
    """Write everything after the last cycle."""
    if course.fate == "withdraw" and chart.chance(0.5):  # during treatment already
        days = (course.days[-1] - course.start).days
        _withdraw(chart, workday(course.start + timedelta(chart.rng.randint(20, max(21, days)))))
        return
    operated = _surgery(chart, course) if course.ending == "surgery" else None
    ahead = _draw(chart, course, operated)
    _leave(chart, ahead)
    if operated:
        _pathology(chart, course, operated)
        _recurrence(chart, ahead)
    else:
        _new_therapy(chart, (course.settled_on or course.days[-1]) + timedelta(30))
    _visits(chart, course, operated, ahead)


# ── surgery and pathology ─────────────────────────────────────────────────────────────────────────────────────────────


def _surgery(chart: Chart, course: Course) -> date | None:
    """Write the pre-operative visit and the operation; None where the patient refuses."""
    last = course.days[-1]
    preop = chart.about(max(last + timedelta(20), (course.settled_on or last) + timedelta(4)), 2, -4, 5)
    known_at = chart.visit("PREOP", preop)
    if known_at:
        image(chart, "PREOP", preop, known_at, course.tumour.measure(chart.rng, 1.0))
    planned = max(chart.about(last + timedelta(30), 3.5, -7, 9), preop + timedelta(3), _washed_out(chart, course))
    if course.fate == "any" and chart.chance(REFUSES):
        day = last + timedelta(38)
        chart.take(ev.VisitMissed, "SURG-missed", day, chart.known(day, 1), visit="SURG", cause="patient_refused")
        return None
    if chart.chance(0.05):
        planned += timedelta(chart.rng.randint(9, 18))  # no theatre, an infection
    day = workday(planned) if workday(planned) >= _washed_out(chart, course) else planned + timedelta(1)
    _operation(chart, day)
    return day


def _washed_out(chart: Chart, course: Course) -> date:
    """Return the first day on which surgery is allowed."""
    floors = chart.study.visit_by_code["SURG"].not_before
    last = [(course.last_dose.get(f.anchor.partition(".")[2]), f.days) for f in floors]
    return max((day + timedelta(days) for day, days in last if day), default=date.min)


def _operation(chart: Chart, day: date) -> None:
    known_at = chart.known(day, chart.rng.choice((0, 0, 1)))
    positive = chart.chance(RE_EXCISED)
    breast = "breast_conserving" if positive or chart.chance(0.6) else "mastectomy"
    axilla = chart.rng.choice(("sentinel", "sentinel", "dissection"))
    wrong = chart.chance(DATE_WRONG)
    said = chart.take(
        ev.Surgery, "SURG", day - timedelta(chart.rng.randint(1, 3)) if wrong else day, known_at, INVESTIGATOR,
        breast=breast, axilla=axilla, margin="positive" if positive else "clear",
    )  # fmt: skip
    chart.forms("SURG", day, known_at)
    if wrong and said:
        chart.correct(
            said, chart.known(day, chart.rng.randint(9, 16)), "date of admission had been entered", occurred=day
        )
    if positive:
        again = workday(day + timedelta(chart.rng.randint(14, 22)))
        chart.take(
            ev.Surgery,
            "SURG-2",
            again,
            chart.known(again, 0),
            INVESTIGATOR,
            breast=breast,
            axilla="none",
            margin="clear",
        )


def _pathology(chart: Chart, course: Course, operated: date) -> None:
    report = specimen(chart.rng, course.rcb_class)
    on = workday(operated + timedelta(chart.rng.randint(8, 15)))
    known_at = chart.known(on)
    if chart.chance(PRELIMINARY):
        early = {n: report[n] for n in ("ypt", "ypn")}
        before = workday(on - timedelta(4))
        chart.take(
            ev.Pathology, "PATH-prelim", before, chart.known(before, 0), PATHOLOGY, status="preliminary", **early
        )
    flaw = flawed(chart.rng, report) if chart.chance(FLAWED) and course.fate == "any" else None
    first, reason = flaw or (report, "")
    said = chart.take(ev.Pathology, "PATH", on, known_at, PATHOLOGY, **first)
    if said and flaw and not chart.chance(FLAW_STAYS):
        chart.correct(said, known_at + timedelta(chart.rng.randint(5, 20)), reason, **report)
    if not chart.chance(UNREAD):
        _central(chart, report, operated)


def _central(chart: Chart, report: dict[str, object], operated: date) -> None:
    """Write the second read, and where the classes differ the adjudication."""
    on = chart.about(operated + timedelta(30), 6, -8, 18)
    first, own = second_read(chart.rng, report), Random(f"{chart.subject}/{operated}")  # noqa: S311 - see simulate
    central = other_eye(own, first)
    known_at = chart.known(on)
    chart.take(ev.Pathology, "CENTRAL", on, known_at, CENTRAL, read="central", **central)
    # what the other eye alone sees is drawn apart, so that all other facts of a seed stay what they were
    rng = chart.rng if class_of(first) != class_of(report) else own
    if rng is own and class_of(central) == class_of(report):
        return
    then = workday(on + timedelta(rng.randint(10, 20)))
    settled = rng.choice((central, report))
    at = max(chart.known(then, 1, rng), known_at + timedelta(days=1))
    if class_of(central) != class_of(report):
        chart.take(ev.Pathology, "PATH-ADJ", then, at, CENTRAL, read="adjudication", **settled)


# ── what lies ahead ───────────────────────────────────────────────────────────────────────────────────────────────────


def _draw(chart: Chart, course: Course, operated: date | None) -> _Ahead:
    rng, start = chart.rng, operated or course.days[-1] + timedelta(30)
    if course.fate in ("stay", "withdraw", "lost"):
        leaves = start + (timedelta(rng.randint(40, 500)) if course.fate == "withdraw" else FAR)
        lost = start + (timedelta(rng.randint(150, 600)) if course.fate == "lost" else FAR)
        return _Ahead(start + FAR, start + FAR, leaves, lost, start + FAR)
    if course.fate == "die":
        recurs = start + timedelta(rng.randint(120, 400))
        return _Ahead(recurs, recurs + timedelta(rng.randint(60, 240)), start + FAR, start + FAR, start + FAR)
    recurs = start + (_after(chart, RECURS_PER_YEAR * RISK[course.rcb_class]) if operated else FAR)
    ill = recurs if operated else start
    dies = min(start + _after(chart, DIES_OTHERWISE), ill + timedelta(60) + _after(chart, 0.45))
    if not operated and course.ending == "surgery":
        dies = start + _after(chart, 0.05)
    leaves, lost = start + _after(chart, LEAVES_STUDY), start + _after(chart, IS_LOST)
    return _Ahead(recurs, dies, leaves, lost, start + _after(chart, SECOND_CANCER))


def _after(chart: Chart, per_year: float) -> timedelta:
    """Return a waiting time of a constant hazard, at least a week."""
    return timedelta(7 + min(round(YEAR * chart.rng.expovariate(per_year)), FAR.days))


def _leave(chart: Chart, ahead: _Ahead) -> None:
    """Write how the patient leaves, if so: by whichever comes first."""
    first = min(ahead.dies, ahead.leaves, ahead.lost)
    if first == ahead.lost:
        declared = workday(first + timedelta(chart.rng.randint(150, 220)))
        chart.take(ev.LostToFollowUp, "LOST", declared, chart.known(declared, 1))
        chart.close(first, but=ev.LostToFollowUp)
    elif first == ahead.dies:
        cause = "disease" if ahead.recurs <= first else chart.rng.choice(("other", "unknown"))
        chart.take(ev.Death, "DEATH", first, chart.known(first, chart.rng.randint(2, 25)), INVESTIGATOR, cause=cause)
        chart.close(first)
    else:
        _withdraw(chart, workday(first))


def _withdraw(chart: Chart, on: date) -> None:
    chart.take(ev.Withdrawal, "WITHDRAWN", on, chart.known(on, 1), INVESTIGATOR, scope="study")
    chart.close(on)


def _recurrence(chart: Chart, ahead: _Ahead) -> None:
    """Write a recurrence when it was first documented, and the therapy that follows it; and a second primary."""
    site = chart.rng.choices(("local", "regional", "distant"), (0.22, 0.16, 0.62))[0]
    basis = "imaging" if site == "distant" else "biopsy"
    known_at = chart.known(ahead.recurs, chart.rng.randint(1, 12))
    if chart.take(ev.Recurrence, "RECUR", ahead.recurs, known_at, INVESTIGATOR, site=site, basis=basis):
        _new_therapy(chart, ahead.recurs + timedelta(chart.rng.randint(10, 30)))
    kind = chart.rng.choice(("contralateral_invasive_breast", "non_breast_invasive", "dcis_lcis", "non_melanoma_skin"))
    at = chart.known(ahead.second, 5)
    chart.take(ev.SecondPrimary, "SECOND", ahead.second, at, INVESTIGATOR, kind=kind)


def _new_therapy(chart: Chart, on: date) -> None:
    therapy = chart.rng.choice(("CDK4-6_inhibitor", "chemotherapy_other", "endocrine_other"))
    chart.take(ev.NewTherapy, "THERAPY", on, chart.known(on), INVESTIGATOR, therapy=therapy)


# ── follow-up visits ──────────────────────────────────────────────────────────────────────────────────────────────────


def _visits(chart: Chart, course: Course, operated: date | None, ahead: _Ahead) -> None:
    """Write every follow-up visit of the study file whose anchor there is."""
    for visit in chart.study.visits:
        if visit.phase != "follow_up" or visit.held_by not in ("visit", "disease_status"):
            continue
        timing = visit.timing[0]
        anchor = _anchor(timing.anchors[0], course, operated)
        if anchor is None:
            continue
        spread = timing.window_days_before / 3
        low, high = -timing.window_days_before, timing.window_days_after
        day = chart.about(anchor + timedelta(timing.offset_days), spread, low, high)
        if chart.chance(0.04):
            day = workday(day + timedelta(chart.rng.randint(6, 16)))
        if visit.held_by == "visit":
            chart.visit(visit.code, day, missed=SAFETY_MISSED)
        elif chart.chance(VISIT_MISSED):
            _missed(chart, visit.code, day)
        else:
            _seen(chart, visit.code, day, ill=operated is None or day >= ahead.recurs)


def _anchor(name: str, course: Course, operated: date | None) -> date | None:
    kind, _, which = name.partition(".")
    match kind:
        case "surgery":
            return operated
        case "cycle":
            return course.days[int(which) - 1] if len(course.days) >= int(which) else None
        case "last_dose":
            return course.last_dose.get(which) if which else max(course.last_dose.values(), default=None)
        case _:
            return None


def _seen(chart: Chart, code: str, day: date, *, ill: bool) -> None:
    known_at = chart.known(day)
    status = "disease" if ill else "equivocal" if chart.chance(0.01) else "free"
    chart.take(ev.DiseaseAssessment, f"{code}-STATUS", day, known_at, INVESTIGATOR, status=status, visit=code)
    chart.forms(code, day, known_at)


def _missed(chart: Chart, code: str, day: date) -> None:
    """Miss a visit; the site says so in most cases, and often reaches the patient by phone."""
    if chart.chance(0.65):
        cause = chart.rng.choice(("declined", "travel", "unwell", "moved_away"))
        chart.take(ev.VisitMissed, f"{code}-missed", day, chart.known(day, 2), visit=code, cause=cause)
    if chart.chance(0.6):
        on = workday(day + timedelta(2))
        chart.take(ev.Contact, f"{code}-CALL", on, chart.known(on, 0), COORDINATOR, by="phone")
