"""The whole analysis of a trial of six patients, every figure of it by hand; and who is in which subgroup, and why."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain import events as ev
from neotorch.domain.analysis_plan import Subgroup
from neotorch.domain.sourced import Words
from neotorch.domain.state import PatientState
from neotorch.rules.endpoints.analysis import TrialAnalysis, analyse
from neotorch.rules.endpoints.history import Moment, history
from neotorch.rules.endpoints.patient import patient_values
from neotorch.rules.endpoints.subgroups import belonging
from neotorch.rules.readings import Readings
from tests.support import (
    RESIDUAL,
    START,
    consent,
    course,
    cycle,
    day,
    fact,
    learnt,
    pathology,
    screened,
    state_of,
    study,
    surgery,
)

CUT = day(400)
NOT_DONE = ev.NotAnswered(status="not_done", reason="no tissue left")


def baseline(subject: str, **answers: Any) -> list[ev.AnyFact]:
    """Screening with these answers in the biopsy and the staging."""
    found = []
    for told in screened(START, subject):
        if isinstance(told, ev.FormReceived) and told.form in ("BIOPSY", "STAGING"):
            items = {k: answers.get(k, v) for k, v in told.items.items()}
            found.append(told.model_copy(update={"items": items}))
        else:
            found.append(told)
    return found


def ae(subject: str, on: int, term: str, grade: int, **fields: Any) -> ev.AnyFact:
    """An adverse event on a day."""
    return fact("adverse_event", day(on), subject, id=f"{subject}.{term}.{on}", term=term, grade=grade, **fields)


def held(subject: str, number: int) -> ev.AnyFact:
    """A cycle with anlotinib held."""
    drugs = [
        {"drug": d.code, "status": "held"} if d.code == "anlotinib" else {"drug": d.code, "dose": d.dose}
        for d in study().drugs
    ]
    return cycle(number, day(1 + 21 * (number - 1)), subject, drugs=drugs)


def patients() -> list[PatientState]:
    """Two with six cycles and an operation, one still treated, one dead early, one who failed, one dosed after the cut."""
    one, two, three, four, five, six = (f"NT-00{n}" for n in range(1, 7))
    without = [f for f in course(6, START, two) if not (isinstance(f, ev.CycleGiven) and f.cycle in (2, 3))]
    told: dict[str, list[ev.AnyFact]] = {
        one: [
            *baseline(one, PDL1_CPS=1, KI67_PCT=20, CN="cN0", CT="cT2"),
            *course(6, START, one),
            surgery(day(134), one),
            pathology(day(146), one),
            ae(one, 3, "neutropenia", 2),
            ae(one, 30, "neutropenia", 3, serious=True),
            ae(one, 40, "rash", 1),
            fact("disease_assessment", day(380), one, status="free"),
        ],
        two: [
            *baseline(two, PDL1_CPS=0.5, KI67_PCT=30, CN="cN2", CT="cT3"),
            *without,
            held(two, 2),
            held(two, 3),
            surgery(day(134), two, breast="mastectomy"),
            pathology(day(146), two, **RESIDUAL),
            ae(two, 5, "neutropenia", 1),
            ae(two, 6, "neutropenia", 4),
            ae(two, 9, "rash", 1),
            fact("recurrence", day(300), two, site="distant"),
        ],
        three: [*baseline(three, PDL1_CPS=NOT_DONE, KI67_PCT=19.9, CN="cN1", CT="cT1c"), *course(2, START, three)],
        four: [*baseline(four, PDL1_CPS=10), cycle(1, day(1), four), fact("death", day(20), four, cause="other")],
        five: [consent(day(-13), five), fact("eligibility", day(-4), five, eligible=False, failed_criteria=["ER"])],
        six: [*baseline(six), cycle(1, day(401), six)],
    }
    return [state_of(facts, subject) for subject, facts in told.items()]


@cache
def everybody() -> list[PatientState]:
    """The patients, folded once."""
    return patients()


@pytest.fixture
def found() -> TrialAnalysis:
    """The analysis, of the patients in no order; made anew for each test, so that each is seen to rest on it."""
    return analyse(reversed(everybody()), study(), CUT)


def test_who_is_in_it(found: TrialAnalysis) -> None:
    """The full analysis set by subject; everyone who consented by the cut beside it."""
    assert [p.subject for p in found.patients] == ["NT-001", "NT-002", "NT-003", "NT-004"]
    assert [s.subject for s, _ in found.everyone] == [f"NT-00{n}" for n in range(1, 7)]
    assert found.result.cut == CUT
    assert found.result.counts["dosed"] == 4


def test_the_other_definitions_of_pcr(found: TrialAnalysis) -> None:
    """Over the full set (who died without an operation is no responder) and the evaluable set."""
    assert [(p.name, p.set_name, p.responders, p.n, p.pending) for p in found.definitions] == [
        ("pcr.no-dcis", "full", 1, 3, 1), ("pcr.no-dcis", "evaluable", 1, 2, 0),
        ("pcr.breast", "full", 1, 3, 1), ("pcr.breast", "evaluable", 1, 2, 0),
    ]  # fmt: skip
    assert {p.interval.level for p in found.definitions if p.interval} == {0.95}


def test_response_and_conservation(found: TrialAnalysis) -> None:
    """Best response of everybody; an objective one over who was assessed, conservation over who was operated."""
    assert dict(found.responses) == {"PR": 2, "none": 2}
    assert (found.objective.name, found.objective.set_name) == ("objective response", "full")
    assert (found.objective.responders, found.objective.n, found.objective.pending) == (2, 2, 2)
    assert (found.conserved.name, found.conserved.set_name) == ("breast conserved", "operated")
    assert (found.conserved.responders, found.conserved.n, found.conserved.pending) == (1, 2, 0)


def test_dose_intensities_of_courses_that_are_over(found: TrialAnalysis) -> None:
    """Of anlotinib one had all, one 3 of 5 cycles, one 1 of 5; the course of the third goes on and does not count."""
    rows = {r.drug: r for r in found.intensities}
    anlotinib = rows["anlotinib"]
    assert (anlotinib.n, anlotinib.below_85) == (3, 2)
    assert anlotinib.median == pytest.approx(60)
    assert anlotinib.lower_quartile == pytest.approx((60 + 20) / 2)
    assert anlotinib.upper_quartile == pytest.approx((60 + 100) / 2)
    chemotherapy = rows["chemotherapy"]
    assert (chemotherapy.n, chemotherapy.below_85, chemotherapy.median) == (3, 1, pytest.approx(100))


def test_of_one_patient_and_of_nobody_there_is_a_median_or_none() -> None:
    """One value is median and quartiles; of no course that is over there is none."""
    alone = analyse(patients()[:1], study(), CUT).intensities[1]
    assert (alone.drug, alone.n, alone.below_85) == ("anlotinib", 1, 0)
    assert alone.lower_quartile == alone.median == alone.upper_quartile == pytest.approx(100)
    nobody = analyse([], study(), CUT)
    assert [(r.n, r.median, r.lower_quartile, r.upper_quartile) for r in nobody.intensities] == [
        (0, None, None, None)
    ] * 3
    assert (nobody.patients, nobody.toxicities, nobody.definitions, dict(nobody.responses)) == ((), (), (), {})
    assert all(c.km is None and c.follow_up is None for c in nobody.curves)


def test_toxicity_is_by_patients_and_their_worst_grade(found: TrialAnalysis) -> None:
    """The most frequent term first, of equally frequent ones by name; serious ones counted once a patient."""
    assert [(r.term, dict(r.by_grade), r.any_grade, r.severe, r.serious) for r in found.toxicities] == [
        ("neutropenia", {3: 1, 4: 1}, 2, 2, 1), ("rash", {1: 2}, 2, 0, 0),
    ]  # fmt: skip


def test_curves_of_every_analysis(found: TrialAnalysis) -> None:
    """The primary one first; events, numbers, landmarks and follow-up of each; none where nobody's time has begun."""
    curves = {c.analysis.code: c for c in found.curves}
    assert next(iter(curves)) == "efs"
    assert list(curves)[-2:] == ["os", "dfi"]
    numbers = {code: (c.km.n, c.km.events) for code, c in curves.items() if c.km}
    assert numbers["efs"] == (4, 2)
    assert numbers["os"] == (4, 1)
    assert numbers["dfi"] == (2, 1)
    efs = curves["efs"]
    assert efs.km
    assert efs.follow_up
    assert [(d, at.estimate if at else None) for d, at in efs.landmarks] == [
        (365, pytest.approx(2 / 3 * 1 / 2)),
        (730, None),
        (1095, None),
    ]
    assert (efs.km.level, efs.follow_up.events) == (0.95, 2)
    assert [p.time for p in efs.km.points if p.n_event] == [20, 300]


