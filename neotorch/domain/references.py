"""What the parts of a study file say of each other: every name leads somewhere, and visits hang on facts, not in a circle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from pydantic import BaseModel

from neotorch.domain.checks import check_items
from neotorch.domain.collected import endpoints_collected
from neotorch.domain.deviations import check_deviations
from neotorch.domain.misfit import Misfit, MisfitError, Place, unknown
from neotorch.domain.safety import check_safety
from neotorch.domain.sourced import Words

if TYPE_CHECKING:
    from neotorch.domain.study import Rung, Study, Timing, Visit


def check_references(study: Study) -> None:
    """MisfitError with all names that lead nowhere and all dates that cannot be, each with its place and the way out."""
    found = [
        *_twice(study), *_cycles(study), *_visits(study), *_ladders(study), *_roles(study), *_blind(study), *_every_language(study),
        *check_items(study), *check_deviations(study), *endpoints_collected(study),
        *(check_safety(study.safety, study) if study.safety else ()), *_circle(study),
    ]  # fmt: skip
    if found:
        raise MisfitError(found)


def _twice(study: Study) -> Iterator[Misfit]:
    for part in ("forms", "visits", "sites", "drugs"):
        codes = [x.code for x in getattr(study, part)]
        for code, times in Counter(codes).items():
            if times > 1:
                place = len(codes) - 1 - codes[::-1].index(code)
                yield Misfit((part, place, "code"), f"the code {code!r} stands there twice", "give each its own")


# ── cycles ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cycles(study: Study) -> Iterator[Misfit]:
    count = study.cycles.count
    drugs = [d.code for d in study.drugs]
    yield from unknown(("cycles", "clock_drug"), "drug", study.cycles.clock_drug, drugs, "drugs")
    for n, drug in enumerate(study.drugs):
        beyond = [c for c in drug.cycles if not 1 <= c <= count]
        if beyond:
            what = f"{drug.code} is planned for cycle {beyond[0]}; there are {count}"
            yield Misfit(("drugs", n, "cycles"), what, "leave it out, or raise cycles.count")
    for n, visit in enumerate(study.visits):
        if visit.cycle is not None and not 1 <= visit.cycle <= count:
            what = f"{visit.code} is day 1 of cycle {visit.cycle}; there are {count}"
            yield Misfit(("visits", n, "cycle"), what, "leave the visit out, or raise cycles.count")
    yield from _extra_cycles(study)


def _extra_cycles(study: Study) -> Iterator[Misfit]:
    extra = study.cycles.extra
    if extra is None:
        return
    if extra.like not in {v.code for v in study.visits if v.cycle}:
        what = f"names {extra.like!r}, which is no day-1 visit"
        yield Misfit(("cycles", "extra", "like"), what, "name the visit of day 1 of a cycle")
    codes = {v.code for v in study.visits}
    for number in range(study.cycles.count + 1, study.cycles_allowed + 1):
        code = extra.code_of(number)
        if code in codes:
            what = f"extra cycle {number} would be called {code}, which is a visit already"
            yield Misfit(("cycles", "extra", "code"), what, "give extra cycles another code")


# ── visits ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _visits(study: Study) -> Iterator[Misfit]:
    for n, visit in enumerate(study.visits):
        yield from _forms_due(("visits", n), visit, study)
        yield from _anchors(("visits", n), visit, study)
        yield from _washed_away(("visits", n), visit)


def _forms_due(place: Place, visit: Visit, study: Study) -> Iterator[Misfit]:
    forms = {f.code: f for f in study.forms}
    for m, due in enumerate(visit.due):
        where = (*place, "due", m)
        if due.form not in forms:
            yield from unknown(where, "form", due.form, forms, "forms")
            continue
        none = [i for i in due.items if i not in forms[due.form].items]
        if none:
            what = f"form {due.form} has no item {', '.join(none)}"
            yield Misfit(where, what, f"its items are {', '.join(forms[due.form].items)}")


def _anchors(place: Place, visit: Visit, study: Study) -> Iterator[Misfit]:
    named = [((*place, "timing", m, "anchor"), a) for m, t in enumerate(visit.timing) for a in t.anchors]
    named += [((*place, "not_before", m, "anchor"), f.anchor) for m, f in enumerate(visit.not_before)]
    named += [((*place, "due", m, "of"), d.of) for m, d in enumerate(visit.due) if d.of]
    for where, anchor in named:
        kind, _, name = anchor.partition(".")
        if kind == "last_dose" and name:
            yield from unknown(where, "drug", name, [d.code for d in study.drugs], "drugs")
        if kind == "cycle" and not 1 <= int(name) <= study.cycles.count:
            what = f"hangs on cycle {name}; there are {study.cycles.count}"
            yield Misfit(where, what, "use a cycle that there is, or raise cycles.count")
        if kind == "visit":
            yield from unknown(where, "visit", name, [v.code for v in study.visits], "visits")


def _washed_away(place: Place, visit: Visit) -> Iterator[Misfit]:
    """A wash-out counted from the window's own anchor that ends after the window leaves nothing of it."""
    for m, floor in enumerate(visit.not_before):
        for timing in visit.timing:
            closes = timing.offset_days + timing.window_days_after
            if timing.anchors == (floor.anchor,) and floor.days > closes:
                what = (
                    f"{visit.code} opens at the earliest {floor.days} d after {floor.anchor}, and its window closes "
                    f"{closes} d after it: it would close before it opens"
                )
                yield Misfit((*place, "not_before", m, "days"), what, "lengthen the window, or shorten this")


