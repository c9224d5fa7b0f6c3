"""Synthetic trials: clinically plausible, seeded, and dated twice, by what happened and by when the site wrote it down.

Pure: the same study, numbers and dates give the same facts, byte for byte. Nothing here is a real patient. Rates are
chosen so that a trial of some 60 patients has everything that a trial has: screen failures, delays, missing items,
progressions, recurrences (about 85 % event-free at 3 years), deaths, people who leave.
"""

from __future__ import annotations

import random
import re
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.study import Site, Study
from neotorch.simulation.accrual import Slot, accrual
from neotorch.simulation.chart import Chart, Dated
from neotorch.simulation.follow_up import after_treatment
from neotorch.simulation.stages import STAGES, stage_of
from neotorch.simulation.treatment import screening, treatment

__all__ = ["STAGES", "STUDY", "Dated", "simulate", "stage_of"]

STUDY = "neotorch-breast03"
"""Whose schedule is played: the visits, forms and drugs of this study stand in the code of this folder."""
TRIES = 400
"""Journeys drawn for a place in the trial (say, cycle 3 today) before the last one is taken as it is."""


def simulate(study: Study, *, patients: int, seed: int, until: date, months_back: int = 52) -> list[Dated]:
    """Return all facts of a trial that were known by the end of `until`, in the order in which sites recorded them.

    Patients go to the study's sites in turn. The first consent is at most `months_back` months before. From 24 patients
    on, every stage of `STAGES` is populated on `until`; with fewer, as many as there are patients.
    """
    rng = random.Random(f"{study.id}/{seed}")  # noqa: S311 - a reproducible story, no secret
    found: list[Dated] = []
    for number, slot in enumerate(accrual(rng, patients, months_back), 1):
        site = study.sites[(number - 1) % len(study.sites)]
        found += _patient(study, site, _subject(study, number), slot, f"{study.id}/{seed}/{number}", until)
    return sorted(found, key=lambda d: d.known_at)  # stable: what was recorded together keeps its order


def _patient(  # noqa: PLR0917 - who, where, when
    study: Study, site: Site, subject: str, slot: Slot, seed: str, until: date
) -> list[Dated]:
    """Return one patient's facts up to `until`, drawn again until the patient stands where the slot wants them."""
    known: list[Dated] = []
    for attempt in range(TRIES):
        rng = random.Random(f"{seed}/{attempt}")  # noqa: S311 - see above
        chart = Chart(study, subject, rng, site)
        consent = until - timedelta(slot.days_ago)
        course = screening(chart, consent, slot)
        if course is not None:
            treatment(chart, course)
            after_treatment(chart, course)
        known = chart.known_by(until)
        if _fits(slot, [d.fact for d in known], study, until):
            return known
    return known


def _fits(slot: Slot, facts: list[ev.AnyFact], study: Study, until: date) -> bool:
    if slot.stage is not None and stage_of(facts, study, until) != slot.stage:
        return False
    if slot.since_dose is None:
        return True
    return (until - max(f.occurred for f in facts if isinstance(f, ev.CycleGiven))).days in slot.since_dose


def _subject(study: Study, number: int) -> str:
    prefix = re.match(r"[A-Z]+-", study.subject_pattern)
    return f"{prefix[0] if prefix else 'NT-'}{number:03d}"
