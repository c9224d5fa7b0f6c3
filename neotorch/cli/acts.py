"""What the demo plays live: things that happen in every trial, each to a patient to whom it can happen today.

An act is nothing but facts, recorded as `neotorch record` would; all that follows from them is the engine's doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.engine import Engine
from neotorch.rules import Duties
from neotorch.rules.schedule import VisitPlan
from neotorch.simulation.values import value

LONGEST_SHIFT_DAYS = 12


@dataclass(frozen=True)
class Act:
    """Facts about one patient, and what they mean. `endpoints`: the trial's figures follow."""

    title: str
    tale: str
    facts: tuple[ev.AnyFact, ...]
    endpoints: bool = False

    @property
    def subject(self) -> str:
        """The patient's code."""
        return self.facts[0].subject


Patient = tuple[PatientState, Duties]


def visit_enters_window(engine: Engine) -> Act | None:
    """A cycle is put off, so that its new window opens now."""
    today = engine.today()
    ready = [
        (abs((plan.window.target - today).days), state, plan)
        for state, plan in _next_cycles(engine)
        if plan.window and today - timedelta(4) <= plan.window.target <= today + timedelta(2)
    ]
    if not ready:
        return None
    _, state, plan = min(ready, key=lambda r: (r[0], r[1].subject))
    assert plan.window is not None
    zone = ZoneInfo(engine.study.site(state.site).time_zone)
    early = engine.clock().astimezone(zone).hour < engine.study.reminders.hour  # today's reminders have yet to go out
    until = today + timedelta(plan.visit.timing[0].window_days_before - early)
    fact = _fact(
        engine, state, "cycle_delayed", today, f"{plan.code}-delay", cycle=plan.visit.cycle, until=until,
        cause="neutropenia",
    )  # fmt: skip
    tale = f"{plan.code} of {state.subject} is put off from {plan.window.target} to {until}: its window opens now."
    return Act("A visit enters its window", tale, (fact,))


def item_is_missing(engine: Engine) -> Act | None:
    """A cycle's day 1 is entered some days late, and one value of the blood count is not there."""
    latest = engine.today() - timedelta(engine.study.queries.raise_after_days)
    ready = [(p.window.target, s, p) for s, p in _next_cycles(engine) if p.window and p.window.opens <= latest]
    if not ready:
        return None
    target, state, plan = min(ready, key=lambda r: (r[0], r[1].subject))
    on = min(target, latest)
    number = plan.visit.cycle or 1
    facts = [_fact(engine, state, "cycle_given", on, plan.code, cycle=number, drugs=_drugs(engine, state, number))]
    items = _answers(engine, state, plan)
    form, item = _asked_before_a_dose(engine, items)
    del items[form][item]
    facts += [_form(engine, state, plan.code, on, f, answers) for f, answers in items.items() if answers]
    tale = f"{plan.code} of {state.subject}, held on {on}, is entered today: {len(facts) - 1} forms, without {item}."
    return Act("A form lacks an item", tale, tuple(facts))


def item_is_supplied(engine: Engine) -> Act | None:
    """The value that was missing comes in."""
    asked = [
        (trail.raised_at[trail.round], state, trail.raised[trail.round])
        for state, _ in _patients(engine)
        for trail in state.queries.values()
        if trail.open and trail.raised[trail.round].kind == "missing"
    ]
    found = max(asked, key=lambda a: a[0], default=None)
    if found is None or found[2].visit is None:
        return None
    _, state, query = found
    visit, form, item = str(query.visit), query.query.rpartition("/")[2], query.items[0]
    definition = engine.study.form_by_code[form]
    held = next(p.held_on for p in engine.duties(state.subject)[1].plans if p.code == visit)
    if definition.event is not None or held is None:
        return None
    answers = {i: value(Random(state.subject), i, definition.items[i]) for i in query.items}  # noqa: S311 - a story
    fact = _form(engine, state, visit, held, form, answers, tail="-supplied")
    return Act("The item is supplied", f"The site sends {item} of {visit} after all.", (fact,))


def pathology_arrives(engine: Engine) -> Act | None:
    """A complete response, of somebody operated whose report is awaited."""
    waiting = [s for s, d in _patients(engine) if s.surgery and not s.pathologies and not d.ended]
    if not waiting:
        return None
    state = min(waiting, key=lambda s: (s.surgery.occurred if s.surgery else date.max, s.subject))
    report = {
        "ypt": "ypT0", "ypn": "ypN0", "d1_mm": 16.0, "d2_mm": 11.0, "cellularity_pct": 0.0, "in_situ_pct": 0.0,
        "nodes_positive": 0, "nodes_removed": 4, "largest_met_mm": 0.0, "miller_payne": 5,
    }  # fmt: skip
    fact = _fact(engine, state, "pathology", engine.today(), "pathology", **report)
    assert state.surgery is not None
    tale = f"{state.subject}, operated on {state.surgery.occurred}: ypT0 ypN0, a scar of 16 x 11 mm, no cancer in it."
    return Act("A pathology report arrives", tale, (fact,), endpoints=True)


def recurrence_is_found(engine: Engine) -> Act | None:
    """A distant recurrence, found yesterday by imaging."""
    on = engine.today() - timedelta(1)
    free = [s for s in _followed(engine) if not s.recurrences and max(f.occurred for f in s.facts) < on]
    if not free:
        return None
    state = max(free, key=lambda s: (_worst_class_first(engine, s), s.subject))
    fact = _fact(engine, state, "recurrence", on, "RECUR", site="distant", basis="imaging")
    assert state.surgery is not None
    months = (on - state.surgery.occurred).days / 30.4375
    tale = f"{state.subject}, {months:.0f} months after surgery: distant metastases on imaging of {on}."
    return Act("A recurrence is found", tale, (fact,), endpoints=True)


