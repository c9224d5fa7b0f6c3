"""One patient's chart: facts as a site writes them down, each with the instant at which it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.study import Due, Site, Study
from neotorch.simulation.values import value

F = TypeVar("F", bound=ev.Fact)

COORDINATOR, INVESTIGATOR, RADIOLOGY, PATHOLOGY, CENTRAL = "crc.01", "inv.01", "rad.01", "path.01", "path.central"

LATE_FORM, LACKS_ITEM, NOT_DONE, NEVER = 0.04, 0.035, 0.012, 0.06
"""Shares: forms that come days later; forms that lack an item; items answered by a reason; gaps that nobody fills."""
HEEDLESS = 0.02
"""Share of values under a gate's limit in spite of which a dose is given."""
LAGS = ((0, 0.76), (1, 0.11), (2, 0.07), (5, 0.04), (8, 0.02))
"""Days until a visit is in the database, with their shares."""


@dataclass(frozen=True)
class Dated:
    """A fact and the aware instant at which the site records it."""

    known_at: datetime
    fact: ev.AnyFact


class Chart:
    """Collects one patient's facts. What would be dated after `ends` (death, withdrawal) is not written."""

    def __init__(self, study: Study, subject: str, rng: Random, site: Site | None = None) -> None:
        """Of a patient at `site`, the study's first one if none is given."""
        self.study, self.subject, self.rng = study, subject, rng
        self.site = site or study.sites[0]
        self.ends: date | None = None
        self.weight = rng.gauss(60, 8)
        self.before_doses = {"SCR", *(v.code for v in study.visits if v.cycle)}
        """Visits whose values are looked at before a dose."""
        self.least = _least(study)
        self._dated: list[Dated] = []

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def known(self, day: date, lag: int | None = None, rng: Random | None = None) -> datetime:
        """Return an instant of an afternoon at the site, `lag` days after `day` (drawn if not given)."""
        rng = rng or self.rng
        if lag is None:
            lag = rng.choices([d for d, _ in LAGS], [w for _, w in LAGS])[0]
        at = time(rng.randint(14, 18), rng.randint(0, 59), rng.randint(0, 59))
        return datetime.combine(day + timedelta(lag), at, tzinfo=ZoneInfo(self.site.time_zone)).astimezone(UTC)

    def about(self, day: date, spread: float, low: int, high: int) -> date:
        """Return a working day around `day`: normal with `spread` days, between `low` and `high` days from it."""
        shift = max(low, min(high, round(self.rng.gauss(0, spread))))
        return workday(day + timedelta(shift))

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return self.rng.random() < share

    def known_by(self, until: date) -> list[Dated]:
        """Return the facts known by the end of `until` at the site, oldest knowledge first."""
        midnight = datetime.combine(until + timedelta(1), time(), tzinfo=ZoneInfo(self.site.time_zone))
        return sorted((d for d in self._dated if d.known_at < midnight), key=lambda d: d.known_at)

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(
        self, kind: type[F], name: str, occurred: date, known_at: datetime, actor: str = COORDINATOR, /, **fields: Any
    ) -> F | None:
        """Write a fact with the id SUBJECT-name; None if the patient's journey had ended by `occurred`."""
        if self.ends and occurred > self.ends:
            return None
        fact = kind(
            id=f"{self.subject}-{name}", study=self.study.id, subject=self.subject, occurred=occurred, actor=actor,
            **fields,
        )  # fmt: skip
        self._dated.append(Dated(known_at, fact))  # type: ignore[arg-type]  # F is one of the union's members
        return fact

    def visit(self, code: str, day: date, *, missed: float = 0.0, silent: float = 0.3) -> datetime | None:
        """Hold a visit with its forms, or miss it with probability `missed` (without a word in `silent` of them).

        Returns the instant at which it is in the database, None if it was missed.
        """
        if self.chance(missed):
            cause = self.rng.choice(("declined", "travel", "unwell", "forgot"))
            if not self.chance(silent):
                self.take(ev.VisitMissed, f"{code}-missed", day, self.known(day, 1), visit=code, cause=cause)
            return None
        known_at = self.known(day)
        self.take(ev.VisitHeld, code, day, known_at, visit=code)
        self.forms(code, day, known_at)
        return known_at

    def forms(self, code: str, day: date, known_at: datetime, *, without: Sequence[str] = ()) -> None:
        """Write the forms due at a visit: most at once and whole, some late, some with an item missing."""
        for due in self.study.visit_by_code[code].due:
            form = self.study.form_by_code[due.form]
            if form.event is None and form.code not in without:
                self._form(code, due, day, known_at)

    def _form(self, code: str, due: Due, day: date, known_at: datetime) -> None:
        form = self.study.form_by_code[due.form]
        items: dict[str, Any] = {n: self._value(n, due.form, code) for n in due.items or form.items}
        name, late = f"{code}-{form.code}", self.chance(LATE_FORM)
        if late and self.chance(NEVER):
            return
        at = self._later(known_at) if late else known_at
        missing = self.rng.choice(list(items)) if self.chance(LACKS_ITEM) else None
        if missing is None or len(items) == 1:
            self.take(ev.FormReceived, name, day, at, visit=code, form=form.code, items=items)
            return
        supplied = {missing: items.pop(missing)}
        self.take(ev.FormReceived, name, day, at, visit=code, form=form.code, items=items)
        if not self.chance(NEVER):
            self.take(ev.FormReceived, f"{name}-2", day, self._later(at), visit=code, form=form.code, items=supplied)

    def _value(self, name: str, form: str, visit: str) -> Any:
        if self.chance(NOT_DONE) and form not in ("VITALS", "SURVIVAL"):
            reason = self.rng.choice(("sample haemolysed", "device out of order", "not ordered"))
            return ev.NotAnswered(status="not_done", reason=reason)
        if name == "WEIGHT":
            return round(self.weight + self.rng.gauss(0, 1), 1)
        drawn = value(self.rng, name, self.study.form_by_code[form].items[name])
        least = self.least.get((form, name)) if visit in self.before_doses else None
        if isinstance(drawn, str) or least is None or drawn >= least or self.chance(HEEDLESS):
            return drawn
        return type(drawn)(2 * least - drawn)  # a site waits for better values and then doses

    def _later(self, known_at: datetime) -> datetime:
        return known_at + timedelta(days=self.rng.randint(4, 20), minutes=self.rng.randint(-240, 240))

    def close(self, on: date, *, but: type[ev.Fact] | tuple[()] = ()) -> None:
        """End the journey on a day: what was written of later days is taken out, and no more comes in."""
        self.ends = min(on, self.ends or on)
        self._dated = [d for d in self._dated if d.fact.occurred <= on or isinstance(d.fact, but)]

    def correct(self, fact: F, known_at: datetime, reason: str, **changes: Any) -> F | None:
        """Write a correction of `fact` with other values; the id gets `-c` behind it."""
        fields = {n: getattr(fact, n) for n in type(fact).model_fields}
        fields |= {"id": f"{fact.id}-c", "corrects": fact.id, "reason": reason, **changes}
        fixed = type(fact)(**fields)
        if self.ends and fixed.occurred > self.ends:
            return None
        self._dated.append(Dated(known_at, fixed))  # type: ignore[arg-type]  # see take
        return fixed


def _least(study: Study) -> dict[tuple[str, str], float]:
    """Return (form, item) -> the least value with which a dose may be given."""
    if study.safety is None:
        return {}
    limits = [c for gate in study.safety.dose_gates for c in gate.conditions if c.at_least is not None]
    places = {c.value: study.safety.values[c.value] for c in limits}
    return {(places[c.value].form, places[c.value].item): float(c.at_least or 0) for c in limits}


def workday(day: date) -> date:
    """Return the day, or the nearest weekday of a Saturday or Sunday."""
    return day + timedelta({5: -1, 6: 1}.get(day.weekday(), 0))
