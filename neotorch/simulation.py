"""A synthetic trial: seeded, clinically plausible, with what goes wrong in real ones.

Delays, reduced and held doses, missing items that come late or never, missed visits, dropouts, recurrences, deaths. No
number here is a claim about the treatment; the shares are those of published neoadjuvant trials, roughly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.rcb import RcbInputs, rcb
from neotorch.domain.study import Form, Item, Study, Visit

RECENT_SHARE, RECENT_DAYS = 0.4, 230
"""So many of the patients consented within so many days: else hardly anybody would be on treatment."""
DAYS_BACK = 1560
FACT = ev.FACT


@dataclass(frozen=True)
class Dated:
    """A fact and the instant at which the site records it."""

    known_at: datetime
    fact: ev.AnyFact


def simulate(study: Study, *, patients: int, seed: int, until: date) -> list[Dated]:
    """Return all facts recorded up to the end of `until`, in the order of recording. Same arguments, same bytes."""
    found: list[Dated] = []
    for number in range(1, patients + 1):
        life = _Life(study, number, Random(f"{seed}/{number}"), until - timedelta(_days_ago(number, patients)))
        life.live()
        found += [d for d in life.dated if d.fact.occurred <= until and d.known_at.date() <= until]
    return sorted(found, key=lambda d: (d.known_at, d.fact.id))


def _days_ago(number: int, patients: int) -> int:
    """Return how long before the end the patient consented: the first one earliest, the last one a day ago."""
    place = (patients - number + 0.5) / patients
    if place < RECENT_SHARE:
        return 1 + int(place / RECENT_SHARE * RECENT_DAYS)
    return RECENT_DAYS + int((place - RECENT_SHARE) / (1 - RECENT_SHARE) * (DAYS_BACK - RECENT_DAYS))


class _Life:
    """One patient's events, written down one after the other."""

    def __init__(self, study: Study, number: int, rng: Random, consent: date) -> None:
        self.study, self.rng, self.consent = study, rng, consent
        self.subject = f"NT-{number:03d}"
        self.site = study.sites[number % len(study.sites)]
        self.zone = ZoneInfo(self.site.time_zone)
        self.dated: list[Dated] = []
        self.clock = datetime.combine(consent, time(8), self.zone)
        self.end: date | None = None
        """After this day nothing more is recorded: death, withdrawal, lost."""

    # ── writing down ──────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, kind: str, on: date, tail: str, *, late_days: int = 0, **fields: Any) -> None:
        """Record a fact on its day (or some days late), never before what was recorded earlier."""
        if self.end is not None and on > self.end:
            return
        at = datetime.combine(
            on + timedelta(late_days), time(9 + self.rng.randrange(8), self.rng.randrange(60)), self.zone
        )
        if not late_days:
            at = self.clock = max(at, self.clock + timedelta(minutes=1))
        body = {"study": self.study.id, "subject": self.subject, "occurred": on, "id": f"{self.subject}-{tail}",
                "actor": f"crc{1 + int(self.subject[-1]) % 3:02d}", "type": kind, **fields}  # fmt: skip
        self.dated.append(Dated(at, FACT.validate_python(body)))

    def chance(self, share: float) -> bool:
        """Return True in `share` of the cases."""
        return self.rng.random() < share

    def forms(self, code: str, on: date) -> None:
        """Record the forms due at a visit; some lack an item, which comes later, or not at all."""
        for due in self.study.visit_by_code[code].due:
            form = self.study.form_by_code[due.form]
            if form.event:
                continue
            items = {name: self.value(form.items[name], name) for name in due.items or form.items}
            tail = f"{code}-{form.code}"
            if self.chance(0.015) and len(items) > 1:
                self._with_gap(code, form, items, on, tail)
            elif self.chance(0.01):
                self.tell(
                    "form_received",
                    on,
                    tail,
                    visit=code,
                    form=form.code,
                    items=items,
                    late_days=self.rng.randrange(4, 12),
                )
            else:
                self.tell("form_received", on, tail, visit=code, form=form.code, items=items)

    def _with_gap(self, code: str, form: Form, items: dict[str, Any], on: date, tail: str) -> None:
        missing = self.rng.choice(sorted(items))
        value = items.pop(missing)
        self.tell("form_received", on, tail, visit=code, form=form.code, items=items)
        if self.chance(0.3):
            value = {"status": "not_done", "reason": "sample not usable"}
        if self.chance(0.85):
            days = self.rng.randrange(5, 20)
            self.tell(
                "form_received", on, f"{tail}-2", visit=code, form=form.code, items={missing: value}, late_days=days
            )

    def value(self, item: Item, name: str) -> Any:
        """Return a plausible value of an item."""
        if item.kind == "boolean":
            return True
        if item.kind == "choice":
            return "neg" if "neg" in item.choices else self.rng.choice(item.choices)
        low, high = TYPICAL.get(name, (item.low or 0.0, item.high or 100.0))
        number = self.rng.uniform(low, high)
        return round(number) if item.kind == "integer" else round(number, 1)

    def held(self, code: str, on: date) -> None:
        """Record a visit as held, with its forms."""
        self.tell("visit_held", on, code, visit=code)
        self.forms(code, on)

    # ── living ────────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self) -> None:
        """Go from consent to the end."""
        start = self.screening()
        if start is None:
            return
        last, operable = self.treatment(start)
        surgery = self.operation(last) if operable and self.end is None else None
        self.follow_up(start, last, surgery)

    def screening(self) -> date | None:
        """Return the planned first day of treatment, None for a screen failure."""
        day = self.consent
        self.tell("consent", day, "ICF", site=self.site.code, icf_version="2.1")
        seen = day + timedelta(self.rng.randrange(5, 12))
        self.held("SCR", seen)
        self.tell(
            "imaging",
            seen,
            "SCR-IMG",
            visit="SCR",
            modality=["US", "MRI"],
            sum_mm=float(self.rng.randrange(22, 60)),
            response="BASELINE",
        )
        decided = seen + timedelta(1)
        if self.chance(0.08):
            self.tell(
                "eligibility", decided, "ELIG", eligible=False, failed_criteria=[self.rng.choice(["I05", "E02", "E11"])]
            )
            return None
        self.tell("eligibility", decided, "ELIG", eligible=True)
        start = seen + timedelta(self.rng.randrange(3, 7))
        self.tell("enrolment", decided, "ENR", planned_start=start)
        return start

    def treatment(self, start: date) -> tuple[date, bool]:
        """Return the last cycle's day 1 and whether the tumour stayed operable."""
        day, level, anlotinib = start, 12.0, True
        size = float(self.rng.randrange(20, 50))
        for cycle in range(1, self.study.cycles.count + 1):
            if cycle > 1:
                day = self._next_day_one(cycle, day)
            if cycle in (3, 5):
                size = self._image("IMG1" if cycle == 3 else "IMG2", day, size)  # noqa: PLR2004 - as the schedule has it
            if cycle > 2 and self.chance(0.01):  # noqa: PLR2004 - not in the first weeks
                self.tell("progression", day, "PD", operable=False, basis="imaging", site="distant")
                return day - timedelta(21), False
            if cycle > 1 and self.chance(0.05) and level > 8:  # noqa: PLR2004 - the lowest level
                level -= 2
                self.tell(
                    "dose_changed", day, f"C{cycle}-RED", drug="anlotinib", action="reduced", dose=level, cause="AE"
                )
            self._give(cycle, day, level, anlotinib=anlotinib and cycle < self.study.cycles.count)
            anlotinib = anlotinib and not self.chance(0.02)
            if self.chance(0.01):
                self.end = day + timedelta(9)
                self.tell("withdrawal", self.end, "WD", scope="study")
        return day, True

    def _next_day_one(self, cycle: int, previous: date) -> date:
        planned = previous + timedelta(21)
        if self.chance(0.12):
            days = self.rng.randrange(5, 12)
            self.tell(
                "cycle_delayed",
                planned,
                f"C{cycle}-DELAY",
                cycle=cycle,
                until=planned + timedelta(days),
                cause="neutropenia",
            )
            return planned + timedelta(days)
        return planned + timedelta(self.rng.choice([-1, 0, 0, 0, 1, 2]))

    def _image(self, code: str, day_one: date, size: float) -> float:
        on = day_one - timedelta(self.rng.randrange(2, 5))
        smaller = round(size * self.rng.uniform(0.5, 0.9), 1)
        self.tell(
            "imaging",
            on,
            code,
            visit=code,
            modality=["US"],
            sum_mm=smaller,
            response="PR" if smaller < 0.7 * size else "SD",
        )
        self.forms(code, on)
        return smaller

    def _give(self, cycle: int, day: date, level: float, *, anlotinib: bool) -> None:
        drugs: list[dict[str, Any]] = [{"drug": "chemotherapy"}, {"drug": "benmelstobart", "dose": 1200.0}]
        if self.chance(0.04):
            drugs[1] = {"drug": "benmelstobart", "status": "held"}
        if anlotinib:
            drugs.append({"drug": "anlotinib", "dose": level, "status": "given" if level == 12 else "reduced"})  # noqa: PLR2004 - the full dose
        self.tell("cycle_given", day, f"C{cycle}D1", cycle=cycle, drugs=drugs)
        self.forms(f"C{cycle}D1", day)
        if self.chance(0.25):
            term, grade = self.rng.choice(
                [("hypertension", 2), ("neutropenia", 3), ("ALT_increased", 2), ("hand_foot", 1)]
            )
            self.tell(
                "adverse_event", day + timedelta(6), f"C{cycle}-AE", term=term, grade=grade, related_to=["anlotinib"]
            )
        if self.chance(0.01):
            aware = datetime.combine(day + timedelta(10), time(10), self.zone)
            self.tell("adverse_event", day + timedelta(9), f"C{cycle}-SAE", term="febrile_neutropenia", grade=4, serious=True,
                      aware=aware, reported=aware + timedelta(hours=self.rng.randrange(3, 30)), late_days=2)  # fmt: skip
        if cycle == 1:
            for code, after in (("C1D8", 7), ("C1D15", 14)):
                on = day + timedelta(after + self.rng.choice([-1, 0, 0, 1]))
                if self.chance(0.03):
                    self.tell("visit_missed", on + timedelta(3), code, visit=code, cause="travel")
                else:
                    self.held(code, on)

    def operation(self, last: date) -> date | None:
        """Return the day of surgery."""
        before = last + timedelta(self.rng.randrange(15, 22))
        self.held("PREOP", before)
        self.tell(
            "imaging",
            before,
            "PREOP-IMG",
            visit="PREOP",
            modality=["MRI", "US"],
            sum_mm=float(self.rng.randrange(0, 25)),
            response="PR",
        )
        if self.chance(0.02):
            self.end = before + timedelta(5)
            self.tell("withdrawal", self.end, "WD", scope="study")
            return None
        day = last + timedelta(self.rng.randrange(23, 40) if not self.chance(0.06) else self.rng.randrange(45, 58))
        self.tell("surgery", day, "SURG", breast=self.rng.choice(["breast_conserving", "mastectomy"]),
                  axilla=self.rng.choice(["sentinel", "dissection"]), margin="clear")  # fmt: skip
        self.forms("SURG", day)
        report = pathology(self.rng)
        on = day + timedelta(self.rng.randrange(8, 18))
        if self.chance(0.04):
            report.pop("cellularity_pct")
        self.tell("pathology", on, "PATH", read="local", **report)
        if not self.chance(0.1):
            self.tell("pathology", day + timedelta(self.rng.randrange(24, 44)), "CENTRAL", read="central", **report)
        self.held("POD30", day + timedelta(30 + self.rng.randrange(-5, 6)))
        return day

    def follow_up(self, start: date, last: date, surgery: date | None) -> None:
        """Record the visits after treatment, and what ends them."""
        fates: list[tuple[date, Callable[[date], None]]] = []
        days_to_event = self.rng.expovariate(0.058 / 365)
        if surgery and days_to_event < 1200:  # noqa: PLR2004 - beyond the study
            fates.append((surgery + timedelta(60 + int(days_to_event)), self._recur))
        for visit, on in self._visits(start, last, surgery):
            while fates and fates[0][0] <= on:
                when, fate = fates.pop(0)
                fate(when)
            if self.end is not None and on > self.end:
                return
            if self.chance(0.04):
                self.tell("visit_missed", on + timedelta(20), visit.code, visit=visit.code, cause="no_show")
                continue
            if self.chance(0.006):
                self.end = on
                self.tell("lost_to_follow_up", on, "LOST")
                return
            self.held(visit.code, on)
            if visit.held_by == "disease_status":
                status = "disease" if any(d.fact.type == "recurrence" for d in self.dated) else "free"
                self.tell("disease_assessment", on, f"{visit.code}-STATUS", status=status, visit=visit.code)

    def _visits(self, start: date, last: date, surgery: date | None) -> Iterator[tuple[Visit, date]]:
        found = []
        for visit in self.study.visits:
            if visit.phase != "follow_up" or visit.code in ("CENTRAL", "POD30"):
                continue
            timing = visit.timing[0]
            anchor = {"surgery": surgery, "cycle.1": start, "last_dose": last, "last_dose.benmelstobart": last}[
                timing.anchor
            ]
            if anchor:
                spread = max(1, min(timing.window_days_before, timing.window_days_after) - 1)
                found.append((visit, anchor + timedelta(timing.offset_days + self.rng.randrange(-spread, spread + 1))))
        yield from sorted(found, key=lambda x: x[1])

    def _recur(self, on: date) -> None:
        site = self.rng.choice(["local", "regional", "distant", "distant"])
        self.tell("recurrence", on, "REC", site=site, basis="biopsy")
        self.tell("new_therapy", on + timedelta(14), "NEWTX", therapy="CDK46")
        if site == "distant" and self.chance(0.6):
            self.end = on + timedelta(self.rng.randrange(120, 500))
            self.tell("death", self.end, "DEATH", cause="disease", late_days=self.rng.randrange(1, 9))


