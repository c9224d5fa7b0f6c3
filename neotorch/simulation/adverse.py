"""Adverse events of treatment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.simulation.chart import COORDINATOR, INVESTIGATOR, Chart

TERMS: tuple[tuple[str, tuple[int, ...], str, bool], ...] = (
    ("neutropenia", (2, 3, 3, 4), "chemotherapy", False),
    ("nausea", (1, 1, 2), "chemotherapy", False),
    ("alopecia", (1, 2), "chemotherapy", False),
    ("hypertension", (1, 2, 2, 3), "anlotinib", False),
    ("hand_foot_syndrome", (1, 2), "anlotinib", False),
    ("proteinuria", (1, 2), "anlotinib", False),
    ("hypothyroidism", (1, 2), "benmelstobart", True),
    ("rash", (1, 2), "benmelstobart", True),
    ("alt_increased", (1, 2, 3), "benmelstobart", True),
)
"""Term, grades (CTCAE v5), the drug it is put down to, whether immune-related."""
SERIOUS: tuple[tuple[str, str, bool], ...] = (
    ("febrile_neutropenia", "chemotherapy", False),
    ("pneumonitis", "benmelstobart", True),
    ("infection", "chemotherapy", False),
)
ORDINARY_PER_CYCLE, SERIOUS_PER_CYCLE, RECORDED_TWICE = 0.45, 0.022, 0.02


def adverse_events(chart: Chart, cycle: int, day: date, drugs: Sequence[str]) -> None:
    """Write what happened within the three weeks after day 1."""
    if chart.chance(ORDINARY_PER_CYCLE):
        _ordinary(chart, cycle, day, drugs)
    if chart.chance(SERIOUS_PER_CYCLE):
        _serious(chart, cycle, day, drugs)


def _ordinary(chart: Chart, cycle: int, day: date, drugs: Sequence[str]) -> None:
    """Record one when it is over; now and then it comes in twice, and the second is taken back."""
    term, grades, drug, immune = chart.rng.choice(TERMS)
    on = day + timedelta(chart.rng.randint(2, 14))
    over = on + timedelta(chart.rng.randint(3, 12))
    details: dict[str, Any] = {
        "term": term,
        "grade": chart.rng.choice(grades),
        "immune_related": immune,
        "resolved": over,
    }
    details["related_to"] = [d for d in drugs if d == drug]
    name, known_at = f"AE-C{cycle}", chart.known(over, 1)
    chart.take(ev.AdverseEvent, name, on, known_at, COORDINATOR, **details)
    if chart.chance(RECORDED_TWICE):
        twin = chart.take(ev.AdverseEvent, f"{name}-twin", on, known_at + timedelta(days=1), COORDINATOR, **details)
        noticed = over + timedelta(12)
        if twin:
            at, why = chart.known(noticed, 0), "recorded twice"
            chart.take(ev.Retraction, f"{name}-twin-r", noticed, at, COORDINATOR, retracts=twin.id, reason=why)


def _serious(chart: Chart, cycle: int, day: date, drugs: Sequence[str]) -> None:
    """Report a serious one within a day of learning of it (now and then later), and its outcome once it is over."""
    term, drug, immune = chart.rng.choice(SERIOUS)
    on = day + timedelta(chart.rng.randint(5, 13))
    aware = _clock(chart, on + timedelta(chart.rng.randint(0, 2)), chart.rng.randint(8, 17))
    reported = aware + timedelta(hours=chart.rng.choice((2, 5, 9, 20, 20, 31)))
    details: dict[str, Any] = {"term": term, "grade": 3, "serious": True, "immune_related": immune}
    related = [d for d in drugs if d == drug]
    told = chart.take(
        ev.AdverseEvent, f"SAE-C{cycle}", on, reported + timedelta(minutes=10), INVESTIGATOR, **details,
        related_to=related, aware=aware, reported=reported,
    )  # fmt: skip
    over = on + timedelta(chart.rng.randint(8, 18))
    if told:
        chart.correct(told, chart.known(over, 2), "outcome added", resolved=over)


def _clock(chart: Chart, day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour, chart.rng.randint(0, 59)), tzinfo=ZoneInfo(chart.site.time_zone))
