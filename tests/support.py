"""Helpers for tests: facts in few words, and an engine on a real log in a temporary folder, with a clock to set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Form, Study
from neotorch.engine import Admission, Engine
from neotorch.plan import Plan, Step
from neotorch.settings import Settings, load_study

STUDY_ID = "neotorch-breast03"
SUBJECT = "NT-001"
ZONE = ZoneInfo("Asia/Shanghai")
START = date(2026, 1, 19)
"""C1D1 of the stories; a Monday."""


@cache
def study() -> Study:
    """The study file that ships."""
    return load_study(Settings())


def day(number: int, start: date = START) -> date:
    """Study day as a date: day 1 is the first dose, there is no day 0."""
    return start + timedelta(number - 1 if number > 0 else number)


def at(on: date, clock: str = "12:00") -> datetime:
    """An instant of a day at the site, in UTC."""
    return datetime.combine(on, time.fromisoformat(clock), tzinfo=ZONE).astimezone(UTC)


def fact(kind: str, on: date | str, /, subject: str = SUBJECT, **fields: Any) -> ev.AnyFact:
    """A fact; its id is made from kind and date unless given."""
    body = {
        "type": kind,
        "id": f"{subject}.{kind}.{on}",
        "study": STUDY_ID,
        "subject": subject,
        "occurred": on,
        **fields,
    }
    return ev.FACT.validate_python(body)


def learnt(events: Iterable[ev.AnyFact | ev.AnyEffect], when: datetime | None = None) -> list[ev.Recorded]:
    """Events as a log would hold them, in the order given."""
    when = when or datetime(2026, 6, 1, tzinfo=UTC)
    return [
        ev.Recorded.model_construct(seq=n, recorded_at=when, event=e, prev_hash="", hash="")
        for n, e in enumerate(events, 1)
    ]


def state_of(events: Iterable[ev.AnyFact | ev.AnyEffect], subject: str = SUBJECT) -> PatientState:
    """The folded state of a few events."""
    return fold(learnt(events), subject)


# ── what a journey is made of ─────────────────────────────────────────────────────────────────────────────────────


def consent(on: date | str, subject: str = SUBJECT) -> ev.AnyFact:
    """Consent at the study's site; id `consent`."""
    return fact("consent", on, subject, id=f"{subject}.consent", site="S01", icf_version="1.0")


def cycle(number: int, on: date | str, subject: str = SUBJECT, **fields: Any) -> ev.AnyFact:
    """Day 1 of a cycle with the drugs that the study file plans for it; id `C2D1`."""
    drugs = [
        {"drug": d.code, "dose": d.dose} if d.dose else {"drug": d.code} for d in study().drugs if number in d.cycles
    ]
    return fact(
        "cycle_given", on, subject, **{"id": f"{subject}.C{number}D1", "cycle": number, "drugs": drugs, **fields}
    )


def surgery(on: date | str, subject: str = SUBJECT, **fields: Any) -> ev.AnyFact:
    """The operation; id `SURG`."""
    plain = {"breast": "breast_conserving", "axilla": "sentinel", "margin": "clear"}
    return fact("surgery", on, subject, **{"id": f"{subject}.SURG", **plain, **fields})


CLEAN = {
    "ypt": "ypT0", "ypn": "ypN0", "d1_mm": 20, "d2_mm": 15, "cellularity_pct": 0, "in_situ_pct": 0,
    "nodes_positive": 0, "nodes_removed": 3, "largest_met_mm": 0, "miller_payne": 5,
}  # fmt: skip
RESIDUAL = CLEAN | {
    "ypt": "ypT1c", "cellularity_pct": 10, "miller_payne": 3, "er_pct": 90, "pr_pct": 70, "her2": "1+", "ki67_pct": 12,
}  # fmt: skip


def pathology(on: date | str, subject: str = SUBJECT, **fields: Any) -> ev.AnyFact:
    """A complete local report of a pCR, unless told otherwise; id `PATH`."""
    return fact("pathology", on, subject, **{"id": f"{subject}.PATH", **CLEAN, **fields})


