"""Which queries and checks a story covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neotorch.domain import events as ev
from neotorch.domain.study import Due, Form
from neotorch.rules.missing import _sources, fresh_for
from neotorch.rules.queries import BUCKETS, LAST_DAYS, age_of
from neotorch.rules.schedule import VisitPlan
from tests.ledger.points import contradiction_codes
from tests.ledger.seen import Note, Seen
from tests.support import SUBJECT


def form_notes(seen: Seen) -> Iterator[Note]:
    """What is asked for of each form that is due at a held visit."""
    for plan in seen.plans.values():
        for due in plan.visit.due if plan.held_on else ():
            yield from _due(seen, plan, due, seen.study.form_by_code[due.form])


def _due(seen: Seen, plan: VisitPlan, due: Due, form: Form) -> Iterator[Note]:
    key = f"{plan.code}/{due.form}"
    asked = seen.wanted.get("asks", {}).get(key, ())
    for name, item in form.items.items():
        if item.only_if and name in asked:
            yield "query", f"{form.code}.{name} only if {item.only_if.item}", "so: asked"
    if seen.queries is not None:
        yield from _asked(seen, plan, key, seen.queries)
        yield from _fresh(seen, plan, due, form, seen.queries)


def _asked(seen: Seen, plan: VisitPlan, key: str, queries: set[str]) -> Iterator[Note]:
    days = seen.study.queries.raise_after_days
    over = (seen.day - plan.held_on).days - days if plan.held_on else None
    if over == 0 and key in queries:
        yield "query", key, f"day {days}"
    if over == -1 and key not in queries:
        yield "query", key, "day before: not"


def _fresh(seen: Seen, plan: VisitPlan, due: Due, form: Form, queries: set[str]) -> Iterator[Note]:
    """What is asked about values that are there: too old, or not asked since a condition does not hold."""
    key, sources = f"{plan.code}/{due.form}", _sources(plan, form, seen.state)
    fresh = fresh_for(due, plan, seen.state, seen.study) if sources else None
    if fresh and due.within_days is not None:
        over = (fresh.day - max(s.occurred for s in sources)).days - due.within_days
        old = f"{key}/too-old" in queries
        if over in (0, 1) and old == (over == 1) and seen.day >= fresh.day:
            yield "query", f"{key}/too-old", "a day older" if old else "as old as allowed: not"
    late = plan.held_on and (seen.day - plan.held_on).days >= seen.study.queries.raise_after_days
    for name, item in form.items.items():
        rule = item.only_if
        if rule and sources and late and key not in queries:
            so = any(getattr(s, rule.item, None) in rule.one_of for s in sources)
            yield from () if so else [("query", f"{form.code}.{name} only if {rule.item}", "not so: not asked")]


def query_notes(seen: Seen) -> Iterator[Note]:
    """How old open queries are, who is told of them, and of what kind they are."""
    for query, trail in seen.state.queries.items():
        short, age = query.removeprefix(f"{SUBJECT}/"), age_of(trail, str(seen.zone), seen.day)
        told = seen.told_of(short)
        if told is not None and trail.open:
            yield from _repeated(seen, age, told)
        yield from _escalated(seen, short, trail.round, age)
        if told and any(name.startswith("answered/") for name in told):
            yield from (("query", f"asked by a person, answered to {r}", "") for r in seen.study.queries.asked_by)
        if short in seen.wanted.get("ages", {}):
            yield from _aged(age)
    for query in seen.queries or ():
        if query.endswith("/booking"):
            yield "query", "booking", ""
        if f"{SUBJECT}/{query}" in seen.state.asked:
            yield "query", "manual", ""
        parts = {p.removeprefix("rcb-") for p in query.split("/")} | set(query.split("/"))
        yield from (("check", f"contradiction {code}", "") for code in contradiction_codes() if code in parts)


def _escalated(seen: Seen, query: str, number: int, age: int) -> Iterator[Note]:
    told, heard = seen.told_of(query), set(seen.wanted.get("heard", {}).get(query, ()))
    for level in seen.study.queries.escalate:
        name, roles = f"escalated on day {level.after_days} to {', '.join(level.roles)}", set(level.roles)
        word = f"escalated/{number}/{level.after_days}"
        if age == level.after_days and (word in (told or ()) or roles <= heard):
            yield "query", name, "day"
        if age == level.after_days - 1 and (told == set() or (heard and not roles & heard)):
            yield "query", name, "day before: not"


def _aged(age: int) -> Iterator[Note]:
    for last, one, following in zip(LAST_DAYS, BUCKETS, BUCKETS[1:], strict=False):
        if age in (last, last + 1):
            yield "query", f"age {one} turns {following} after day {last}", "day" if age == last else "day after"


def _repeated(seen: Seen, age: int, told: set[str]) -> Iterator[Note]:
    rules = seen.study.queries
    every, least = rules.remind_every_days, rules.remind_for_days
    reminded = any(name.startswith("reminder/") for name in told)
    if age in (every, every - 1) and reminded == (age == every):
        yield "query", f"reminded every {every} d", "day" if reminded else "day before: not"
    if least:
        last = least // every * every
        if age == last and reminded:
            yield "query", f"reminded for {least} d", "last"
        if age == last + every and not reminded:
            yield "query", f"reminded for {least} d", "none after"


def _dose_labs(seen: Seen) -> Iterator[Note]:
    check, queries = seen.study.checks.dose_labs, seen.queries
    if check is None or queries is None:
        return
    for number, dose in seen.state.cycles.items():
        visit = seen.study.cycle_visit(number)
        key = f"{visit.code if visit else ''}/dose-without-labs"
        days = (seen.day - dose.occurred).days
        grace = seen.study.queries.raise_after_days
        if days in (grace - 1, grace) and (key in queries) == (days == grace):
            yield "check", "dose_labs: none before the dose", f"day {grace}" if key in queries else "day before: not"
        for form in check.forms:
            taken = [p.occurred for (_, code), parts in seen.state.forms.items() if code == form.form for p in parts]
            before = [t for t in taken if t <= dose.occurred]
            if not before:
                continue
            over = (dose.occurred - max(before)).days - check.days(number)
            asked = key in queries or any(q.endswith(f"/{form.form}/too-old") for q in queries)
            name = f"dose_labs {form.form}, {'first' if number == 1 else 'later'} cycle"
            if over == 0 and not asked and days >= 0:
                yield "check", name, "as old as allowed: not"
            if over == 1 and asked:
                yield "check", name, "a day older"


def course_notes(seen: Seen, earlier: Sequence[Seen]) -> Iterator[Note]:
    """What shows only against the days before: queries closed and opened again, decisions taken."""
    queries, before = seen.queries, [s for s in earlier if s.queries is not None]
    if queries is None or not before:
        return
    last = before[-1].queries or set()
    for query in last - queries:
        yield "query", "closed by the data", ""
        if query.endswith("/progression-without-decision"):
            yield from _decided(seen, before[-1])
    if any(query in (s.queries or ()) for query in queries - last for s in before):
        yield "query", "opened again", ""


def check_notes(seen: Seen) -> Iterator[Note]:
    """Checks across forms, with the days and items that the study file gives them."""
    if seen.queries is None:
        return
    yield from _dose_labs(seen)
    checks = seen.study.checks
    for scan in (f for f in seen.state.facts if isinstance(f, ev.Imaging) and checks.progression_decision):
        after = checks.progression_decision.after_days if checks.progression_decision else 0
        over, found = (
            (seen.day - scan.occurred).days - after,
            f"{scan.visit}/progression-without-decision" in seen.queries,
        )
        if over in (-1, 0) and found == (over == 0):
            yield "check", "progression_decision", f"day {after}" if found else "day before: not"
    if checks.alive and "survival/death-not-recorded" in seen.queries:
        parts = [f for f in seen.state.facts if isinstance(f, ev.FormReceived) and f.form == checks.alive.form]
        if any(p.items.get(checks.alive.item) is False for p in parts):
            yield "check", f"alive: {checks.alive.form}.{checks.alive.item} says no", ""


def _decided(seen: Seen, before: Seen) -> Iterator[Note]:
    known = set(before.state.learnt)
    fresh = [r.event for i, r in seen.state.learnt.items() if i not in known]
    for event in fresh:
        if isinstance(event, ev.FormReceived | ev.Progression):
            name = event.form if isinstance(event, ev.FormReceived) else event.type
            yield "check", f"progression_decision answered by {name}", ""
