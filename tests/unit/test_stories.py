"""Patient stories written by people who know the trial: tests/cases/stories/*.yaml (its README says how to add one)."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.rules.queries import age_of, bucket
from neotorch.rules.traces import rounds
from tests.support import (
    SUBJECT,
    ZONE,
    Trial,
    at,
    consent,
    course,
    cycle,
    fact,
    forms,
    pathology,
    screened,
    surgery,
    visits,
)  # fmt: skip

FOLDER = Path(__file__).parents[1] / "cases" / "stories"
MORNING, NOON, EVENING = "00:30", "12:00", "23:00"
EXPECTED = {
    "day", "phase", "title", "awaits", "visits", "queries", "notices", "endpoints", "worklist", "done", "ages", "heard",
    "about", "deviations", "traces",
}  # fmt: skip


def read_stories() -> list[Any]:
    """One test per story, named after file and story."""
    return [
        pytest.param(story, id=f"{file.stem}: {story['story']}")
        for file in sorted(FOLDER.glob("*.yaml"))
        for story in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


def facts_of(on: date, told: Any, before: dict[str, ev.AnyFact]) -> list[ev.AnyFact]:
    """The facts that one line of a story stands for. `before`: what was told earlier, by short id."""
    word, extra = (told, {}) if isinstance(told, str) else next(iter(deepcopy(told).items()))
    extra = {} if extra is None else extra
    match word:
        case "consent":
            return [consent(on)]
        case "screened":
            return screened(on)
        case "course":
            return course(int(extra), on)
        case "cycle":
            fields = extra if isinstance(extra, dict) else {"cycle": extra}
            return [cycle(int(fields.pop("cycle")), on, **fields)]
        case "forms":
            fields = extra if isinstance(extra, dict) else {"visit": extra}
            return forms(fields["visit"], on, without=fields.get("without", ()))
        case "surgery":
            return [surgery(on, **extra), *([] if "id" in extra else forms("SURG", on))]
        case "pathology":
            return [pathology(on, **extra)]
        case "correct":
            old = before[extra.pop("id")]
            times = sum(1 for k in before if k.startswith(f"{old.id}#".removeprefix(f"{SUBJECT}.")))
            body = old.body | {"occurred": extra.pop("date", old.occurred), **extra}
            return [ev.FACT.validate_python(body | {"id": f"{old.id}#{times + 2}", "corrects": old.id})]
        case "retract":
            target = before[extra.pop("id")]
            return [fact("retraction", on, id=f"{target.id}#retracted", retracts=target.id, **extra)]
        case _:
            return [fact(word, on, **extra)]


def lines_of(story: dict[str, Any]) -> list[tuple[date, int, str, Any]]:
    """Facts and expectations in the order in which they happen; a day's facts come before its expectation."""
    lines = []
    for entry in story["facts"]:
        (on, told), *more = entry.items()
        heard = dict(more).get("learnt", on)
        clock = dict(more).get("at", NOON)
        if isinstance(told, dict) and "course" in told:
            heard = None  # each of its facts is told on its own day
        lines.append((heard or on, 0, "facts", (on, told, heard is None, clock)))
    lines += [(e["day"], 2, "expect", e) for e in story["expect"]]
    lines += [(off, 1, "off", back) for off, back in story.get("outage", ())]
    return lines


def play(story: dict[str, Any], trial: Trial) -> None:
    """Live through a story, checking what it expects."""
    before: dict[str, ev.AnyFact] = {}
    todo: list[tuple[date, int, str, Any]] = []
    for when, order, what, content in lines_of(story):
        if what != "facts":
            todo.append((when, order, what, content))
            continue
        on, told, each, clock = content
        batch = facts_of(on, told, before)
        before |= {f.id.removeprefix(f"{SUBJECT}."): f for f in batch}
        spread = each or told == "screened"
        days = sorted({f.occurred for f in batch}) if spread else [when]
        todo += [(d, 0, what, ([f for f in batch if not spread or f.occurred == d], clock)) for d in days]
    for when, _, what, content in sorted(todo, key=lambda x: x[:2]):
        if what == "facts":
            batch, clock = content
            if trial.engine.subjects():
                trial.sleep_until(at(when, clock))
            trial.now = max(trial.now, at(when, clock))
            trial.tell(*batch)
            trial.wake()
        elif what == "off":
            trial.sleep_until(at(when, MORNING))
            trial.now = at(content, NOON)
        else:
            trial.plan = trial.sleep_until(at(when, EVENING))
            check(content, trial)


