"""`neotorch book`, `waive`, `seen`, `snooze`: what a coordinator says about a visit or a query, each a fact in the log."""

from __future__ import annotations

import json as text
from typing import Annotated, Any

from cyclopts import Parameter

from neotorch.cli.output import err, out, print_json
from neotorch.engine import Engine
from neotorch.intake import fact_faults, read_events

Flag = Annotated[bool, Parameter(negative="")]


def book(subject: str, visit: str, day: str, /, *, reason: str = "", actor: str = "site", json: Flag = False) -> int:
    """Book a visit for a day: reminders go by it from then on. A second booking replaces the first, with a reason.

    Parameters
    ----------
    subject: str
        Subject code, such as NT-007.
    visit: str
        Code of the visit, such as C2D1.
    day: str
        The appointment, YYYY-MM-DD.
    reason: str
        Needed outside the visit's window, and to change an appointment.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    engine = Engine.open()
    earlier = engine.state(subject).booked.get(visit)
    body = {"type": "visit_booked", "visit": visit, "appointment": day}
    return _tell(engine, subject, body | ({"corrects": earlier.id} if earlier else {}), reason, actor, json=json)


def waive(subject: str, visit: str, /, *, reason: str, actor: str = "site", json: Flag = False) -> int:
    """Let the site off a visit: no reminder, and it is neither overdue nor missed.

    Parameters
    ----------
    subject: str
        Subject code.
    visit: str
        Code of the visit.
    reason: str
        Why it need not take place.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    return _tell(Engine.open(), subject, {"type": "visit_waived", "visit": visit}, reason, actor, json=json)


def seen(key: str, /, *, actor: str = "site", json: Flag = False) -> int:
    """Take note of an open matter, so that it is not escalated.

    Parameters
    ----------
    key: str
        Key of the visit, query or deviation, as the worklist gives it.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    return _tell(Engine.open(), key.partition("/")[0], {"type": "notice_seen", "key": key}, "", actor, json=json)


def snooze(key: str, /, *, until: str, reason: str, actor: str = "site", json: Flag = False) -> int:
    """Put the reminders of an open matter off to a day.

    Parameters
    ----------
    key: str
        Key of the visit, query or deviation, as the worklist gives it.
    until: str
        The day of the next reminder, YYYY-MM-DD.
    reason: str
        Why.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    body = {"type": "snoozed", "key": key, "until": until}
    return _tell(Engine.open(), key.partition("/")[0], body, reason, actor, json=json)


def _tell(engine: Engine, subject: str, body: dict[str, Any], reason: str, actor: str, *, json: bool) -> int:
    """Record one fact of today, as `neotorch record` would: the same checks and the same words."""
    today = str(engine.today(engine.state(subject).site))
    row = body | {"subject": subject, "occurred": today, "actor": actor} | ({"reason": reason} if reason else {})
    intake = read_events(text.dumps(row).encode(), "command line", engine.study.id)
    admissions = engine.record([f for _, f in intake.facts])
    faults = (*intake.faults, *fact_faults(zip([n for n, _ in intake.facts], admissions, strict=True)))
    if json:
        found = [{"id": a.fact.id, "outcome": a.outcome} for a in admissions]
        print_json({"recorded": found, "faults": [f.as_dict() for f in faults]})
    for fault in () if json else faults:
        err.print(f"{fault.field}: {fault.what}; {fault.todo}", markup=False, highlight=False)
    for admission in () if json else admissions:
        if admission.outcome != "refused":
            out.print(f"{admission.outcome}: {admission.fact.id}", markup=False, highlight=False)
    return 2 if faults else 0
