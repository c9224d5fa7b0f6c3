"""Missing data, form by form: what is asked for at each visit, what answers it, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.domain.study import Visit
from neotorch.rules.missing import Finding, missing_items
from neotorch.rules.schedule import visit_plans
from tests.support import RESIDUAL, START, SUBJECT, cycle, fact, forms, pathology, screened, state_of, study, surgery

DAY = timedelta(1)
FILLED = [v for v in study().visits if any(study().form_by_code[d.form].event is None for d in v.due)]


def asked(facts: list[ev.AnyFact]) -> dict[str, Finding]:
    """Query key, without the subject -> finding."""
    state = state_of(facts)
    plans = visit_plans(state, study(), START + 1200 * DAY)
    return {f.query.removeprefix(f"{SUBJECT}/"): f for f in missing_items(state, study(), plans)}


@pytest.mark.parametrize("visit", FILLED, ids=lambda v: v.code)
def test_what_is_due_at_each_visit_is_asked_for_and_nothing_else(visit: Visit) -> None:
    """A held visit with all forms lacks nothing; with none, each form due is asked for, three days later."""
    held = fact("visit_held", START, visit=visit.code)
    told = [held, *forms(visit.code, START)]
    given = {"ELIGIBILITY", "DOSING", "OPERATION", "PATHLOCAL", "PATHCENTRAL"}
    complete = {k.split("/")[1] for k in asked(told) if k.startswith(f"{visit.code}/")}
    assert complete <= given
    nothing = {k.split("/")[1]: f for k, f in asked([held]).items() if k.startswith(f"{visit.code}/")}
    assert set(nothing) == {d.form for d in visit.due}
    assert {f.opens_on for f in nothing.values()} == {START + 3 * DAY}
    assert all(f.because.event_ids == (held.id,) for f in nothing.values())


@pytest.mark.parametrize("value", [0, 0.0, 2.5, {"status": "not_done", "reason": "clotted"}])
def test_what_answers(value: Any) -> None:
    """Zero is an answer, and so is a reason why there is none."""
    told = [fact("visit_held", START, visit="C1D8"), *forms("C1D8", START, without=["CBC.ANC"])]
    assert asked(told)["C1D8/CBC"].items == ("ANC",)
    answered = fact("form_received", START, id="late", visit="C1D8", form="CBC", items={"ANC": value})
    assert asked([*told, answered]) == {}


def test_an_answer_at_another_visit_is_none() -> None:
    """A blood count of C1D15 does not answer for C1D8."""
    told = [fact("visit_held", START, visit="C1D8"), *forms("C1D8", START, without=["CBC"])]
    other = fact("form_received", START, id="o", visit="C1D15", form="CBC", items={"ANC": 1, "PLT": 1, "HB": 30})
    assert "C1D8/CBC" in asked([*told, other])


def test_only_the_items_due_at_the_visit_are_asked_for() -> None:
    """C1D8 wants blood pressure, not weight or ECOG."""
    found = asked([fact("visit_held", START, visit="C1D8")])
    assert found["C1D8/VITALS"].items == ("SBP", "DBP")


REPORTS: list[Any] = [
    pytest.param({}, (), id="a pCR: receptors are not asked for"),
    pytest.param(RESIDUAL, (), id="residual cancer with receptors"),
    pytest.param(RESIDUAL | {"ki67_pct": None}, ("ki67_pct",), id="residual cancer without Ki-67"),
    pytest.param({"in_situ_pct": None}, ("in_situ_pct",), id="an RCB input left out"),
    pytest.param({"largest_met_mm": None}, ("largest_met_mm",), id="no size, though no node"),
    pytest.param({"cellularity_pct": 0, "d1_mm": 0, "d2_mm": 0}, (), id="zeros are answers"),
]


@pytest.mark.parametrize(("report", "items"), REPORTS)
def test_the_pathology_report(report: dict[str, Any], items: tuple[str, ...]) -> None:
    """The six RCB inputs always, receptors where invasive cancer is left."""
    told = [*screened(), cycle(1, START), surgery(START + 60 * DAY), pathology(START + 70 * DAY, **report)]
    found = asked(told).get("PATH/PATHLOCAL")
    assert (found.items if found else ()) == items


def test_a_central_report_answers_only_for_itself() -> None:
    """The second read is blinded: what it says answers nothing of the first."""
    told = [*screened(), cycle(1, START), surgery(START + 60 * DAY), pathology(START + 70 * DAY, in_situ_pct=None)]
    second = pathology(START + 80 * DAY, id="central", read="central")
    assert "PATH/PATHLOCAL" in asked([*told, second])
    assert "CENTRAL/PATHCENTRAL" not in asked([*told, second])


@pytest.mark.parametrize(("days", "old"), [(0, False), (7, False), (8, True)])
def test_screening_laboratory_values_are_at_most_seven_days_old(days: int, old: bool) -> None:
    """Seven days before C1D1 is fresh, eight is too old."""
    told = [*screened()[:3], *forms("SCR", START - days * DAY), cycle(1, START)]
    assert ("SCR/CBC/too-old" in asked(told)) is old
    assert "SCR/LVEF/too-old" not in asked(told)
