"""Bad study files: refused by the loader and by `neotorch doctor` with path, value and remedy; or taken with a caution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import neotorch
from neotorch.cli import doctor_checks as doctor
from neotorch.domain.cautions import cautions
from neotorch.domain.study_file import Problem, StudyError, path_in, read_study
from neotorch.settings import Settings, load_study
from tests.support import study

TEXT = (Path(neotorch.__file__).parent / "studies" / "neotorch-breast03" / "1.0.yaml").read_text(encoding="utf-8")
CASES: dict[str, list[Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "bad_studies.yaml").read_text("utf-8")
)


def changed(case: dict[str, Any]) -> str:
    """The study file that ships, with the changes of a case."""
    text = TEXT
    for old, new in case["change"].items():
        assert old in text, f"{old!r} does not stand in the file"
        text = text.replace(old, new)
    return text


def cases(kind: str, *, of_doctor: bool = False) -> list[Any]:
    """The table's cases of a kind."""
    return [pytest.param(c, id=c["case"]) for c in CASES[kind] if c.get("doctor") or not of_doctor]


def problem_of(case: dict[str, Any]) -> Problem:
    """What the loader says at the place of the case; there is only that."""
    with pytest.raises(StudyError) as error:
        read_study(changed(case), "own.yaml")
    found = [p for p in error.value.problems if p.path == case["path"]]
    assert found, [str(p) for p in error.value.problems]
    assert str(found[0]) in str(error.value), "the one-line error says all that the problems do"
    return Problem(found[0].path, found[0].line, found[0].what, found[0].todo or f"{found[0].what}; {error.value.todo}")


@pytest.mark.parametrize("case", cases("refused"))
def test_a_bad_study_file_is_refused(case: dict[str, Any]) -> None:
    """Loading it says the path with its line, the value and the remedy."""
    problem = problem_of(case)
    assert case["says"] in problem.what
    assert case["remedy"] in problem.todo
    key = case["path"].rpartition(".")[2].partition("[")[0]
    assert f"{key}:" in changed(case).splitlines()[problem.line - 1], "the line is that of the setting"


@pytest.mark.parametrize("case", cases("refused", of_doctor=True))
def test_neotorch_doctor_refuses_it(case: dict[str, Any], tmp_path: Path) -> None:
    """The real command ends with 1, names path, value and remedy, and still looks at the machine."""
    file = tmp_path / "own.yaml"
    file.write_text(changed(case), encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NEOTORCH_", "PREFECT_"))}
    env |= {"NEOTORCH_STUDY_FILE": str(file), "NEOTORCH_DATA_DIR": str(tmp_path / "data"), "NEOTORCH_PREFECT_PORT": "0"}
    command = [sys.executable, "-c", "from neotorch.cli import main; main()", "doctor", "--json"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    said = [c for c in report["checks"] if c["name"] == "study file" and case["path"] in c["detail"]]
    assert said and not said[0]["ok"]
    assert case["says"] in said[0]["detail"]
    assert case["remedy"] in said[0]["detail"] + said[0]["todo"]
    assert [c["ok"] for c in report["checks"] if c["name"] == "data folder"] == [True]
    assert not (tmp_path / "data" / "log.db").exists(), "no log is begun for a study that cannot be"


@pytest.mark.parametrize("case", cases("cautions"))
def test_what_looks_like_an_oversight_is_said(case: dict[str, Any]) -> None:
    """The file is taken; doctor says what may be amiss, where, and what to do if it is."""
    found = read_study(changed(case))
    said = {path_in(found, c.where): c for c in cautions(found)}
    assert case["says"] in said[case["path"]].what
    assert case["remedy"] in said[case["path"]].todo
    lines = [c for c in doctor.study_file(found) if case["says"] in c.detail]
    assert [(c.ok, c.mark) for c in lines] == [(True, "look")]


def test_the_study_that_ships_needs_no_caution() -> None:
    """What is usual is not warned of."""
    assert cautions(study()) == ()


def test_weekly_doses_of_the_second_study_are_told() -> None:
    """Its dose gate is judged on day 1 of a cycle, and paclitaxel is given in weeks 2 and 3 too."""
    (found,) = cautions(load_study(Settings(study="decrescendo")))
    assert "paclitaxel is dosed at T1W2, T1W3" in found.what


def test_several_faults_are_told_at_once() -> None:
    """Faults of the graph, of people and of endpoints stand side by side, so that one round of mending is enough."""
    wanted = (
        "an anchor on a cycle beyond the last",
        "an escalation to a role that there is not",
        "a sign of life that no visit asks for",
    )
    picked = [c for c in CASES["refused"] if c["case"] in wanted]
    with pytest.raises(StudyError) as error:
        read_study(changed({"change": {k: v for c in picked for k, v in c["change"].items()}}))
    assert {c["path"] for c in picked} <= {p.path for p in error.value.problems}


@pytest.mark.parametrize(("used", "mark"), [(False, "look"), (True, "WRONG")])
def test_an_escalation_that_nobody_hears(used: bool, mark: str) -> None:
    """Where channels are in use at all, a role that is escalated to and has none is wrong; without any it is only said."""
    unheard = [("monitor", "S01"), ("statistician", "S01")]
    found = doctor.escalations(study(), unheard, used=used)
    assert found.mark == mark
    assert "monitor at S01" in found.detail and "statistician" not in found.detail
    assert "neotorch.toml" in found.todo
    assert doctor.escalations(study(), unheard[1:], used=True).mark == "ok"