ORDINARY = {
    "ANC": 3.5, "PLT": 220, "HB": 125, "ALT": 25, "AST": 24, "BILI": 12, "SBP": 118, "DBP": 76, "QTCF": 420,
    "LVEF_PCT": 64,
}  # fmt: skip
"""What opens every gate; other numbers are the middle of what is plausible."""


def value_of(form: Form, name: str) -> Any:
    """An ordinary answer to one item."""
    item = form.items[name]
    if name in ORDINARY:
        return ORDINARY[name]
    match item.kind:
        case "boolean":
            return True
        case "choice":
            return item.choices[0]
        case "number" | "integer":
            low, high = item.low if item.low is not None else 0, item.high if item.high is not None else 100
            return int((low + high) / 2)
        case _:
            return "x"


def forms(visit: str, on: date | str, subject: str = SUBJECT, without: Sequence[str] = ()) -> list[ev.AnyFact]:
    """All that is due at a visit, answered; `without` names forms (CBC) or items (CBC.ANC) that are left out."""
    found: list[ev.AnyFact] = []
    for due in study().visit_by_code[visit].due:
        form = study().form_by_code[due.form]
        names = [i for i in due.items or form.items if f"{form.code}.{i}" not in without]
        if form.code in without or not names:
            continue
        name = f"{subject}.{visit}.{form.code}"
        match form.event:
            case None:
                items = {i: value_of(form, i) for i in names}
                found.append(fact("form_received", on, subject, id=name, visit=visit, form=form.code, items=items))
            case "imaging":
                first = visit == "SCR"
                scan = {"modality": ["US"], "sum_mm": 40 if first else 20, "response": "BASELINE" if first else "PR"}
                found.append(fact("imaging", on, subject, id=name, visit=visit, **scan))
            case "disease_assessment":
                found.append(fact("disease_assessment", on, subject, id=name, visit=visit, status="free"))
            case _:
                pass  # told by a fact of its own: eligibility, cycle, surgery, pathology
    return found


def screened(start: date = START, subject: str = SUBJECT) -> list[ev.AnyFact]:
    """Consent two weeks before C1D1, eligible, enrolled, every screening form answered five days before."""
    return [
        consent(start - timedelta(14), subject),
        fact("eligibility", start - timedelta(5), subject, id=f"{subject}.eligibility", eligible=True),
        fact("enrolment", start - timedelta(5), subject, id=f"{subject}.enrolment", planned_start=start),
        *forms("SCR", start - timedelta(5), subject),
    ]


def course(count: int, start: date = START, subject: str = SUBJECT) -> list[ev.AnyFact]:
    """So many cycles on their days, with all visits held and all forms answered."""
    found: list[ev.AnyFact] = []
    for visit in study().visits:
        on = _planned(visit.code, count, start)
        if on is not None:
            given = [cycle(visit.cycle, on, subject)] if visit.cycle else []
            found += [*given, *forms(visit.code, on, subject)]
    return found


def _planned(visit: str, count: int, start: date) -> date | None:
    number, _, within = visit.removeprefix("C").partition("D")
    if visit.startswith("IMG"):
        before = 2 * int(visit[-1]) + 1
        return start + timedelta(21 * (before - 1) - 2) if before <= count else None
    if visit.startswith("C") and number.isdigit() and int(number) <= count:
        return start + timedelta(21 * (int(number) - 1) + int(within) - 1)
    return None


# ── amended protocols ─────────────────────────────────────────────────────────────────────────────────────────────


def trial_fact(kind: str, on: date, **fields: Any) -> ev.AnyTrialFact:
    """A fact about the trial."""
    return ev.TRIAL_FACT.validate_python({"type": kind, "study": STUDY_ID, "occurred": on, **fields})


def adopted(new: Study, on: date) -> ev.AnyTrialFact:
    """The adoption of a version."""
    assert new.amendment
    body = {"version": new.version, "amends": new.amendment.amends, "definition": new.definition}
    return trial_fact("protocol_amended", on, id=f"protocol/{new.version}", **body)


