"""Missing data: the items due at a held visit that nobody has answered yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Due, Form, Study
from neotorch.rules.schedule import Because, VisitPlan

RESIDUAL_INVASIVE = {"ypT1mi", "ypT1a", "ypT1b", "ypT1c", "ypT2", "ypT3", "ypT4"}


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
    assert plan.held_on is not None
    wanted = due.items or list(form.items)
    sources = _sources(plan, form, state)
    if form.event is None:
        answered = {item for part in state.forms.get((plan.code, form.code), ()) for item in part.items}
        absent = tuple(i for i in wanted if i not in answered)
    else:
        absent = tuple(i for i in wanted if any(_lacks(form, i, side) for side in _sides(sources)))
    found: list[Finding] = []
    if absent:
        what = (
            ", ".join(absent) if len(absent) <= 2 or len(absent) < len(wanted) else f"{form.code} ({len(absent)} items)"
        )
        because = Because(
            "item.missing", study.version, plan.because.anchor, None, plan.evidence,
            f"{form.code} is due at {plan.code}, held on {plan.held_on}",
        )  # fmt: skip
        opens = plan.held_on + timedelta(study.queries.raise_after_days)
        key = f"{state.subject}/{plan.code}/{form.code}"
        found.append(Finding(key, "missing", plan.code, absent, f"{what} missing at {plan.code}", because, opens))
    found.extend(_stale(plan, due, form, sources, state, study))
    return found


def _stale(  # noqa: PLR0917 - all six are what the rule is about
    plan: VisitPlan, due: Due, form: Form, sources: list[ev.Event], state: PatientState, study: Study
) -> list[Finding]:
    if due.within_days_of_c1d1 is None or state.first_dose is None or not sources:
        return []
    newest = max(s.occurred for s in sources)
    oldest_allowed = state.first_dose - timedelta(due.within_days_of_c1d1)
    if newest >= oldest_allowed:
        return []
    detail = f"{form.code} of {newest} is older than {due.within_days_of_c1d1} d at C1D1 on {state.first_dose}"
    because = Because("item.too-old", study.version, event_ids=tuple(s.id for s in sources), detail=detail)
    key = f"{state.subject}/{plan.code}/{form.code}/too-old"
    return [Finding(key, "too-old", plan.code, (form.code,), f"{form.code} too old at C1D1", because, state.first_dose)]


def _sources(plan: VisitPlan, form: Form, state: PatientState) -> list[ev.Event]:
    """Return what could answer the form at this visit."""
    if form.event is None:
        return list(state.forms.get((plan.code, form.code), ()))
    facts = [f for f in state.facts if f.type == form.event and all(getattr(f, k) == v for k, v in form.where.items())]
    if form.event == "cycle_given":
        return [f for f in facts if isinstance(f, ev.CycleGiven) and f.cycle == plan.visit.cycle]
    if form.event in ("imaging", "disease_assessment"):
        return [f for f in facts if getattr(f, "visit", None) == plan.code]
    return list(facts)


def _sides(sources: list[ev.Event]) -> list[list[ev.Event]]:
    """Return the sources apart by breast: what one report says of its side answers nothing for the other."""
    apart: dict[str | None, list[ev.Event]] = {}
    for source in sources:
        apart.setdefault(getattr(source, "side", None), []).append(source)
    return list(apart.values()) or [[]]


def _lacks(form: Form, item: str, sources: list[ev.Event]) -> bool:
    return _asked(form, item, sources) and not any(_answers(s, item) for s in sources)


def _answers(source: ev.Event, item: str) -> bool:
    return getattr(source, item, None) is not None


def _asked(form: Form, item: str, sources: list[ev.Event]) -> bool:
    definition = form.items[item]
    if definition.only_if == "residual_invasive":
        return any(isinstance(s, ev.Pathology) and s.ypt in RESIDUAL_INVASIVE for s in sources)
    return True
