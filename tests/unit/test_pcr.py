"""Pathologic complete response from the categories, and their agreement with the six RCB numbers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain.events import AnyFact, Pathology
from neotorch.domain.pcr import DEFINITIONS, agreement, pcr
from neotorch.domain.rcb import RcbInputs, rcb_of
from neotorch.rules import duties
from neotorch.rules.endpoints import patient_endpoints
from tests.support import at, course, day, pathology, screened, state_of, study, surgery

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "pcr.yaml").read_text(encoding="utf-8")
)
NAMES = list(RcbInputs.__dataclass_fields__)
REPORTED = day(160)


def report(**fields: Any) -> Pathology:
    """A report on paper."""
    found = pathology(REPORTED, **fields)
    assert isinstance(found, Pathology)
    return found


def reported(case: dict[str, Any], **fields: Any) -> Pathology:
    """The report of a case with its numbers."""
    numbers = dict(zip(NAMES, case["numbers"], strict=True))
    return report(**{**numbers, "nodes_removed": case.get("removed", 12), **case["report"], **fields})


def problems(of: Pathology) -> list[str]:
    """Codes of everything that is asked about a report."""
    return sorted([c for c, _ in agreement(of)] + [f"rcb-{p.code}" for p in rcb_of(of).problems])


def operated() -> list[AnyFact]:
    """A patient who had all cycles and was operated on day 150."""
    return [*screened(), *course(6), surgery(day(150))]


def asked(facts: list[AnyFact]) -> set[str]:
    """Which contradictions of pathology reports raise a query a day after the report."""
    found = duties(state_of(facts), study(), at(REPORTED + timedelta(days=1))).to_raise
    return {f.items[0] for f in found if f.kind == "pathology"}


@pytest.mark.parametrize("case", CASES["definitions"], ids=lambda c: c["why"])
def test_three_definitions(case: dict[str, Any]) -> None:
    """Each definition answers as NeoSTEEP has it, and every answer gives its reason."""
    verdicts = [pcr(report(**case["report"]), d) for d in DEFINITIONS]
    assert [v.answer for v in verdicts] == case["answers"]
    assert all(v.reason for v in verdicts)
    assert case.get("says", "") in verdicts[0].reason


@pytest.mark.parametrize("case", CASES["agree"], ids=lambda c: c["why"])
def test_categories_and_numbers_that_agree_ask_nothing(case: dict[str, Any]) -> None:
    """A consistent report raises no query, also at the limits of the categories."""
    assert problems(reported(case)) == []


@pytest.mark.parametrize("case", CASES["disagree"], ids=lambda c: c["why"])
def test_categories_and_numbers_that_disagree(case: dict[str, Any]) -> None:
    """Each kind of disagreement is found under its own code, in words that name both sides."""
    assert problems(reported(case)) == sorted(case["codes"])
    assert all(len(text) > 20 for _, text in agreement(reported(case)))


@pytest.mark.parametrize("case", CASES["disagree"], ids=lambda c: c["why"])
def test_disagreement_raises_a_query_and_the_endpoint_waits(case: dict[str, Any]) -> None:
    """While a report contradicts itself a query is due and RCB 0-1 has no value; an amended report ends both."""
    first = reported(case)
    facts = [*operated(), first]
    assert set(case["codes"]) <= asked(facts)
    values = patient_endpoints(state_of(facts), study(), REPORTED)
    assert values.rcb01.answer == "not_evaluable"
    assert values.rcb01.reason
    amended = pathology(
        REPORTED, id="NT-001.PATH2", ypt="ypT0", ypn="ypN0", corrects=first.id, reason="amended after the query"
    )
    assert asked([*facts, amended]) == set()
    after = patient_endpoints(state_of([*facts, amended]), study(), REPORTED)
    assert (after.pcr.answer, after.rcb01.answer) == ("yes", "yes")


def test_pcr_waits_while_it_disagrees_with_rcb() -> None:
    """A pCR by category against cancer by numbers is no pCR and no failure, but open with both sides in the reason."""
    values = patient_endpoints(state_of([*operated(), report(cellularity_pct=10)]), study(), REPORTED)
    assert values.pcr.answer == "not_evaluable"
    assert "ypT0 says no invasive cancer, the numbers say 10.0 % of the bed" in values.pcr.reason
    assert values.pcr.event_ids == ("NT-001.PATH",)


def test_a_newer_report_ends_the_query_about_the_older() -> None:
    """A new final report counts instead of the one before, so the old contradiction is no longer asked."""
    newer = pathology(REPORTED + timedelta(1), id="NT-001.PATH2")
    assert asked([*operated(), report(cellularity_pct=10)]) == {"ypt-cellularity", "pcr-rcb"}
    assert asked([*operated(), report(cellularity_pct=10), newer]) == set()


def test_lymphovascular_invasion_alone_is_rcb_0_without_pcr() -> None:
    """The formula has no place for tumour in vessels: RCB-0 and no pCR stand side by side without a query."""
    values = patient_endpoints(state_of([*operated(), report(lymphovascular_invasion=True)]), study(), REPORTED)
    assert values.headline == "pCR: no, RCB-0"


def test_the_worse_breast_decides_pcr() -> None:
    """One breast without and one with a complete response is not a pCR, whichever report comes first."""
    left, right = report(side="left"), report(side="right", id="NT-001.PATHR", ypt="ypT1c", cellularity_pct=10)
    values = patient_endpoints(state_of([*operated(), left, right]), study(), REPORTED)
    assert values.headline == "pCR: no, RCB-II"
    assert set(values.pcr.event_ids) == {left.id, right.id}


def test_first_definition_is_the_endpoint() -> None:
    """The study file takes the preferred definition of NeoSTEEP."""
    assert study().endpoints.pcr.definition == DEFINITIONS[0]