def surgery_date_is_corrected(engine: Engine) -> Act | None:
    """An operation was some days later than recorded; chosen so that a visit already announced has a new date."""
    shifts = [(*found, s) for s in _followed(engine) if (found := _shift(engine, s))]
    if shifts:
        days, told, state = min(shifts, key=lambda f: (f[0], f[2].subject))
        tail = f" {told.code} on {told.window.target if told.window else ''} has been announced."
    else:
        followed = _followed(engine)
        if not followed:
            return None
        days, state, tail = 1, followed[-1], ""
    surgery = state.surgery
    assert surgery is not None
    on = surgery.occurred + timedelta(days)
    fields = {k: v for k, v in surgery.body.items() if k in ("breast", "axilla", "margin")}
    why = "the day of admission had been entered"
    fact = _fact(engine, state, "surgery", on, "surgery-corrected", corrects=surgery.id, reason=why, **fields)
    tale = f"{state.subject} was operated on {on}, not on {surgery.occurred}.{tail}"
    return Act("A surgery's date is corrected", tale, (fact,))


ACTS: tuple[Callable[[Engine], Act | None], ...] = (
    visit_enters_window, item_is_missing, item_is_supplied, pathology_arrives, recurrence_is_found,
    surgery_date_is_corrected,
)  # fmt: skip
"""In the order in which they are played."""


# ── who it can happen to ──────────────────────────────────────────────────────────────────────────────────────────────


def _patients(engine: Engine) -> Iterator[Patient]:
    for subject in engine.subjects():
        yield engine.duties(subject)


def _next_cycles(engine: Engine) -> Iterator[tuple[PatientState, VisitPlan]]:
    """Yield patients on treatment with the next cycle's day 1, unless it has been put off."""
    for state, due in _patients(engine):
        following = max(state.cycles, default=0) + 1
        plan = next((p for p in due.plans if p.visit.cycle == following and p.visit.held_by == "cycle"), None)
        if due.phase == "treatment" and plan and plan.window and following not in state.delays:
            yield state, plan


def _followed(engine: Engine) -> list[PatientState]:
    return [
        s for s, d in _patients(engine)
        if d.phase == "follow_up" and not d.ended and s.surgery and s.pathologies and not s.lost and not s.recurrences
    ]  # fmt: skip


def _worst_class_first(engine: Engine, state: PatientState) -> float:
    values = engine.patient_endpoints(state, engine.today())
    return values.rcb.index or 0.0 if values.rcb else 0.0


def _shift(engine: Engine, state: PatientState) -> tuple[int, VisitPlan] | None:
    """Return by how many days the surgery must move to take a visit that was announced out of its open window."""
    assert state.surgery is not None
    room = min((p.occurred for p in state.pathologies), default=engine.today()) - state.surgery.occurred
    for plan in engine.duties(state.subject)[1].plans:
        if plan.held_on or plan.window is None or plan.status not in ("open", "due", "late"):
            continue
        days = (engine.today() - plan.window.opens).days + 1
        key = f"{state.subject}/{plan.code}/"
        told = any(k.startswith(key) and f"/{plan.window.target}/" in k and t.sent for k, t in state.notices.items())
        hangs = plan.because.anchor is not None and plan.because.anchor.name == "surgery"
        if told and hangs and days <= min(LONGEST_SHIFT_DAYS, room.days):
            return days, plan
    return None


# ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fact(engine: Engine, state: PatientState, kind: str, on: date, tail: str, **fields: Any) -> ev.AnyFact:
    head = {"type": kind, "id": f"live/{state.subject}-{tail}", "study": engine.study.id, "subject": state.subject}
    return ev.FACT.validate_python({**head, "occurred": on, "actor": "crc.01", **fields})


def _form(  # noqa: PLR0917 - what a form consists of
    engine: Engine, state: PatientState, visit: str, on: date, form: str, items: dict[str, Any], tail: str = ""
) -> ev.AnyFact:
    return _fact(engine, state, "form_received", on, f"{visit}-{form}{tail}", visit=visit, form=form, items=items)


def _answers(engine: Engine, state: PatientState, plan: VisitPlan) -> dict[str, dict[str, Any]]:
    """Return form -> item -> an ordinary answer, for all that is due at the visit."""
    rng = Random(f"{state.subject}/{plan.code}")  # noqa: S311 - a story
    forms = [(due, engine.study.form_by_code[due.form]) for due in plan.visit.due]
    return {
        form.code: {i: value(rng, i, form.items[i]) for i in due.items or form.items}
        for due, form in forms if form.event is None
    }  # fmt: skip


def _asked_before_a_dose(engine: Engine, items: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """Return the first value that the gate of a dose looks at and that is due, else the first of the longest form."""
    safety = engine.study.safety
    names = [c.value for gate in safety.dose_gates for c in gate.conditions] if safety else []
    places = [safety.values[name] for name in names] if safety else []
    longest = max(items, key=lambda form: len(items[form]))
    due = [(p.form, p.item) for p in places if p.item in items.get(p.form, {})]
    return due[0] if due else (longest, next(iter(items[longest])))


def _drugs(engine: Engine, state: PatientState, number: int) -> list[dict[str, Any]]:
    """Return the drugs planned for a cycle, without those that were stopped."""
    stopped = {c.drug for c in state.dose_changes if c.action == "stopped"}
    planned = [d for d in engine.study.drugs if number in d.cycles and d.code not in stopped]
    return [{"drug": d.code, "dose": d.dose} if d.dose else {"drug": d.code} for d in planned]
