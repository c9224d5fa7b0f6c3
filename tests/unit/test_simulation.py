"""The synthetic trial: repeatable, plausible, complete, and taken by the engine without a refusal."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from neotorch.domain import events as ev
from neotorch.domain.pcr import agreement
from neotorch.domain.rcb import rcb_of
from neotorch.rules.endpoints import member, trial_result
from neotorch.rules.endpoints.agreement import agreements
from neotorch.simulation import STAGES, Dated, simulate, stage_of
from neotorch.simulation.specimens import SHARES, class_of, flawed, other_eye, second_read, specimen
from tests.support import ZONE, Trial, fact, state_of, study

UNTIL = date(2026, 11, 22)


@cache
def trial(seed: int = 1, patients: int = 60, until: date = UNTIL) -> tuple[Dated, ...]:
    """A synthetic trial, made once."""
    return tuple(simulate(study(), patients=patients, seed=seed, until=until))


def by_subject(dated: tuple[Dated, ...]) -> dict[str, list[ev.AnyFact]]:
    """Facts of each subject in the order of recording."""
    found: dict[str, list[ev.AnyFact]] = defaultdict(list)
    for d in dated:
        found[d.fact.subject].append(d.fact)
    return found


def test_the_same_seed_gives_the_same_bytes() -> None:
    """The same study, seed and dates give the same facts at the same instants, byte for byte; another seed does not."""
    again = simulate(study(), patients=60, seed=1, until=UNTIL)
    assert [(d.known_at, ev.canonical(d.fact.body)) for d in again] == [
        (d.known_at, ev.canonical(d.fact.body)) for d in trial()
    ]
    assert {d.fact.digest for d in trial(2)} != {d.fact.digest for d in trial()}


def test_more_patients_do_not_change_what_an_earlier_call_gave() -> None:
    """Each patient is drawn from a sequence of their own: there is no state between calls."""
    simulate(study(), patients=3, seed=9, until=UNTIL)
    assert simulate(study(), patients=60, seed=1, until=UNTIL) == list(trial())


@pytest.mark.parametrize(("seed", "patients", "until"), [
    (1, 60, UNTIL), (2, 60, date(2027, 2, 28)), (3, 60, date(2028, 2, 29)), (4, 24, UNTIL), (5, 120, date(2026, 1, 1)),
])  # fmt: skip
def test_every_stage_is_populated(seed: int, patients: int, until: date) -> None:
    """On the last day somebody is in each stage, from screening through every cycle to the end of follow-up."""
    stages = Counter(stage_of(f, study(), until) for f in by_subject(trial(seed, patients, until)).values())
    assert [s for s in STAGES if not stages[s]] == []
    assert stages.total() == patients


@pytest.mark.parametrize(("seed", "patients"), [(1, 60), (2, 60), (3, 60), (4, 8)])
def test_some_sites_are_behind_with_their_records(seed: int, patients: int) -> None:
    """Somebody's day 1 is due about now, and somebody's lies days back, and neither is recorded yet."""
    since = {}
    for facts in by_subject(trial(seed, patients)).values():
        cycles = [f for f in facts if isinstance(f, ev.CycleGiven)]
        if stage_of(facts, study(), UNTIL) in ("cycle 3", "cycle 5"):
            since[(UNTIL - cycles[-1].occurred).days] = cycles[-1].cycle
    assert any(since.get(days) == 3 for days in (20, 21, 22))
    assert any(since.get(days) == 5 for days in (23, 24, 25))


def test_few_patients_are_possible() -> None:
    """One patient or a handful make a trial, too; the most telling stages come first."""
    assert len(by_subject(trial(1, 1))) == 1
    assert "awaiting pathology" in {stage_of(f, study(), UNTIL) for f in by_subject(trial(1, 6)).values()}


def test_the_engine_takes_every_fact(tmp_path: Path) -> None:
    """Fed in the order of recording, with the clock at the instant of recording, no fact is refused."""
    played = Trial(tmp_path)
    for (known_at, _), group in groupby(trial(3, 30), key=lambda d: (d.known_at, d.fact.subject)):
        played.now = known_at
        played.tell(*(d.fact for d in group))
    assert played.engine.head() == len(trial(3, 30))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_known_before_it_happened(seed: int) -> None:
    """No fact is dated after the day at the site on which it was recorded, and none is recorded after the last day."""
    for d in trial(seed):
        day = d.known_at.astimezone(ZONE).date()
        assert d.fact.occurred <= day <= UNTIL, d
        if isinstance(d.fact, ev.AdverseEvent):
            assert d.fact.resolved is None or d.fact.resolved <= day, d
            assert d.fact.reported is None or d.fact.reported <= d.known_at, d


def test_ids_can_be_read_and_actors_are_codes() -> None:
    """Ids are unique and begin with the subject; nobody's name is among the actors."""
    ids = [d.fact.id for d in trial()]
    assert len(set(ids)) == len(ids)
    assert all(d.fact.id.startswith(f"{d.fact.subject}-") for d in trial())
    assert {d.fact.actor for d in trial()} <= {"crc.01", "inv.01", "rad.01", "path.01", "path.central"}
    assert any(i.endswith("-C2D1") for i in ids)


