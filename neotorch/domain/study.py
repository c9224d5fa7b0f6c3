"""The study definition: a dated, versioned YAML file, validated here, with a source beside each value.

What the registry entry does not say is configuration and carries `assumption: true`. Days are calendar days from one
anchor fact; windows are inclusive. A problem in the file is reported with its path and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from neotorch.domain.analysis_plan import Endpoints
from neotorch.domain.checks import Checks, OnlyIf
from neotorch.domain.dates import parse_date
from neotorch.domain.deviations import Deviations
from neotorch.domain.events import CYCLES_MAX, EXTRA_CYCLES_MAX, Code, Drug, StudyVersion
from neotorch.domain.safety import Safety
from neotorch.domain.sourced import Model, Sourced, Words
from neotorch.domain.workdays import table

Days = Annotated[int, Field(ge=-2000, le=4000)]
Span = Annotated[int, Field(ge=0, le=400)]
Phase = Literal["screening", "treatment", "surgery", "follow_up"]
PHASES: tuple[Phase, ...] = ("screening", "treatment", "surgery", "follow_up")
ANCHOR = re.compile(
    r"^(consent|planned_start|enrolment|surgery|pathology|progression|recurrence|last_cycle|last_dose|cycle\.\d{1,2}"
    r"|last_dose\.[A-Za-z0-9_.+-]+|visit\.[A-Za-z0-9_.+-]+)$"
)


class Site(Sourced):
    """A centre."""

    code: Code
    name: Words
    time_zone: str
    languages: Annotated[list[Literal["en", "zh"]], Field(min_length=1)]
    calendar: str | None = None
    """Public holidays, by country or part of one (CN, US-NY); none: every day is a working day."""
    closed: list[Annotated[date, BeforeValidator(parse_date)]] = []
    """Further days on which nobody works here."""
    worked: list[Annotated[date, BeforeValidator(parse_date)]] = []
    """Days worked in spite of weekend or holiday."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{value!r} is not a time zone; use an IANA name such as Asia/Shanghai") from None
        return value

    @field_validator("calendar")
    @classmethod
    def _known_calendar(cls, value: str | None) -> str | None:
        if value is not None:
            table(value)
        return value


class DrugDefinition(Sourced):
    """A study drug and its days within a cycle."""

    code: Drug
    label: Words
    unit: str
    dose: Annotated[float, Field(gt=0)] | None
    levels: list[float] = []
    """Doses from the full one down; empty where the drug is delayed or stopped but never reduced."""
    days: Annotated[int, Field(ge=1, le=28)] = 1
    """Number of consecutive days from day 1 of each cycle."""
    cycles: Annotated[list[int], Field(min_length=1)]


class ExtraCycles(Model):
    """Cycles that may be given beyond the planned ones; each has a day-1 visit like that of a planned one."""

    most: Annotated[int, Field(ge=1, le=EXTRA_CYCLES_MAX)]
    like: Code
    """Visit whose forms are due at an extra day 1."""
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,19}\{n\}[A-Za-z0-9_.+-]{0,15}$")] = (
        "C{n}D1"
    )
    """Code of such a visit; {n} stands for the cycle's number."""

    def code_of(self, number: int) -> str:
        """Return the code of an extra cycle's day-1 visit."""
        return self.code.replace("{n}", str(number))


class Cycles(Sourced):
    """The treatment course."""

    count: Annotated[int, Field(ge=1, le=CYCLES_MAX)]
    extra: ExtraCycles | None = None
    length_days: Annotated[int, Field(ge=7, le=42)]
    clock_drug: Drug
    """Cycles follow this drug's day 1; when it is stopped, treatment has ended."""


