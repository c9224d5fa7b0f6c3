"""Endpoints of patients and of the trial: analysis sets, time frame, and what stands behind each value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from neotorch.domain.events import AnyFact
from neotorch.domain.statistics import clopper_pearson
from neotorch.rules.endpoints import PatientEndpoints, TrialResult, member, patient_endpoints, percent, trial_result
from tests.support import RESIDUAL as TEN_PERCENT
from tests.support import START, consent, cycle, day, fact, pathology, state_of, study, surgery

RESIDUAL: dict[str, Any] = TEN_PERCENT
HEAVY = RESIDUAL | {"ypn": "ypN2a", "nodes_positive": 5, "largest_met_mm": 12, "nodes_removed": 15}
FRAME = study().endpoints.pcr.frame_days
LATE = FRAME + 1


def treated(subject: str = "NT-001") -> list[AnyFact]:
    """Consent and first dose."""
    return [consent(day(-10), subject), cycle(1, START, subject)]


def operated(subject: str = "NT-001", **report: Any) -> list[AnyFact]:
    """Operated on day 150 with a report on day 160."""
    return [*treated(subject), surgery(day(150), subject), pathology(day(160), subject, **report)]


def at(facts: Sequence[AnyFact], number: int, subject: str = "NT-001") -> PatientEndpoints:
    """The endpoint values of a patient on a study day."""
    return patient_endpoints(state_of(facts, subject), study(), day(number))


def trial(facts: Sequence[AnyFact], cut: int) -> TrialResult:
    """The trial's figures on a study day."""
    states = [state_of(facts, s) for s in sorted({f.subject for f in facts})]
    return trial_result([member(s, study(), day(cut)) for s in states], study(), day(cut))


def figures(result: TrialResult) -> dict[str, tuple[int, int, int]]:
    """Endpoint and set -> responders, patients, pending."""
    return {f"{p.name}.{p.set_name}": (p.responders, p.n, p.pending) for p in result.proportions}


# ── one patient ───────────────────────────────────────────────────────────────────────────────────────────────────

NO_RESPONDERS: list[tuple[str, list[tuple[str, int, dict[str, Any]]], str]] = [
    ("inoperable", [("progression", 80, {"operable": False, "basis": "imaging"})], "progression precludes surgery"),
    ("dead", [("death", 80, {})], "died before a pathology report"),
    ("withdrawn", [("withdrawal", 80, {"scope": "study"})], "withdrew before surgery"),
]


@pytest.mark.parametrize(("facts", "says"), [c[1:] for c in NO_RESPONDERS], ids=[c[0] for c in NO_RESPONDERS])
def test_who_cannot_be_operated_any_more_is_a_non_responder_at_once(facts: list[Any], says: str) -> None:
    """Progression that precludes surgery, death or withdrawal before surgery counts as non-response, with its event."""
    told = [fact(kind, day(on), **fields) for kind, on, fields in facts]
    values = at([*treated(), *told], 80)
    assert (values.pcr.answer, values.rcb01.answer, values.evaluable) == ("no", "no", False)
    assert values.pcr.reason == f"{says}: counts as a non-responder"
    assert values.pcr.event_ids == (told[0].id,)
    assert at([*treated(), *told], 79).pcr.answer == "pending"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ([], "not operated yet"),
        ([fact("progression", day(80), operable=True, basis="imaging")], "not operated yet"),
        ([fact("withdrawal", day(80), scope="treatment")], "not operated yet"),
        ([surgery(day(150))], "operated, no final pathology report yet"),
        ([surgery(day(150)), fact("death", day(155))], "operated, no final pathology report yet"),
        ([surgery(day(150)), pathology(day(160), status="preliminary")], "operated, no final pathology report yet"),
        ([surgery(day(150)), pathology(day(160), read="central")], "operated, no final pathology report yet"),
    ],
)
def test_pending_until_the_time_frame_is_over(facts: list[AnyFact], says: str) -> None:
    """Without a final report a patient is pending to the end of the time frame and a non-responder from then on."""
    for number, answer in ((FRAME, "pending"), (LATE, "no")):
        values = at([*treated(), *facts], number)
        assert (values.pcr.answer, values.rcb01.answer, values.evaluable) == (answer, answer, False)
        assert values.pcr.reason.startswith(says)
        assert ("counts as a non-responder" in values.pcr.reason) == (answer == "no")
    assert f"the time frame of {FRAME} days ended on " in at([*treated(), *facts], LATE).pcr.reason


