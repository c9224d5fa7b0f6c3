"""Why: what stands behind a key, as words for the console. Rule, version, values, events, dates, what would end it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.state import NoticeTrail, PatientState
from neotorch.domain.study import Rung, Study
from neotorch.plan import closed_by
from neotorch.rules import Duties
from neotorch.rules.clocks import Clock
from neotorch.rules.endpoints import Value
from neotorch.rules.endpoints.monitoring import Monitor, crossing_key
from neotorch.rules.gates import WORDS, Gate
from neotorch.rules.notices import Audience
from neotorch.rules.reminded import Reminded, reminded
from neotorch.rules.reminders import REMINDED, not_planned, rung_of, rungs
from neotorch.rules.schedule import ACTIONABLE, VisitPlan
from neotorch.rules.traces import Round, rounds


def explain_key(  # noqa: PLR0917 - what a key may be about
    key: str, state: PatientState, duties: Duties, values: Sequence[Value], study: Study, now: datetime,
    audience: Callable[[datetime], Audience],
) -> dict[str, str]:  # fmt: skip
    """Return what stands behind a visit, query, deviation, endpoint or notice of one patient; empty if nothing does."""
    if found := explain_deviation(key, state, duties):
        return found
    plan = next((p for p in duties.plans if key == f"{state.subject}/{p.code}"), None)
    if plan:
        return _visit(plan, state, study, reminded(state, study, plan, now, audience))
    if found := _explain_safety(key, duties) or _query(key, state, duties):
        return found
    value = next((v for v in values if key == f"{state.subject}/{v.code}"), None)
    if value:
        return _endpoint(value)
    return _explain_notices(key, state, duties, study) or _removed(key, state, study)


def _endpoint(value: Value) -> dict[str, str]:
    """Return what stands behind an endpoint value."""
    found = {"endpoint": value.label, "value": value.text, "status": value.status.replace("_", " ")}
    found |= {"date": str(value.on)} if value.on else {}
    found |= {"because": value.reason, "rule": value.rule}
    found |= {"events": "; ".join(map(str, value.sources))} if value.sources else {}
    found |= {"supersedes": "; ".join(value.supersedes)} if value.supersedes else {}
    return found | {"changes with": value.would_change}


SHOWN_BY = {
    "visit": "visit_held, or a form of it", "eligibility": "eligibility", "cycle": "cycle_given",
    "imaging": "imaging, or a form of it", "surgery": "surgery", "pathology_local": "pathology with read: local",
    "pathology_central": "pathology with read: central", "disease_status": "disease_assessment, or a form of it",
}  # fmt: skip
"""Held by -> the fact to record."""


def _visit(plan: VisitPlan, state: PatientState, study: Study, told: Reminded) -> dict[str, str]:
    """Return what stands behind a visit as it is: window, reminders, and what would make it something else."""
    span = plan.window
    window = f"{span.opens} to {span.closes}, target {span.target}" if span else "none yet"
    held = {"held on": str(plan.held_on), "shown by": ", ".join(plan.evidence)} if plan.held_on else {}
    ladder = rungs(state, study, plan) if plan.status in REMINDED else []
    said = "; ".join(f"{_moment(rung_at, study, state)} {rung.name}" for rung_at, rung in ladder)
    return {
        "visit": plan.visit.label.en, "status": plan.status.replace("_", " "), "window": window, **held,
        **({"reminders": said} if said else {}), **({} if told.reason == "ahead" else {"reminded": str(told)}),
        "because": str(plan.because), "source": plan.visit.source, **_ends(plan),
    }  # fmt: skip


def _ends(plan: VisitPlan) -> dict[str, str]:
    """Return what in the data would make a visit something else."""
    record = f"{SHOWN_BY[plan.visit.held_by]}, with its day"
    if plan.status in {"planned", *ACTIONABLE}:
        moved = "; a corrected anchor moves it"
        return {"ends with": f"{record}; visit_missed or visit_waived, with a cause or a reason{moved}"}
    if plan.status == "missed":
        return {"ends with": f"{record}, if it took place after all; or visit_waived with a reason"}
    return {"ends with": "the event above retracted or corrected"} if plan.status in ("held", "waived") else {}


def _moment(at: datetime, study: Study, state: PatientState) -> str:
    return f"{at.astimezone(ZoneInfo(study.site(state.site).time_zone)):%Y-%m-%d %H:%M}"


def _explain_notices(key: str, state: PatientState, duties: Duties, study: Study) -> dict[str, str]:
    """Return what stands behind one copy of a notice, or behind a notice with what became of all its copies."""
    if key in state.notices:
        about = _explain_reminder(key.rsplit("/", 2)[0], state, duties, study)
        return explain_notice(key, state.notices[key]) | {k: v for k, v in about.items() if k != "status"}
    copies = {k: t for k, t in state.notices.items() if k.startswith(f"{key}/") and k.count("/") == key.count("/") + 2}
    due = next((n for n in duties.notices if n.key == key), None)
    found = _explain_reminder(key, state, duties, study)
    if due and not found:
        found = {"notice": due.title, "because": str(due.because)}
    if not (found or copies):
        return {}
    sent = [f"{t.sent.role} by {t.sent.channel} {_moment(t.sent.at, study, state)}" for t in copies.values() if t.sent]
    told = {"sent to": ", ".join(sent)} if sent else {}
    return {"status": "due now", **found, **told} if due else found | told or {"notice": key, **told}


def _explain_reminder(key: str, state: PatientState, duties: Duties, study: Study) -> dict[str, str]:
    """Return what stands behind a rung of a visit's ladder, reached, to come or out of date; empty if it is none."""
    place = rung_of(key)
    if place is None:
        return {}
    of_visit, name, day = place
    plan = next((p for p in duties.plans if of_visit == f"{state.subject}/{p.code}"), None)
    if name in ("moved", "gone") and any(k.startswith(f"{key}/") for k in state.notices):
        return _told_day(of_visit.partition("/")[2], name, day, plan, study)
    if plan is None:
        return {}
    found = next(((at, r) for at, r in rungs(state, study, plan) if r.name == name), None)
    if found is None and name not in {r.name for r in study.reminders.ladders[plan.visit.ladder]}:
        return {}
    now_on = plan.window.target if plan.window else None
    if plan.status not in REMINDED:
        status = f"no longer due: {plan.code} is {plan.status.replace('_', ' ')}"
    elif now_on != day:
        status = f"no longer due: {plan.code} has moved to {now_on}"
    else:
        status = (
            f"due from {_moment(found[0], study, state)} on, until a later one takes its place" if found else "put off"
        )
    about = {"rule": f"{plan.visit.ladder} ladder: {_rung(found[1])}"} if found else {}
    return {
        "reminder": f"{plan.code} {name} for {day}", "status": status, **about, "because": str(plan.because), **_ends(plan)
    }  # fmt: skip


