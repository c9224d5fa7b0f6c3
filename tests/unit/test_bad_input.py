"""Bad input and limits of a whole trial: a clear answer or a query for each, never a wrong number and never a traceback."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch.cli import endpoint_tables
from neotorch.cli.endpoints import everything
from neotorch.domain import events as ev
from neotorch.rules.endpoints import PatientEndpoints
from neotorch.rules.endpoints.analysis import TrialAnalysis
from neotorch.rules.wording import OF_ITEMS
from tests.support import CLEAN, Trial, at, consent, cycle, day, fact

FILE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "bad_input.yaml").read_text(encoding="utf-8")
)
CASES = [pytest.param(case, id=case["why"]) for cases in FILE.values() for case in cases]
PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "operated": ("surgery", {"breast": "mastectomy", "axilla": "sentinel", "margin": "clear"}),
    "reported": ("pathology", CLEAN),
    "consent": ("consent", {"site": "S01", "icf_version": "1.0"}),
}
OTHERS = OF_ITEMS | {"too-old", "booking"}
"""Kinds of finding that ask for something other than what contradicts."""


class Told:
    """The trial of a case after all that came in."""

    def __init__(self, case: dict[str, Any], folder: Path) -> None:
        self.trial, self.refused = Trial(folder, now=at(day(-50))), {}
        for subject, rows in case["patients"].items():
            self.trial.now = at(day(-50))
            for number, (on, kind, *fields) in enumerate(rows):
                self.say(self.made(subject, number, on, kind, dict(*fields)))
        self.trial.now = at(day(1300))
        self.cut: date = day(case.get("cut", 1200))
        self.analysis: TrialAnalysis = self.trial.engine.analysis(cut=self.cut)

    def made(self, subject: str, number: int, on: int, kind: str, fields: dict[str, Any]) -> list[ev.AnyFact]:
        """The facts of one row."""
        if kind == "dosed":
            return [
                consent(day(-14), subject), fact("eligibility", day(-5), subject, eligible=True),
                fact("enrolment", day(-5), subject), cycle(1, day(on), subject),
            ]  # fmt: skip
        known, plain = PLAIN.get(kind, (kind, {}))
        return [fact(known, day(on), subject, **{"id": f"{subject}.f{number}", **plain, **fields})]

    def say(self, facts: list[ev.AnyFact]) -> None:
        """Record them on their day, or at once if that is over."""
        self.trial.now = max(self.trial.now, *(at(f.occurred) for f in facts))
        for answer in self.trial.engine.record(facts, accept_good=True):
            if answer.outcome == "refused":
                self.refused[answer.fact.id] = "; ".join(r.what for r in answer.refusals)

    def patient(self, subject: str) -> PatientEndpoints:
        """Headline values of one patient."""
        return next(p for p in self.analysis.result.patients if p.subject == subject)

    def asks(self, subject: str) -> list[str]:
        """The problems asked about; that forms are missing is left out."""
        due = self.trial.engine.duties(subject)[1]
        return sorted({f.items[0] for f in due.findings if f.kind not in OTHERS})


@pytest.fixture
def told(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Any], Told]:
    """A case and its trial."""
    return request.param, Told(request.param, tmp_path)


@pytest.mark.parametrize("told", CASES, indirect=True)
def test_a_clear_answer_or_a_query(told: tuple[dict[str, Any], Told]) -> None:
    """What intake refuses, what is asked, what the figures are, and what is said beside them."""
    case, found = told
    assert found.refused.keys() == case.get("refused", {}).keys(), found.refused
    for ident, words in case.get("refused", {}).items():
        assert words in found.refused[ident]
    asked = {s: codes for s in case["patients"] if s in found.trial.engine.subjects() and (codes := found.asks(s))}
    assert asked == case.get("asks", {})
    result = found.analysis.result
    shares = {f"{p.name}.{p.set_name}": f"{p.responders}/{p.n}+{p.pending}" for p in result.proportions}
    assert {name: shares[name] for name in case.get("shares", {})} == case.get("shares", {})
    values = result.values()
    for name, text in (case.get("limits", {}) | case.get("values", {})).items():
        assert values[name] == text, name
    assert {name: result.counts[name] for name in case.get("counts", {})} == case.get("counts", {})
    for subject, words in case.get("why_pcr", {}).items():
        assert words in found.patient(subject).pcr.reason


@pytest.mark.parametrize("told", CASES, indirect=True)
def test_survival_and_remarks(told: tuple[dict[str, Any], Told]) -> None:
    """Patients, events and the landmark of a year; where figures are missing, it is said why."""
    case, found = told
    result = found.analysis.result
    if "efs" in case:
        assert result.efs
        assert [result.efs.n, result.efs.events, result.values()["efs.day365"]] == case["efs"]
    said = " ".join(endpoint_tables.remarks(result))
    assert [w for w in case.get("remarks", []) if w not in said] == []


@pytest.mark.parametrize("told", CASES, indirect=True)
def test_it_can_be_shown_and_written(told: tuple[dict[str, Any], Told], capsys: pytest.CaptureFixture[str]) -> None:
    """Every table prints, every value explains itself, and JSON holds no number that is none."""
    _, found = told
    engine, study = found.trial.engine, found.trial.engine.study
    endpoint_tables.show_all(found.analysis, study)
    endpoint_tables.show_survival(found.analysis, study)
    endpoint_tables.show_subgroups(found.analysis.subgroups, study)
    endpoint_tables.show_looks(found.analysis, study)
    assert "Traceback" not in capsys.readouterr().out
    json.dumps(everything(found.analysis, study), allow_nan=False, default=str)
    for subject in engine.subjects():
        assert all(v.reason for v in engine.patient_values(subject))
