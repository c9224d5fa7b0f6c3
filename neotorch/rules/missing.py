"""Missing data: the items due at a held visit that nobody has answered yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Due, Form, Study
from neotorch.rules.schedule import Anchor, Because, VisitPlan, find_anchor


@dataclass(frozen=True)
class Finding:
    """Something in the data that a site has to answer; it becomes a query on `opens_on`."""

    query: str
    kind: str
    visit: str | None
    items: tuple[str, ...]
    title: str
    because: Because
    opens_on: date
    form: str | None = None
    """The form whose items are asked for, where it is one."""
    held_on: date | None = None
    """The day of the visit at which it was due."""
    read: str | None = None
    """The read of the specimen that it is about; who may not learn of that is not told of this."""
    roles: tuple[str, ...] | None = None
    """Whom it is for, in place of those who are told of queries."""
    public: str = ""
    """The title that run names, task messages and worklists may say, where it is another."""
    withheld: str = ""
    """Why, in words that only `explain` says."""

    @property
    def name(self) -> str:
        """The title as anybody may read it."""
        return self.public or self.title


def missing_items(state: PatientState, study: Study, plans: tuple[VisitPlan, ...]) -> tuple[Finding, ...]:
    """Return one finding per visit and form with unanswered items. Zero and a reasoned 'not done' are answers."""
    found: list[Finding] = []
    for plan in plans:
        if plan.held_on is None:
            continue
        for due in plan.visit.due:
            found.extend(_form(plan, due, study.form_by_code[due.form], state, study))
    return tuple(found)


def _form(plan: VisitPlan, due: Due, form: Form, state: PatientState, study: Study) -> list[Finding]:
    wanted, parts = due.items or form.items, state.forms.get((plan.code, form.code), ())
    named = parts[0].items if len(parts) == 1 else {i for p in parts for i in p.items}
    left = [i for i in wanted if i not in named]
    if not left and due.within_days is None:
        return []
    sources = _sources(plan, form, state)
    absent = tuple(i for i in left if _lacks(form, i, sources))
    found = [_asked(plan, form, absent, len(wanted), state, study)] if absent else []
    old = _too_old(plan, due, form, sources, state, study)
    return [*found, old] if old else found


def _asked(  # noqa: PLR0917 - all six are what the query says
    plan: VisitPlan, form: Form, absent: tuple[str, ...], wanted: int, state: PatientState, study: Study
) -> Finding:
    assert plan.held_on is not None
    few = len(absent) <= 2 or len(absent) < wanted
    what = ", ".join(absent) if few else f"{form.code} ({len(absent)} items)"
    because = Because(
        "item.missing", study.version_of(plan.code), plan.because.anchor, None, plan.evidence,
        f"{form.code} is due at {plan.code}, held on {plan.held_on}",
    )  # fmt: skip
    opens = plan.held_on + timedelta(study.queries.raise_after_days)
    key = f"{state.subject}/{plan.code}/{form.code}"
    title = f"{what} missing at {plan.code}"
    return Finding(key, "missing", plan.code, absent, title, because, opens, form.code, plan.held_on)


def _too_old(  # noqa: PLR0917 - all six are what the rule is about
    plan: VisitPlan, due: Due, form: Form, sources: list[ev.Event], state: PatientState, study: Study
) -> Finding | None:
    if due.within_days is None or not sources:
        return None
    fresh_at = fresh_for(due, plan, state, study)
    if fresh_at is None:
        return None
    newest = max(s.occurred for s in sources)
    if newest >= fresh_at.day - timedelta(due.within_days):
        return None
    detail = f"{form.code} of {newest} is older than {due.within_days} d at {fresh_at.name} on {fresh_at.day}"
    because = Because(
        "item.too-old", study.version_of(plan.code), event_ids=tuple(s.id for s in sources), detail=detail
    )
    key = f"{state.subject}/{plan.code}/{form.code}/too-old"
    title = f"{form.code} too old at {fresh_at.name}"
    return Finding(key, "too-old", plan.code, (form.code,), title, because, fresh_at.day, form.code, plan.held_on)


def fresh_for(due: Due, plan: VisitPlan, state: PatientState, study: Study) -> Anchor | None:
    """Return what the values of a due form must be fresh for: the visit, or the fact that the study file names.

    None while that has not happened; the day that a cycle was put off to is only a plan.
    """
    kind, _, which = (due.of or "").partition(".")
    if due.of is None:
        return Anchor(plan.code, plan.held_on, plan.evidence) if plan.held_on else None
    if kind == "cycle" and int(which) not in state.cycles:
        return None
    return find_anchor(due.of, state, study)


def _sources(plan: VisitPlan, form: Form, state: PatientState) -> list[ev.Event]:
    """Return what could answer the form at this visit."""
    if form.event is None:
        return list(state.forms.get((plan.code, form.code), ()))
    facts = [f for f in state.of_type(form.event) if all(getattr(f, k) == v for k, v in form.where.items())]
    if form.event == "cycle_given":
        return [f for f in facts if isinstance(f, ev.CycleGiven) and f.cycle == plan.visit.cycle]
    if form.event in ("imaging", "disease_assessment"):
        return [f for f in facts if getattr(f, "visit", None) == plan.code]
    return list(facts)


def _lacks(form: Form, item: str, sources: list[ev.Event]) -> bool:
    """Whether a due item that no part of its form names is unanswered."""
    sides = _sides(sources) if form.event else [sources]
    return any(_asks(form, item, side) and not any(_says(s, item) is not None for s in side) for side in sides)


def _sides(sources: list[ev.Event]) -> list[list[ev.Event]]:
    """Return the sources apart by breast: what one report says of its side answers nothing for the other."""
    apart: dict[str | None, list[ev.Event]] = {}
    for source in sources:
        apart.setdefault(getattr(source, "side", None), []).append(source)
    return list(apart.values()) or [[]]


def _says(source: ev.Event, item: str) -> object:
    """Return a source's answer to an item; None is none, zero and False are answers."""
    return source.items.get(item) if isinstance(source, ev.FormReceived) else getattr(source, item, None)


def _asks(form: Form, item: str, sources: list[ev.Event]) -> bool:
    condition = form.items[item].only_if
    return condition is None or any(_says(s, condition.item) in condition.one_of for s in sources)