class Item(Model):
    """One value on a form."""

    label: Words
    kind: Literal["number", "integer", "text", "date", "boolean", "choice"] = "number"
    unit: str | None = None
    low: float | None = None
    """Plausible limits, inclusive; beyond them intake refuses the value."""
    high: float | None = None
    choices: list[str] = []
    only_if: OnlyIf | None = None
    """Asked only when so: receptors are not assessable where no invasive cancer is left."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}, so no value could be taken; swap them")
        return self


class Form(Sourced):
    """A group of items. With `event`, the items are fields of that kind of fact rather than of a received form."""

    code: Code
    label: Words
    event: Literal["imaging", "surgery", "pathology", "cycle_given", "disease_assessment", "eligibility"] | None = None
    where: dict[str, str] = {}
    """With `event`: only facts whose fields have these values, e.g. read: central."""
    items: dict[Code, Item]


def known_anchor(value: str) -> str:
    """Return the name if it is one that windows can hang on; ValueError otherwise."""
    if not ANCHOR.match(value):
        raise ValueError(
            f"{value!r} is not an anchor; use consent, planned_start, enrolment, cycle.N, last_cycle, last_dose, "
            "last_dose.DRUG, surgery, pathology, progression, recurrence or visit.CODE"
        )
    return value


def _side(value: int) -> int:
    if value < 0:
        raise ValueError("the window would close before it opens; give 0 or more days on each side of the target day")
    return value


Side = Annotated[int, Field(le=400), AfterValidator(_side)]


class Timing(Model):
    """anchor + offset with an inclusive window, all in calendar days. Of several anchors the latest counts."""

    anchor: str | Annotated[list[str], Field(min_length=2, max_length=4)]
    offset_days: Days
    window_days_before: Side
    window_days_after: Side

    @field_validator("anchor")
    @classmethod
    def _known_anchors(cls, value: str | list[str]) -> str | list[str]:
        for name in [value] if isinstance(value, str) else value:
            known_anchor(name)
        return value

    @property
    def anchors(self) -> tuple[str, ...]:
        """Names of the anchors; the window hangs on the latest and waits until all are known."""
        return (self.anchor,) if isinstance(self.anchor, str) else tuple(self.anchor)


class NotBefore(Model):
    """The window opens at the earliest this many days after the anchor (a wash-out)."""

    anchor: str
    days: Annotated[int, Field(ge=0, le=400)]

    _known_anchor = field_validator("anchor")(known_anchor)


class Due(Model):
    """A form due at a visit; `items` narrows it, `within_days` bounds how old its values may be."""

    form: Code
    items: list[Code] = []
    within_days: Annotated[int, Field(ge=0, le=400)] | None = None
    of: Annotated[str, AfterValidator(known_anchor)] | None = None
    """The fact on whose day the values are to be that fresh; left out: the visit itself."""

    @model_validator(mode="after")
    def _days_of_something(self) -> Self:
        if self.of and self.within_days is None:
            raise ValueError("`of` says what within_days counts from; give within_days too")
        return self


def _listed(value: object) -> object:
    return [value] if isinstance(value, dict) else value


def _due(value: object) -> object:
    return {"form": value} if isinstance(value, str) else value


class Visit(Sourced):
    """One visit of the schedule of activities."""

    code: Code
    label: Words
    phase: Phase
    held_by: Literal[
        "visit", "eligibility", "cycle", "imaging", "surgery", "pathology_local", "pathology_central", "disease_status"
    ]
    """Which fact shows that it took place. Any visit is also held by `visit_held` or a form received for it."""
    cycle: int | None = None
    timing: Annotated[list[Timing], Field(min_length=1)]
    """Alternatives: the first whose anchor is known counts."""
    not_before: Annotated[list[NotBefore], BeforeValidator(_listed)] = []
    needs: Literal["treatment", "before_surgery", "surgery", "none"]
    """What must be so for the visit to be expected: on treatment; not operated yet; operated; nothing."""
    ladder: Code = "default"
    """Which of the study's reminder ladders it has."""
    missed_after_days: Annotated[int, Field(ge=0, le=400)] | None
    """Days after the window closes from which it counts as missed; null: stays overdue until the site says."""
    due: list[Annotated[Due, BeforeValidator(_due)]]

    @property
    def anchors(self) -> tuple[str, ...]:
        """Names of all facts that the visit's window may hang on."""
        return (*(a for t in self.timing for a in t.anchors), *(n.anchor for n in self.not_before))