def _told_day(code: str, word: str, day: date, plan: VisitPlan | None, study: Study) -> dict[str, str]:
    """Return what stands behind the notice that a visit has another day, or none any more."""
    span = plan.window if plan and plan.status in REMINDED else None
    now_on = f"planned for {span.target}" if span else plan.status.replace("_", " ") if plan else "not planned"
    holds = (span and span.target == day) if word == "moved" else not (span or (plan and plan.held_on))
    title = f"{code} moved to {day}" if word == "moved" else f"{code} of {day} is no longer planned"
    return {
        "notice": title, "status": "so it is" if holds else f"no longer so: {code} is {now_on}",
        "because": str(plan.because if plan else not_planned(study)), **(_ends(plan) if plan else {}),
    }  # fmt: skip


def _removed(key: str, state: PatientState, study: Study) -> dict[str, str]:
    """Return what stands behind a visit that somebody was told or gave a day for, and that no plan has any more."""
    code = key.removeprefix(f"{state.subject}/")
    told = any(rung_of(k.rsplit("/", 2)[0]) for k, _ in state.notices_about.get(code, ()))
    if not told and code not in state.booked:
        return {}
    visit = study.rules_of(code).visit_by_code.get(code)
    title = {"visit": visit.label.en, "source": visit.source} if visit else {"visit": code}
    return {**title, "status": "not planned", "because": str(not_planned(study))}


def _rung(rung: Rung) -> str:
    side = f"{abs(rung.days)} d {'before' if rung.days < 0 else 'after'}" if rung.days else "the day of"
    named = {"opens": "the window's opening", "target": "the target day", "closes": "the window's last day"}
    to = f", to {', '.join(rung.roles)}" if rung.roles else ""
    return f"{rung.name} {side} {named[rung.at]}{to}"


def _query(key: str, state: PatientState, duties: Duties) -> dict[str, str]:
    """Return what stands behind a query: why, since when, the words of who asked and answered; empty if it is none."""
    finding = next((f for f in duties.findings if f.query == key), None)
    trail, asked = state.queries.get(key), state.asked.get(key)
    if not (finding or trail or asked):
        return {}
    status = f"closed: {closed_by(key, state)}" if trail or not finding else "about to be raised"
    found = {
        "query": finding.title if finding else key,
        "status": "open" if trail and trail.open else status,
        "round": str(trail.round if trail else 0),
        "because": str(finding.because) if finding else "no longer given by the data",
    }
    if finding and finding.withheld:
        found["withheld from others"] = finding.withheld
    if trail:
        found["raised"] = trail.raised_at[trail.round].isoformat()
    if asked:
        found["question"] = f"{asked.text} ({asked.actor}, {asked.occurred})"
    for n, answer in enumerate(trail.answers if trail else (), 1):
        found[f"answer {n}"] = f"{answer.answer} ({answer.actor}, {answer.occurred})"
    ends = "query_resolved by whoever asked" if asked else "the data: the values, a correction, or why there is none"
    if finding and finding.kind == "adjudication":
        ends = "a final report with read: adjudication, or reads that agree once one of them is amended or retracted"
    return found | ({"ends with": ends} if finding else {})


