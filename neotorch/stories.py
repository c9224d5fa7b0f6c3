"""One patient's story in Markdown: phase, what is open and why, visits, timeline. Codes and dates only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from neotorch.domain import events as ev
from neotorch.domain.state import NoticeTrail, PatientState
from neotorch.domain.study import Study
from neotorch.plan import awaiting, closed_by, fact_title, title
from neotorch.rules import Duties
from neotorch.rules.clocks import Clock
from neotorch.rules.endpoints import PatientEndpoints
from neotorch.rules.gates import WORDS, Gate
from neotorch.rules.traces import Round, rounds
from neotorch.rules.worklist import Obligation

MARK = {
    "held": "●", "missed": "✕", "overdue": "‼", "late": "!", "due": "▶", "open": "▷", "planned": "○", "waiting": "·",
    "not_expected": "-",
    "waived": "waived",
}  # fmt: skip
"""A sign for each status, so that the state of a visit can be seen before it is read."""


def story(
    state: PatientState, duties: Duties, values: PatientEndpoints, lines: Sequence[Obligation], study: Study
) -> str:
    """Return the whole story. `lines` are the patient's open matters."""
    parts = [
        f"# {title(state, duties)}",
        f"{awaiting(state, duties)}. Study {study.short_title} version {study.version}.",
        "## Open items",
        _open_items(lines),
        "## Visits",
        _visits(duties),
        *_safety(duties),
        "## Deviations",
        _deviations(state, duties),
        "## Endpoints",
        _endpoints(values, study),
        "## Timeline",
        _timeline(state),
    ]
    return "\n\n".join(parts) + "\n"


def explain_key(key: str, state: PatientState, duties: Duties, values: PatientEndpoints) -> dict[str, str]:
    """Return what stands behind a visit, query, endpoint or notice key of one patient; empty if nothing does."""
    for plan in duties.plans:
        if key == f"{state.subject}/{plan.code}":
            span = (
                f"{plan.window.opens} to {plan.window.closes}, target {plan.window.target}"
                if plan.window
                else "none yet"
            )
            held = {"held on": str(plan.held_on), "shown by": ", ".join(plan.evidence)} if plan.held_on else {}
            why = {"because": str(plan.because), "source": plan.visit.source}
            return {"visit": plan.visit.label.en, "status": plan.status, "window": span, **held, **why}
    if found := _explain_safety(key, duties) or _query(key, state, duties):
        return found
    for name, verdict in (("pcr", values.pcr), ("rcb01", values.rcb01)):
        if key == f"{state.subject}/{name}":
            return {
                "endpoint": name,
                "value": verdict.answer,
                "because": verdict.reason,
                "events": ", ".join(verdict.event_ids),
            }
    if key == f"{state.subject}/rcb" and values.rcb:
        return {
            "endpoint": "rcb",
            "value": f"{values.rcb.rcb_class} ({values.rcb.index})",
            "because": values.rcb.reason,
        }
    if key == f"{state.subject}/efs":
        return {
            "endpoint": "efs",
            "value": values.efs_headline,
            "because": values.efs.reason,
            "events": ", ".join(values.efs.event_ids),
        }
    notice = state.notices.get(key)
    return explain_notice(key, notice) if notice else {}


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
    if trail:
        found["raised"] = trail.raised_at[trail.round].isoformat()
    if asked:
        found["question"] = f"{asked.text} ({asked.actor}, {asked.occurred})"
    for n, answer in enumerate(trail.answers if trail else (), 1):
        found[f"answer {n}"] = f"{answer.answer} ({answer.actor}, {answer.occurred})"
    ends = "query_resolved by whoever asked" if asked else "the data: the values, a correction, or why there is none"
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


def explain_deviation(key: str, state: PatientState, duties: Duties) -> dict[str, str]:
    """Return what stands behind a deviation: why, its whole trace, and what would make it go away; empty if nothing."""
    shown = next((d for d in duties.deviations if d.key == key), None)
    trace = rounds(state, key)
    if shown is None and not trace:
        return {}
    said = {f"round {r.number}": _round(r) for r in trace}
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


def _round(one: Round) -> str:
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


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", "/") for c in line) + " |" for line in lines)


def _open_items(lines: Sequence[Obligation]) -> str:
    if not lines:
        return "Nothing is open."
    return _table(("", "what", "since", "why"), [(o.status, o.what, o.since, o.why) for o in lines])


def _visits(duties: Duties) -> str:
    rows = []
    for plan in duties.plans:
        span = f"{plan.window.opens} to {plan.window.closes}" if plan.window else ""
        held = ""
        if plan.held_on:
            held = str(plan.held_on) + ("" if plan.in_window in (True, None) else " (out of window)")
        target = plan.window.target if plan.window else ""
        rows.append((MARK[plan.status], plan.code, plan.status.replace("_", " "), target, span, held))
    return _table(("", "visit", "status", "target", "window", "held"), rows)


def _safety(duties: Duties) -> list[str]:
    """Return the part on reports and gates; of gates that are not all met every condition but the met ones."""
    if not duties.gates and not duties.clocks:
        return []
    rows: list[tuple[str, str, str]] = [
        (clock.name, clock.status, f"report by {clock.local(clock.deadline)}; {clock.because.detail}")
        for clock in duties.clocks
    ]
    for gate in duties.gates:
        open_ = [line for line, c in zip(gate.lines(), gate.conditions, strict=True) if c.verdict != "met"]
        rows.append((f"{gate.name} gate, as of {gate.day}", WORDS[gate.verdict], "; ".join(open_)))
    return ["## Safety", _table(("what", "verdict", "why"), rows)]


def _deviations(state: PatientState, duties: Duties) -> str:
    """All that was ever found, and what the data show now though it has not been written down yet."""
    shown = {d.key: d for d in duties.deviations}
    rows = []
    for key in sorted({*shown, *state.deviations}, key=lambda k: (shown[k].on if k in shown else date.min, k)):
        trace, now = rounds(state, key), shown.get(key)
        grade = now.grade if now else trace[-1].found.grade
        what = now.title if now else f"~~{key.removeprefix(f'{state.subject}/deviation/')}~~"
        rows.append((what, grade, now.on if now else "", " / ".join(_round(r) for r in trace), key))
    return _table(("deviation", "grade", "on", "trace", "key"), rows) if rows else "The data show none."


def _endpoints(values: PatientEndpoints, study: Study) -> str:
    rcb = values.rcb
    index = f"{rcb.rcb_class} ({rcb.index:.3f})" if rcb and rcb.index is not None else "none"
    rows = [
        ("pCR", values.pcr.answer.replace("_", " "), values.pcr.reason),
        ("RCB", index, rcb.reason if rcb else "no final report"),
        (study.endpoints.rcb01.name, values.rcb01.answer.replace("_", " "), values.rcb01.reason),
        ("EFS", values.efs_headline.removeprefix("EFS: "), values.efs.reason),
    ]  # fmt: skip
    return _table(("endpoint", "value", "why"), rows)


def _timeline(state: PatientState) -> str:
    rows = []
    every = sorted(
        (r.event for r in state.learnt.values() if isinstance(r.event, ev.Fact)),
        key=lambda e: (e.occurred, e.rank, e.id),
    )
    for event in every:
        by = state.superseded.get(event.id)
        what = fact_title(event, state)
        rows.append((event.occurred, f"~~{what}~~ (by {by})" if by else what, event.id))
    return _table(("date", "what", "event"), rows)