def test_subgroups_by_the_last_value_up_to_the_first_dose(found: TrialAnalysis) -> None:
    """Each group in the order of the study file, also an empty one; those without a value last."""
    groups = {s.subgroup.code: {g.name: g.patients for g in s.groups} for s in found.subgroups}
    assert groups["PDL1"] == {
        "< 1": ("NT-002",), "1 to < 10": ("NT-001",), ">= 10": ("NT-004",), "unknown": ("NT-003",),
    }  # fmt: skip
    assert list(groups["PDL1"]) == ["< 1", "1 to < 10", ">= 10", "unknown"]
    assert groups["KI67"] == {"< 20": ("NT-003",), "20 to < 30": ("NT-001",), ">= 30": ("NT-002", "NT-004")}
    assert groups["CN"] == {"node-negative": ("NT-001", "NT-004"), "node-positive": ("NT-002", "NT-003")}
    assert groups["CT"] == {"cT1c-2": ("NT-001", "NT-003", "NT-004"), "cT3-4": ("NT-002",)}


def test_the_shares_of_a_group_are_those_of_its_patients(found: TrialAnalysis) -> None:
    """PCR and low RCB, over the full and the evaluable set; the pending one beside them."""
    nodes = next(s for s in found.subgroups if s.subgroup.code == "CN")
    shares = {g.name: [(p.name, p.set_name, p.responders, p.n, p.pending) for p in g.proportions] for g in nodes.groups}
    assert shares["node-negative"] == [
        ("pcr", "full", 1, 2, 0), ("pcr", "evaluable", 1, 1, 0), ("rcb01", "full", 1, 2, 0), ("rcb01", "evaluable", 1, 1, 0),
    ]  # fmt: skip
    assert shares["node-positive"] == [
        ("pcr", "full", 0, 1, 1), ("pcr", "evaluable", 0, 1, 0), ("rcb01", "full", 0, 1, 1), ("rcb01", "evaluable", 0, 1, 0),
    ]  # fmt: skip