def check(wanted: dict[str, Any], trial: Trial) -> None:
    """Hold what is against what the story expects on a day."""
    assert set(wanted) <= EXPECTED, f"a story cannot expect {set(wanted) - EXPECTED}"
    state, due = trial.engine.duties(SUBJECT)
    plan = trial.plan
    day = wanted["day"]
    find: dict[str, Callable[[], Any]] = {
        "day": lambda: day,
        "phase": lambda: "complete" if due.complete else due.phase,
        "title": lambda: plan.title.split(" · ")[1],
        "awaits": lambda: due.awaited.code if due.awaited else None,
        "queries": lambda: sorted(trial.open_queries()),
        "notices": lambda: sorted(k for k, when in trial.sent().items() if when.astimezone(ZONE).date() == day),
        "worklist": lambda: sorted(o.key.removeprefix(f"{SUBJECT}/") for o in trial.engine.worklist()),
        "done": lambda: plan.done,
        "deviations": lambda: sorted(trial.open_deviations()),
        "traces": lambda: traces_as(wanted["traces"], trial),
        "ages": lambda: {q: bucket(age_of(state.queries[f"{SUBJECT}/{q}"], str(ZONE), day)) for q in wanted["ages"]},
        "heard": lambda: {q: heard_of(q, state) for q in wanted["heard"]},
        "about": lambda: {q: about(q, day, trial) for q in wanted["about"]},
        "visits": lambda: visits_as(wanted["visits"], trial),
        "endpoints": lambda: endpoints_as(wanted["endpoints"], trial),
    }
    for name in ("queries", "notices", "worklist", "deviations"):
        if name in wanted:
            wanted = wanted | {name: sorted(wanted[name])}
    for name in ("heard", "about"):
        if name in wanted:
            wanted = wanted | {name: {q: sorted(found) for q, found in wanted[name].items()}}
    assert {k: find[k]() for k in wanted} == wanted


def heard_of(query: str, state: PatientState) -> list[str]:
    """The roles that were told anything of a query."""
    told = [k for k, t in state.notices.items() if t.sent and k.startswith(f"{SUBJECT}/{query}/")]
    return sorted({k.rsplit("/", 2)[1] for k in told})


def about(query: str, day: date, trial: Trial) -> list[str]:
    """What went out on a day about a query."""
    told = [k for k, at_ in trial.sent().items() if at_.astimezone(ZONE).date() == day]
    return sorted(k.removeprefix(f"{query}/") for k in told if k.startswith(f"{query}/"))


def visits_as(wanted: dict[str, Any], trial: Trial) -> dict[str, Any]:
    """The visits in the words of the story: a status alone, or status, window, target."""
    plans = visits(trial)
    found: dict[str, Any] = {}
    for code, want in wanted.items():
        plan = plans[code]
        whole = {
            "status": plan.status,
            "window": [plan.window.opens, plan.window.closes] if plan.window else None,
            "target": plan.window.target if plan.window else None,
            "in_window": plan.in_window,
            "held": plan.held_on,
        }
        found[code] = plan.status if isinstance(want, str) else {k: whole[k] for k in want}
    return found


def traces_as(wanted: dict[str, Any], trial: Trial) -> dict[str, list[str]]:
    """What became of deviations, in the words of the story: found, acknowledged, withdrawn, in order."""
    state = trial.engine.state(SUBJECT)
    found: dict[str, list[str]] = {}
    for key in wanted:
        found[key] = said = []
        for one in rounds(state, f"{SUBJECT}/deviation/{key}"):
            said.append(f"{one.found.grade} {one.found.occurred}")
            if one.acknowledged:
                said.append(f"acknowledged {one.acknowledged.occurred}")
            if one.withdrawn:
                by = (one.withdrawn.reason or "").partition(", event ")[2].removeprefix(f"{SUBJECT}.")
                said.append(f"withdrawn {one.withdrawn.occurred}" + (f" by {by}" if by else ""))
    return found


def endpoints_as(wanted: dict[str, Any], trial: Trial) -> dict[str, Any]:
    """The patient's endpoint values in the words of the story."""
    values = trial.engine.patient_endpoints(trial.engine.state(SUBJECT), trial.engine.today())
    whole = {
        "pcr": values.pcr.answer,
        "rcb": values.rcb.rcb_class if values.rcb else None,
        "rcb01": values.rcb01.answer,
        "efs": values.efs.status,
        "efs_day": values.efs.days,
    }
    return {k: whole[k] for k in wanted}


@pytest.mark.parametrize("story", read_stories())
def test_story(story: dict[str, Any], tmp_path: Path) -> None:
    """A patient's story goes as the people who wrote it down expect."""
    assert story["why"], "every story says why it is told"
    play(story, Trial(tmp_path))


def test_every_story_ends_in_the_past_of_its_last_expectation() -> None:
    """No story has a fact after its last expectation: it would test nothing."""
    for parameter in read_stories():
        story = parameter.values[0]
        last = max(e["day"] for e in story["expect"])
        told = [next(iter(f)) for f in story["facts"] if "screened" not in f.values()]
        assert max(told) <= last, story["story"]