def _explain_safety(key: str, duties: Duties) -> dict[str, str]:
    clock = next((c for c in duties.clocks if c.key == key), None)
    gate = next((g for g in duties.gates if g.key == key), None) if "/gate/" in key else None
    return explain_clock(clock) if clock else explain_gate(gate) if gate else {}


def explain_gate(gate: Gate) -> dict[str, str]:
    """Return each condition of a gate with its why; on the console the site's own words stand beside it."""
    lines = {
        c.name: f"{WORDS[c.verdict]} - {c.because}" + (f'; the site says: "{c.said}"' if c.said else "")
        for c in gate.conditions
    }
    return {"gate": gate.name, "verdict": WORDS[gate.verdict], "as of": str(gate.day), **lines}


def explain_clock(clock: Clock) -> dict[str, str]:
    """Return what is to be reported until when, and why."""
    reported = clock.local(clock.reported) if clock.reported else "not yet"
    return {
        "report": clock.name, "status": clock.status, "aware": clock.local(clock.aware),
        "deadline": clock.local(clock.deadline), "reported": reported, "because": str(clock.because),
    }  # fmt: skip


def explain_boundary(
    key: str, monitoring: Sequence[Monitor], recorded: Iterable[ev.Recorded], version: str
) -> dict[str, str]:
    """Return what stands behind a look at a monitoring boundary, `boundary/RULE/PATIENTS`; empty if there is no such rule."""
    _, _, rest = key.partition("/")
    code, _, number = rest.rpartition("/")
    rule = next((m for m in monitoring if m.code == code), None)
    said = {
        f"recorded at {r.recorded_at.isoformat()}": f"{r.event.type.replace('_', ' ')}: {r.event.reason}"
        for r in recorded
        if isinstance(r.event, ev.BoundaryCrossed | ev.BoundaryWithdrawn)
        and crossing_key(r.event.rule, r.event.n) == key
    }
    if rule is None or not number.isdigit():
        return said
    n = int(number)
    found = {"boundary": code, "method": rule.method, "parameters": rule.parameters, "source": rule.rule.source}
    if not 0 < n <= len(rule.looks):
        limit = rule.stops(dict(rule.boundary).get(n))
        return found | {"status": f"{len(rule.looks)} patients are evaluable; at {n}: {limit}"} | said
    look = rule.looks[n - 1]
    status = "crossed" if look.crossed else "not crossed"
    return found | {"status": status, "on": str(look.on), "because": str(rule.because(look, version))} | said


def explain_deviation(key: str, state: PatientState, duties: Duties) -> dict[str, str]:
    """Return what stands behind a deviation: why, its whole trace, and what would make it go away; empty if nothing."""
    shown = next((d for d in duties.deviations if d.key == key), None)
    trace = rounds(state, key)
    if shown is None and not trace:
        return {}
    said = {f"round {r.number}": round_words(r) for r in trace}
    if shown is None:
        last = trace[-1]
        why = {"because": last.found.reason or "", "remedy": "none needed: the data show it no longer"}
        return {"deviation": last.found.kind, "status": "withdrawn", "grade": last.found.grade, **said, **why}
    answered = bool(trace and trace[-1].acknowledged and not trace[-1].withdrawn)
    status = "acknowledged" if answered else "open" if trace and not trace[-1].withdrawn else "about to be found"
    why = {"because": str(shown.because), "remedy": shown.remedy}
    return {
        "deviation": shown.title, "status": status, "grade": shown.grade, "on": str(shown.on), **said, **why,
    }  # fmt: skip


def round_words(one: Round) -> str:
    """Return one finding and what became of it in a line."""
    parts = [f"found {one.found.occurred}, {one.found.grade}"]
    if one.acknowledged:
        parts.append(
            f"acknowledged {one.acknowledged.occurred} by {one.acknowledged.actor}, cause {one.acknowledged.cause}, "
            f"action {one.acknowledged.action}"
        )
    if one.withdrawn:
        parts.append(f"withdrawn {one.withdrawn.occurred}: {one.withdrawn.reason or 'the data show it no longer'}")
    return "; ".join(parts)


def explain_notice(key: str, notice: NoticeTrail, about: ev.AnyLogged | None = None) -> dict[str, str]:
    """Return what became of one copy of a notice, and the event that it tells of."""
    sent = f"sent {notice.sent.at.isoformat()}" if notice.sent else "not known to have arrived"
    why = {"because": f"{about.type.replace('_', ' ')} of {about.occurred}, event {about.id}"} if about else {}
    failures = {f"failure {n}": f.error for n, f in notice.failed.items()}
    return {"notice": key, "status": sent, "attempts": str(notice.last_attempt), **why, **failures}
