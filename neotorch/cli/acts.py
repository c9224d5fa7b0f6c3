"""What the demo plays live: five things that happen in every trial, and what the engine makes of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from neotorch.cli.output import out, table
from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.engine import Engine
from neotorch.receivers import MailReceiver, WebReceiver

PATIENCE_SECONDS = 30.0
GUEST = "NT-901"
"""A patient who joins while the demo runs."""


@dataclass(frozen=True)
class Act:
    """Facts to record, and what it shows. `endpoints`: wait for the recalculation too."""

    title: str
    facts: Sequence[ev.AnyFact]
    endpoints: bool = False


def play(engine: Engine, mail: MailReceiver, web: WebReceiver) -> None:
    """Play all acts, each with what fired, why, and how long it took."""
    for number, make in enumerate((enters_window, missing_item, pathology_report, recurrence, surgery_corrected), 1):
        act = make(engine)
        out.rule(f"{number}. {act.title}", align="left")
        _play(engine, act, mail, web)


def _play(engine: Engine, act: Act, mail: MailReceiver, web: WebReceiver) -> None:
    subject = act.facts[0].subject
    before, mails, posts = engine.head(), len(mail.received), len(web.received)
    targets = _targets(engine, subject)
    began = time.monotonic()
    refused = [a for a in engine.record(act.facts) if a.outcome == "refused"]
    if refused:
        raise RuntimeError(f"the demo's own fact was refused: {refused[0].refusals[0].what}")
    recorded = time.monotonic() - began
    why = {step.key: step.why for step in engine.plan(subject).steps}
    _wait(lambda: _quiet(engine, subject))
    woken = time.monotonic() - began
    if act.endpoints:
        _wait(lambda: _told(engine, before))
    rows = [(name, why.get(key, reason)) for name, key, reason in _fired(engine, before)]
    table(f"{subject}: what fired", ("what", "because"), rows)
    moved = [
        (code, old, new)
        for code, old in targets.items()
        if (new := _targets(engine, subject).get(code)) not in (old, None)
    ]
    if moved:
        table(f"{subject}: {len(moved)} dates moved", ("visit", "was", "is"), moved)
    took = f"recorded in {1000 * recorded:.0f} ms, journey asleep again after {1000 * woken:.0f} ms"
    if act.endpoints:
        took += f", endpoints told after {1000 * (time.monotonic() - began):.0f} ms"
    received = f"{len(mail.received) - mails} mails and {len(web.received) - posts} web notices arrived"
    out.print(f"{took}; {received}.", style="green", highlight=False)


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not done() and time.monotonic() < end:
        time.sleep(0.02)


def _quiet(engine: Engine, subject: str) -> bool:
    return engine.log.journey_seen(subject)[1] >= engine.state(subject).position and not engine.plan(subject).steps


def _told(engine: Engine, since: int) -> bool:
    return any(isinstance(r.event, ev.NoticeSent) and r.event.subject is None for r in engine.log.read(after=since))


def _fired(engine: Engine, since: int) -> Iterator[tuple[str, str, str]]:
    """Yield (what, key, reason) of everything recorded since a log position."""
    for row in engine.log.read(after=since):
        match row.event:
            case ev.QueryRaised() as e:
                yield f"query: {', '.join(e.items)} missing at {e.visit}", e.query, e.kind
            case ev.QueryClosed() as e:
                yield f"query closed: {e.query}", e.query, "the data answer it"
            case ev.NoticeSent() as e:
                yield f"told {e.role} by {e.channel}", e.key, e.key.removeprefix(ev.ENGINE_ID)
            case ev.EndpointsRecalculated() as e:
                for change in e.changes:
                    yield f"{change.subject or 'trial'} {change.field}", e.id, f"{change.old} -> {change.new}"
            case ev.Fact() as e:
                yield f"recorded {e.type.replace('_', ' ')}", e.id, f"event {e.id}"
            case _:
                pass


def _targets(engine: Engine, subject: str) -> dict[str, date]:
    if subject not in engine.subjects():
        return {}
    _, due = engine.duties(subject)
    return {p.code: p.window.target for p in due.plans if p.window and p.held_on is None and p.status != "not_expected"}


def _fact(engine: Engine, subject: str, kind: str, on: date, tail: str, **fields: Any) -> ev.AnyFact:
    body = {"study": engine.study.id, "subject": subject, "type": kind, "occurred": on, "id": f"live/{subject}/{tail}",
            "actor": "crc01", **fields}  # fmt: skip
    return ev.FACT.validate_python(body)


# ── the five acts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def enters_window(engine: Engine) -> Act:
    """A late-entered first dose, six days ago: the window of day 8 is open."""
    first = engine.today() - timedelta(6)
    site = engine.study.sites[0].code
    drugs = [{"drug": "chemotherapy"}, {"drug": "anlotinib", "dose": 12.0}]
    facts = [
        _fact(engine, GUEST, "consent", first - timedelta(12), "ICF", site=site, icf_version="2.1"),
        _fact(engine, GUEST, "eligibility", first - timedelta(3), "ELIG", eligible=True),
        _fact(engine, GUEST, "enrolment", first - timedelta(3), "ENR", planned_start=first),
        _fact(engine, GUEST, "cycle_given", first, "C1D1", cycle=1, drugs=drugs),
    ]  # fmt: skip
    return Act("A visit enters its window: C1D8 of a patient whose first dose is recorded late", facts)


def missing_item(engine: Engine) -> Act:
    """The vital signs of C1D1, without the systolic pressure."""
    on = engine.today() - timedelta(6)
    items = {"DBP": 78, "WEIGHT": 61.5, "ECOG": 0}
    fact = _fact(engine, GUEST, "form_received", on, "C1D1-VITALS", visit="C1D1", form="VITALS", items=items)
    return Act("A form arrives with a missing item: systolic pressure at C1D1", [fact])


def pathology_report(engine: Engine) -> Act:
    """A complete response, for somebody operated whose report is awaited."""
    states = _states(engine)
    waiting = [s for s in states if s.surgery and not s.pathologies and not s.death and not s.withdrawal]
    state = max(waiting, key=lambda s: s.subject) if waiting else None
    facts: list[ev.AnyFact] = []
    if state is None:  # nobody waits: somebody at the end of treatment is operated first
        state = next(s for s in reversed(states) if len(s.cycles) == engine.study.cycles.count and not s.surgery)
        on = max(c.occurred for c in state.cycles.values()) + timedelta(22)
        facts.append(
            _fact(
                engine,
                state.subject,
                "surgery",
                min(on, engine.today()),
                "SURG",
                breast="mastectomy",
                axilla="sentinel",
                margin="clear",
            )
        )
    six = {
        "d1_mm": 0.0,
        "d2_mm": 0.0,
        "cellularity_pct": 0.0,
        "in_situ_pct": 0.0,
        "nodes_positive": 0,
        "largest_met_mm": 0.0,
    }
    report = {"ypt": "ypT0", "ypn": "ypN0", "nodes_removed": 4, "miller_payne": 5, **six}
    facts.append(_fact(engine, state.subject, "pathology", engine.today(), "PATH", **report))
    return Act("A pathology report arrives: ypT0 ypN0", facts, endpoints=True)


def recurrence(engine: Engine) -> Act:
    """A distant recurrence, found yesterday."""
    free = [s for s in _following(engine) if not s.recurrences]
    fact = _fact(
        engine, free[0].subject, "recurrence", engine.today() - timedelta(1), "REC", site="distant", basis="biopsy"
    )
    return Act("A distant recurrence is recorded", [fact], endpoints=True)


def surgery_corrected(engine: Engine) -> Act:
    """The surgery was five days earlier than recorded."""
    states = [s for s in reversed(_following(engine)) if not s.recurrences]
    state = next((s for s in states if _has_told_dates(engine, s)), states[0])
    assert state.surgery is not None
    body = state.surgery.body | {
        "id": f"live/{state.subject}/SURG-2",
        "corrects": state.surgery.id,
        "reason": "date misread on the report",
    }
    body["occurred"] = str(state.surgery.occurred - timedelta(5))
    return Act("The date of a surgery is corrected: every later visit moves", [ev.FACT.validate_python(body)])


def _has_told_dates(engine: Engine, state: PatientState) -> bool:
    """Whether somebody was told the date of a follow-up visit that is still to come."""
    _, due = engine.duties(state.subject)
    coming = [p.code for p in due.plans if p.code.startswith("FU") and p.status in ("planned", "open")]
    return any(
        key.startswith(f"{state.subject}/{code}/") and t.sent for code in coming for key, t in state.notices.items()
    )


def _states(engine: Engine) -> list[PatientState]:
    return [engine.state(s) for s in engine.subjects() if s != GUEST]


def _following(engine: Engine) -> list[PatientState]:
    found = []
    for subject in engine.subjects():
        state, due = engine.duties(subject)
        if due.phase == "follow_up" and not due.ended and state.surgery and not state.lost:
            found.append(state)
    return found
