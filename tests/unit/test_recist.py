"""RECIST 1.1: what the sums say, and when they contradict the report or lack a decision (tests/cases/recist.yaml)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain import events as ev
from neotorch.domain.recist import assessments, contradiction, derive, nadir, percent_change
from neotorch.rules.consistency import imaging_findings
from tests.support import START, SUBJECT, cycle, fact, state_of, study, surgery

FILE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "recist.yaml").read_text(encoding="utf-8")
)
DAY = timedelta(1)


def scans(sums: list[float | None], new: list[int] = (), reported: str = "PR", visit: str | None = None) -> list[Any]:  # type: ignore[assignment]
    """The baseline five days before the first dose, then an imaging every 40 days."""
    found = []
    for n, mm in enumerate(sums):
        body: dict[str, Any] = {"modality": ["MRI"], "new_lesion": n in new, "visit": visit if n else None}
        body |= {"sum_mm": mm, "response": reported if n else "BASELINE"}
        on = START - 5 * DAY + 40 * n * DAY
        found.append(fact("imaging", on, id=f"scan{n}", **{k: v for k, v in body.items() if v is not None}))
    return found


@pytest.mark.parametrize("case", FILE["courses"], ids=lambda c: c["why"])
def test_the_response_at_each_timepoint(case: dict[str, Any]) -> None:
    """Sums in the order of dates give the response that the paper gives, each with its numbers."""
    told = scans(case["sums"], case.get("new", []))
    found = [a for a in assessments(told, START) if a.event_id != "scan0"]
    assert [a.response for a in found] == case["expect"]
    assert all(a.response in a.reason for a in found)


@pytest.mark.parametrize(
    "case", FILE["reported"], ids=lambda c: f"{c['derived']} reported as {c['reported']}: {c['why']}"
)
def test_what_a_report_may_say_beside_the_sums(case: dict[str, Any]) -> None:
    """Only what no non-target lesion can explain is held against the reader."""
    assert contradiction(case["reported"], case["derived"], case.get("sum")) is case["contradiction"]


def test_the_arithmetic() -> None:
    """Nadir and change in per cent; from nothing there is no change to tell."""
    assert nadir([100, 40, 47]) == 40
    assert nadir([]) is None
    assert percent_change(48, 40) == 20
    assert percent_change(30, 100) == -70
    assert percent_change(5, 0) is percent_change(None, 40) is percent_change(5, None) is None
    assert derive(100, 40, 48) == "PD"
    (last,) = assessments(scans([100, 40])[:2], START)
    assert (last.baseline_mm, last.nadir_mm, last.from_baseline_pct, last.from_nadir_pct) == (100, 100, -60, -60)


def test_the_baseline_is_the_last_one_before_the_first_dose() -> None:
    """A repeated baseline replaces the first; one told after the first dose is a timepoint."""
    first = fact("imaging", START - 20 * DAY, id="a", modality=["US"], sum_mm=40, response="BASELINE")
    again = fact("imaging", START - 2 * DAY, id="b", modality=["US"], sum_mm=50, response="BASELINE")
    late = fact("imaging", START + 30 * DAY, id="c", modality=["US"], sum_mm=30, response="BASELINE")
    (found,) = assessments([first, again, late], START)  # type: ignore[list-item]
    assert (found.event_id, found.baseline_mm, found.response) == ("c", 50, "PR")


# ── in the trial ──────────────────────────────────────────────────────────────────────────────────────────────────


def asked(facts: list[ev.AnyFact]) -> dict[str, Any]:
    """Query key without the subject -> finding."""
    found = imaging_findings(state_of([cycle(1, START), *facts]), study())
    return {f.query.removeprefix(f"{SUBJECT}/"): f for f in found}


def form(name: str, on: Any, **items: Any) -> ev.AnyFact:
    """A form at IMG1."""
    return fact("form_received", on, id=f"{name}.{on}", visit="IMG1", form=name, items=items)


AGAINST, UNDECIDED = "IMG1/response-against-sums", "IMG1/progression-without-decision"
SEEN = START + 75 * DAY
NO_REASON = {"status": "unknown", "reason": "x"}
DECIDED: list[Any] = [
    pytest.param([], {UNDECIDED}, id="nobody decided"),
    pytest.param([fact("progression", SEEN, operable=True, basis="imaging")], set(), id="a progression of that day"),
    pytest.param([fact("progression", SEEN - 2 * DAY, operable=None, basis="clinical")], set(), id="felt before it was seen"),
    pytest.param([fact("progression", START, operable=True, basis="imaging")], {UNDECIDED}, id="one before the nadir"),
    pytest.param([form("DECISION", SEEN, CONTINUE=False)], set(), id="decided not to go on"),
    pytest.param([form("DECISION", SEEN - DAY, CONTINUE=True)], set(), id="decided at that visit"),
    pytest.param([form("DECISION", SEEN, CONTINUE=NO_REASON)], {UNDECIDED}, id="a reason for no decision is none"),
    pytest.param([form("MDT", SEEN + 3 * DAY, MDT_DECISION="operate")], set(), id="decided by the board"),
    pytest.param([form("CBC", SEEN, ANC=2)], {UNDECIDED}, id="another form"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "keys"), DECIDED)
def test_progression_against_the_nadir_needs_a_decision(facts: list[ev.AnyFact], keys: set[str]) -> None:
    """48 mm over a nadir of 40 is asked about three days later, until a progression or a form says what was decided."""
    told = [*scans([100, 40]), *scans([100, 40, 48], reported="PD", visit="IMG1")[2:]]
    found = asked([*told, *facts])
    assert set(found) == keys
    if keys:
        assert found[UNDECIDED].opens_on == max(SEEN + 3 * DAY, found[UNDECIDED].opens_on)
        assert "nadir 40 mm (+20.0 %)" in found[UNDECIDED].because.detail


REPORTS: list[Any] = [
    pytest.param([100, 40, 47], "PR", set(), id="47 is a PR"),
    pytest.param([100, 40, 47], "PD", {AGAINST}, id="47 is no PD"),
    pytest.param([100, 40, 48], "PR", {AGAINST, UNDECIDED}, id="48 is no PR"),
    pytest.param([20, 20, 24], "SD", set(), id="4 mm are no PD"),
    pytest.param([100, 90, 85], "PR", {AGAINST}, id="15 % are no PR"),
    pytest.param([100, 40, None], "NE", set(), id="not evaluated"),
]


@pytest.mark.parametrize(("sums", "reported", "keys"), REPORTS)
def test_a_report_is_held_against_its_sums(sums: list[float | None], reported: str, keys: set[str]) -> None:
    """A response that the sums contradict is a query at the visit, with both in its reason."""
    told = [*scans(sums[:2], reported="SD" if sums[1] in (20, 90) else "PR")]
    found = asked([*told, *scans(sums, reported=reported, visit="IMG1")[2:]])
    assert set(found) == keys
    if AGAINST in keys:
        assert f"reported as {reported}" in found[AGAINST].because.detail


def test_a_progression_on_record_explains_what_the_sum_does_not_show() -> None:
    """Progression of lesions that are not measured is no contradiction once it is recorded."""
    told = [*scans([100, 40]), *scans([100, 40, 47], reported="PD", visit="IMG1")[2:]]
    assert set(asked(told)) == {AGAINST}
    assert asked([*told, fact("progression", SEEN, operable=True, basis="imaging")]) == {}


def test_one_decision_covers_what_goes_on_growing() -> None:
    """The next imaging that still shows the same progression asks for no second decision."""
    told = scans([100, 40, 48, 60], reported="PD")
    decided = fact("progression", SEEN, operable=True, basis="imaging")
    assert not [k for k in asked([*told, decided]) if "scan3" in k]


def test_after_surgery_the_sums_say_nothing() -> None:
    """What was measured is out; later imaging is not held against it."""
    told = [*scans([100, 40]), surgery(START + 50 * DAY), *scans([100, 40, 90], reported="NE")[2:]]
    assert asked(told) == {}
