"""Checks across facts: contradictions that a site has to resolve before a value can count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256

from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.efs import survival_conflicts
from neotorch.domain.history import history_problems
from neotorch.domain.pcr import agreement
from neotorch.domain.rcb import rcb_of
from neotorch.domain.recist import Assessment, assessments, contradiction
from neotorch.domain.state import ENDED, PatientState, Problem
from neotorch.domain.study import Read, Study
from neotorch.rules.missing import Finding, fresh_for
from neotorch.rules.reads import awaits_adjudication, differences, read_problems, sides
from neotorch.rules.schedule import Because, VisitPlan, journey

OVER = frozenset({"held", "missed", "waived", "not_expected"})


def contradictions(state: PatientState, study: Study) -> tuple[Finding, ...]:
    """Return one finding per kind of contradiction and place, asked at once."""
    found = [_finding(state, study, None, "history", p) for p in history_problems(state)]
    found += of_reports(state, study)
    alive = study.checks.alive
    found += [
        _finding(state, study, None, "survival", Problem(c.code, c.text, c.event_ids))
        for c in survival_conflicts(state.facts, (alive.form, alive.item) if alive else None)
    ]
    found += imaging_findings(state, study)
    return tuple({f.query: f for f in found}.values())


def of_reports(state: PatientState, study: Study) -> Iterator[Finding]:
    """Yield what the newest report of each read says against itself or another; of two breasts in one finding."""
    asked: dict[tuple[str, str], list[tuple[ev.Pathology, str, tuple[str, ...]]]] = {}
    known = sides(state)
    for side in known:
        for report in side.newest:
            problems = [*agreement(report), *((f"rcb-{p.code}", p.text) for p in rcb_of(report).problems)]
            for code, text in problems:
                asked.setdefault((report.read, code), []).append((report, text, (report.id,)))
    for report, problem in read_problems(known):
        asked.setdefault((report.read, problem.code), []).append((report, problem.text, problem.event_ids))
    for (_, code), said in asked.items():
        text = "; ".join(f"{r.side}: {words}" if r.side and len(known) > 1 else words for r, words, _ in said)
        ids = tuple(dict.fromkeys(i for _, _, each in said for i in each))
        report = said[0][0]
        finding = _finding(state, study, _place(report, study), "pathology", Problem(code, text, ids))
        yield replace(finding, read=report.read)


def adjudications(state: PatientState, study: Study) -> Iterator[Finding]:
    """Yield one finding per side whose final local and central read differ in what has to be adjudicated, until it is."""
    for side in sides(state):
        if not awaits_adjudication(side, study.endpoints):
            continue
        ids = (side.final["local"].id, side.final["central"].id)
        where = f"/{side.side}" if side.side else ""
        said = ", ".join(f"{d.what} {d.local} / {d.central}" for d in differences(side, study.endpoints))
        because = Because("pathology.adjudication", study.version, event_ids=ids, detail="the two reads differ")
        opens = max(_learnt_on(i, state, study) for i in ids)
        title = f"adjudication of the {side.side} breast" if side.side else "adjudication"
        yield Finding(
            f"{state.subject}/ADJUDICATION{where}", "adjudication", None, ("adjudication",), title, because, opens,
            read="central", roles=study.recipients.asked_about("adjudication"),
            withheld=f"local / central: {said}",
        )  # fmt: skip


def routed(finding: Finding, study: Study) -> Finding:
    """Return a finding about one read of the specimen with whom it is for; of one that is not shown, without what it says."""
    form = study.form_by_code.get(finding.form or "")
    read = finding.read or (form.where.get("read", "local") if form and form.event == "pathology" else None)
    if read is None or finding.roles is not None:
        return finding
    rule = study.recipients.read(read)
    found = replace(finding, read=read, roles=study.recipients.asked_about(read) if rule != Read() else None)
    if rule.shown:
        return found
    place = f" at {finding.visit}" if finding.visit else ""
    hidden = f"a question on the {read} read, which is blinded"
    return replace(
        found, public=f"question on the {read} read{place}", withheld=f"{finding.title}: {finding.because.detail}",
        because=replace(finding.because, detail=hidden),
    )  # fmt: skip


def _place(report: ev.Pathology, study: Study) -> str:
    """Return the visit that the report belongs to; an adjudication has none."""
    held_by = f"pathology_{report.read}"
    return next((v.code for v in study.visits if v.held_by == held_by), report.read.upper())


def imaging_findings(state: PatientState, study: Study) -> list[Finding]:
    """Return what the sums of target lesions say before surgery and the rest of the record does not."""
    operated = state.surgery.occurred if state.surgery else date.max
    scans = {f.id: f for f in state.of_type("imaging") if isinstance(f, ev.Imaging) and f.occurred <= operated}
    found: list[Finding] = []
    before = date.min  # the last timepoint without progressive disease: what was decided since then counts
    for told in assessments(tuple(scans.values()), state.first_dose):
        scan = scans[told.event_id]
        seen = [p for p in state.progressions if before < p.occurred]
        backed = scan.response == "PD" and bool(seen)  # decided on what the sum does not show
        if contradiction(scan.response, told.response, scan.sum_mm) and not backed:
            text = f"reported as {scan.response}; {told.reason}"
            found.append(_of_scan(state, study, scan, Problem("response-against-sums", text, (scan.id,))))
        if told.response == "PD" and not seen and (late := _undecided(state, study, scan, told)):
            found.append(late)
        before = before if told.response == "PD" else told.on
    return found


def _undecided(state: PatientState, study: Study, scan: ev.Imaging, told: Assessment) -> Finding | None:
    """Return the finding that nobody wrote down what a progressive disease led to."""
    check = study.checks.progression_decision
    if check is None:
        return None
    for asked in check.forms:
        for part in _parts(state, asked.form):
            values = [v for n, v in part.items.items() if not asked.items or n in asked.items]
            taken = any(not isinstance(v, ev.NotAnswered) for v in values)  # a reason for no decision is no decision
            if taken and (part.visit == scan.visit or part.occurred >= scan.occurred):
                return None
    forms = " or ".join(f.form for f in check.forms)
    text = f"{told.reason}, and neither a progression nor {forms} says what was decided"
    finding = _of_scan(state, study, scan, Problem("progression-without-decision", text, (scan.id,)))
    return replace(finding, opens_on=max(finding.opens_on, scan.occurred + timedelta(check.after_days)))


def _of_scan(state: PatientState, study: Study, scan: ev.Imaging, problem: Problem) -> Finding:
    finding = _finding(state, study, scan.visit, "imaging", problem)
    return finding if scan.visit else replace(finding, query=f"{finding.query}/{_short(scan.id)}")


def doses_without_labs(
    state: PatientState, study: Study, plans: Sequence[VisitPlan], missing: Sequence[Finding]
) -> tuple[Finding, ...]:
    """Return one finding per dose before which values were not taken in time, at whatever visit.

    What is asked for already, because a form due then is missing or too old (`missing`), is not asked for twice.
    """
    asked = {f.query for f in missing}
    found = []
    for number, dose in state.cycles.items():
        rules = study.on(dose.occurred)
        check = rules.checks.dose_labs
        if check is None:
            continue
        parts = [p for wanted in check.forms for p in _parts(state, wanted.form)]
        first = dose.occurred - timedelta(check.days(number))
        taken = {(p.form, item) for p in parts if first <= p.occurred <= dose.occurred for item in p.items}
        absent = [
            (wanted.form, item)
            for wanted in check.forms for item in wanted.items or rules.form_by_code[wanted.form].items
            if (wanted.form, item) not in taken
        ]  # fmt: skip
        known = _asked_forms(dose, state, study, plans, asked) if absent else set()
        lacks = [item for form, item in absent if form not in known]
        if lacks:
            visit = study.cycle_visit(number)
            code = visit.code if visit else f"C{number}D1"
            text = f"{', '.join(lacks)} not taken between {first} and the dose on {dose.occurred}"
            because = Because("dose.labs", rules.version, event_ids=(dose.id,), detail=text)
            opens = dose.occurred + timedelta(study.queries.raise_after_days)
            key, title = f"{state.subject}/{code}/dose-without-labs", f"dose without laboratory values at {code}"
            found.append(Finding(key, "dose-labs", code, tuple(lacks), title, because, opens))
    return tuple(found)


def _asked_forms(
    dose: ev.CycleGiven, state: PatientState, study: Study, plans: Sequence[VisitPlan], asked: set[str]
) -> set[str]:
    """Return the forms that are asked for at a visit, or because of a limit of age, that goes by this dose."""
    forms = set()
    for plan in plans:
        for due in plan.visit.due:
            fresh_at = fresh_for(due, plan, state, study)
            key = f"{state.subject}/{plan.code}/{due.form}"
            if fresh_at and fresh_at.day == dose.occurred and asked & {key, f"{key}/too-old"}:
                forms.add(due.form)
    return forms


def _parts(state: PatientState, form: str) -> list[ev.FormReceived]:
    """Return all that was received of a form, at whatever visit."""
    return [p for (_, code), parts in state.forms.items() if code == form for p in parts]


def lost_appointments(state: PatientState, study: Study, plans: Sequence[VisitPlan]) -> tuple[Finding, ...]:
    """Return one finding per appointment that its visit's window has moved away from, though nobody gave a reason."""
    found = []
    for plan in plans:
        booking = state.booked.get(plan.code)
        if booking is None or booking.reason or plan.protocol is None or plan.status in OVER:
            continue
        if plan.protocol.holds(booking.appointment):
            continue
        span = f"{plan.protocol.opens} to {plan.protocol.closes}"
        text = f"{plan.code} is booked for {booking.appointment}, and its window is now {span}"
        because = Because("visit.booking", study.version, plan.because.anchor, None, (booking.id,), text)
        title = f"appointment outside the window at {plan.code}"
        opens = _learnt_on(booking.id, state, study)
        found.append(Finding(f"{state.subject}/{plan.code}/booking", "booking", plan.code, (), title, because, opens))
    return tuple(found)