def activated(version: str, on: date, site: str = "S01", **fields: Any) -> ev.AnyTrialFact:
    """The activation of a version at a site."""
    return trial_fact(
        "amendment_activated", on, **{"id": f"active/{version}/{site}", "version": version, "site": site, **fields}
    )


# ── a trial on a clock that can be set ────────────────────────────────────────────────────────────────────────────


class Trial:
    """An engine on a SQLite log in a folder, with a clock that stands still until it is moved."""

    def __init__(self, folder: Path, now: datetime | None = None, **settings: Any) -> None:
        """Open (or open again) the folder's log; `settings` as in Settings."""
        self.now = now or at(START - timedelta(30))
        self.engine = Engine.open(Settings(data_dir=folder, **settings), clock=lambda: self.now)

    def tell(self, *facts: ev.AnyFact, **options: bool) -> list[Admission]:
        """Record facts at the clock's instant; every one must be taken."""
        found = self.engine.record(facts, **options)
        refused = [f"{a.fact.id}: {r.field}: {r.what}" for a in found for r in a.refusals]
        assert not refused, refused
        return found

    def wake(self, subject: str = SUBJECT, limit: int = 20) -> list[Step]:
        """Plan and perform until nothing is left to do now; returns all steps done."""
        done: list[Step] = []
        for _ in range(limit):
            self.plan = plan = self.engine.plan(subject)
            if not plan.steps:
                return done
            self.engine.mark_seen(subject, plan.seen)
            for step in plan.steps:
                self.engine.perform_now(subject, step)
            done += plan.steps
        raise AssertionError(f"not quiet after {limit} rounds: {[s.name for s in plan.steps]}")

    def sleep_until(self, then: datetime, subject: str = SUBJECT) -> Plan:
        """Let time pass to `then` as the journey lives it: asleep until its own next instant, awake at each."""
        self.wake(subject)
        for _ in range(2000):
            if self.plan.until is None or self.plan.until > then:
                break
            assert self.plan.until > self.now, "a journey must not sleep until a moment that is over"
            self.now = self.plan.until
            self.wake(subject)
        self.now = then
        return self.engine.plan(subject)

    def open_queries(self, subject: str = SUBJECT) -> set[str]:
        """Keys of the open queries, without the subject."""
        trails = self.engine.state(subject).queries
        return {q.removeprefix(f"{subject}/") for q, t in trails.items() if t.open}

    def open_deviations(self, subject: str = SUBJECT) -> set[str]:
        """Keys of the deviations that the data show, without the subject."""
        trails = self.engine.state(subject).deviations
        return {k.removeprefix(f"{subject}/deviation/") for k, t in trails.items() if t.open}

    def sent(self, subject: str = SUBJECT) -> dict[str, datetime]:
        """Notices that got out, without subject, role and channel, and when."""
        trails = self.engine.state(subject).notices
        return {short_key(k, subject): t.sent.at for k, t in trails.items() if t.sent}


def short_key(key: str, subject: str = SUBJECT) -> str:
    """A delivery's key without subject, role and channel."""
    return key.removeprefix(f"{subject}/").removeprefix(f"{subject}.").rsplit("/", 2)[0]


def visits(trial: Trial, subject: str = SUBJECT) -> Mapping[str, Any]:
    """Visit code -> plan, at the trial's clock."""
    return {p.code: p for p in trial.engine.duties(subject)[1].plans}


def boundaries(first: date, last: date) -> Iterator[date]:
    """The days of a span and one on each side."""
    yield from (first + timedelta(n) for n in range(-1, (last - first).days + 2))


def told(kind: str, on: int, fields: dict[str, Any]) -> ev.AnyFact:
    """One fact of a study day; its fields may have any name."""
    common = {"type": kind, "study": STUDY_ID, "subject": SUBJECT, "occurred": day(on)}
    return ev.FACT.validate_python(common | fields)
