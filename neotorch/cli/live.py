"""Plays the demo's acts and says of each what fired, why, and how long it took, from the log and from the inbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from neotorch.cli.acts import ACTS, Act
from neotorch.cli.inbox import Inbox
from neotorch.cli.output import out, table
from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.plan import fact_title
from neotorch.rules.endpoints import PatientEndpoints
from neotorch.rules.trial import trial_notices

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.02
OVER = frozenset({"held", "missed", "waived", "not_expected"})
"""Visits whose date nobody waits for any more."""
MANY = 4
"""So many facts and more are counted, not listed."""


@dataclass(frozen=True)
class Line:
    """Something that fired: how many seconds after the fact was recorded, what, and why."""

    after: float
    what: str
    why: str


def play(engine: Engine, inbox: Inbox, stopped: Callable[[], bool] = lambda: False) -> None:
    """Play all acts one after the other, until `stopped` says that enough is enough."""
    number = 0
    for make in ACTS:
        if stopped():
            return
        act = make(engine)
        if act is None:
            words = (make.__doc__ or "").partition("\n")[0]
            out.print(f"Left out, nobody's turn today: {words} More patients, or another seed, would show it.")
            continue
        number += 1
        out.rule(f"[bold]{number}. {act.title}", align="left")
        out.print(act.tale, highlight=False)
        _play(engine, act, inbox, stopped)


def _play(engine: Engine, act: Act, inbox: Inbox, stopped: Callable[[], bool]) -> None:
    before, dates, values = engine.head(), _dates(engine, act.subject), _values(engine, act.subject)
    began = time.monotonic()
    refused = [a for a in engine.record(act.facts) if a.outcome == "refused"]
    if refused:
        raise AssertionError(f"the demo's own fact was refused: {refused[0].fact.id}: {refused[0].refusals[0].what}")
    recorded = time.monotonic() - began
    in_time = _wait(lambda: stopped() or _seen(engine, act.subject))
    woken = time.monotonic() - began
    if act.endpoints:
        in_time &= _wait(lambda: stopped() or _told(engine, before))
    if stopped():
        return
    lines = list(_lines(engine, act, before, inbox))
    header = ("after", "what fired", "because")
    table("", header, [(f"{1000 * line.after:.0f} ms", line.what, line.why) for line in lines])
    _changes(engine, act.subject, dates, values)
    said = f"Recorded durably in {1000 * recorded:.0f} ms; all the journey's steps done after {1000 * woken:.0f} ms"
    if act.endpoints:
        said += f", the endpoints recalculated and told after {1000 * lines[-1].after:.0f} ms"
    out.print(f"{said}.", style="green", highlight=False)
    if not in_time:
        out.print(f"Not all of it was done within {PATIENCE_SECONDS:.0f} s; the worklist shows what is.", style="red")
    out.print()


def _wait(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _seen(engine: Engine, subject: str) -> bool:
    """Whether the journey has seen everything about the patient, its own effects included: nothing is left to do."""
    return engine.log.journey_seen(subject)[1] >= engine.position(engine.state(subject))


def _told(engine: Engine, since: int) -> bool:
    return any(isinstance(r.event, ev.NoticeSent) and r.event.subject is None for r in engine.log.read(after=since))


# ── what fired ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(engine: Engine, act: Act, before: int, inbox: Inbox) -> Iterator[Line]:
    """Yield what the log holds after position `before`, in its order."""
    rows = engine.log.read(after=before)
    start, reasons = rows[0].recorded_at, _reasons(engine, act.subject)
    if len(act.facts) >= MANY:
        yield Line(0.0, f"{len(act.facts)} facts recorded", ", ".join(f.id for f in act.facts[:2]) + ", ...")
    for row in rows:
        after = (row.recorded_at - start).total_seconds()
        match row.event:
            case ev.NoticeSent() as e:
                key = e.key.removesuffix(f"/{e.role}/{e.channel}")
                arrived = inbox.subject_of(e.key)
                words = f": {arrived}" if arrived else ", not in the inbox"
                yield Line(after, f"{e.role} told by {e.channel}{words}", reasons.get(key, key))
            case ev.NoticeFailed() as e:
                yield Line(after, f"{e.role} not told by {e.channel}", e.error)
            case ev.QueryRaised() as e:
                yield Line(after, f"query raised: {', '.join(e.items)} at {e.visit}", reasons.get(e.query, e.query))
            case ev.QueryClosed() as e:
                yield Line(after, f"query closed: {e.query}", "the data answer it")
            case ev.EndpointsRecalculated() as e:
                yield from _recalculated(after, e)
            case ev.Fact() as e if len(act.facts) < MANY and e.subject == act.subject:
                yield Line(after, fact_title(e, engine.state(act.subject)), f"event {e.id} of {e.occurred}")
            case _:
                pass


def _recalculated(after: float, event: ev.EndpointsRecalculated) -> Iterator[Line]:
    why = f"derived from the log up to {event.log_seq}"
    for change in event.changes:
        yield Line(after, f"{change.subject or 'trial'} {change.field}: {change.old or '-'} → {change.new or '-'}", why)


def _reasons(engine: Engine, subject: str) -> dict[str, str]:
    """Return key -> reason of the patient's and the trial's notices and queries."""
    _, due = engine.duties(subject)
    found = {f.query: str(f.because) for f in due.findings}
    found |= {n.key: str(n.because) for n in due.notices}
    return found | {n.key: str(n.because) for n in trial_notices(engine.log.read(), engine.study)}


def _dates(engine: Engine, subject: str) -> dict[str, date]:
    _, due = engine.duties(subject)
    return {p.code: p.window.target for p in due.plans if p.window and p.status not in OVER}


def _values(engine: Engine, subject: str) -> PatientEndpoints:
    return engine.patient_endpoints(engine.state(subject), engine.today())


def _changes(engine: Engine, subject: str, dates: dict[str, date], values: PatientEndpoints) -> None:
    """Say which visits have another date now, and which endpoint values of the patient changed."""
    now = _dates(engine, subject)
    moved = [f"{code} {old} → {now[code]}" for code, old in dates.items() if now.get(code, old) != old]
    if moved:
        words = f"{len(moved)} {'date' if len(moved) == 1 else 'dates'} moved"
        out.print(f"{words}: {' · '.join(moved)}", highlight=False)
    after = _values(engine, subject)
    for old, new in ((values.headline, after.headline), (values.efs_headline, after.efs_headline)):
        if old != new:
            out.print(f"{subject}  {old}  →  {new}", style="bold", highlight=False)