def test_subjects_are_numbered_in_the_order_of_consent() -> None:
    """NT-001 is the first to consent, and so on."""
    consents = {d.fact.subject: d.fact.occurred for d in trial() if isinstance(d.fact, ev.Consent)}
    assert list(consents.values()) == sorted(consents.values())
    assert sorted(consents) == [f"NT-{n:03d}" for n in range(1, 61)]
    assert UNTIL - min(consents.values()) < timedelta(52 * 31)


ANSWERS = {
    "query_answered", "query_opened", "query_resolved", "notice_seen", "snoozed", "deviation_acknowledged",
    "visit_booked", "visit_waived", "unscheduled_visit", "reconsent",
}  # fmt: skip
"""What people say to the engine's questions; the synthetic patients tell only what happened to them."""


def test_a_trial_has_what_trials_have() -> None:
    """Delays, dose changes, missed visits, missing and late items, corrections, progressions, recurrences, dropouts."""
    facts = [d.fact for seed in (1, 2, 3) for d in trial(seed)]
    assert {f.type for f in facts} == set(ev.FACT_TYPES) - ANSWERS
    assert {p.operable for p in facts if isinstance(p, ev.Progression)} == {True, False, None}
    assert {a.serious for a in facts if isinstance(a, ev.AdverseEvent)} == {True, False}
    assert {type(f) for f in facts if f.corrects} >= {ev.Surgery, ev.Pathology, ev.AdverseEvent}
    assert any(isinstance(v, ev.NotAnswered) for f in facts if isinstance(f, ev.FormReceived) for v in f.items.values())
    assert {p.read for p in facts if isinstance(p, ev.Pathology)} == {"local", "central", "adjudication"}


def test_the_outcomes_are_plausible() -> None:
    """Over several trials about a quarter reach pCR, 0.39 RCB 0-1, and about 85 % are event-free at 3 years."""
    states = [state_of(f, s) for seed in range(1, 7) for s, f in by_subject(trial(seed)).items()]
    result = trial_result([member(s, study(), UNTIL) for s in states], study(), UNTIL)
    shares = {(p.name, p.set_name): p.interval for p in result.proportions}
    pcr, rcb01 = shares["pcr", "evaluable"], shares["rcb01", "evaluable"]
    assert pcr is not None
    assert rcb01 is not None
    assert 0.17 < pcr.estimate < 0.31
    assert 0.30 < rcb01.estimate < 0.48
    efs = dict(result.landmarks)[1095]
    assert efs is not None
    assert 0.75 < efs.estimate < 0.93


def test_the_two_reads_differ_now_and_then() -> None:
    """Over several trials most reads agree, some differ in class and a few in pCR, and nearly all of those are adjudicated."""
    states = [state_of(f, s) for seed in range(1, 5) for s, f in by_subject(trial(seed)).items()]
    in_class, in_pcr = agreements(states, study(), UNTIL)
    assert 0.8 < in_class.agreeing / in_class.n < 0.97
    assert 0.9 < in_pcr.agreeing / in_pcr.n < 1
    assert in_class.kappa is not None
    assert in_class.kappa.estimate > 0.7
    assert in_class.adjudicated >= in_class.n - in_class.agreeing - in_class.awaited > 0


@pytest.mark.parametrize("wanted", [c for c, _ in SHARES])
def test_specimens_agree_with_themselves(wanted: str) -> None:
    """Every drawn report has the wanted class and no contradiction between categories and numbers, read twice."""
    rng = Random(wanted)
    for n in range(200):
        report = specimen(rng, wanted)  # type: ignore[arg-type]
        for version in (report, second_read(rng, report), other_eye(rng, second_read(rng, report))):
            pathology = fact("pathology", UNTIL, id=f"p{n}", **version)
            assert isinstance(pathology, ev.Pathology)
            assert agreement(pathology) == ()
            assert rcb_of(pathology).problems == ()
        assert class_of(report) == wanted


def test_flawed_reports_are_not_evaluable() -> None:
    """What is sent in with a gap or a contradiction gives no class and no pCR until it is corrected."""
    rng = Random(1)
    for wanted, _ in SHARES:
        for n in range(50):
            first, reason = flawed(rng, specimen(rng, wanted))
            pathology = fact("pathology", UNTIL, id=f"p{n}", **first)
            assert isinstance(pathology, ev.Pathology)
            assert reason
            assert rcb_of(pathology).rcb_class is None or agreement(pathology)