def _circle(study: Study) -> Iterator[Misfit]:
    circle = anchor_circle(study.visits)
    if circle:
        first = min(n for n, v in enumerate(study.visits) if v.code in circle)
        what = f"visits hang on each other in a circle: {' on '.join(circle)}"
        yield Misfit(("visits", first, "timing"), what, "anchor one of them elsewhere")


def anchor_circle(visits: list[Visit]) -> list[str]:
    """Return the codes of visits that hang on each other in a circle, the first once more at the end; else nothing."""
    graph = {v.code: {w.code for w in visits for a in v.anchors if _provides(w, a)} for v in visits}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _provides(visit: Visit, anchor: str) -> bool:
    """Whether holding the visit is what makes the anchor known."""
    kind, _, name = anchor.partition(".")
    match kind:
        case "visit":
            return visit.code == name
        case "cycle":
            return visit.cycle == int(name)
        case "last_cycle" | "last_dose":
            return visit.cycle is not None
        case "surgery":
            return visit.held_by == "surgery"
        case "pathology":
            return visit.held_by == "pathology_local"
        case _:
            return False


# ── reminders ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _ladders(study: Study) -> Iterator[Misfit]:
    ladders = study.reminders.ladders
    for n, visit in enumerate(study.visits):
        if visit.ladder not in ladders:
            yield from unknown(("visits", n, "ladder"), "ladder", visit.ladder, ladders, "reminders.ladders")
        else:
            yield from _after_missed(("visits", n, "missed_after_days"), visit, ladders[visit.ladder])
    for name, rungs in ladders.items():
        visits = [v for v in study.visits if v.ladder == name]
        for m, rung in enumerate(rungs):
            wrong = (_untimely(rung, v.code, t) for v in visits for t in v.timing)
            if said := next((w for w in wrong if w), None):
                yield Misfit(("reminders", "ladders", name, m, "days"), *said)


def _after_missed(where: Place, visit: Visit, rungs: list[Rung]) -> Iterator[Misfit]:
    for rung in rungs:
        last = visit.missed_after_days
        if last is not None and any(_from_target(rung, t) - t.window_days_after > last for t in visit.timing):
            after = max(_from_target(rung, t) - t.window_days_after for t in visit.timing)
            what = (
                f"{visit.code} counts as missed {last} d after its window closes, and its reminder {rung.name!r} would "
                f"come {after} d after"
            )
            yield Misfit(where, what, "move the rung, or give the visit another ladder")