Says = Literal["ahead", "opens", "closing", "overdue"]


class Rung(Model):
    """A reminder: `days` after (negative: before) one of the window's boundaries, at the study's notice hour.

    On a day off it comes on the working day before, an overdue one on the next. With `roles` it is an escalation: it goes
    to them, and only if nobody has taken note of the matter (`notice_seen`).
    """

    name: Annotated[Code, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,19}$")]
    says: Says
    at: Literal["opens", "target", "closes"]
    days: Annotated[int, Field(ge=-60, le=60)]
    roles: list[Code] = []


class Quiet(Model):
    """Local hours in which only what must never be lost goes out; the rest waits for `to_hour`."""

    from_hour: Annotated[int, Field(ge=0, le=23)]
    to_hour: Annotated[int, Field(ge=0, le=23)]


class Reminders(Sourced):
    """When reminders go out, in the site's local time."""

    hour: Annotated[int, Field(ge=0, le=23)]
    digest_hour: Annotated[int, Field(ge=0, le=23)] = 9
    """When the day's digest goes to those who want one mail a day, or have had as many as they take."""
    quiet: Quiet | None = None
    ladders: Annotated[dict[Code, Annotated[list[Rung], Field(min_length=1)]], Field(min_length=1)]
    """Name -> rungs; a visit that names none has `default`."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if "default" not in self.ladders:
            raise ValueError("ladders has no `default`; every visit without a ladder of its own uses it")
        for name, rungs in self.ladders.items():
            codes = [r.name for r in rungs]
            twice = next((c for c in codes if codes.count(c) > 1), None)
            if twice:
                raise ValueError(
                    f"ladders.{name} has two rungs called {twice!r}; a reminder is known by its rung's name"
                )
        if self.quiet and self.quiet.from_hour == self.quiet.to_hour:
            raise ValueError("quiet: from_hour and to_hour are the same; leave quiet out to send at any hour")
        return self


class Escalation(Model):
    """Who else hears of a query that is still open on the morning of its day `after_days`."""

    after_days: Annotated[int, Field(ge=1, le=400)]
    roles: Annotated[list[Code], Field(min_length=1)]


class Queries(Sourced):
    """When a missing item becomes a query, and who hears of one that stays open. The day it was raised is day 0."""

    raise_after_days: Annotated[int, Field(ge=0, le=60)]
    remind_every_days: Annotated[int, Field(ge=1, le=400)]
    remind_for_days: Annotated[int, Field(ge=1, le=4000)] | None = None
    """Days after which nobody is reminded any more; the worklist and the figures keep the query. Left out: no end."""
    escalate: list[Escalation] = []
    asked_by: list[Code] = []
    """Roles that ask queries themselves; they hear of the answers."""

    @model_validator(mode="after")
    def _reminded_before_the_end(self) -> Self:
        if self.remind_for_days is not None and self.remind_for_days < self.remind_every_days:
            raise ValueError(
                f"the first reminder comes after {self.remind_every_days} d and reminders end after "
                f"{self.remind_for_days} d, so there would be none; raise remind_for_days or lower remind_every_days"
            )
        return self

    @field_validator("escalate")
    @classmethod
    def _later_each_time(cls, value: list[Escalation]) -> list[Escalation]:
        days = [e.after_days for e in value]
        if days != sorted(set(days)):
            raise ValueError(f"after_days must rise from one level to the next, and they are {days}")
        return value


Told = Literal[
    "reminder", "moved", "query", "safety", "endpoint", "incident", "deviation", "important_deviation", "boundary"
]
AS_BEFORE: dict[str, tuple[str, ...]] = {
    "deviation": ("query",), "important_deviation": ("query", "safety"), "boundary": ("endpoint", "incident"),
}  # fmt: skip
"""Kinds that a study file may leave out: told to those who are told these."""


class Read(Model):
    """Who has to do with one read of the specimen, and who must not learn of it before it is adjudicated."""

    asked: list[Code] = []
    """Who answers queries about it; for `adjudication`, who adjudicates. Left out: whoever is told of queries."""
    blind: list[Code] = []
    """Whoever is told of queries or endpoints and yet may not learn what it says."""
    shown: bool = True
    """Whether run names, task messages, worklists and artifacts may say what it says."""


class Recipients(Sourced):
    """Who is told what: kind of notice -> roles."""

    roles: dict[Code, Words]
    tell: dict[Told, list[Code]]
    reads: dict[Literal["local", "central", "adjudication"], Read] = {}
    """Read of the specimen -> who has to do with it."""

    def read(self, name: str) -> Read:
        """Return who has to do with a read; one that is not named is nobody's in particular and open to all."""
        return self.reads.get(name, Read())  # type: ignore[call-overload, no-any-return]

    def asked_about(self, read: str) -> tuple[str, ...]:
        """Return the roles that are asked about a read."""
        rule = self.read(read)
        return tuple(r for r in rule.asked or self.tell["query"] if r not in rule.blind)

    @field_validator("tell", mode="before")
    @classmethod
    def _as_before(cls, tell: Any) -> Any:
        if not isinstance(tell, dict):
            return tell
        lists = {kind: [tell[k] for k in likes if isinstance(tell.get(k), list)] for kind, likes in AS_BEFORE.items()}
        absent = {kind: lists_ for kind, lists_ in lists.items() if kind not in tell}
        return tell | {kind: sorted({str(role) for roles in found for role in roles}) for kind, found in absent.items()}

    @model_validator(mode="after")
    def _known_roles(self) -> Self:
        missing = [kind for kind in get_args(Told) if kind not in self.tell]
        if missing:
            raise ValueError(f"tell.{missing[0]} is missing; name the roles to be told, or [] for nobody")
        for kind, roles in self.tell.items():
            for role in roles:
                if role not in self.roles:
                    raise ValueError(f"tell.{kind} names the role {role!r}, which is not under roles")
        return self


