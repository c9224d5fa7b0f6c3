"""Deviations: departures from the protocol that the data show, each graded by the study file (ICH E3 Q&A 7).

Nothing is kept: what the data show is worked out anew, so that a corrected date takes its deviation away. One
departure is one deviation: a cycle put off too long is not also called outside its window, nor is an operation before
the wash-out's end called early for that alone. Keys do not hang on the order in which anything became known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.deviations import Grade, Rule, WindowRule
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.clocks import Clock, sae_clocks
from neotorch.rules.departures import Chart, Deviation, place
from neotorch.rules.drug_deviations import cycle_delays, dose_deviations, gate_deviations, latest_day_1, too_long
from neotorch.rules.gates import Gate, dose_gates
from neotorch.rules.schedule import ACTIONABLE, VisitPlan, find_anchor

PROCEDURES = (
    ev.FormReceived, ev.Imaging, ev.VisitHeld, ev.UnscheduledVisit, ev.Eligibility, ev.CycleGiven, ev.Surgery,
    ev.DiseaseAssessment,
)  # fmt: skip
"""What is done to, or asked of, a patient for the trial, and so needs consent first."""


def deviations(  # noqa: PLR0917 - what deviations follow from
    state: PatientState, study: Study, plans: Sequence[VisitPlan], now: datetime,
    gates: Sequence[Gate] = (), clocks: Sequence[Clock] = (),
) -> tuple[Deviation, ...]:  # fmt: skip
    """Return every departure from the protocol that the data show at `now` (aware), by day and key.

    `plans` are the patient's visits as of `now`; `gates` those of the doses given, `clocks` the safety reports owed.
    """
    zone = study.site(state.site).time_zone
    by_code, today = {p.code: p for p in plans}, local_date(now, zone)
    found: dict[str, Deviation] = {}
    for n, era in enumerate(study.eras):  # who moved to an amended protocol is judged by the rules of the day
        chart = Chart(state, era.rules, by_code, today, zone)
        undated = state.once(f"undated deviations {n}", (era.rules, gates), partial(_undated, chart, gates))
        every = (*undated, *_visits(chart), *cycle_delays(chart), *_reports(chart, clocks))
        found |= {d.key: d for d in every if d.key not in found and _rules(d, study) == era.rules.version}
    return tuple(sorted(found.values(), key=lambda d: (d.on, d.key)))


def _undated(chart: Chart, gates: Sequence[Gate]) -> list[Deviation]:
    """Return what deviates whatever day it is; of the visits only what was held counts."""
    return [*_entry(chart), *_wash_outs(chart), *dose_deviations(chart), *gate_deviations(chart, gates)]


def _rules(found: Deviation, study: Study) -> str:
    """Return the version that a deviation is judged by: that of its visit, else the one in force on its day."""
    known = found.visit is not None and (found.visit in study.visit_by_code or found.visit in study.older)
    return study.version_of(found.visit or "") if known else study.on(found.on).version


def departures(state: PatientState, study: Study, plans: Sequence[VisitPlan], now: datetime) -> tuple[Deviation, ...]:
    """Return the deviations of a patient whose visits are `plans`, with the gates and reports they follow from."""
    gates = state.once("gates", (study,), lambda: dose_gates(state, study))
    return deviations(state, study, plans, now, gates, sae_clocks(state, study, now))


def turning_days(study: Study, plans: Sequence[VisitPlan], state: PatientState) -> set[date]:
    """Return the local days from which time alone adds a deviation or makes one important."""
    days: set[date] = set()
    for plan in plans:
        if plan.status not in {"planned", *ACTIONABLE} or plan.protocol is None or plan.window is None:
            continue
        rules = study.rules_of(plan.code)
        rule = rules.deviations.out_of_window.at(plan.code)
        if plan.window.last_overdue is not None:
            days.add(plan.window.last_overdue + timedelta(1))
        elif rule.not_held_after_days is not None:
            days.add(max(plan.window.closes, plan.protocol.closes + timedelta(rule.not_held_after_days)) + timedelta(1))
            days.add(plan.protocol.closes + timedelta(rule.important_from_days_late or 1))
        limit = latest_day_1(plan, rules, state)
        if limit is not None:
            days.add(limit[1] + timedelta(1))
    return days


# ── visits ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _visits(chart: Chart) -> Iterator[Deviation]:
    for plan in chart.plans.values():
        if plan.status == "held":
            yield from _outside(plan, chart)
        elif plan.status == "overdue":
            yield from _not_held(plan, chart)
        elif plan.status == "missed":
            yield from _missed(plan, chart)
        elif plan.status == "waived":
            yield from _waived(plan, chart)


def _outside(plan: VisitPlan, chart: Chart) -> Iterator[Deviation]:
    """A visit held before its window opened (a wash-out apart) or after it closed."""
    rule = chart.graded.out_of_window.at(plan.code)
    span, held = plan.protocol, plan.held_on
    if not rule.counts or span is None or held is None:
        return
    opens = _opens(plan, span.opens)
    early, late = (opens - held).days, (held - span.closes).days
    if late > 0 and too_long(plan, chart) is None:
        title, from_days = f"{plan.code} {late} d late", rule.important_from_days_late
    elif early > 0:
        title, from_days = f"{plan.code} {early} d early", rule.important_from_days_early
    else:
        return
    yield chart.found(
        "out-of-window", plan.code, _graded(rule, max(early, late), from_days), held, title,
        f"held on {held}, window {opens} to {span.closes}",
        f"a day of {plan.code}, or of what its window hangs on, corrected so that it lies in the window",
        plan.evidence, plan.code, plan,
    )  # fmt: skip


def _opens(plan: VisitPlan, opens: date) -> date:
    """Return the day the window opens without a wash-out, which is a deviation of its own."""
    anchor, timing = plan.because.anchor, plan.because.timing
    if not plan.visit.not_before or anchor is None or timing is None:
        return opens
    return min(opens, anchor.day + timedelta(timing.offset_days - timing.window_days_before))


def _not_held(plan: VisitPlan, chart: Chart) -> Iterator[Deviation]:
    """A visit that never becomes missed by itself, and of which nobody has told."""
    rule, span = chart.graded.out_of_window.at(plan.code), plan.protocol
    if not rule.counts or rule.not_held_after_days is None or span is None or span.last_overdue is not None:
        return
    late = (chart.today - span.closes).days
    if late > rule.not_held_after_days and too_long(plan, chart) is None:
        yield chart.found(
            "out-of-window", plan.code, _graded(rule, late, rule.important_from_days_late),
            span.closes + timedelta(1), f"{plan.code} {late} d late and not held",
            f"nothing shows that it took place, window {span.opens} to {span.closes}",
            f"{plan.code} recorded with a day in the window, or as missed or waived", (), plan.code, plan,
        )  # fmt: skip


def _graded(rule: WindowRule, days: int, important_from: int | None) -> Grade:
    return "important" if important_from is not None and days >= important_from else rule.grade


def _missed(plan: VisitPlan, chart: Chart) -> Iterator[Deviation]:
    rule = chart.graded.missed.at(plan.code)
    if not rule.counts:
        return
    told = chart.state.missed.get(plan.code)
    ids = plan.because.event_ids
    if told:
        on, detail = told.occurred, f"missed, the site said on {told.occurred}"
    else:
        past = _overtaking(plan, chart.state)
        days = [*([past.occurred] if past else []), *([plan.window.closes + timedelta(1)] if plan.window else [])]
        on, ids = min(days, default=chart.today), (past.id,) if past else ()
        detail = f"not held by {past.occurred}, when the journey had gone past it" if past else "not held in time"
    yield chart.found(
        "missed", plan.code, rule.grade, on, f"{plan.code} missed", detail,
        f"{plan.code} recorded as held, or waived", ids, plan.code, plan,
    )  # fmt: skip


def _overtaking(plan: VisitPlan, state: PatientState) -> ev.Event | None:
    """Return the cycle or the operation after which a visit cannot be held any more."""
    number = plan.visit.cycle
    later = [c for n, c in sorted(state.cycles.items()) if number is not None and n > number]
    return later[0] if later else state.surgery if plan.visit.needs == "before_surgery" else None


def _waived(plan: VisitPlan, chart: Chart) -> Iterator[Deviation]:
    rule, told = chart.graded.waived.at(plan.code), chart.state.waived[plan.code]
    if rule.counts:
        yield chart.found(
            "waived", plan.code, rule.grade, told.occurred, f"{plan.code} waived", f"waived on {told.occurred}",
            f"{plan.code} recorded as held, or the waiver {told.id} retracted", (told.id,), plan.code, plan,
        )  # fmt: skip


def _wash_outs(chart: Chart) -> Iterator[Deviation]:
    for plan in chart.plans.values():
        rule = chart.graded.wash_out.at(plan.code)
        for floor in plan.visit.not_before if rule.counts and plan.held_on else ():
            anchor = find_anchor(floor.anchor, chart.state, chart.study)
            if anchor is None or plan.held_on is None or (plan.held_on - anchor.day).days >= floor.days:
                continue
            days = (plan.held_on - anchor.day).days
            yield chart.found(
                "wash-out", f"{plan.code}/{floor.anchor}", rule.grade, plan.held_on,
                f"{plan.code} {days} d after {anchor.name}",
                f"held on {plan.held_on}, {days} d after {anchor.name} on {anchor.day}; at least {floor.days} d",
                f"the day of {plan.code} or of the {anchor.name} corrected", (*plan.evidence, *anchor.event_ids),
                plan.code,
            )  # fmt: skip


# ── entry and safety ──────────────────────────────────────────────────────────────────────────────────────────────


def _entry(chart: Chart) -> Iterator[Deviation]:
    yield from _consent(chart)
    cycles = sorted(chart.state.cycles.values(), key=lambda c: (c.occurred, c.id))
    if cycles:
        yield from _before_eligible(cycles[0], chart)
        enrolments = [f for f in chart.state.of_type("enrolment") if isinstance(f, ev.Enrolment)]
        if not enrolments or cycles[0].occurred < enrolments[0].occurred:
            yield from _too_soon("enrolment", chart.graded.dose_before_enrolment, cycles[0], enrolments[:1], chart)


def _consent(chart: Chart) -> Iterator[Deviation]:
    rule, consent = chart.graded.consent_late, chart.state.consent
    if consent is None or not rule.counts:
        return
    early = next((f for f in chart.state.facts if f.occurred < consent.occurred and _procedure(f, chart)), None)
    if early:
        what = f"{early.form} at {early.visit}" if isinstance(early, ev.FormReceived) else early.type.replace("_", " ")
        yield chart.found(
            "consent-late", "", rule.grade, early.occurred,
            f"{what} {(consent.occurred - early.occurred).days} d before consent",
            f"{what} on {early.occurred}, consent on {consent.occurred}", "either of the two days corrected",
            (early.id, consent.id), getattr(early, "visit", None),
        )  # fmt: skip


def _procedure(fact: ev.AnyFact, chart: Chart) -> bool:
    routine = isinstance(fact, ev.FormReceived) and fact.form in chart.graded.consent_late.routine_forms
    return isinstance(fact, PROCEDURES) and not routine


def _before_eligible(first: ev.CycleGiven, chart: Chart) -> Iterator[Deviation]:
    """The newest decision says whether the patient was eligible, the earliest positive one since when."""
    decisions = [f for f in chart.state.of_type("eligibility") if isinstance(f, ev.Eligibility)]
    positive = [f for f in decisions if f.eligible]
    if not decisions or (positive and first.occurred < positive[0].occurred):
        yield from _too_soon("eligibility", chart.graded.dose_before_eligibility, first, positive[:1], chart)
    if decisions and not decisions[-1].eligible and chart.graded.ineligible_dosed.counts:
        failed = ", ".join(decisions[-1].failed_criteria)
        yield chart.found(
            "ineligible-dosed", "", chart.graded.ineligible_dosed.grade, first.occurred, "dosed though not eligible",
            f"not eligible by the decision of {decisions[-1].occurred}" + (f" ({failed})" if failed else ""),
            f"the decision {decisions[-1].id} corrected", (first.id, decisions[-1].id), chart.visit(first.cycle),
        )  # fmt: skip


def _too_soon(
    what: str, rule: Rule, first: ev.CycleGiven, then: Sequence[ev.Eligibility | ev.Enrolment], chart: Chart
) -> Iterator[Deviation]:
    if rule.counts:
        days = f"{(then[0].occurred - first.occurred).days} d before" if then else "without"
        since = f", {what} on {then[0].occurred}" if then else f", no {what} recorded"
        yield chart.found(
            f"dose-before-{what}", "", rule.grade, first.occurred, f"first dose {days} {what}",
            f"first dose on {first.occurred}{since}",
            f"the day of the first dose or of the {what} corrected, or a missing {what} recorded",
            (first.id, *(f.id for f in then)), chart.visit(first.cycle),
        )  # fmt: skip


def _reports(chart: Chart, clocks: Sequence[Clock]) -> Iterator[Deviation]:
    rule = chart.graded.sae_late
    for clock in clocks if rule.counts else ():
        if clock.status != "late":
            continue
        hours = (clock.reported - clock.deadline) / timedelta(hours=1) if clock.reported else None
        said = f"{hours:.1f} h late" if hours is not None else "not in time and still owed"
        due = f"{clock.deadline:%Y-%m-%d %H:%M} UTC"
        yield chart.found(
            "sae-late", place(clock.event_id, chart.state), rule.grade, local_date(clock.deadline, chart.zone),
            f"safety report {said}", f"report {said}, due by {due}",
            "awareness or report corrected so that the report was made in time", (clock.event_id,),
        )  # fmt: skip
