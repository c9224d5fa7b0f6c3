"""A trial to be lived through, drawn from a seed: sites, channels, patients, what goes wrong and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Literal

from neotorch.domain import events as ev
from neotorch.domain.study import Study
from neotorch.simulation import Dated, _patient
from neotorch.simulation.accrual import Slot
from tests.seeds.muddle import muddled
from tests.support import study, trial_fact

UNTIL = date(2026, 11, 22)
ELSEWHERE = (
    {"code": "S02", "time_zone": "Europe/Helsinki", "calendar": "FI", "languages": ["en"]},
    {"code": "S03", "time_zone": "America/New_York", "calendar": "US-NY", "languages": ["en"]},
    {"code": "S04", "time_zone": "Australia/Lord_Howe", "languages": ["en", "zh"]},
)
"""Sites beside the study file's own."""
FATES = ("any", "any", "any", "die", "die", "withdraw", "withdraw", "lost", "stay", "screen_failure")
HOUR, DAY = timedelta(hours=1), timedelta(1)
LENGTHS = (2 * HOUR, 9 * HOUR, 1 * DAY, 3 * DAY, 3 * DAY, 10 * DAY, 30 * DAY)


@dataclass(frozen=True)
class Outage:
    """A time in which no journey wakes. `all`: nothing can be recorded either, and what was to be comes in afterwards."""

    begin: datetime
    end: datetime
    kind: Literal["journeys", "all"]


@dataclass(frozen=True)
class World:
    """What happens in one trial. Instants are true ones; the server's clock may be off."""

    seed: int
    study: Study
    settings: dict[str, Any]
    dated: tuple[Dated, ...]
    told: tuple[tuple[datetime, ev.AnyTrialFact], ...]
    """What is told about the trial and its people, and when."""
    outages: tuple[Outage, ...]
    clock: tuple[tuple[datetime, timedelta], ...]
    """(From when, how far the server's clock is off)."""
    fails: float
    """Share of the notices that their channel does not take."""
    killed: float
    """Share of the notices in whose sending the process is killed."""
    busy: timedelta
    """Mean time between two things that somebody says at the desk."""
    begin: datetime
    end: datetime


def world(seed: int, *, small: bool = False) -> World:
    """Draw the trial of a seed; the same seed gives the same one. `small`: fewer patients and years."""
    rng = Random(f"seeds/{seed}")
    made = _study(rng)
    patients, longest = (rng.randint(2, 3), 650) if small else (rng.randint(3, 5), 1300)
    dated = [d for n in range(1, patients + 1) for d in _one(rng, made, seed, n, longest)]
    dated.sort(key=lambda d: d.known_at)
    begin, end = dated[0].known_at, datetime(2026, 11, 23, 1, tzinfo=UTC)
    settings = _settings(rng, made)
    return World(
        seed, made, settings, tuple(dated), _told(rng, settings, begin, end), _outages(rng, begin, end),
        _clock(rng, begin, end), fails=rng.choice((0, 0, 0.03)), killed=rng.choice((0, 0, 0.004)),
        busy=timedelta(days=rng.choice((6, 12, 25))), begin=begin, end=end,
    )  # fmt: skip


def _study(rng: Random) -> Study:
    """Return the study file with one to three sites."""
    body = study().definition
    first = body["sites"][0]
    others = [first | site for site in rng.sample(ELSEWHERE, rng.choice((0, 1, 2)))]
    body["sites"] = [first, *others]
    ranges = body["safety"]["normal_ranges"]
    body["safety"]["normal_ranges"] = [*ranges, *(ranges[0] | {"site": o["code"]} for o in others)]
    if rng.random() < 0.3:
        del body["reminders"]["quiet"]
    return Study.model_validate(body)


def _one(rng: Random, made: Study, seed: int, number: int, longest: int) -> list[Dated]:
    """Return the facts of one patient at some site, as they come in: some late, wrong at first, or taken back."""
    site = rng.choice(made.sites)
    slot = Slot(rng.randint(30, longest), rng.choice(FATES), quantile=rng.random())  # type: ignore[arg-type]
    plain = _patient(made, site, f"NT-{number:03d}", slot, f"seeds/{seed}/{number}", UNTIL)
    return muddled(rng, plain, site, UNTIL)


def _settings(rng: Random, made: Study) -> dict[str, Any]:
    """Return who listens where, who wants one mail a day, and how much is too much."""
    channels: list[dict[str, Any]] = []
    for role in ("coordinator", "investigator", "monitor"):
        for number in range(rng.choice((0, 1, 1, 2)) if role == "coordinator" else rng.choice((0, 1))):
            one: dict[str, Any] = {
                "name": f"{role}-{number}",
                "role": role,
                "url": f"json://127.0.0.1:9/{role}{number}",
            }
            one["digest"] = rng.random() < 0.25
            one["most_per_day"] = rng.choice((None, None, 1, 3))
            if rng.random() < 0.2:
                one["site"] = rng.choice(made.sites).code
            channels.append(one)
    found: dict[str, Any] = {"channels": channels, "quiet_hours": rng.random() < 0.8}
    if rng.random() < 0.3:
        found |= {"flood_floor": rng.choice((4, 8)), "flood_factor": 2.0}
    return found


def _told(
    rng: Random, settings: dict[str, Any], begin: datetime, end: datetime
) -> tuple[tuple[datetime, ev.AnyTrialFact], ...]:
    """Return absences of people who have a deputy."""
    names = [c["name"] for c in settings["channels"]]
    found = []
    for number in range(rng.choice((0, 2, 5)) if len(names) > 1 else 0):
        at = _moment(rng, begin, end)
        channel, deputy = rng.sample(names, 2)
        until = at.date() + timedelta(rng.randint(0, 20))
        told = trial_fact("absence", at.date(), id=f"away-{number}", channel=channel, until=until, deputy=deputy)
        found.append((at, told))
    return tuple(sorted(found, key=lambda f: f[0]))


def _outages(rng: Random, begin: datetime, end: datetime) -> tuple[Outage, ...]:
    found: list[Outage] = []
    for _ in range(rng.choice((0, 3, 6, 10))):
        at = _moment(rng, begin, end).replace(hour=rng.randint(0, 23))
        found.append(Outage(at, at + rng.choice(LENGTHS), rng.choice(("journeys", "all"))))
    found.sort(key=lambda o: o.begin)
    return tuple(o for n, o in enumerate(found) if n == 0 or o.begin > max(p.end for p in found[:n]))


def _clock(rng: Random, begin: datetime, end: datetime) -> tuple[tuple[datetime, timedelta], ...]:
    """Return the times at which the clock was set back 2 h, some of them mended days later."""
    found: list[tuple[datetime, timedelta]] = []
    at, off = begin, timedelta(0)
    for _ in range(rng.choice((0, 1, 3))):
        at += timedelta(days=rng.uniform(20, 300))
        off = off - 2 * HOUR if off == timedelta(0) else timedelta(0)
        found.append((at, off))
    return tuple(f for f in found if f[0] < end)


def _moment(rng: Random, begin: datetime, end: datetime) -> datetime:
    return begin + (end - begin) * rng.random()