class Amendment(Sourced):
    """What makes a version an amendment of the one before."""

    amends: StudyVersion
    reason: str
    reconsent: bool = True
    """Whether a patient moves on re-consent; if not, all of a site's patients move on the day it is activated there."""


@dataclass(frozen=True)
class Era:
    """The rules that a patient was under from a day on (None: from the beginning), until the next era."""

    since: date | None
    rules: Study


@dataclass(frozen=True)
class Offer:
    """An amendment in force at a patient's site to which the patient has not been asked to consent yet."""

    version: str
    since: date
    event_id: str


class Study(Model):
    """A whole study file; or, for a patient who has moved from one version to another, what holds for them."""

    id: Code
    version: StudyVersion
    amendment: Amendment | None = None
    valid_from: Annotated[date, BeforeValidator(parse_date)]
    title: Words
    short_title: str
    subject_pattern: str
    registry: dict[str, str]
    sites: Annotated[list[Site], Field(min_length=1)]
    drugs: Annotated[list[DrugDefinition], Field(min_length=1)]
    cycles: Cycles
    forms: list[Form]
    visits: list[Visit]
    reminders: Reminders
    queries: Queries
    checks: Checks = Checks()
    recipients: Recipients
    endpoints: Endpoints
    safety: Safety | None = None
    deviations: Deviations = Deviations()

    @field_validator("subject_pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        return value

    @model_validator(mode="after")
    def _references(self) -> Self:
        from neotorch.domain.references import check_references

        check_references(self)
        return self

    def for_patient(
        self, eras: Sequence[Era] = (), offers: Sequence[Offer] = (), older: Mapping[str, Study] | None = None,
        **parts: Any,
    ) -> Study:  # fmt: skip
        """Return these rules as they hold for one patient: `parts` replaced; `older` says which visit has which rules."""
        found = Study.model_construct(**{name: getattr(self, name) for name in Study.model_fields} | parts)
        vars(found).update(eras=tuple(eras) or found.eras, offers=tuple(offers), older=dict(older or {}))
        return found

    @property
    def definition(self) -> dict[str, Any]:
        """The whole content as plain values, from which the study can be made again: what the log keeps of a version."""
        return self.model_dump(mode="json", exclude_unset=True)

    @cached_property
    def eras(self) -> tuple[Era, ...]:
        """What to judge dated facts by: whoever moved to an amended protocol is judged by the one of the day."""
        return (Era(None, self),)

    def __copy__(self) -> Self:
        """Return a study of its own: nothing that was worked out from this one goes with it."""
        found = super().__copy__()
        for name in vars(found).keys() - type(self).model_fields.keys():
            del vars(found)[name]
        return found

    def on(self, day: date) -> Study:
        """Return the rules that the patient was under on a day."""
        return next((e.rules for e in reversed(self.eras) if e.since is None or e.since <= day), self)

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """Amendments that the patient is to be asked to consent to."""
        return ()

    @cached_property
    def older(self) -> Mapping[str, Study]:
        """Visit -> the earlier version that it is held by, also of those that an amendment took away."""
        return {}

    def rules_of(self, visit: str | None) -> Study:
        """Return the version that a visit is held by: what lay behind when a patient moved keeps its own."""
        return self.older.get(visit or "", self)

    def version_of(self, visit: str) -> str:
        """Return the name of the version that a visit is held by."""
        return self.rules_of(visit).version

    @cached_property
    def form_by_code(self) -> dict[str, Form]:
        """Forms by code."""
        return {f.code: f for f in self.forms}

    @cached_property
    def visit_by_code(self) -> dict[str, Visit]:
        """Visits by code."""
        return {v.code: v for v in self.visits}

    @cached_property
    def drug_by_code(self) -> dict[str, DrugDefinition]:
        """Drugs by code."""
        return {d.code: d for d in self.drugs}

    @cached_property
    def cycle_delay_days(self) -> int | None:
        """Return how many days a cycle may be put off: as the gate of the drug that the cycles follow says."""
        gates = self.safety.dose_gates if self.safety else []
        return next((g.max_delay_days for g in gates if self.cycles.clock_drug in g.drugs), None)

    @property
    def cycles_allowed(self) -> int:
        """Highest number of a cycle, extra ones included."""
        return self.cycles.count + (self.cycles.extra.most if self.cycles.extra else 0)

    def cycle_visit(self, number: int) -> Visit | None:
        """Return the day-1 visit of a cycle; that of an extra one is made after the visit it is to be like."""
        return self._cycle_visits.get(number)

    @cached_property
    def _cycle_visits(self) -> dict[int, Visit]:
        numbers = {*range(1, self.cycles_allowed + 1), *(v.cycle for v in self.visits if v.cycle)}
        return {n: v for n in numbers if (v := self._cycle_visit(n))}

    def _cycle_visit(self, number: int) -> Visit | None:
        planned = next((v for v in self.visits if v.cycle == number), None)
        extra = self.cycles.extra
        if planned or extra is None or not self.cycles.count < number <= self.cycles_allowed:
            return planned
        like = self.visit_by_code.get(extra.like)
        if like is None:  # an amendment took it away
            return None
        before = [t.model_copy(update={"anchor": f"cycle.{number - 1}"}) for t in like.timing]
        label = Words(en=f"extra cycle {number} day 1", zh=f"追加第{number}周期第1天")
        code = extra.code_of(number)
        return like.model_copy(
            update={"code": code, "cycle": number, "timing": before, "label": label, "needs": "none"}
        )

    def site(self, code: str | None) -> Site:
        """Return the site, or the first one where the code is not (yet) known."""
        return next((s for s in self.sites if s.code == code), self.sites[0])