def group(form: str, item: str, **fields: Any) -> Subgroup:
    """A subgroup of a study file."""
    words = Words(en="x", zh="x")
    body = {"code": "X", "label": words, "form": form, "item": item, "assumption": True, "source": "a test"}
    return Subgroup.model_validate(body | fields)


BELONGINGS: list[Any] = [
    ({"PDL1_CPS": 0.99}, group("BIOPSY", "PDL1_CPS", cuts=[1, 10]), "< 1", "BIOPSY.PDL1_CPS 0.99 of 2026-01-14"),
    ({"PDL1_CPS": 1}, group("BIOPSY", "PDL1_CPS", cuts=[1, 10]), "1 to < 10", "BIOPSY.PDL1_CPS 1 of 2026-01-14"),
    ({"PDL1_CPS": 10}, group("BIOPSY", "PDL1_CPS", cuts=[1, 10]), ">= 10", "BIOPSY.PDL1_CPS 10 of 2026-01-14"),
    (
        {"PDL1_CPS": NOT_DONE},
        group("BIOPSY", "PDL1_CPS", cuts=[1]),
        "unknown",
        "BIOPSY.PDL1_CPS of 2026-01-14: not done",
    ),
    ({"HER2": "1+"}, group("BIOPSY", "HER2", cuts=[1]), "unknown", "BIOPSY.HER2 of 2026-01-14 is no number"),
    ({"HER2": "1+"}, group("BIOPSY", "HER2", groups={"low": ["1+", "2+"]}), "low", "BIOPSY.HER2 1+ of 2026-01-14"),
    ({"HER2": "0"}, group("BIOPSY", "HER2", groups={"low": ["1+", "2+"]}), "0", "BIOPSY.HER2 0 of 2026-01-14"),
    ({}, group("STAGING", "CLIP"), "yes", "STAGING.CLIP yes of 2026-01-14"),
    ({"CLIP": False}, group("STAGING", "CLIP"), "no", "STAGING.CLIP no of 2026-01-14"),
    ({}, group("BIOPSY", "NOTHING"), "unknown", "no BIOPSY.NOTHING up to the first dose"),
]