TYPICAL: dict[str, tuple[float, float]] = {
    "AGE_YEARS": (32, 68), "SBP": (105, 148), "DBP": (62, 92), "WEIGHT": (45, 80), "ECOG": (0, 1), "ANC": (1.6, 6.0),
    "PLT": (110, 320), "HB": (98, 145), "ALT": (8, 60), "AST": (10, 55), "BILI": (4, 18), "CREAT": (40, 85),
    "INR": (0.9, 1.1), "APTT": (25, 36), "TSH": (0.6, 4.5), "FT3": (3, 6), "FT4": (10, 20), "CORT": (150, 550),
    "TROP": (1, 12), "CK": (30, 160), "QTCF": (395, 445), "LVEF_PCT": (56, 68), "PILLS_LEFT": (0, 3),
    "COMPLICATION": (0, 1), "ER_PCT": (30, 95), "PR_PCT": (5, 90), "KI67_PCT": (20, 70), "PDL1_CPS": (0, 30),
}  # fmt: skip
"""Usual range of each number; the study file's limits are those of the possible."""


def pathology(rng: Random) -> dict[str, Any]:
    """Return a report whose categories and six numbers agree: about a quarter pCR, a sixth RCB-I."""
    draw = rng.random()
    if draw < 0.25:  # noqa: PLR2004 - share of pCR
        ypt, d1, d2, cellularity, in_situ = "ypT0", 0.0, 0.0, 0.0, 0.0
        if rng.random() < 0.3:  # noqa: PLR2004 - share with in situ cancer left
            ypt, d1, d2, cellularity, in_situ = "ypTis", 12.0, 9.0, 5.0, 100.0
        nodes, met, ypn = 0, 0.0, "ypN0"
    elif draw < 0.42:  # noqa: PLR2004 - and of little residual disease
        ypt, d1, d2, cellularity, in_situ = "ypT1a", float(rng.randrange(3, 6)), 3.0, float(rng.randrange(2, 9)), 10.0
        nodes, met, ypn = 0, 0.0, "ypN0"
    else:
        d1 = float(rng.randrange(8, 45))
        ypt = "ypT1b" if d1 <= 10 else "ypT1c" if d1 <= 20 else "ypT2"  # noqa: PLR2004 - the categories' sizes in mm
        d2, cellularity, in_situ = (
            round(d1 * rng.uniform(0.5, 0.95)),
            float(rng.randrange(10, 70)),
            float(rng.randrange(0, 20)),
        )
        nodes = rng.choice([0, 0, 0, 1, 2, 3, 5])
        met = float(rng.randrange(3, 14)) if nodes else 0.0
        ypn = "ypN0" if not nodes else "ypN1a" if nodes <= 3 else "ypN2a"  # noqa: PLR2004 - AJCC
    report: dict[str, Any] = {
        "ypt": ypt, "ypn": ypn, "d1_mm": d1, "d2_mm": float(d2), "cellularity_pct": cellularity, "in_situ_pct": in_situ,
        "nodes_positive": nodes, "largest_met_mm": met, "nodes_removed": max(nodes, rng.randrange(3, 16)),
    }  # fmt: skip
    grade = rcb(RcbInputs(d1, float(d2), cellularity, in_situ, nodes, met)).rcb_class
    report["miller_payne"] = 5 if grade == "RCB-0" else 4 if grade == "RCB-I" else 3
    if ypt not in ("ypT0", "ypTis"):
        report |= {"er_pct": float(rng.randrange(10, 95)), "pr_pct": float(rng.randrange(0, 90)), "her2": rng.choice(["0", "1+"]),
                   "ki67_pct": float(rng.randrange(3, 45))}  # fmt: skip
    return report
