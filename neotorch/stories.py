"""One patient's story in Markdown: where they are, what is open and why, the visits, the timeline. Codes and dates only."""

from __future__ import annotations

from collections.abc import Sequence

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.plan import awaiting, fact_title, title
from neotorch.rules import Duties
from neotorch.rules.endpoints import PatientEndpoints
from neotorch.rules.worklist import Obligation

MARK = {
    "held": "●", "missed": "✕", "overdue": "‼", "late": "!", "due": "▶", "open": "▷", "planned": "○", "waiting": "·",
    "not_expected": "–",
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
        span = f"{plan.window.opens} – {plan.window.closes}" if plan.window else ""
        held = ""
        if plan.held_on:
            held = str(plan.held_on) + ("" if plan.in_window in (True, None) else " (out of window)")
        target = plan.window.target if plan.window else ""
        rows.append((MARK[plan.status], plan.code, plan.status.replace("_", " "), target, span, held))
    return _table(("", "visit", "status", "target", "window", "held"), rows)


def _endpoints(values: PatientEndpoints) -> str:
    rows = [
        ("pCR", values.pcr.answer.replace("_", " "), values.pcr.reason),
        ("RCB", f"{values.rcb.rcb_class} ({values.rcb.index:.3f})" if values.rcb and values.rcb.index is not None else "none",
         values.rcb.reason if values.rcb else "no final report"),
        ("RCB 0-1", values.rcb01.answer.replace("_", " "), values.rcb01.reason),
        ("EFS", values.efs_headline.removeprefix("EFS: "), values.efs.reason),
    ]  # fmt: skip
    return _table(("endpoint", "value", "why"), rows)


def _timeline(state: PatientState) -> str:
    rows = []
    every = sorted((r.event for r in state.learnt.values() if isinstance(r.event, ev.Fact)), key=lambda e: (e.occurred, e.rank, e.id))
    for event in every:
        by = state.superseded.get(event.id)
        what = fact_title(event, state)
        rows.append((event.occurred, f"~~{what}~~ (by {by})" if by else what, event.id))
    return _table(("date", "what", "event"), rows)
