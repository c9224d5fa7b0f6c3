"""One patient's story in Markdown: phase, what is open and why, visits, timeline. Codes and dates only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.explanations import round_words
from neotorch.plan import awaiting, fact_title, title
from neotorch.rules import Duties
from neotorch.rules.endpoints import Value
from neotorch.rules.gates import WORDS
from neotorch.rules.traces import rounds
from neotorch.rules.worklist import Obligation

MARK = {
    "held": "●", "missed": "✕", "overdue": "‼", "late": "!", "due": "▶", "open": "▷", "planned": "○", "waiting": "·",
    "not_expected": "-",
    "waived": "waived",
}  # fmt: skip
"""A sign for each status, so that the state of a visit can be seen before it is read."""


def story(
    state: PatientState, duties: Duties, values: Sequence[Value], lines: Sequence[Obligation], study: Study
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
        _endpoints(values),
        "## Timeline",
        _timeline(state),
    ]
    return "\n\n".join(parts) + "\n"


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
        rows.append((what, grade, now.on if now else "", " / ".join(round_words(r) for r in trace), key))
    return _table(("deviation", "grade", "on", "trace", "key"), rows) if rows else "The data show none."


def _endpoints(values: Sequence[Value]) -> str:
    return _table(("endpoint", "value", "why"), [(v.label, *v.displayed) for v in values])


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
