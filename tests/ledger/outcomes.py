"""Which safety clocks, notices, endpoints, phases and facts a story covers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from neotorch.domain import events as ev
from neotorch.domain.efs import event_free_survival, finding_of
from tests.ledger.seen import Note, Seen
from tests.support import SUBJECT, short_key


def clock_notes(seen: Seen) -> Iterator[Note]:
    """Reports owed: told to the minute, made in time or too late."""
    safety, facts = seen.study.safety, {f.id: f for f in seen.state.facts}
    for clock in seen.clocks if safety else ():
        fact = facts[clock.event_id]
        assert safety and isinstance(fact, ev.AdverseEvent)
        kinds = [t for t in safety.sae.terms if t == fact.term] or (
            ["a serious adverse event"] if fact.serious else ["a fatal adverse event"]
        )
        sent = seen.wanted.get("sent_at", {})
        key = short_key(f"{clock.key}/x/y/z").removesuffix("/x")
        for word, at, name in (
            ("soon", clock.remind_at, f"{safety.sae.remind_hours_before} h before the end"),
            ("late", clock.deadline, f"{safety.sae.within_hours} h over"),
        ):
            if sent.get(f"{key}/{word}") == at.astimezone(seen.zone).isoformat(" ", "minutes"):
                yield from (("clock", f"{kind}: {name}", "") for kind in kinds)
        if clock.reported and "deviations" in seen.wanted:
            late = any(k.startswith("sae-late/") for k in seen.wanted["deviations"])
            name = f"reported after {safety.sae.within_hours} h"
            if clock.reported == clock.deadline and not late:
                yield "clock", name, "exactly: in time"
            if clock.reported - clock.deadline == timedelta(minutes=1) and late:
                yield "clock", name, "a minute later: late"


def notice_notes(seen: Seen) -> Iterator[Note]:
    """Which role was told which kind of notice."""
    wanted = {*seen.wanted.get("notices", ()), *(k for k, at in seen.wanted.get("sent_at", {}).items() if at)}
    wanted |= {f"{q}/{k}" for q, keys in seen.wanted.get("about", {}).items() for k in keys}
    for key, trail in seen.state.notices.items():
        if trail.sent and short_key(key) in wanted:
            yield "notice", f"{_kind(short_key(key), seen)} to {trail.sent.role}", ""


def _kind(key: str, seen: Seen) -> str:
    if key.startswith("deviation/"):
        name, _, number = key.rpartition("/found/")
        found = seen.state.deviations[f"{SUBJECT}/{name}"].found[int(number)]
        return "important_deviation" if found.grade == "important" else "deviation"
    if key.endswith("/told") or "/report/" in key:
        return "safety"
    if "/moved/" in key:
        return "moved"
    return (
        "query" if any(f"/{word}/" in key for word in ("asked", "answered", "escalated/1", "reminder")) else "reminder"
    )


def endpoint_notes(seen: Seen) -> Iterator[Note]:
    """What is expected of the patient's endpoints."""
    wanted, first = seen.wanted.get("endpoints", {}), seen.state.first_dose
    ends = seen.study.endpoints
    for name, frame in (("pcr", ends.pcr.frame_days), ("rcb01", ends.rcb01.frame_days)):
        if name in wanted:
            yield "endpoint", f"{name} {wanted[name]}", ""
            side = {frame: "last day: pending", frame + 1: "day after: no"}.get(
                (seen.day - first).days + 1 if first else 0
            )
            if side and side.endswith(str(wanted[name])):
                yield "endpoint", f"{name} without a report after {frame} d", side
    if "rcb" in wanted:
        yield "endpoint", f"class {wanted['rcb'] or 'none'}", ""
    if "efs" in wanted:
        roles = ends.efs.primary.findings
        result = event_free_survival(seen.state.facts, first, seen.day, ends.efs.primary)
        for fact in seen.state.facts:
            name = finding_of(fact, seen.state.facts)
            if (
                name
                and wanted["efs"] == ("event" if roles[name] == "event" else "censored")
                and result.finding in (None, name)
            ):
                yield "endpoint", f"efs {name}: {roles[name]}", ""
        if wanted["efs"] == "censored" and wanted.get("efs_day", 1) > 1:
            yield "endpoint", "efs censored at the last assessment", ""


def fact_notes(seen: Seen) -> Iterator[Note]:
    """The phase, and the kinds of fact that were told by then."""
    if "phase" in seen.wanted:
        yield "journey", seen.wanted["phase"], ""
    for recorded in seen.state.learnt.values():
        if isinstance(recorded.event, ev.Fact):
            yield "fact", recorded.event.type, ""
            if recorded.event.corrects:
                yield "fact", "corrected", ""
