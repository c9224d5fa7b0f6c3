"""Residual Cancer Burden: published points, what is not evaluable, and what becomes a query."""

from __future__ import annotations

from dataclasses import fields
from math import nextafter
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.cli.rcb import command
from neotorch.domain.events import Pathology
from neotorch.domain.rcb import RcbInputs, classify, rcb, rcb_of, worst
from tests.support import pathology

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "rcb.yaml").read_text(encoding="utf-8")
)
NAMES = [f.name for f in fields(RcbInputs)]
WORKED = dict(zip(NAMES, (24, 18, 10, 5, 3, 4), strict=True))


def inputs(numbers: list[Any]) -> RcbInputs:
    """The six numbers of a case."""
    return RcbInputs(**dict(zip(NAMES, numbers, strict=True)))


def report(**changes: Any) -> Pathology:
    """A report with the worked example's numbers."""
    found = pathology("2026-07-01", **{"ypt": "ypT1c", "ypn": "ypN1a", "nodes_removed": 12, **WORKED, **changes})
    assert isinstance(found, Pathology)
    return found


@pytest.mark.parametrize("case", CASES["evaluable"], ids=lambda c: c["why"])
def test_published_points(case: dict[str, Any]) -> None:
    """Index to nine decimals and class are those of the published formula."""
    result = rcb(inputs(case["numbers"]))
    assert result.evaluable
    assert result.problems == ()
    assert result.index == pytest.approx(case["index"], abs=6e-10)
    assert result.rcb_class == case["class"]


@pytest.mark.parametrize("case", CASES["not_evaluable"], ids=lambda c: c["why"])
def test_contradictory_numbers_give_no_index_and_say_why(case: dict[str, Any]) -> None:
    """Numbers that contradict each other never give an index; each contradiction is a query with its words."""
    result = rcb(inputs(case["numbers"]))
    assert (result.index, result.rcb_class, result.evaluable) == (None, None, False)
    assert [p.code for p in result.problems] == case["problems"]
    assert result.reason.startswith("not evaluable: ")
    assert case["says"] in result.reason


@pytest.mark.parametrize("name", NAMES)
def test_each_missing_number_makes_it_not_evaluable(name: str) -> None:
    """A missing number is named and is never taken for 0, while a 0 is an answer."""
    result = rcb(RcbInputs(**(WORKED | {name: None})))
    assert result.index is None
    assert result.reason == f"not evaluable: {name} missing"
    assert result.problems == ()


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0.0, "RCB-0"), (nextafter(0, 1), "RCB-I"), (1.36, "RCB-I"), (nextafter(1.36, 2), "RCB-II"), (3.28, "RCB-II"),
        (nextafter(3.28, 4), "RCB-III"),
    ],
)  # fmt: skip
def test_limits_belong_to_the_lower_class(index: float, expected: str) -> None:
    """The unrounded index decides, and exactly 1.36 and 3.28 are still the lower class."""
    assert classify(index) == expected


def test_reason_shows_the_calculation() -> None:
    """The reason names what went into the index, so that a reader can follow it."""
    assert rcb(RcbInputs(**WORKED)).reason == "index 3.031: bed 20.8 mm, invasive share 0.095, 3 nodes, 4 mm"


def test_report_gives_the_same_index_as_its_numbers() -> None:
    """A complete report has the index of its six numbers."""
    assert rcb_of(report()).index == rcb(RcbInputs(**WORKED)).index


def test_more_positive_nodes_than_removed_is_asked() -> None:
    """More positive nodes than were removed cannot be; it is asked and gives no index."""
    result = rcb_of(report(nodes_removed=2))
    assert result.index is None
    assert [p.code for p in result.problems] == ["nodes-removed"]
    assert result.reason == "not evaluable: 3 positive nodes of 2 removed"


def test_too_few_nodes_and_a_missing_number_are_both_said() -> None:
    """A second reason does not hide the first."""
    result = rcb_of(report(nodes_removed=2, d1_mm=None))
    assert result.reason == "not evaluable: d1_mm missing; 3 positive nodes of 2 removed"


def test_no_node_removed_is_no_clear_axilla() -> None:
    """Without axillary surgery 0 positive nodes is not an answer, so there is no index and nothing to ask."""
    result = rcb_of(report(ypn="ypNX", nodes_positive=0, largest_met_mm=0, nodes_removed=0))
    assert (result.index, result.problems) == (None, ())
    assert "no node was removed" in result.reason


def test_positive_sentinel_before_therapy_is_not_calculable() -> None:
    """A positive node taken out before therapy cannot be put into the formula."""
    result = rcb_of(report(sentinel_positive_before_therapy=True))
    assert result.index is None
    assert "before therapy" in result.reason


def test_the_worse_breast_counts() -> None:
    """With cancer on both sides the patient has the higher index, whichever side comes first."""
    left, right = rcb_of(report(side="left")), rcb_of(report(side="right", nodes_positive=4))
    assert worst([left, right]) == worst([right, left]) == right


def test_one_breast_not_evaluable_leaves_the_patient_not_evaluable() -> None:
    """A side that cannot be calculated could be the worse one."""
    known, unknown = rcb_of(report(side="left")), rcb_of(report(side="right", d1_mm=None))
    assert worst([known, unknown]) == worst([unknown, known]) == unknown


def test_the_commands_output_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A corrected cell in the command's own output gives its new index under the same columns, and nothing stale."""
    path = tmp_path / "specimens.csv"
    path.write_text("site," + ",".join(NAMES) + "\nS1,24,18,10,5,3,\n", encoding="utf-8")
    assert command(str(path)) == 1
    first = capsys.readouterr().out
    path.write_text(first.replace("S1,24,18,10,5,3,,", "S1,24,18,10,5,3,4,"), encoding="utf-8")
    assert command(str(path)) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == first.splitlines()[0]
    assert row.startswith("S1,24,18,10,5,3,4,3.031289229,RCB-II,")
    assert "missing" not in row
