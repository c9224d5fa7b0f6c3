"""Endpoints over random histories: kept up to date as derived anew, blind to every order, pCR within RCB-0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.growth import grown
from neotorch.domain.state import PatientState, fold
from neotorch.rules.endpoints import Cohort, TrialResult, member, patient_endpoints, trial_result
from neotorch.rules.endpoints.monitoring import monitors
from neotorch.simulation import Dated, _patient
from neotorch.simulation.accrual import Slot
from tests.property.histories import histories
from tests.seeds import muddle
from tests.seeds.world import FATES, UNTIL
from tests.support import CLEAN, course, day, fact, learnt, screened, study, surgery

TRIALS, PEOPLE, LOOKS = 50, 20, 7
MODELS = 30
SHARES = {"LATE": 0.15, "WRONG": 0.25, "BACK": 0.1, "TWICE": 0.03}
"""Far more goes wrong than at any site: it is about corrections, retractions and news that come late."""
DULL = 0.85
"""Share of forms and visits left out: most of a history, and of no consequence for the figures."""
MANY = settings(deadline=None, max_examples=80)


@cache
def models() -> list[list[Dated]]:
    """Lives of simulated patients of every fate, before anything is said wrongly."""
    found, rng = [], Random("endpoints/models")
    for number in range(MODELS):
        slot = Slot(rng.randint(30, 1300), FATES[number % len(FATES)], quantile=rng.random())  # type: ignore[arg-type]
        made = _patient(study(), study().sites[0], "NT-001", slot, f"endpoints/{number}", UNTIL)
        found.append([d for d in made if d.fact.type not in ("form_received", "visit_held") or rng.random() > DULL])
    return found


def said(seed: int) -> list[Dated]:
    """What comes in of one trial, in the order in which it comes in."""
    rng = Random(f"endpoints/{seed}")
    found: list[Dated] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, share in SHARES.items():
            patch.setattr(muddle, name, share)
        for number in range(1, PEOPLE + 1):
            told = muddle.muddled(rng, rng.choice(models()), study().sites[0], UNTIL)
            found += (Dated(d.known_at, named(d.fact, f"NT-{number:03d}")) for d in told)
    return sorted(found, key=lambda d: d.known_at)


def named(one: ev.AnyFact, subject: str) -> ev.AnyFact:
    """The fact of another patient."""
    return one.model_copy(update={"subject": subject})


def rows_of(dated: list[Dated]) -> list[ev.Recorded]:
    """What a log holds of it: the same fact once only."""
    first = {(d.fact.subject, d.fact.id): d for d in reversed(dated)}
    kept = sorted(first.values(), key=lambda d: d.known_at)
    return [
        ev.Recorded.model_construct(seq=n, recorded_at=d.known_at, event=d.fact, prev_hash="", hash="")
        for n, d in enumerate(kept, 1)
    ]


class Kept:
    """A trial as one process keeps it: states that grow, and a cohort of which only who changed is derived anew."""

    def __init__(self) -> None:
        self.states: dict[str, PatientState] = {}
        self.cohort = Cohort(study())
        self.derived = 0

    def take(self, fresh: list[ev.Recorded], cut: date) -> TrialResult:
        """The figures at a cut after further events."""
        news: dict[str, list[ev.Recorded]] = {}
        for row in fresh:
            news.setdefault(str(row.event.subject), []).append(row)
        for subject, rows in news.items():
            before = self.states.get(subject)
            self.states[subject] = grown(before, rows) if before else fold(rows, subject)
        self.derived += len(self.cohort.refresh(news, cut, self.states.__getitem__))
        return trial_result(self.cohort.members.values(), study(), cut)


def anew(rows: list[ev.Recorded], cut: date) -> TrialResult:
    """The figures of everybody derived from the whole log."""
    by_subject: dict[str, list[ev.Recorded]] = {}
    for row in rows:
        by_subject.setdefault(str(row.event.subject), []).append(row)
    return trial_result([member(fold(r, s), study(), cut) for s, r in by_subject.items()], study(), cut)


def moments(rows: list[ev.Recorded], rng: Random) -> Iterator[tuple[int, date]]:
    """(How far the log is, cut): mostly the day of the newest event; sometimes an earlier one, sometimes much later."""
    places = sorted(rng.sample(range(1, len(rows)), LOOKS - 1))
    for place in [*places, len(rows)]:
        on = local_date(rows[place - 1].recorded_at, study().sites[0].time_zone)
        yield place, on + timedelta(rng.choice((0, 0, 0, 0, -30, -400, 200)))


def test_kept_up_to_date_is_derived_anew() -> None:
    """1,000 histories full of corrections, retractions and late news: at every look the kept result is the full one."""
    counts: Counter[str] = Counter()
    for seed in range(TRIALS):
        rows, kept, upto = rows_of(said(seed)), Kept(), 0
        for place, cut in moments(rows, Random(seed)):
            found = kept.take(rows[upto:place], cut)
            upto = place
            full = anew(rows[:place], cut)
            assert found == full, (seed, place, cut)
            counts["derived anew by the full"] += len(full.patients)
            counts["looks"] += 1
        counts["derived anew by the kept"] += kept.derived
        counts["histories"] += len(kept.states)
        counts["events"] += len(rows)
        counts["corrections"] += sum(isinstance(r.event, ev.Fact) and bool(r.event.corrects) for r in rows)
        counts["retractions"] += sum(isinstance(r.event, ev.Retraction) for r in rows)
        counts["crossings"] += len(found.crossed)
        counts["answers"] += sum(p.pcr.answer in ("yes", "no") for p in found.patients)
    print(dict(counts))  # noqa: T201 - how much the promise was tried by
    assert counts["histories"] == TRIALS * PEOPLE == 1000
    assert counts["derived anew by the kept"] < counts["derived anew by the full"]
    assert min(counts["corrections"], counts["retractions"], counts["answers"]) >= 300
    assert counts["crossings"] > 0


def test_no_order_matters() -> None:
    """Patients in any order, and the events of each in any order, give the same result, looks and crossings."""
    for seed in range(1000, 1006):
        rng, rows = Random(seed), rows_of(said(seed))
        mixed = rng.sample(rows, len(rows))
        cut = UNTIL - timedelta(rng.choice((0, 200)))
        assert anew(mixed, cut) == anew(rows, cut)
        members = [member(fold([r for r in rows if r.event.subject == s], s), study(), cut) for s in subjects(rows)]
        assert monitors(members, study()) == monitors(rng.sample(members, len(members)), study())


def subjects(rows: list[ev.Recorded]) -> list[str]:
    """Everybody."""
    return sorted({str(r.event.subject) for r in rows})


@MANY
@given(histories(), st.integers(0, 600), st.randoms(use_true_random=False))
def test_the_order_of_any_events_does_not_matter(
    events: list[ev.AnyFact | ev.AnyEffect], later: int, random: Any
) -> None:
    """Sensible or not: since when a patient is evaluable, place in the flow and values are those of any order."""
    mixed = list(events)
    random.shuffle(mixed)
    first, second = (member(fold(learnt(e), "NT-001"), study(), day(later + 1)) for e in (events, mixed))
    assert first == second


REPORTS = st.fixed_dictionaries({
    "ypt": st.sampled_from(["ypT0", "ypTis", "ypT1mi", "ypT1a", "ypT1c", "ypT2", "ypTX"]),
    "ypn": st.sampled_from(["ypN0", "ypN0", "ypN0(i+)", "ypN1mi", "ypN1a", "ypNX"]),
    "d1_mm": st.sampled_from([0, 1, 20, 50]), "d2_mm": st.sampled_from([0, 1, 15]),
    "cellularity_pct": st.sampled_from([0, 0, 10, 100]), "in_situ_pct": st.sampled_from([0, 5, 100]),
    "nodes_positive": st.sampled_from([0, 0, 1, 5]), "largest_met_mm": st.sampled_from([0, 0.1, 1, 5]),
})  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(REPORTS, st.sampled_from([None, "left", "right"]), st.sampled_from(["local", "central"])),
                min_size=1, max_size=2))  # fmt: skip
def test_pcr_implies_rcb_0_where_both_are_evaluable(reports: list[tuple[dict[str, Any], str | None, str]]) -> None:
    """The categories say pCR and the numbers say a class, each by itself: then the class is RCB-0."""
    told = [
        fact("pathology", day(146), id=f"p{n}", read=read, **CLEAN | found | ({"side": side} if side else {}))
        for n, (found, side, read) in enumerate(reports)
    ]
    state = fold(learnt([*screened(), *course(1), surgery(day(134)), *told]), "NT-001")
    implied(patient_endpoints(state, study(), day(200)))


def implied(found: Any) -> bool:
    """Whether both are evaluable; pCR has to imply RCB-0 then, and the low classes."""
    if found.rcb is None or found.rcb.index is None or found.pcr.answer not in ("yes", "no"):
        return False
    assert found.pcr.answer == "no" or found.rcb.rcb_class == "RCB-0"
    assert found.rcb.rcb_class != "RCB-0" or found.rcb01.answer == "yes"
    return True


def test_pcr_implies_rcb_0_in_every_history() -> None:
    """The same over histories with corrections and amended reports, and it is not for want of patients with both."""
    tried: Counter[str] = Counter()
    for seed in range(2000, 2030):
        for patient in anew(rows_of(said(seed)), UNTIL).patients:
            tried[patient.pcr.answer] += implied(patient)
    assert min(tried["yes"], tried["no"]) >= 10


@cache
def watched(days: int, end: str | None) -> PatientState:
    """A patient free of disease on a day, or with an event on it."""
    last = fact(end, day(days)) if end else fact("disease_assessment", day(days), status="free")
    return fold(learnt([*screened()[:3], *course(1)[:1], last]), "NT-001")


@MANY
@given(
    st.lists(st.tuples(st.integers(1, 1300), st.booleans()), min_size=1, max_size=12), st.integers(1, 1300),
)  # fmt: skip
def test_a_censored_patient_more_never_raises_the_share_with_an_event(
    people: list[tuple[int, bool]], days: int
) -> None:
    """From facts to figures: 1 - S at every landmark is not higher with one more who is only watched."""
    states = [watched(d, "death" if e else None) for d, e in people]
    one, more = (
        trial_result([member(replace(s, subject=f"NT-{n:03d}", memo={}, kept={}), study(), day(1400))
                      for n, s in enumerate(who)], study(), day(1400))
        for who in (states, [*states, watched(days, None)])
    )  # fmt: skip
    for (_, before), (_, after) in zip(one.landmarks, more.landmarks, strict=True):
        if before and after:
            assert 1 - after.estimate <= 1 - before.estimate + 1e-12
    assert more.efs
    assert one.efs
    assert (more.efs.n, more.efs.events) == (one.efs.n + 1, one.efs.events)
