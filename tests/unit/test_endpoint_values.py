"""Every endpoint value of a patient: what it is, why, from which events, and what would change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.domain.events import AnyFact
from neotorch.domain.state import PatientState
from neotorch.rules.endpoints import Value, patient_values
from tests.support import START, consent, cycle, day, state_of, study, told

FILE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "endpoint_values.yaml").read_text(encoding="utf-8")
)
CASES = [pytest.param(case, id=f"{group}: {case['why']}") for group, cases in FILE.items() for case in cases]


def course(case: dict[str, Any]) -> list[AnyFact]:
    """The cycles of a case, each with its planned drugs but for what is held or reduced."""
    days = {1: 1, **case.get("cycles", {})}
    return [cycle(n, day(on) if n > 1 else START, drugs=drugs(n, case)) for n, on in days.items()]


def drugs(number: int, case: dict[str, Any]) -> list[dict[str, Any]]:
    """What is given in a cycle."""
    held, reduced = case.get("held", {}).get(number, []), case.get("reduced", {}).get(number, {})
    given: list[dict[str, Any]] = []
    for drug in study().drugs:
        if number in drug.cycles:
            status = "held" if drug.code in held else "reduced" if drug.code in reduced else "given"
            dose = {"dose": reduced[drug.code]} if drug.code in reduced else {}
            given.append({"drug": drug.code, "status": status, **dose})
    return given


def state(case: dict[str, Any]) -> PatientState:
    """The patient of a case."""
    facts = [
        told(kind, on, {"id": f"f{n}", **({"basis": "imaging"} if kind == "recurrence" else {}), **fields})
        for n, (on, kind, fields) in enumerate(case["facts"])
    ]
    return state_of([consent(day(-10)), *course(case), *facts])


def values(case: dict[str, Any]) -> dict[str, Value]:
    """The values of a case by code."""
    return {v.code: v for v in patient_values(state(case), study(), day(case.get("cut", 2000)))}


@pytest.mark.parametrize("case", CASES)
def test_values(case: dict[str, Any]) -> None:
    """The value is the one that the definition gives, with its figure and its reason."""
    found = values(case)
    expected = case.get("values", {})
    assert {code: found[code].text for code in expected} == expected
    for code, number in case.get("number", {}).items():
        assert found[code].number == pytest.approx(number)
    for code, words in case.get("says", {}).items():
        assert words in found[code].reason
    for code, words in case.get("changes", {}).items():
        assert words in found[code].would_change
    assert not set(case.get("absent", ())) & set(found)


@pytest.mark.parametrize("case", CASES)
def test_each_value_carries_what_stands_behind_it(case: dict[str, Any]) -> None:
    """Each value has a reason, a rule and what would change it; its events are in the log and not after the cut."""
    known = {f.id: f.occurred for f in state(case).facts}
    for value in values(case).values():
        assert value.reason and value.rule and value.would_change and value.label
        assert all(known[s.event_id] == s.occurred <= day(case.get("cut", 2000)) for s in value.sources)
        if value.status == "known":
            assert value.sources, value


def test_before_the_first_dose_everything_is_open() -> None:
    """A patient who was not treated has no value that counts, and none that fails."""
    found = {v.code: v for v in patient_values(state_of([consent(day(-10))]), study(), day(1))}
    assert {found[c].text for c in ("efs", "os", "dfi")} == {"not started"}
    assert {found[c].text for c in ("pcr", "rcb01", "conservation", "response")} == {"pending"}
    assert not [c for c in found if c.startswith(("rdi.", "ae."))]