@pytest.mark.parametrize(
    ("answers", "subgroup", "name", "reason"), BELONGINGS, ids=[f"{b[2]}: {b[3]}" for b in BELONGINGS]
)
def test_which_group_and_why(answers: dict[str, Any], subgroup: Subgroup, name: str, reason: str) -> None:
    """The group by its bounds or choices; without a value unknown, and what is missing."""
    state = state_of([*baseline("NT-001", **answers), cycle(1, START)])
    told = belonging(subgroup, Readings(state), state)
    assert (told.subject, told.group, told.reason) == ("NT-001", name, reason)
    known = None if "NOTHING" in reason else f"NT-001.SCR.{subgroup.form}"
    assert told.event_id == known


def test_what_came_after_the_first_dose_is_no_baseline() -> None:
    """A later biopsy makes nobody another one."""
    later = fact(
        "form_received", date(2026, 3, 1), id="later", visit="SCR", form="BIOPSY", items={"PDL1_CPS": 90, "HER2": "0"}
    )
    state = state_of([*baseline("NT-001", PDL1_CPS=0), cycle(1, START), later])
    assert belonging(group("BIOPSY", "PDL1_CPS", cuts=[1]), Readings(state), state).group == "< 1"


# ── every value of a patient, in full ─────────────────────────────────────────────────────────────────────────────

FULL: dict[str, dict[str, list[Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "values_in_full.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("state", patients()[:5], ids=lambda s: s.subject)
def test_each_value_says_all_that_stands_behind_it(state: PatientState) -> None:
    """Label, status, text, number, unit, date, reason, rule, what would change it, sources: as it stands in the table."""
    found = {
        v.code: [
            v.label, v.status, v.text, v.number if v.number is None else pytest.approx(v.number, abs=1e-6), v.unit,
            str(v.on) if v.on else None, v.reason, v.rule, v.would_change, [str(s) for s in v.sources],
            list(v.supersedes), v.public, v.shown,
        ]
        for v in patient_values(state, study(), CUT)
    }  # fmt: skip
    assert found == FULL[state.subject]


def test_the_exposure_to_a_drug_names_its_cycles_and_its_own_dose_changes() -> None:
    """What was changed about another drug is not behind it."""
    changes = [
        fact("dose_changed", day(28), id=drug, drug=drug, action="interrupted", cause="hypertension")
        for drug in ("anlotinib", "benmelstobart")
    ]
    state = state_of([*screened(START), *course(2), *changes])
    values = {v.code: [s.event_id for s in v.sources] for v in patient_values(state, study(), CUT)}
    assert [i for i in values["rdi.anlotinib"] if ".C" not in i] == ["anlotinib"]
    assert [i for i in values["rdi.benmelstobart"] if ".C" not in i] == ["benmelstobart"]


def test_a_change_of_a_figure_carries_where_and_why_it_was_made() -> None:
    """Log position, trigger, time and the events that moved it; a patient's own only when asked for by name."""
    changes = [ev.EndpointChange(subject=None, field="pcr.full", old="1/3", new="2/3"),
               ev.EndpointChange(subject="NT-001", field="pcr", old="pending", new="yes")]  # fmt: skip
    row = learnt([ev.EndpointsRecalculated(
        id="r1", study="neotorch-breast03", subject=None, occurred=day(200), trigger="event", log_seq=41,
        result_digest="d", changes=changes, explained_by=["PATH"],
    )])  # fmt: skip
    (moment,) = history(row)
    assert moment == Moment("pcr.full", "1/3", "2/3", row[0].recorded_at, 41, ("PATH",), "event")
    assert [m.field for m in history(row, "NT-001/pcr")] == ["NT-001/pcr"]


def test_who_had_a_recurrence_was_alive_that_day() -> None:
    """Nobody is censored for survival before an event that only the living have."""
    state = patients()[1]
    values = {v.code: v for v in patient_values(state, study(), CUT)}
    assert (values["efs"].on, values["os"].on) == (day(300), day(300))
