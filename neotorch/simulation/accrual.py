"""Who enters the trial when, and where each is to stand on the last day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

Fate = Literal["any", "stay", "screen_failure", "withdraw", "die", "lost"]
"""any: as chance has it; stay: nothing untoward; else what happens in the end."""
MONTH = 30.4375
GOLDEN = 0.6180339887498949
"""Multiples of it, without their whole parts, fill the unit interval evenly however many there are."""


@dataclass(frozen=True)
class Slot:
    """A patient to be: days since consent, what happens to them, and the stage wanted on the last day (None: any)."""

    days_ago: int
    fate: Fate = "any"
    stage: str | None = None
    since_dose: range | None = None
    """Days since the last day 1 wanted on the last day, e.g. so that the next one is due."""
    quantile: float = 0.5
    """Place among all patients by response, 0 the best."""


@dataclass(frozen=True)
class _Wanted:
    stage: str
    fate: Fate
    low: int
    """Consent at least so many days ago ..."""
    high: int
    """... and at most so many; 0: as far as the trial goes back."""
    of_60: int
    """How many of 60 patients, at least one."""
    since_dose: range | None = None


WANTED = (
    _Wanted("awaiting pathology", "stay", 154, 162, 3),
    _Wanted("cycle 3", "stay", 76, 84, 1, range(20, 23)),
    _Wanted("early follow-up", "any", 230, 500, 2),
    _Wanted("cycle 5", "stay", 121, 129, 1, range(23, 26)),
    _Wanted("late follow-up", "any", 560, 1250, 1),
    _Wanted("awaiting surgery", "stay", 145, 153, 3),
    _Wanted("screening", "stay", 4, 8, 2),
    _Wanted("complete", "any", 1400, 0, 4),
    _Wanted("dead", "die", 900, 0, 2),
    _Wanted("screen failure", "screen_failure", 40, 0, 5),
    _Wanted("withdrawn", "withdraw", 700, 0, 2),
    _Wanted("lost", "lost", 620, 1150, 2),
    _Wanted("cycle 1", "stay", 20, 30, 1),
    _Wanted("cycle 2", "stay", 42, 52, 1),
    _Wanted("cycle 4", "stay", 86, 96, 1),
    _Wanted("cycle 6", "stay", 124, 136, 1),
)
"""In order of importance where there are too few patients for all."""


def accrual(rng: Random, patients: int, months_back: int) -> list[Slot]:
    """Return one slot per patient in the order of consent: some for each stage, the others as people come.

    Responses are spread evenly, so that a small trial's shares come out near those of many.
    """
    span = max(60, round(months_back * MONTH))
    slots: list[Slot] = []
    for wanted in WANTED:
        high = min(wanted.high or span, span)
        if wanted.low <= high:  # else the trial does not go back far enough
            many = range(max(1, round(wanted.of_60 * patients / 60)))
            slots += [Slot(rng.randint(wanted.low, high), wanted.fate, wanted.stage, wanted.since_dose) for _ in many]
    del slots[patients:]
    slots += [Slot(_as_they_come(rng, span)) for _ in range(patients - len(slots))]
    slots.sort(key=lambda s: -s.days_ago)
    first = rng.random()
    return [replace(slot, quantile=(first + n * GOLDEN) % 1) for n, slot in enumerate(slots)]


def _as_they_come(rng: Random, span: int) -> int:
    """Return days since consent: recruitment starts slowly and then runs evenly to the last day."""
    return round(span * (1 - rng.betavariate(1.25, 1.0) * 0.985))