def reconsents(state: PatientState, study: Study) -> tuple[Finding, ...]:
    """Return one finding for an amendment in force at the site to which the patient has yet to be asked to consent."""
    found = []
    for offer in () if journey(state, study) in ENDED else study.offers:
        text = f"version {offer.version} is in force at {state.site} since {offer.since}"
        because = Because("protocol.reconsent", study.version, event_ids=(offer.event_id,), detail=text)
        opens = offer.since + timedelta(study.queries.raise_after_days)
        key, title = f"{state.subject}/reconsent/{offer.version}", f"re-consent to version {offer.version}"
        found.append(Finding(key, "reconsent", None, ("reconsent",), title, because, opens))
    return tuple(found)


def _finding(state: PatientState, study: Study, visit: str | None, kind: str, problem: Problem) -> Finding:
    where = f"{visit or kind}/{problem.code}"
    if kind == "history":
        where += "/" + _short("+".join(problem.event_ids))
    learnt = [_learnt_on(i, state, study) for i in problem.event_ids if i in state.learnt]
    because = Because(f"{kind}.{problem.code}", study.version, event_ids=problem.event_ids, detail=problem.text)
    opens = min(learnt, default=study.valid_from)
    title = f"{problem.code.replace('-', ' ')}" + (f" at {visit}" if visit else "")
    return Finding(f"{state.subject}/{where}", kind, visit, (problem.code,), title, because, opens)


def _learnt_on(event_id: str, state: PatientState, study: Study) -> date:
    """Return the local day at the site on which an event was recorded."""
    return local_date(state.learnt[event_id].recorded_at, study.site(state.site).time_zone)


def _short(ids: str) -> str:
    """Return ids as part of a key: readable while they fit, else their beginning and a digest of the whole."""
    return ids if len(ids) <= 60 else f"{ids[:40]}#{sha256(ids.encode()).hexdigest()[:12]}"
