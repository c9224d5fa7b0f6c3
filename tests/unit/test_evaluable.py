"""Since which day a patient counts in a monitored share."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.endpoints import Member, member
from tests.support import CLEAN, consent, cycle, day, state_of, study, surgery, told

FILE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "evaluable.yaml").read_text(encoding="utf-8")
)
PLAIN: dict[str, dict[str, Any]] = {"pathology": CLEAN, "surgery": {"breast": "mastectomy", "axilla": "sentinel"}}
RULE = "toxicity.g3.immune"


def planned() -> Study:
    """The study with the frames of the table."""
    ends = study().endpoints
    rule = ends.monitoring.toxicity[0].model_copy(update={"observed_days": FILE["frames"]["toxicity"]})
    frame = {"frame_days": FILE["frames"]["pcr"]}
    changed = {
        "monitoring": ends.monitoring.model_copy(update={"toxicity": [rule]}),
        "pcr": ends.pcr.model_copy(update=frame), "rcb01": ends.rcb01.model_copy(update=frame),
    }  # fmt: skip
    return study().model_copy(update={"endpoints": ends.model_copy(update=changed)})


def state(case: dict[str, Any]) -> PatientState:
    """The patient of a case."""
    facts = [
        told(kind, on, {"id": f"f{n}", **PLAIN.get(kind, {}), **fields})
        for n, (on, kind, fields) in enumerate(case["facts"])
    ]
    return state_of([consent(day(-10)), cycle(1, day(1)), *facts])


def seen(case: dict[str, Any]) -> Member:
    """The patient at the cut of a case."""
    return member(state(case), planned(), day(case["cut"]))


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda c: c["why"])
def test_since_when(case: dict[str, Any]) -> None:
    """The day and the answer are those of the table; a day before it, nothing is known."""
    found = seen(case)
    for name, code in (("pcr", "pcr"), ("toxicity", RULE)):
        if name not in case:
            continue
        one = found.evaluable.get(code)
        assert (one and [(one.on - day(1)).days + 1, one.counts]) == case[name]
        if one:
            before = member(state(case), planned(), one.on - timedelta(1))
            assert code not in before.evaluable
            assert code in member(state(case), planned(), one.on).evaluable


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda c: c["why"])
def test_what_is_kept_holds_until_it_says(case: dict[str, Any]) -> None:
    """A member that says it holds at another cut is the one that is derived at that cut."""
    found = seen(case)
    for cut in {found.since, day(case["cut"]), found.until - timedelta(1), found.until} - {date.max}:
        if found.holds_at(cut) and cut < date(2100, 1, 1):
            assert member(state(case), planned(), cut).evaluable == found.evaluable


def test_before_the_first_dose_nobody_counts() -> None:
    """Who was not dosed by the cut is not evaluable for anything."""
    assert member(state_of([consent(day(-10))]), planned(), day(900)).evaluable == {}
    late = state_of([consent(day(-10)), cycle(1, day(30)), surgery(day(134))])
    assert member(late, planned(), day(20)).evaluable == {}
