"""What sites do to facts: they come late, are wrong at first, twice, taken back, or contradict one another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour
from neotorch.domain.study import Site
from neotorch.simulation import Dated

LATE, WRONG, BACK, TWICE = 0.05, 0.05, 0.012, 0.01
"""Shares of facts: weeks late; wrong first and corrected; taken back; recorded twice."""
ENDS_BACK = 0.2
"""Share of deaths and withdrawals that are taken back, as of another patient."""


def muddled(rng: Random, plain: list[Dated], site: Site, until: date) -> list[Dated]:
    """Return the facts of a patient as they come in. What a site says wrongly it may correct later, or never."""
    found: list[Dated] = []
    for one in plain:
        found += _come_in(rng, one)
    found += _told_besides(rng, plain)
    last = at_hour(until + timedelta(1), 0, site.time_zone)
    return sorted((d for d in found if d.known_at < last), key=lambda d: d.known_at)


def _come_in(rng: Random, one: Dated) -> Iterator[Dated]:
    at, fact = one.known_at, one.fact
    if isinstance(fact, ev.Consent):
        yield one
        return
    if rng.random() < LATE:
        at += timedelta(days=rng.randint(3, 60))
    other = _changed(rng, fact) if rng.random() < WRONG else None
    if other is None:
        yield Dated(at, fact)
    else:
        yield Dated(at, _made(fact, **other))
        if rng.random() < 0.85:
            kept = {name: getattr(fact, name) for name in other}
            words = {"id": f"{fact.id}#1", "corrects": fact.id, "reason": "entered wrongly"}
            yield Dated(_later(rng, at), _made(fact, **kept, **words))
    if rng.random() < TWICE:
        yield Dated(_later(rng, at), fact)
    if rng.random() < (ENDS_BACK if isinstance(fact, ev.Death | ev.Withdrawal) else BACK):
        yield from _taken_back(rng, at, fact)


def _taken_back(rng: Random, at: datetime, fact: ev.AnyFact) -> Iterator[Dated]:
    """Yield a retraction, sometimes followed by the fact under another id, sometimes by one of the retraction itself."""
    then = _later(rng, at)
    back = _retraction(fact, f"{fact.id}#back", fact.id)
    yield Dated(then, back)
    kind = rng.choice(("gone", "again", "after all"))
    if kind == "again":
        yield Dated(_later(rng, then), _made(fact, id=f"{fact.id}#2"))
    if kind == "after all":
        yield Dated(_later(rng, then), _retraction(fact, f"{fact.id}#back#back", back.id))


def _retraction(fact: ev.AnyFact, name: str, target: str) -> ev.AnyFact:
    return ev.Retraction(
        id=name, study=fact.study, subject=fact.subject, occurred=fact.occurred, actor=fact.actor, retracts=target,
        reason="of another patient",
    )  # fmt: skip


def _changed(rng: Random, fact: ev.AnyFact) -> dict[str, Any] | None:
    """Return fields that are said wrongly; None where nothing can be."""
    if isinstance(fact, ev.FormReceived) and len(fact.items) > 1 and rng.random() < 0.7:
        left_out = rng.choice(list(fact.items))
        return {"items": {k: v for k, v in fact.items.items() if k != left_out}}
    if isinstance(fact, ev.Pathology) and rng.random() < 0.8:
        return rng.choice((
            {"nodes_positive": None}, {"ypn": "ypN1a"}, {"ypn": "ypN0"}, {"d1_mm": 0}, {"largest_met_mm": 30.0},
            {"nodes_removed": 0}, {"ypt": "ypTX"}, {"bed_found": False}, {"cellularity_pct": 40}, {"nodes_positive": 4},
        ))  # fmt: skip
    if isinstance(fact, ev.Imaging) and rng.random() < 0.8:
        return rng.choice(({"response": "PD"}, {"response": "CR"}, {"sum_mm": 95.0}, {"sum_mm": None}))
    if isinstance(fact, ev.DiseaseAssessment) and rng.random() < 0.5:
        return {"status": rng.choice(("disease", "free"))}
    if isinstance(fact, ev.AdverseEvent) and fact.serious and rng.random() < 0.7:
        return {"reported": None}
    return {"occurred": fact.occurred - timedelta(rng.choice((1, 2, 5, 14, 40)))}


def _made(fact: ev.AnyFact, **changes: Any) -> ev.AnyFact:
    return type(fact)(**{name: getattr(fact, name) for name in type(fact).model_fields} | changes)


def _later(rng: Random, at: datetime) -> datetime:
    return at + timedelta(days=rng.choice((0.02, 1, 4, 12, 40)) * rng.uniform(0.5, 1.5))


def _told_besides(rng: Random, plain: list[Dated]) -> Iterator[Dated]:
    """Yield facts that a simulated site leaves out: reports not made, deaths told by the way, disease on a form."""
    subject, days = plain[0].fact.subject, [d for d in plain if not isinstance(d.fact, ev.Consent)]
    if not days:
        return
    for number in range(rng.choice((0, 1, 2))):
        near = rng.choice(days)
        yield from _unreported(rng, near, f"{subject}-SAE-{number}")
    if rng.random() < 0.25:
        near = rng.choice(days)
        yield _plain(
            near, f"{subject}-ALIVE", "form_received", visit="UNS", form="SURVIVAL", items={"ALIVE": rng.random() < 0.5}
        )
    if rng.random() < 0.2:
        near = rng.choice(days[len(days) // 2 :])
        yield _plain(near, f"{subject}-STATUS", "disease_assessment", status=rng.choice(("free", "disease")))
    if rng.random() < 0.15:
        near = rng.choice(days[len(days) // 2 :])
        yield _plain(near, f"{subject}-REC", "recurrence", site=rng.choice(("local", "distant")))
    if rng.random() < 0.12:
        near = rng.choice(days[len(days) // 3 :])
        yield from _died(rng, near, f"{subject}-DIED")
    if rng.random() < 0.15:
        near = rng.choice(days)
        yield _plain(near, f"{subject}-LEFT", "withdrawal", scope=rng.choice(("treatment", "study")))


def _unreported(rng: Random, near: Dated, name: str) -> Iterator[Dated]:
    """Yield a serious event of which the report comes late, or never."""
    aware = near.known_at - timedelta(hours=rng.randint(1, 60))
    body = {"term": "infection", "grade": rng.choice((3, 4, 5)), "serious": True, "aware": aware}
    yield _plain(near, name, "adverse_event", **body)
    if rng.random() < 0.7:
        at = near.known_at + timedelta(hours=rng.randint(1, 400))
        more = {"reported": at - timedelta(minutes=5), "corrects": name, "reason": "report added"}
        yield Dated(at, _plain(near, f"{name}#1", "adverse_event", **body | more).fact)


def _died(rng: Random, near: Dated, name: str) -> Iterator[Dated]:
    """Yield a death that is told late, and another date of it later still."""
    told = _plain(near, name, "death", cause="other")
    late = near.known_at + timedelta(days=rng.choice((0, 5, 45)))
    yield Dated(late, told.fact)
    if rng.random() < 0.3:
        other = {"occurred": told.fact.occurred - timedelta(rng.randint(1, 20)), "corrects": name}
        yield Dated(_later(rng, late), _made(told.fact, id=f"{name}#1", reason="from the register", **other))


def _plain(near: Dated, name: str, kind: str, **fields: Any) -> Dated:
    fact = near.fact
    body = {
        "type": kind,
        "id": name,
        "study": fact.study,
        "subject": fact.subject,
        "occurred": fact.occurred,
        "actor": "crc.02",
    }
    return Dated(near.known_at + timedelta(minutes=3), ev.FACT.validate_python(body | fields))