def test_a_response_is_not_lost_when_the_time_frame_ends() -> None:
    """What was found in time stays found."""
    assert at(operated(), LATE).pcr.answer == "yes"


def test_a_report_counts_from_its_day() -> None:
    """A cut before the report does not know it."""
    assert at(operated(), 159).pcr.answer == "pending"
    assert at(operated(), 160).pcr.answer == "yes"


@pytest.mark.parametrize(
    ("report", "headline", "rcb01"),
    [
        ({}, "pCR: yes, RCB-0", "yes"),
        ({"ypt": "ypT1c", "cellularity_pct": 1}, "pCR: no, RCB-I", "yes"),
        (RESIDUAL, "pCR: no, RCB-II", "no"),
        (HEAVY, "pCR: no, RCB-III", "no"),
        ({"d1_mm": None}, "pCR: yes, RCB not evaluable", "not_evaluable"),
        ({"ypn": "ypNX", "nodes_removed": 0}, "pCR: not evaluable, RCB not evaluable", "not_evaluable"),
        ({"sentinel_positive_before_therapy": True}, "pCR: no, RCB not evaluable", "not_evaluable"),
    ],
)  # fmt: skip
def test_pcr_and_rcb_are_derived_independently(report: dict[str, Any], headline: str, rcb01: str) -> None:
    """PCR comes from the categories and RCB from the numbers; one can be known without the other."""
    values = at(operated(**report), 160)
    assert values.headline == headline
    assert values.rcb01.answer == rcb01
    assert values.rcb01.reason


def test_adjudication_replaces_the_local_read() -> None:
    """The adjudicated report is the one that counts; a central read alone does not change the result."""
    central = pathology(day(170), id="NT-001.CENTRAL", read="central", **RESIDUAL)
    decided = pathology(day(180), id="NT-001.ADJ", read="adjudication", **RESIDUAL)
    assert at([*operated(), central], 175).headline == "pCR: yes, RCB-0"
    values = at([*operated(), central, decided], 180)
    assert (values.headline, values.pcr.event_ids) == ("pCR: no, RCB-II", ("NT-001.ADJ",))


def test_an_amended_report_replaces_the_first() -> None:
    """A correction counts instead of what it corrects."""
    amended = pathology(day(160), id="NT-001.P2", corrects="NT-001.PATH", reason="re-cut of block 4", **RESIDUAL)
    assert at([*operated(), amended], 160).headline == "pCR: no, RCB-II"


def test_values_are_printed_for_those_who_started_treatment() -> None:
    """Changes are announced for the full analysis set: values as printed, none before the first dose."""
    assert at([consent(day(-10))], 10).values() == {}
    assert at(operated(), 160).values() == {"pcr": "yes", "rcb": "RCB-0 (0.000)", "efs": "censored on day 1"}
    gone = [*operated(), fact("recurrence", day(400), site="local", basis="biopsy")]
    assert at(gone, 500).values()["efs"] == "event on day 400"
    assert at(gone, 500).efs_headline == "EFS: event on day 400"


def test_a_report_after_the_cut_does_not_hide_the_one_before() -> None:
    """At a cut between two reports, or between local read and adjudication, the earlier one counts."""
    for read in ("local", "adjudication"):
        later = pathology(day(200), id="NT-001.LATER", read=read, **RESIDUAL)
        assert at([*operated(), later], 180).headline == "pCR: yes, RCB-0"
        assert at([*operated(), later], 200).headline == "pCR: no, RCB-II"


def test_numbers_in_doubt_have_no_class() -> None:
    """While categories and numbers disagree neither pCR nor an RCB class is shown or counted."""
    facts = operated(cellularity_pct=10)
    values = at(facts, 200)
    assert values.headline == "pCR: not evaluable, RCB not evaluable"
    assert values.values()["rcb"] == "none"
    assert set(trial(facts, 200).rcb_classes.values()) == {0}


def test_a_specimen_that_cannot_be_assessed_never_enters_the_evaluable_set() -> None:
    """After the time frame it is a non-response of the full set, and still no assessable specimen."""
    for number, full in ((200, (0, 0, 1)), (LATE, (0, 1, 0))):
        got = figures(trial(operated(ypt="ypTX", d1_mm=None, cellularity_pct=None), number))
        assert (got["pcr.full"], got["pcr.evaluable"]) == (full, (0, 0, 0))


# ── the trial ─────────────────────────────────────────────────────────────────────────────────────────────────────