def _from_target(rung: Rung, timing: Timing) -> int:
    """Return the days from the visit's target to the reminder."""
    at = {"opens": -timing.window_days_before, "target": 0, "closes": timing.window_days_after}
    return at[rung.at] + rung.days


def _untimely(rung: Rung, visit: str, timing: Timing) -> tuple[str, str] | None:
    """Return what is wrong with a reminder that speaks of something that is over then, or not yet so, and the way out."""
    day, closes = _from_target(rung, timing), timing.window_days_after
    when = f"the reminder {rung.name!r} says {rung.says} and would come"
    if rung.says == "overdue":
        if day > closes:
            return None
        early = f"{when} {closes - day} d before the window of {visit} is over" if day < closes else (
            f"{when} on the last day of the window of {visit}")  # fmt: skip
        return early, "give it a day after closing, or let it say closing"
    if day > closes:
        return (
            f"{when} {day - closes} d after the window of {visit} closed",
            "give it an earlier day, or let it say overdue",
        )
    if rung.says == "ahead" and day > 0:
        return f"{when} {day} d after the day planned for {visit}", "give it an earlier day, or let it say closing"
    return None


# ── people and languages ──────────────────────────────────────────────────────────────────────────────────────────


def _roles(study: Study) -> Iterator[Misfit]:
    named: list[tuple[Place, list[str]]] = [
        (("reminders", "ladders", name, n, "roles"), rung.roles)
        for name, rungs in study.reminders.ladders.items() for n, rung in enumerate(rungs)
    ]  # fmt: skip
    named += [(("queries", "escalate", n, "roles"), e.roles) for n, e in enumerate(study.queries.escalate)]
    named.append((("queries", "asked_by"), study.queries.asked_by))
    for what, read in study.recipients.reads.items():
        named += [(("recipients", "reads", what, k), getattr(read, k)) for k in ("asked", "blind")]
    for where, roles in named:
        for role in roles:
            yield from unknown(where, "role", role, study.recipients.roles, "recipients.roles")


def _blind(study: Study) -> Iterator[Misfit]:
    """Nobody is asked about, or told the endpoints of, a read that they are blind to."""
    people, path = study.recipients, study.endpoints.pathology
    for name, read in people.reads.items():
        if both := [r for r in read.asked if r in read.blind]:
            what = f"{both[0]} is to answer for the {name} read and blind to it"
            yield Misfit(("recipients", "reads", name, "asked"), what, "name somebody else in one of the two")
    counting = ("local", "central") if study.endpoints.reference_read == "central" else ("local",)
    for kind in ("endpoint", "incident", "boundary"):
        for read_name in counting:
            if found := [r for r in people.tell[kind] if r in people.read(read_name).blind]:
                what = f"{found[0]} is blind to the {read_name} read, and endpoint values rest on it"
                yield Misfit(("recipients", "tell", kind), what, "tell somebody else, or do not blind the role")
    if path and path.adjudicate_when and not people.read("adjudication").asked:
        what = "reads that differ have to be adjudicated, and nobody is named who does"
        todo = "name the roles under recipients.reads.adjudication.asked, or leave adjudicate_when empty"
        yield Misfit(("endpoints", "pathology", "adjudicate_when"), what, todo)


def _every_language(study: Study) -> Iterator[Misfit]:
    """A site that reads Chinese is not told half of a notice in English."""
    reader = next((s.code for s in study.sites if "zh" in s.languages), None)
    for where, words in _labels(study, ()) if reader else ():
        if "zh" not in words.model_fields_set:
            yield Misfit(where, f"{words.en!r} has no zh, and site {reader} reads zh", "add it")


def _labels(part: object, where: Place) -> Iterator[tuple[Place, Words]]:
    """Yield every label below a part of the study file with its place."""
    match part:
        case Words():
            yield where, part
        case BaseModel():
            for name in type(part).model_fields:
                yield from _labels(getattr(part, name), (*where, name))
        case dict():
            for key, value in part.items():
                yield from _labels(value, (*where, key))
        case list():
            for n, value in enumerate(part):
                yield from _labels(value, (*where, n))
