"""One endpoint value of one patient, with everything that stands behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from neotorch.domain import events as ev
from neotorch.domain.time_to_event import TimeToEvent

Answer = Literal["yes", "no", "pending", "not_evaluable"]
Status = Literal["known", "pending", "not_evaluable", "censored", "not_applicable"]


HIDDEN = "rests on a blinded read"
"""What stands in place of a value that may not be shown."""


@dataclass(frozen=True)
class Verdict:
    """A yes/no endpoint of one patient. `pending`: the time frame is not over and a report may still come."""

    answer: Answer
    reason: str
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """One event that a value came from, and what it says there."""

    event_id: str
    occurred: date
    items: tuple[tuple[str, str], ...] = ()
    """(field, value) as recorded."""

    def __str__(self) -> str:
        said = ", ".join(f"{k} {v}" for k, v in self.items)
        return f"{self.event_id} of {self.occurred}" + (f" ({said})" if said else "")


@dataclass(frozen=True)
class Value:
    """One endpoint value of one patient at a cut."""

    code: str
    """pcr, pcr.no-dcis, pcr.breast, rcb, rcb01, efs, efs.MAP, os, dfi, response, conservation, rdi.DRUG, ae.TERM."""
    label: str
    status: Status
    text: str
    """The value as printed: `yes`, `RCB-I (1.205)`, `event on day 300`."""
    reason: str
    """Why it is so; where it is not evaluable, pending or censored, why that."""
    rule: str
    """The definition that was applied, with its version and source."""
    would_change: str
    """What further data would change it."""
    sources: tuple[Source, ...] = ()
    on: date | None = None
    """The date of the value: of the report, the event, the censoring, the worst grade."""
    number: float | None = None
    unit: str = ""
    public: str | None = None
    """The reason as run names and artifacts may say it, where it is another: without what a blinded read says."""
    shown: bool = True
    """Whether they may say the value itself."""
    supersedes: tuple[str, ...] = ()
    """Which earlier reports were replaced by those that count, and what that changed."""

    @property
    def displayed(self) -> tuple[str, str]:
        """Value and reason as run names and artifacts may say them."""
        return (self.text, self.public or self.reason) if self.shown else (HIDDEN, HIDDEN)

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The events it came from."""
        return tuple(s.event_id for s in self.sources)


SAYS: dict[str, tuple[str, ...]] = {
    "pathology": (
        "read", "status", "side", "ypt", "ypn", "d1_mm", "d2_mm", "cellularity_pct", "in_situ_pct", "nodes_positive",
        "nodes_removed", "largest_met_mm",
    ),
    "surgery": ("breast", "axilla", "margin"), "progression": ("operable", "site"), "recurrence": ("site", "invasive"),
    "second_primary": ("kind",), "death": ("cause",), "withdrawal": ("scope",), "imaging": ("response", "sum_mm"),
    "disease_assessment": ("status", "adequate"), "new_therapy": ("therapy",), "adverse_event": ("term", "grade"),
    "cycle_given": ("cycle",), "dose_changed": ("drug", "action", "dose"), "form_received": ("visit", "form"),
}  # fmt: skip
"""Type of event -> the fields of it that endpoint values rest on."""


def sources(facts: Iterable[ev.AnyFact], ids: Iterable[str]) -> tuple[Source, ...]:
    """Return the sources with these ids, in the order of the ids."""
    known = {f.id: f for f in facts}
    return tuple(source(known[i]) for i in dict.fromkeys(ids) if i in known)


def source(fact: ev.AnyFact) -> Source:
    """Return an event with the fields that endpoint values rest on."""
    said = ((name, getattr(fact, name)) for name in SAYS.get(fact.type, ()))
    return Source(fact.id, fact.occurred, tuple((n, str(v)) for n, v in said if v is not None))


def of_verdict(
    verdict: Verdict, facts: Iterable[ev.AnyFact], *, code: str, label: str, rule: str, would_change: str
) -> Value:
    """Return a yes/no endpoint as a value."""
    status: Status = "known" if verdict.answer in ("yes", "no") else verdict.answer  # type: ignore[assignment]
    found = sources(facts, verdict.event_ids)
    return Value(
        code, label, status, verdict.answer.replace("_", " "), verdict.reason, rule, would_change, found,
        on=max((s.occurred for s in found), default=None),
        number={"yes": 1.0, "no": 0.0}.get(verdict.answer),
    )  # fmt: skip


def of_time(
    time: TimeToEvent, facts: Iterable[ev.AnyFact], *, code: str, label: str, rule: str, would_change: str
) -> Value:
    """Return a time-to-event endpoint as a value; its number is the time in days."""
    status: dict[str, Status] = {"event": "known", "censored": "censored", "not started": "not_applicable"}
    found = sources(facts, time.event_ids)
    number = None if time.days is None else float(time.days)
    return Value(
        code, label, status[time.status], str(time), time.reason, rule, would_change, found, time.on, number, "days"
    )
