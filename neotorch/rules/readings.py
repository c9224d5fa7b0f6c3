"""Values as collected on forms: the one that counts on a day, and its CTCAE grade."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from neotorch.domain import events as ev
from neotorch.domain.ctcae import Baseline, Graded, Normal, grade_of
from neotorch.domain.safety import Safety, ValuePlace
from neotorch.domain.state import PatientState


@dataclass(frozen=True)
class Reading:
    """One answer to one item."""

    value: ev.ItemValue
    day: date
    visit: str
    event_id: str

    @property
    def answered(self) -> bool:
        """Whether it is a value; zero and 'no' are."""
        return not isinstance(self.value, ev.NotAnswered)

    @property
    def number(self) -> float | None:
        """The value as a number, None if it is none."""
        value = self.value
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


class Readings:
    """All answers of one patient, each item's in the order in which they were collected."""

    def __init__(self, state: PatientState) -> None:
        parts = [part for parts in state.forms.values() for part in parts]
        self._parts = sorted(parts, key=lambda p: (p.occurred, p.id))

    @cached_property
    def _of(self) -> dict[tuple[str, str], list[Reading]]:
        found: dict[tuple[str, str], list[Reading]] = {}
        for part in self._parts:
            for item, value in part.items.items():
                reading = Reading(value, part.occurred, part.visit, part.id)
                found.setdefault((part.form, item), []).append(reading)
        return found

    def until(self, day: date, forms: Container[str]) -> list[ev.FormReceived]:
        """Return what was received of these forms up to a day."""
        return [part for part in self._parts if part.occurred <= day and part.form in forms]

    def newest(self, place: ValuePlace, on: date, within_days: int | None = None) -> Reading | None:
        """Return the answer that counts on a day: of that day or earlier, at most `within_days` old.

        The newest value; a reasoned 'not done' counts only where there is no value, for it says nothing about one.
        """
        known = [r for r in self._of.get((place.form, place.item), ()) if r.day <= on]
        if within_days is not None:
            known = [r for r in known if (on - r.day).days <= within_days]
        return next((r for r in reversed(known) if r.answered), known[-1] if known else None)


def grade_reading(
    reading: Reading, name: str, safety: Safety, readings: Readings, state: PatientState
) -> Graded | None:
    """Return the CTCAE grade of a reading of `safety.values[name]`; None if it is no number or has no scale.

    The baseline is the last value on or before the day of the first dose (before it, none is needed).
    """
    place = safety.values[name]
    if place.ctcae is None or reading.number is None:
        return None
    found = safety.limits(state.site, name)
    normal = Normal(found[0].low, found[0].high) if found else None
    before = readings.newest(place, state.first_dose) if state.first_dose and reading.day > state.first_dose else None
    base = Baseline(before.number, before.day, before.event_id) if before and before.number is not None else None
    return grade_of(place.ctcae, reading.number, normal, base)
