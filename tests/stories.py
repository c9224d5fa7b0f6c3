"""Plays the patient stories of tests/cases/stories: through the real engine, on a clock, in the site's own time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import yaml

import neotorch
from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.rules import Duties
from neotorch.rules.queries import age_of, bucket
from neotorch.rules.traces import rounds
from neotorch.settings import Settings, load_study
from tests.support import (
    SUBJECT,
    Trial,
    activated,
    adopted,
    consent,
    course,
    cycle,
    fact,
    forms,
    pathology,
    screened,
    surgery,
)  # fmt: skip

CASES = Path(__file__).parent / "cases"
FOLDER = CASES / "stories"
SHIPPED = Path(neotorch.__file__).parent / "studies" / "neotorch-breast03" / "1.0.yaml"
MORNING, NOON, EVENING = "00:30", "12:00", "23:00"
PARTS = {"story", "why", "facts", "expect", "days", "outage", "clock", "site", "reminders", "calendar", "amendment"}
EXPECTED = {
    "day", "phase", "title", "awaits", "visits", "queries", "notices", "endpoints", "worklist", "done", "ages", "heard",
    "about", "deviations", "traces", "asks", "sent_at", "told", "because",
    "supersedes",
}  # fmt: skip


class Witness(Protocol):
    """Somebody who looks on while stories are played."""

    def saw(self, wanted: dict[str, Any], stage: Stage, state: PatientState, due: Duties) -> None:
        """What a story expects on a day has just been found to be so."""


def read_yaml(file: Path) -> Any:
    """The plain values of a YAML file; the loader in C reads it ten times as fast."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_stories() -> list[tuple[str, dict[str, Any]]]:
    """All stories with their names, `file: story`."""
    return [
        (f"{file.stem}: {story['story']}", story) for file in sorted(FOLDER.glob("*.yaml")) for story in read_yaml(file)
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
            first = old.id.partition("#")[0]
            times = sum(1 for k in before if k.startswith(f"{first}#".removeprefix(f"{SUBJECT}.")))
            body = old.body | {"occurred": extra.pop("date", old.occurred), **extra}
            return [ev.FACT.validate_python(body | {"id": f"{first}#{times + 2}", "corrects": old.id})]
        case "retract":
            target = before[extra.pop("id")]
            return [fact("retraction", on, id=f"{target.id}#retracted", retracts=target.id, **extra)]
        case _:
            return [fact(word, on, **extra)]


@dataclass
class Stage:
    """Where a story is played: a trial at a site, and how far the server's clock is off."""

    story: dict[str, Any]
    trial: Trial
    zone: ZoneInfo
    off: timedelta = timedelta(0)

    def at(self, on: date | str, clock: str = NOON) -> datetime:
        """The instant of a day, or of `2026-01-23 07:30`, at the site."""
        if isinstance(on, str):
            on, clock = date.fromisoformat(on[:10]), on[11:] or clock
        return datetime.combine(on, time.fromisoformat(clock), tzinfo=self.zone).astimezone(UTC)

    def local(self, instant: datetime) -> datetime:
        """An instant in the site's time."""
        return instant.astimezone(self.zone)

    def sent_on(self, day: date) -> list[str]:
        """Keys of all that went out on a day."""
        return sorted(k for k, when in self.trial.sent().items() if self.local(when).date() == day)


# ── setting the stage ─────────────────────────────────────────────────────────────────────────────────────────────


@cache
def shipped() -> dict[str, Any]:
    """The study file that ships, as plain values."""
    found: dict[str, Any] = read_yaml(SHIPPED)
    return found


def study_file(folder: Path, story: dict[str, Any], changes: dict[str, Any] | None = None) -> Path | None:
    """Write the study file that the story is played by, if it is another than the one that ships."""
    site, reminders = story.get("site", {}) | (changes or {}), story.get("reminders", {})
    if not site and not reminders:
        return None
    data = deepcopy(shipped())
    data["sites"][0] |= site
    data["reminders"] |= reminders
    path = folder / "study.yaml"
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    path.write_text(yaml.dump(data, Dumper=dumper, allow_unicode=True), encoding="utf-8")
    return path


def open_stage(story: dict[str, Any], folder: Path) -> Stage:
    """A new trial, on the day before anything happens in the story."""
    assert set(story) <= PARTS, f"a story has no {set(story) - PARTS}"
    zone = ZoneInfo(story.get("site", {}).get("time_zone", "Asia/Shanghai"))
    first = min(next(iter(f)) for f in story["facts"]) - timedelta(30)
    now = datetime.combine(first, time(12), tzinfo=zone).astimezone(UTC)
    return Stage(story, Trial(folder, now, study_file=study_file(folder, story)), zone)


def new_calendar(stage: Stage, changes: dict[str, Any], folder: Path) -> None:
    """Start again with other working days at the site, on the same log."""
    old = stage.trial
    old.engine.log.close()
    stage.trial = Trial(folder, old.now, study_file=study_file(folder, stage.story, changes))


# ── playing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def play(story: dict[str, Any], folder: Path, witness: Witness | None = None) -> None:
    """Live through a story, checking what it expects; nobody is ever told the same thing twice."""
    stage = open_stage(story, folder)
    for instant, _, what, content in sorted(script(stage), key=lambda x: x[:2]):
        trial, when = stage.trial, instant + stage.off
        if what != "facts" or trial.engine.subjects():
            trial.plan = trial.sleep_until(when)
        match what:
            case "facts":
                trial.now = max(trial.now, when)
                trial.tell(*content)
                trial.wake()
            case "expect":
                state, due = trial.engine.duties(SUBJECT)
                check(content, stage, state, due)
                if witness:
                    witness.saw(content, stage, state, due)
            case "off":
                trial.now = content + stage.off
            case "clock":
                stage.off = content
                trial.now = instant + content
            case "amendment":
                trial.now = when
                new = load_study(Settings(study_version=content))
                on = stage.local(instant).date()
                trial.tell(adopted(new, on), activated(content, on))  # type: ignore[arg-type]  # about the trial
            case "calendar":
                new_calendar(stage, content, folder)
    sent = Counter(r.event.key for r in stage.trial.engine.log.read() if isinstance(r.event, ev.NoticeSent))
    assert not [k for k, n in sent.items() if n > 1], "told twice"


Line = tuple[datetime, int, str, Any]


def script(stage: Stage) -> list[Line]:
    """All that happens in a story with its instant; at one instant what happens comes before what is expected."""
    story, lines = stage.story, list[Line]()
    before: dict[str, ev.AnyFact] = {}
    for entry in ordered(story["facts"]):
        lines += told(entry, stage, before)
    wanted = [*story.get("expect", ()), *by_day(story.get("days", {}))]
    lines += [(stage.at(e["day"], EVENING), 2, "expect", e) for e in wanted]
    lines += [(stage.at(_moment(off, MORNING)), 1, "off", stage.at(back)) for off, back in story.get("outage", ())]
    lines += [(stage.at(when), 1, "clock", off_by(much)) for when, much in story.get("clock", ())]
    lines += [(stage.at(day, MORNING), 1, "calendar", changes) for day, changes in story.get("calendar", ())]
    lines += [(stage.at(day, MORNING), 1, "amendment", version) for day, version in story.get("amendment", ())]
    return lines


def ordered(facts: list[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """The lines in the order in which they became known; a correction needs what it corrects."""
    return sorted(facts, key=lambda f: f.get("learnt", next(iter(f))))


def off_by(words: str) -> timedelta:
    """How far a clock is off: `-2 h` behind, `3 d` ahead, `0 h` right."""
    number, unit = words.split()
    return timedelta(**{{"h": "hours", "d": "days"}[unit]: int(number)})


def _moment(when: date | str, clock: str) -> str:
    return when if isinstance(when, str) else f"{when} {clock}"


def by_day(days: dict[str, dict[date, str]]) -> list[dict[str, Any]]:
    """The story's table visit -> day -> `STATUS` or `STATUS, REMINDER` as one expectation per day."""
    found: dict[date, dict[str, Any]] = {}
    for code, cells in days.items():
        for day, cell in cells.items():
            status, _, reminder = cell.partition(", ")
            wanted = found.setdefault(day, {"day": day, "visits": {}})
            wanted["visits"][code] = status
            if reminder:
                wanted.setdefault("told", {})[code] = [] if reminder == "nothing" else [reminder]
    return list(found.values())


def told(entry: dict[Any, Any], stage: Stage, before: dict[str, ev.AnyFact]) -> list[Line]:
    """The facts of one line and when each is told; what stands for a whole time is told day by day, unless learnt later."""
    (on, what), *more = entry.items()
    batch = facts_of(on, what, before)
    before |= {f.id.removeprefix(f"{SUBJECT}."): f for f in batch}
    clock, learnt = dict(more).get("at", NOON), dict(more).get("learnt")
    if learnt or not (what == "screened" or (isinstance(what, dict) and "course" in what)):
        return [(stage.at(learnt or on, clock), 0, "facts", batch)]
    days = sorted({f.occurred for f in batch})
    return [(stage.at(d, clock), 0, "facts", [f for f in batch if f.occurred == d]) for d in days]


# ── what is expected ──────────────────────────────────────────────────────────────────────────────────────────────


def check(wanted: dict[str, Any], stage: Stage, state: PatientState, due: Duties) -> None:
    """Hold what is against what the story expects on a day."""
    assert set(wanted) <= EXPECTED, f"a story cannot expect {set(wanted) - EXPECTED}"
    trial, day = stage.trial, wanted["day"]
    plan = trial.plan
    find: dict[str, Callable[[], Any]] = {
        "day": lambda: day,
        "phase": lambda: "complete" if due.complete else due.phase,
        "title": lambda: plan.title.split(" · ")[1],
        "awaits": lambda: due.awaited.code if due.awaited else None,
        "queries": lambda: sorted(trial.open_queries()),
        "notices": lambda: stage.sent_on(day),
        "sent_at": lambda: {k: sent_at(k, stage) for k in wanted["sent_at"]},
        "worklist": lambda: sorted(o.key.removeprefix(f"{SUBJECT}/") for o in trial.engine.worklist()),
        "done": lambda: plan.done,
        "deviations": lambda: sorted(trial.open_deviations()),
        "traces": lambda: traces_as(wanted["traces"], trial),
        "asks": lambda: {q: sorted(asked_items(q, state)) for q in wanted["asks"]},
        "ages": lambda: {q: age_as(q, day, state, stage) for q in wanted["ages"]},
        "heard": lambda: {q: heard_of(q, state) for q in wanted["heard"]},
        "about": lambda: {q: about(q, day, stage) for q in wanted["about"]},
        "told": lambda: {v: reminders_of(v, day, stage) for v in wanted["told"]},
        "visits": lambda: visits_as(wanted["visits"], due),
        "endpoints": lambda: endpoints_as(wanted["endpoints"], trial),
        "because": lambda: because_as(wanted["because"], trial),
        "supersedes": lambda: supersedes_as(wanted["supersedes"], trial),
    }
    for name in ("queries", "notices", "worklist", "deviations"):
        if name in wanted:
            wanted = wanted | {name: sorted(wanted[name])}
    for name in ("heard", "about", "asks"):
        if name in wanted:
            wanted = wanted | {name: {q: sorted(found) for q, found in wanted[name].items()}}
    found = {k: find[k]() for k in wanted}
    off = [f"{k}: expected {wanted[k]}, found {found[k]}" for k in wanted if found[k] != wanted[k]]
    assert not off, f"on {day} " + "; ".join(off)


def because_as(wanted: dict[str, str], trial: Trial) -> dict[str, str]:
    """The reasons of endpoint values; what is expected where that is part of it."""
    reasons = {v.code: v.reason for v in trial.engine.patient_values(SUBJECT)}
    return {code: words if words in reasons[code] else reasons[code] for code, words in wanted.items()}


def supersedes_as(wanted: dict[str, list[str]], trial: Trial) -> dict[str, list[str]]:
    """What reports replaced and how that reads, the newest first; what is expected where that is its beginning."""
    found = {v.code: list(v.supersedes) for v in trial.engine.patient_values(SUBJECT)}
    return {
        code: [w if line.startswith(w) else line for w, line in zip_longest(lines, found[code], fillvalue="")]
        for code, lines in wanted.items()
    }


def age_as(query: str, day: date, state: PatientState, stage: Stage) -> str:
    """How old a query is."""
    return bucket(age_of(state.queries[f"{SUBJECT}/{query}"], str(stage.zone), day))


def asked_items(query: str, state: PatientState) -> list[str]:
    """The items that an open query asks for, as it was raised last."""
    trail = state.queries[f"{SUBJECT}/{query}"]
    return list(trail.raised[trail.round].items) if trail.open else []


def sent_at(key: str, stage: Stage) -> str | None:
    """When something went out: the site's time, and its distance from UTC."""
    when = stage.trial.sent().get(key)
    return stage.local(when).isoformat(" ", "minutes") if when else None


def heard_of(query: str, state: PatientState) -> list[str]:
    """The roles that were told anything of a query."""
    sent = [k for k, t in state.notices.items() if t.sent and k.startswith(f"{SUBJECT}/{query}/")]
    return sorted({k.rsplit("/", 2)[1] for k in sent})


def about(query: str, day: date, stage: Stage) -> list[str]:
    """What went out on a day about a query or a visit."""
    return sorted(k.removeprefix(f"{query}/") for k in stage.sent_on(day) if k.startswith(f"{query}/"))


def reminders_of(visit: str, day: date, stage: Stage) -> list[str]:
    """The rungs of a visit's ladder that went out on a day."""
    rungs = {r.name for ladder in stage.trial.engine.study.reminders.ladders.values() for r in ladder}
    return [name for k in about(visit, day, stage) if (name := k.split("/")[0]) in rungs]


def visits_as(wanted: dict[str, Any], due: Duties) -> dict[str, Any]:
    """The visits in the words of the story: a status alone, or status, window, target."""
    plans = {p.code: p for p in due.plans}
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