def cohort() -> list[AnyFact]:
    """Six patients, one of each kind."""
    return [
        *operated("NT-001"),  # pCR, RCB-0
        *operated("NT-002", ypt="ypT1c", cellularity_pct=1),  # RCB-I
        *operated("NT-003", **RESIDUAL),  # RCB-II
        *treated("NT-004"),  # not operated
        *treated("NT-005"),
        fact("progression", day(80), "NT-005", operable=False, basis="imaging"),
        consent(day(-3), "NT-006"),  # never treated
    ]


def test_analysis_sets() -> None:
    """The full set has everyone with a first dose, the evaluable set who has a specimen; pending is apart."""
    assert figures(trial(cohort(), 200)) == {
        "pcr.full": (1, 4, 1),
        "pcr.evaluable": (1, 3, 0),
        "rcb01.full": (2, 4, 1),
        "rcb01.evaluable": (2, 3, 0),
    }


def test_analysis_sets_after_the_time_frame() -> None:
    """When the time frame is over nobody is pending and who has no result counts in the full set as non-responder."""
    assert figures(trial(cohort(), LATE)) == {
        "pcr.full": (1, 5, 0),
        "pcr.evaluable": (1, 3, 0),
        "rcb01.full": (2, 5, 0),
        "rcb01.evaluable": (2, 3, 0),
    }


def test_counts_and_classes_at_the_cut() -> None:
    """Every count says how many had got there by the cut."""
    result = trial(cohort(), 200)
    assert result.counts == {
        "screened": 6, "enrolled": 0, "dosed": 5, "operated": 3, "assessed": 3, "events": 1, "deaths": 0,
    }  # fmt: skip
    assert result.rcb_classes == {"RCB-0": 1, "RCB-I": 1, "RCB-II": 1, "RCB-III": 0}
    assert trial(cohort(), 1).counts["operated"] == 0
    assert [p.subject for p in result.patients] == [f"NT-00{n}" for n in range(1, 7)]


def test_proportions_have_the_exact_interval_of_the_study_file() -> None:
    """The interval is Clopper-Pearson at the study file's level, and printed as papers print it."""
    first = trial(cohort(), 200).proportions[0]
    assert first.interval == clopper_pearson(1, 4, level=study().endpoints.pcr.level)
    assert trial(cohort(), 200).trial_values()["pcr.full"] == "1/4 25.0 % (0.6-80.6)"
    assert percent(None) == "none"


def test_event_free_survival_of_the_trial() -> None:
    """The curve is over all who started, counts an event once, and has no figure beyond the last observation."""
    seen = [fact("disease_assessment", day(n), f"NT-00{n % 10}", status="free") for n in (401, 402, 403)]
    result = trial([*cohort(), *seen], 500)
    assert result.efs is not None
    assert (result.efs.n, result.efs.events, result.efs.interval) == (5, 1, "log-log")
    assert [d for d, _ in result.landmarks] == [365, 730, 1095]
    (one, two, three) = (i for _, i in result.landmarks)
    assert one is not None
    assert one.estimate == pytest.approx(0.75)  # one of four still at risk on day 80
    assert (two, three) == (None, None)


def test_a_trial_without_patients_has_no_figures() -> None:
    """Before anybody started there is nothing to divide by, and that is shown as none."""
    result = trial([consent(date(2026, 1, 1))], 1)
    assert result.efs is None
    assert [(p.n, p.interval) for p in result.proportions] == [(0, None)] * 4
    assert set(result.trial_values().values()) == {"0/0 none", "none"}


def test_order_of_patients_does_not_matter() -> None:
    """The same patients in another order give the same result."""
    facts = cohort()
    states = [state_of(facts, f"NT-00{n}") for n in range(6, 0, -1)]
    members = [member(s, study(), day(200)) for s in states]
    assert trial_result(members, study(), day(200)).values() == trial(facts, 200).values()


def test_values_hold_at_every_cut_that_they_say_they_hold_at() -> None:
    """At every cut of three years the values that were kept are those that come out anew."""
    state = state_of([*treated(), surgery(day(140)), fact("contact", day(160))])
    kept, derived = member(state, study(), day(-20)), 0
    for number in (n for n in range(-20, 1100) if n):
        anew = member(state, study(), day(number))
        if not kept.holds_at(day(number)):
            kept, derived = anew, derived + 1
        assert (kept.endpoints, kept.place) == (anew.endpoints, anew.place), number
    assert derived < 200
