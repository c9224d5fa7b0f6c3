"""CTCAE v5 grades from values: every limit from both sides, and the baseline rule."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neotorch.domain.ctcae import QUANTITIES, SCALES, Baseline, Normal, Quantity, grade_of

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "ctcae.yaml").read_text(encoding="utf-8")
)
LOW_IS_WORSE = {"ANC", "PLT", "HB", "LVEF"}
BEFORE = date(2026, 1, 14)
values = st.floats(0, 5000, allow_nan=False, allow_infinity=False)


def baseline(value: float | None) -> Baseline | None:
    """A value before treatment."""
    return None if value is None else Baseline(value, BEFORE, "NT-001.SCR.CHEM")


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['quantity']} {c['value']}: {c['why']}")
def test_grade(case: dict[str, Any]) -> None:
    """A value has the grade that CTCAE gives it, and the reason names value, unit, limit and baseline."""
    found = grade_of(
        case["quantity"], case["value"], Normal(case.get("low"), case.get("high")), baseline(case.get("baseline"))
    )
    assert found.grade == case["grade"]
    assert f"{case['quantity']} " in found.why and SCALES[case["quantity"]].unit in found.why
    assert found.term in str(found)
    for words in case.get("says", ()):
        assert words in found.why
    if "baseline" in case["why"]:
        assert found.event_ids == ("NT-001.SCR.CHEM",) or "no more than the value" in case["why"]


def test_every_limit_of_every_scale_has_a_case_on_each_side() -> None:
    """No grade of a scale is left without a case that reaches it and one that just does not."""
    for quantity, scale in SCALES.items():
        grades = {c["grade"] for c in CASES if c["quantity"] == quantity}
        assert {g for g, _ in scale.limits} | {0} <= grades, quantity


@given(st.sampled_from(QUANTITIES), values, values, st.none() | values)
def test_grades_are_monotone(quantity: Quantity, one: float, other: float, before: float | None) -> None:
    """Of two values the worse one never has the lower grade, whatever the baseline."""
    normal = Normal(100, 150)
    better, worse = sorted((one, other), reverse=quantity in LOW_IS_WORSE)
    grades = [grade_of(quantity, v, normal, baseline(before)).grade for v in (better, worse)]
    assert None not in grades
    assert all(a <= b for a, b in pairwise(grades))  # type: ignore[operator]


@given(st.sampled_from(QUANTITIES), values, st.none() | values)
def test_a_number_never_shows_death(quantity: Quantity, value: float, before: float | None) -> None:
    """Grade 5 is an investigator's to give; and what cannot be told without a normal range is not guessed."""
    found = grade_of(quantity, value, None, baseline(before))
    assert found.grade is None or 0 <= found.grade <= 4
    assert found.grade is not None or "is not stated" in found.why


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_what_is_no_amount_is_refused(value: float) -> None:
    """A negative or infinite value is an error and not a grade."""
    with pytest.raises(ValueError, match="cannot be graded"):
        grade_of("ANC", value)
