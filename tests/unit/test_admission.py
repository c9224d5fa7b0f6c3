"""Admission: what may enter the log, in whatever order it comes, and what impossible history is asked about."""

from __future__ import annotations

import itertools
import random
from datetime import date, timedelta
from pathlib import Path

import pytest

from neotorch.domain import events as ev
from neotorch.rules.admission import batch_order, item_fault
from tests.support import START, SUBJECT, Trial, at, consent, course, cycle, fact, pathology, screened, study, surgery

DAY = timedelta(1)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A trial on 1 September 2026, with nobody in it."""
    return Trial(tmp_path, now=at(date(2026, 9, 1)))


def outcomes(trial: Trial, *facts: ev.AnyFact, **options: bool) -> list[str]:
    """What becomes of each fact."""
    return [a.outcome for a in trial.engine.record(facts, **options)]


def test_a_death_learnt_after_a_dose_is_taken_and_asked_about(trial: Trial) -> None:
    """A late death before a recorded dose may be true: it is kept, and becomes a query."""
    trial.tell(*screened(), cycle(1, START), cycle(2, START + 21 * DAY))
    trial.tell(fact("death", START + 10 * DAY))
    trial.wake()
    assert {q.split("/")[1] for q in trial.open_queries() if q.startswith("history")} == {"after-death"}


def test_a_dose_after_a_recorded_death_is_refused(trial: Trial) -> None:
    """Nobody gives a dose to a dead patient: one of the two facts is wrong and the site has to say which."""
    trial.tell(*screened(), cycle(1, START), fact("death", START + 10 * DAY))
    head = trial.engine.head()
    refused = trial.engine.record([cycle(2, START + 21 * DAY)])[0]
    assert refused.outcome == "refused"
    assert f"{SUBJECT}.death" in refused.refusals[0].todo
    assert trial.engine.head() == head


LATE = [
    pytest.param(fact("enrolment", START + 3 * DAY, id="late"), "dose-before-enrolment", id="enrolment after the dose"),
    pytest.param(fact("withdrawal", START, id="late", scope="study"), None, id="withdrawal before later facts"),
    pytest.param(fact("eligibility", START + 90 * DAY, id="late", eligible=False), None, id="late ineligibility"),
]


@pytest.mark.parametrize(("late", "problem"), LATE)
def test_late_truth_is_taken(late: ev.AnyFact, problem: str | None, trial: Trial) -> None:
    """What may be late truth is never refused for the order in which it came."""
    told = [f for f in screened() if f.type != late.type or problem is None]
    trial.tell(*screened(), cycle(1, START), cycle(2, START + 21 * DAY))
    if problem:
        gone = next(f for f in screened() if f not in told)
        trial.tell(late.model_copy(update={"corrects": gone.id, "reason": "x"}))
        trial.wake()
        assert any(problem in q for q in trial.open_queries())
    else:
        trial.tell(late)


def test_a_correction_may_make_an_impossible_history_which_is_asked_about(trial: Trial) -> None:
    """Surgery corrected to before enrolment is taken and becomes a query; corrected again, the query closes."""
    trial.tell(*screened(), *course(6), surgery(START + 133 * DAY))
    wrong = surgery(START - 30 * DAY, id="s2", corrects=f"{SUBJECT}.SURG", reason="x")
    trial.tell(wrong)
    trial.wake()
    assert any("surgery-before-enrolment" in q for q in trial.open_queries())
    trial.tell(surgery(START + 133 * DAY, id="s3", corrects="s2", reason="x"))
    trial.wake()
    assert not any(q.startswith("history") for q in trial.open_queries())


def test_a_whole_history_may_come_in_one_batch_in_any_order(tmp_path: Path) -> None:
    """Facts of one file rest on each other whatever their order in it; corrections with the facts they correct."""
    facts = [
        consent(START - 14 * DAY),
        fact("enrolment", START - 5 * DAY, planned_start=START),
        cycle(1, START + DAY),
        cycle(1, START, id="c1#2", corrects=f"{SUBJECT}.C1D1", reason="x"),
        fact("form_received", START, id="f1", visit="C1D1", form="CBC", items={"ANC": 2}),
        fact("retraction", START, id="r1", retracts="f1", reason="x"),
        surgery(START + 60 * DAY),
    ]
    chance = random.Random(5)
    for n in range(12):
        trial = Trial(tmp_path / str(n), now=at(date(2026, 9, 1)))
        order = chance.sample(facts, len(facts))
        assert outcomes(trial, *order) == ["recorded"] * 7, [f.id for f in order]
        assert trial.engine.state(SUBJECT).first_dose == START
    consented = [consent(START), fact("form_received", START, id="f", visit="SCR", form="CBC", items={"ANC": 2})]
    for order in itertools.permutations(consented):
        assert outcomes(Trial(tmp_path / order[0].id, now=at(date(2026, 9, 1))), *order) == ["recorded"] * 2


def test_a_batch_in_order_has_every_target_before_its_correction() -> None:
    """Even a chain of corrections each dated earlier than the one it corrects."""
    chain = [
        cycle(1, START - n * DAY, id=f"k{n}", **({"corrects": f"k{n - 1}", "reason": "x"} if n else {}))
        for n in range(9)
    ]
    for order in (chain, chain[::-1]):
        assert [order[i].id for i in batch_order(order)] == [f"k{n}" for n in range(9)]
    circle = [cycle(1, START, id="a", corrects="b"), cycle(1, START, id="b", corrects="a")]
    assert sorted(batch_order(circle)) == [0, 1]


def test_all_or_none(trial: Trial) -> None:
    """One refused row and nothing is written; asked to accept the good ones, those are."""
    good, bad = consent(START), cycle(1, START, "NT-002")
    assert outcomes(trial, good, bad) == ["would be recorded", "refused"]
    assert trial.engine.head() == 0
    assert outcomes(trial, good, bad, accept_good=True) == ["recorded", "refused"]
    assert trial.engine.head() == 1


def test_a_row_that_rests_on_a_refused_one_is_refused_too(trial: Trial) -> None:
    """Accepting the good rows must not let in what only a bad one would have allowed."""
    batch = [consent(START, "NT-12"), fact("enrolment", START, "NT-12")]
    assert outcomes(trial, *batch, accept_good=True) == ["refused", "refused"]


def test_a_dry_run_writes_nothing(trial: Trial) -> None:
    """What would happen is said, and does not."""
    assert outcomes(trial, *screened(), dry_run=True) == ["would be recorded"] * len(screened())
    assert trial.engine.head() == 0


def test_the_same_id_and_body_is_a_duplicate(trial: Trial) -> None:
    """Sent twice, in one file or two, a fact is recorded once."""
    assert outcomes(trial, consent(START), consent(START)) == ["recorded", "duplicate"]
    assert outcomes(trial, consent(START)) == ["duplicate"]
    assert trial.engine.head() == 1


def test_the_same_id_with_another_body_is_refused_with_both_digests(trial: Trial) -> None:
    """An id names one fact for ever, also across patients and within one file."""
    trial.tell(consent(START), consent(START, "NT-002"))
    for other in (consent(START + DAY), fact("contact", START, "NT-002", id=f"{SUBJECT}.consent")):
        answer = trial.engine.record([other])[0]
        assert answer.outcome == "refused"
        assert consent(START).digest[:12] in answer.refusals[0].what
        assert other.digest[:12] in answer.refusals[0].what
    two = [fact("contact", START, id="c"), fact("contact", START + DAY, id="c")]
    assert sorted(outcomes(trial, *two)) == ["refused", "would be recorded"]


def test_a_wrongly_registered_patient_can_be_taken_back_whole(trial: Trial) -> None:
    """After its consent is retracted the other facts of a patient can still be retracted."""
    trial.tell(*screened(), cycle(1, START))
    trial.tell(fact("retraction", START, id="r1", retracts=f"{SUBJECT}.consent", reason="another person"))
    trial.tell(fact("retraction", START, id="r2", retracts=f"{SUBJECT}.C1D1", reason="another person"))
    assert not trial.engine.state(SUBJECT).cycles
    trial.tell(fact("consent", START - 20 * DAY, id="again", site="S01", icf_version="1"))


def test_today_is_that_of_the_site(tmp_path: Path) -> None:
    """At eleven at night UTC it is the next day in Shanghai, and a fact of that day is not in the future."""
    trial = Trial(tmp_path, now=at(date(2026, 3, 2), "06:00"))
    assert trial.now.date() == date(2026, 3, 1)
    assert outcomes(trial, consent("2026-03-02")) == ["recorded"]
    assert outcomes(trial, fact("contact", "2026-03-03")) == ["refused"]


def test_pathology_after_a_correction_of_surgery(trial: Trial) -> None:
    """A report dated before the operation is refused, and taken once the operation's date is right."""
    trial.tell(*screened(), *course(6), surgery(START + 140 * DAY))
    assert outcomes(trial, pathology(START + 138 * DAY)) == ["refused"]
    right = surgery(START + 133 * DAY, id="s2", corrects=f"{SUBJECT}.SURG", reason="x")
    assert outcomes(trial, pathology(START + 138 * DAY), right) in (["recorded"] * 2, ["refused", "would be recorded"])
    trial.tell(right)
    assert outcomes(trial, pathology(START + 138 * DAY)) in (["recorded"], ["duplicate"])


ITEMS = [
    ("CBC", "ANC", 0, True), ("CBC", "ANC", 0.0, True), ("CBC", "ANC", 100, True), ("CBC", "ANC", 100.01, False),
    ("CBC", "ANC", -0.01, False), ("CBC", "ANC", False, False), ("CBC", "ANC", "1", False),
    ("VITALS", "ECOG", 1.5, False), ("VITALS", "ECOG", 1.0, True), ("VITALS", "ECOG", 5, False),
    ("BIOPSY", "HER2", "1+", True), ("BIOPSY", "HER2", "3+", False), ("BIOPSY", "HER2", 0, True),
    ("BIOPSY", "HER2", False, False), ("STAGING", "CLIP", True, True), ("STAGING", "CLIP", 1, False),
    ("STAGING", "CLIP", "yes", False),
]  # fmt: skip


@pytest.mark.parametrize(("form", "item", "value", "good"), ITEMS)
def test_item(form: str, item: str, value: object, good: bool) -> None:
    """A value is held against its item's kind and limits; limits are inclusive; zero is a value."""
    assert (item_fault(study().form_by_code[form].items[item], value) is None) is good
