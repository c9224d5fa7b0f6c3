"""The monitoring rules and designs of the study file, looked at whenever a patient becomes evaluable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise, permutations
from math import comb

import pytest

from neotorch.domain.analysis_plan import Design
from neotorch.domain.events import AdverseEvent
from neotorch.rules.endpoints import Member, member
from neotorch.rules.endpoints.designs import DesignStatus, designs, status
from neotorch.rules.endpoints.evaluable import Observation
from neotorch.rules.endpoints.monitoring import Monitor, crossings, monitors
from neotorch.rules.endpoints.toxicity import counts_by
from tests.support import START, consent, cycle, day, fact, state_of, study

RULE = "toxicity.g3.immune"
SUBJECTS = [f"NT-{n:03d}" for n in range(1, 200)]


def people(answers: Iterable[bool], code: str = "pcr") -> list[Member]:
    """One evaluable patient a week, with these answers."""
    plain = member(state_of([consent(day(-10)), cycle(1, day(1))]), study(), day(10))
    return [
        replace(
            plain, endpoints=replace(plain.endpoints, subject=subject),
            evaluable={code: Observation(START + timedelta(7 * n), counts, (f"{subject}.PATH",))},
        )
        for n, (subject, counts) in enumerate(zip(SUBJECTS, answers, strict=False))
    ]  # fmt: skip


def rule(members: list[Member], code: str) -> Monitor:
    """One rule of the study over these patients."""
    return next(m for m in monitors(members, study()) if m.code == code)


def test_the_futility_boundary_is_looked_at_when_the_tenth_patient_is_evaluable() -> None:
    """With nobody responding among ten it is crossed on the day of the tenth, and not before; with one it is not."""
    nobody, one = rule(people([False] * 12), "futility.pcr"), rule(people([False] * 9 + [True]), "futility.pcr")
    assert [(look.n, look.x, look.stop_at, look.on) for look in nobody.crossed] == [(10, 0, 0, START + timedelta(63))]
    assert nobody.next_look == (15, 0)
    assert one.crossed == ()
    assert [n for n, _ in one.boundary] == [10, 15, 20, 25, 30, 35, 40]


def test_three_toxicities_in_three_patients_stop_and_two_in_two_do_not() -> None:
    """The boundary of Ivanova for 40 patients, theta .20 and phi .05, is looked at after every patient."""
    found = rule(people([True, True, True, False, True], RULE), RULE)
    assert [(look.n, look.x, look.crossed) for look in found.looks] == [
        (1, 1, False), (2, 2, False), (3, 3, True), (4, 3, False), (5, 4, True),
    ]  # fmt: skip
    assert found.next_look == (6, 5)
    beyond = rule(people([True] * 42, RULE), RULE)
    assert [look.stop_at for look in beyond.looks[39:]] == [15, None, None], "beyond the plan there is no boundary"


def test_what_the_trial_carries_is_what_the_tables_show() -> None:
    """The quick pass that each recalculation makes finds the crossings of the full tables, and no others."""
    for answers in ([False] * 30, [True, True, True] + [False] * 20):
        for code in ("pcr", RULE):
            members = people(answers, code)
            full = [(m.code, look.n, look.x) for m in monitors(members, study()) for look in m.crossed]
            assert [(c.code, c.look.n, c.look.x) for c in crossings(members, study())] == full


def test_posterior_and_predictive_probability_stand_beside_each_look() -> None:
    """The posterior falls with each non-responder; nothing is predicted once the planned number is reached."""
    found = rule(people([True] + [False] * 60), "futility.pcr")
    above = [look.posterior for look in found.looks]
    assert all(a is not None and b is not None and b < a for a, b in pairwise(above))
    ahead = rule(people([True] * 12 + [False] * 60), "prediction.pcr")
    assert ahead.looks[20].predictive == 1.0, "twelve responders are what it takes"
    assert [look.predictive is None for look in ahead.looks[46:50]] == [False, False, True, True]
    assert "success is 12 or more of 48" in ahead.parameters
    assert ahead.crossed == ()


def test_a_look_says_why() -> None:
    """Subjects, rule, parameters, source and the event that made the last patient evaluable."""
    found = rule(people([False] * 10), "futility.pcr")
    words = str(found.because(found.looks[-1], "1.0"))
    for part in ("0 of 10 responded", "stops at 0 or fewer", "NT-001, NT-002", "Beta(0.15, 0.85)", "Thall and Simon",
                 "NT-010.PATH"):  # fmt: skip
        assert part in words


def test_why_in_full() -> None:
    """The whole reason: numbers, limit, probabilities, parameters, patients; without what the rule does not know."""
    found = rule(people([False] * 10), "futility.pcr")
    why = found.because(found.looks[-1], "1.0")
    futile = found.looks[-1]
    assert why.detail == (
        f"0 of 10 responded, stops at 0 or fewer, P(share > p0) {futile.posterior:.4f}; "
        f"{found.parameters}; patients {', '.join(SUBJECTS[:10])}"
    )
    assert (why.rule, why.study_version) == (f"futility.pcr ({found.rule.source})", "1.0")
    toxic = rule(people([True] * 3, RULE), RULE)
    assert toxic.because(toxic.looks[-1], "1.0").detail == (
        f"3 of 3 with the toxicity, stops at 3 or more; {toxic.parameters}; patients NT-001, NT-002, NT-003"
    )
    ahead = rule(people([True] * 50), "prediction.pcr")
    assert ahead.because(ahead.looks[0], "1.0").detail.startswith("1 of 1 responded, P(")
    assert ", stops" not in ahead.because(ahead.looks[0], "1.0").detail
    assert "P(success)" not in ahead.because(ahead.looks[49], "1.0").detail


@pytest.mark.parametrize(
    ("grade", "immune", "related", "counts"),
    [
        (3, True, True, True),
        (2, True, True, False),
        (3, False, True, False),
        (3, True, False, False),
        (5, True, True, True),
    ],
)
def test_which_adverse_events_a_rule_counts(grade: int, immune: bool, related: bool, counts: bool) -> None:
    """Its grade or worse; immune-related where the rule asks for it; related to a drug where it asks for that."""
    asked = next(r for r in study().endpoints.monitoring.toxicity if r.grade == 3)
    strict = asked.model_copy(update={"immune_related": True, "related": True})
    drugs = ["benmelstobart"] if related else []
    told = fact("adverse_event", day(9), term="RASH", grade=grade, immune_related=immune, related_to=drugs)
    assert isinstance(told, AdverseEvent)
    assert counts_by(strict, told) is counts
    lenient = asked.model_copy(update={"immune_related": False, "related": False})
    assert counts_by(lenient, told) is (grade >= 3)


@pytest.mark.parametrize("order", permutations(range(4)))
def test_the_order_in_which_patients_are_handed_over_does_not_matter(order: tuple[int, ...]) -> None:
    """They count in the order of the days on which they became evaluable; of one day, in that of their codes."""
    members = people([True, False, True, False])
    members[2] = replace(members[2], evaluable=members[1].evaluable)
    assert monitors([members[n] for n in order], study()) == monitors(members, study())


def test_who_is_not_evaluable_is_in_no_look() -> None:
    """Nobody evaluable, no look: the next one is the first."""
    none = [replace(m, evaluable={}) for m in people([True])]
    found = rule(none, "futility.pcr")
    assert (found.looks, found.crossed, found.next_look) == ((), (), (10, 0))


# ── designs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SOURCE = {"source": "test", "assumption": True}
SINGLE = Design(kind="single-stage", p0=0.10, p1=0.25, alpha=0.05, power=0.80, **SOURCE)
"""40 patients, rejects at 8."""
SIMON = Design(kind="simon-optimal", p0=0.20, p1=0.40, alpha=0.05, power=0.80, **SOURCE)
"""3/13, 12/43."""


def after(design: Design, answers: Iterable[bool]) -> DesignStatus:
    """Where the design stands after these patients."""
    return status("pcr", design, [(START + timedelta(n), a) for n, a in enumerate(answers)])


def test_single_stage() -> None:
    """The null is rejected with the eighth responder, and not rejected as soon as eight cannot be reached."""
    assert (after(SINGLE, []).planned, after(SINGLE, []).reject_at) == (40, 8)
    assert after(SINGLE, []).p_value is None
    assert after(SINGLE, [True] * 7).standing == "running"
    early = after(SINGLE, [True] * 8)
    assert (early.standing, early.certain, early.n) == ("null rejected", True, 8)
    assert "whatever follows" in str(early)
    assert after(SINGLE, [False] * 32).standing == "running"
    assert after(SINGLE, [False] * 33).standing == "null not rejected"
    assert after(SINGLE, [True] * 7 + [False] * 33).standing == "null not rejected"


def test_the_p_value_of_one_stage_is_the_exact_one() -> None:
    """The chance at p0 of so many responders or more, by hand."""
    found = after(SINGLE, [True] * 8 + [False] * 32).p_value
    assert found == pytest.approx(sum(comb(40, k) * 0.1**k * 0.9 ** (40 - k) for k in range(8, 41)))
    assert found is not None
    assert found <= 0.05


def test_who_comes_after_the_planned_number_is_not_in_the_test() -> None:
    """More patients than planned do not change the answer, and it says so."""
    found = after(SINGLE, [True] * 7 + [False] * 33 + [True] * 5)
    assert (found.x, found.n, found.beyond, found.standing) == (7, 40, 5, "null not rejected")
    assert "5 beyond the plan" in str(found)


def test_simon_stage_one() -> None:
    """Stage 1 is over with the 13th patient: three responders stop, four go on; before, nothing is said."""
    assert after(SIMON, [False] * 12).stages[0].x is None
    stopped = after(SIMON, [True] * 3 + [False] * 10 + [True] * 5)
    assert (stopped.standing, stopped.n, stopped.beyond) == ("stop at stage 1", 13, 5)
    assert stopped.stages[0].on == START + timedelta(12)
    on = after(SIMON, [True] * 4 + [False] * 9)
    assert (on.standing, on.stages[0].stops) == ("running", False)


def test_simon_final() -> None:
    """13 responders of 43 reject, 12 do not; the p value is that of the two stages, not of 43 patients at once."""
    reject, keep = after(SIMON, [True] * 13 + [False] * 30), after(SIMON, [True] * 12 + [False] * 31)
    assert (reject.standing, keep.standing) == ("null rejected", "null not rejected")

    def mass(k: int, n: int) -> float:
        return comb(n, k) * 0.2**k * 0.8 ** (n - k)

    exact = sum(mass(a, 13) * mass(b, 30) for a in range(4, 14) for b in range(31) if a + b >= 13)
    assert reject.p_value == pytest.approx(exact)
    assert reject.p_value is not None
    assert keep.p_value is not None
    assert reject.p_value <= 0.05 < keep.p_value


def test_the_designs_of_the_study() -> None:
    """Each endpoint with a design has one, by the order in which patients became evaluable."""
    members = people([True] * 5 + [False] * 20)
    pcr, rcb01 = designs(members, study())
    assert (pcr.endpoint, pcr.x, pcr.n, pcr.planned) == ("pcr", 5, 25, 48)
    assert (rcb01.endpoint, rcb01.n, rcb01.planned) == ("rcb01", 0, 43)


def test_a_long_trial_is_in_order() -> None:
    """Patients who became evaluable in the reverse order of their codes are counted by the day."""
    members = people([True] + [False] * 9)
    days = [m.evaluable["pcr"].on for m in members]
    turned = [
        replace(m, evaluable={"pcr": replace(m.evaluable["pcr"], on=on)})
        for m, on in zip(members, reversed(days), strict=True)
    ]
    found = rule(turned, "futility.pcr")
    assert [look.subject for look in found.looks] == [m.endpoints.subject for m in reversed(members)]
    assert [look.x for look in found.looks] == [0] * 9 + [1]
    assert date.max > found.looks[-1].on


def design_of(kind: str) -> Design:
    """A design for 20 % against 40 %."""
    return Design.model_validate({"kind": kind, "p0": 0.2, "p1": 0.4, "alpha": 0.05, "power": 0.8, **SOURCE})


SINGLE_METHOD, TWO_METHOD = "single-stage exact binomial (A'Hern)", "Simon two-stage"
SIMON_RULE = "stage 1: 13 patients, on with more than 3; "
SAID: list[tuple[str, str, str, str]] = [
    ("single-stage", "", SINGLE_METHOD, "0 of 0 (planned 35, rejects at 12): running"),
    ("single-stage", "01", SINGLE_METHOD, "1 of 2 (planned 35, rejects at 12): running, one-sided exact p 0.3600"),
    ("single-stage", "1" * 12, SINGLE_METHOD,
     "12 of 12 (planned 35, rejects at 12): null rejected whatever follows, one-sided exact p 0.0000"),
    ("single-stage", "0" * 40, SINGLE_METHOD,
     "0 of 35 (planned 35, rejects at 12): null not rejected, one-sided exact p 1.0000; 5 beyond the plan are not in it"),
    ("simon-optimal", "1" * 4 + "0" * 9, TWO_METHOD,
     f"{SIMON_RULE}4 of 13 (planned 43, rejects at 13): running, one-sided exact p 0.2527"),
    ("simon-optimal", "1" * 3 + "0" * 10 + "11", TWO_METHOD,
     (f"{SIMON_RULE}3 of 13 (planned 43, rejects at 13): stop at stage 1, one-sided exact p 0.4983; 2 beyond the plan are not "
     "in it")),
    ("simon-optimal", "01" * 6 + "0" * 31, TWO_METHOD,
     f"{SIMON_RULE}6 of 43 (planned 43, rejects at 13): null not rejected, one-sided exact p 0.2510"),
    ("simon-optimal", "01" * 22, TWO_METHOD,
     (f"{SIMON_RULE}21 of 43 (planned 43, rejects at 13): null rejected, one-sided exact p 0.0000; 1 beyond the plan are not in "
     "it")),
    ("simon-minimax", "0" * 18, TWO_METHOD,
     ("stage 1: 18 patients, on with more than 4; 0 of 18 (planned 33, rejects at 11): stop at stage 1, one-sided exact p "
     "1.0000")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "answers", "method", "says"), SAID, ids=[s[3][:70] for s in SAID])
def test_where_a_design_stands_in_words(kind: str, answers: str, method: str, says: str) -> None:
    """Rule, numbers, answer, p value and who is beyond the plan, with the design and the day of each stage."""
    found = after(design_of(kind), [a == "1" for a in answers])
    assert (str(found), found.method, found.design.kind) == (says, method, kind)
    for stage in found.stages:
        reached = len(answers) >= stage.n
        assert stage.on == (START + timedelta(stage.n - 1) if reached else None)
        assert stage.x == (answers[: stage.n].count("1") if reached else None)
