"""What people say to the engine, each a fact in the log: `book`, `waive`, `seen`, `snooze`, `away`, `release`."""

from __future__ import annotations

import json as text
from collections.abc import Sequence
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
    about = {"subject": subject} | ({"corrects": earlier.id} if earlier else {})
    return tell(engine, [body | about], reason, actor, json=json)


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
    body = {"type": "visit_waived", "subject": subject, "visit": visit}
    return tell(Engine.open(), [body], reason, actor, json=json)


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
    body = {"type": "notice_seen", "subject": key.partition("/")[0], "key": key}
    return tell(Engine.open(), [body], "", actor, json=json)


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
    body = {"type": "snoozed", "subject": key.partition("/")[0], "key": key, "until": until}
    return tell(Engine.open(), [body], reason, actor, json=json)


def away(channel: str, /, *, until: str, deputy: str, since: str = "", actor: str = "site", json: Flag = False) -> int:
    """Say that whoever reads a channel is away: notices go to the deputy's channel until they are back.

    Parameters
    ----------
    channel: str
        Name of the channel, as in the settings.
    until: str
        The last day away, YYYY-MM-DD.
    deputy: str
        Name of the channel to use instead.
    since: str
        The first day away; today if not given.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    body = {"type": "absence", "channel": channel, "until": until, "deputy": deputy}
    return tell(Engine.open(), [body | ({"occurred": since} if since else {})], "", actor, json=json)


def release(*, reason: str, actor: str = "site", json: Flag = False) -> int:
    """Let notices go that were held because far more than usual were due.

    Parameters
    ----------
    reason: str
        What you have looked at, and why they are right.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    return tell(Engine.open(), [{"type": "notices_released"}], reason, actor, json=json)


def tell(engine: Engine, bodies: Sequence[dict[str, Any]], reason: str, actor: str, *, json: bool) -> int:
    """Record facts of today, as `neotorch record` would: all or none, the same checks and the same words."""
    rows = []
    for body in bodies:
        site = engine.state(body["subject"]).site if "subject" in body else None
        rows.append(
            {"occurred": str(engine.today(site)), "actor": actor, **body} | ({"reason": reason} if reason else {})
        )
    data = "".join(text.dumps(row) + "\n" for row in rows).encode()
    intake = read_events(data, "command line", engine.study.id)
    admissions = [] if intake.faults else engine.record([f for _, f in intake.facts])
    places = [n for n, _ in intake.facts][: len(admissions)]
    faults = (*intake.faults, *fact_faults(zip(places, admissions, strict=True)))
    if json:
        found = [{"id": a.fact.id, "outcome": a.outcome} for a in admissions]
        print_json({"recorded": found, "faults": [f.as_dict() for f in faults]})
    for fault in () if json else faults:
        err.print(f"{fault.field}: {fault.what}; {fault.todo}", markup=False, highlight=False, soft_wrap=True)
    for admission in () if json else admissions:
        if admission.outcome != "refused":
            out.print(f"{admission.outcome}: {admission.fact.id}", markup=False, highlight=False)
    return 2 if faults else 0
