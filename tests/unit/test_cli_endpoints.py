"""`neotorch endpoints`: every view, what each figure comes from, and the same bytes for the same call."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from neotorch import __version__
from neotorch.cli import main
from tests.support import RESIDUAL, Trial, at, course, day, pathology, screened, surgery

START = date(2024, 1, 15)
"""Long ago, whatever day it is: the command line has the real clock."""
PEOPLE = tuple(f"NT-00{n}" for n in range(1, 6))
CUT = day(150, START)
Run = Callable[..., str]
pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `neotorch endpoints` on the trial's folder; returns what it printed."""
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["neotorch", "endpoints", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert int(end.value.code or 0) == code, said.err
        assert "Traceback" not in said.err
        return said.err if code else said.out

    return call


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Five patients with a report, one of them with residual disease; figures recorded."""
    found = Trial(tmp_path / "data", now=at(CUT))
    for subject in PEOPLE:
        found.tell(*screened(START, subject), *course(6, START, subject), surgery(day(134, START), subject))
        residual = RESIDUAL if subject == PEOPLE[0] else {}
        found.tell(pathology(day(146, START), subject, **residual))
    found.engine.recalculate("event")
    return found


def amended(trial: Trial, subject: str = PEOPLE[1]) -> None:
    """Days later the report of a patient turns out to be another."""
    trial.now += timedelta(20)
    report = {"id": f"{subject}.p2", "corrects": f"{subject}.PATH", "reason": "x"}
    trial.tell(pathology(day(146, START), subject, **report, **RESIDUAL))
    trial.engine.recalculate("event")


VIEWS = (
    (), ("--subgroups",), ("--survival",), ("--monitoring",), ("--history",), ("--history", "pcr.full", "NT-001/pcr"), ("--json",),
    ("--json", "--history"), ("--subgroups", "--survival", "--monitoring", "--history"),
)  # fmt: skip


@pytest.mark.parametrize("view", VIEWS, ids=" ".join)
def test_the_same_call_gives_the_same_bytes_whatever_was_recorded_since(
    view: tuple[str, ...], trial: Trial, run: Run
) -> None:
    """With cut and knowledge named, later events, corrections and results move no byte of any view."""
    asked = (*view, "--cut", str(CUT), "--as-of", trial.now.isoformat())
    before = run(*asked)
    amended(trial)
    assert run(*asked) == before
    assert run(*view, "--cut", str(CUT)) != before


@pytest.mark.parametrize("view", [v for v in VIEWS if "--json" not in v], ids=" ".join)
def test_every_view_says_what_it_comes_from(view: tuple[str, ...], trial: Trial, run: Run) -> None:
    """Cut, knowledge, log head, study and code version stand beneath, and that no alpha split is stated."""
    amended(trial)
    known = trial.now - timedelta(1)
    head = trial.engine.log.read(known_at=known)[-1]
    text = run(*view, "--cut", str(CUT), "--as-of", known.isoformat())
    line = text.rstrip().splitlines()[-1]
    assert f"log {head.seq}:{head.hash[:16]}" in line
    assert f"data cut {CUT} · known at" in line
    assert line.endswith(f"neotorch {__version__}")
    assert f"{trial.engine.study.id} {trial.engine.study.version} (" in line
    assert "no split of alpha" in " ".join(text.split())


def test_cut_and_knowledge_are_two_dates(trial: Trial, run: Run) -> None:
    """Facts dated later do not count at a cut, also if known; facts recorded later are not known, also if dated before."""
    known = trial.now
    amended(trial)
    share = {
        asked: _share(run("--json", *asked))
        for asked in (("--cut", str(CUT)), ("--cut", str(CUT), "--as-of", known.isoformat()), ("--cut", str(day(140, START))))
    }  # fmt: skip
    assert list(share.values()) == ["3/5", "4/5", "0/0"]


def _share(text: str) -> str:
    first = json.loads(text)["proportions"][0]
    return f"{first['x']}/{first['n']}"


def test_the_exact_test_stands_beside_each_share(trial: Trial, run: Run) -> None:
    """4 of 5 against 15 %: P(X >= 4) = 5 * 0.15^4 * 0.85 + 0.15^5."""
    first = json.loads(run("--json", "--cut", str(CUT)))["proportions"][0]
    assert first["p0"] == 0.15
    assert first["p_value"] == pytest.approx(5 * 0.15**4 * 0.85 + 0.15**5, rel=1e-12)
    assert "0.0022 (p0 0.15)" in run("--cut", str(CUT))


def test_history_says_what_moved_each_figure(trial: Trial, run: Run) -> None:
    """Every change in order with the event that moved it; a cut leaves out later results."""
    amended(trial)
    lines = run("--history", "pcr.full").splitlines()
    told = [[c.strip() for c in line.split("│")[2:6]] for line in lines if "pcr.full" in line]
    assert [(was.split(" ")[0], now.split(" ")[0], by) for _, was, now, by in told] == [
        ("-", "4/5", told[0][3]), ("4/5", "3/5", "NT-002.p2"),
    ]  # fmt: skip
    assert "3/5" not in run("--history", "pcr.full", "--cut", str(CUT))


def test_a_name_that_no_value_has_is_refused_with_those_there_are(trial: Trial, run: Run) -> None:
    """A slip of the keyboard is not an empty history."""
    del trial
    said = run("--history", "pcr.ful", code=2)
    assert "'pcr.ful'" in said
    assert "pcr.full" in said
    assert "No change of these values is recorded" not in said


def test_every_look_of_every_rule_is_listed(trial: Trial, run: Run) -> None:
    """Who became evaluable on which day, the count so far and the boundary there."""
    text = run("--monitoring", "--cut", str(CUT))
    for monitor in trial.engine.analysis(cut=CUT).monitoring:
        assert f"{monitor.code}: {monitor.method}" in text
    days = list(_days(text))
    assert days.count(day(146, START)) >= len(PEOPLE)


def _days(text: str) -> Iterator[date]:
    for line in text.splitlines():
        cells = [c.strip() for c in line.split("│")]
        if len(cells) > 3 and cells[1].isdigit():
            yield datetime.strptime(cells[2], "%Y-%m-%d").date()  # noqa: DTZ007 - a date of the site


def test_before_the_first_event_every_view_is_an_answer(run: Run, tmp_path: Path) -> None:
    """An empty log: no traceback, no number, and the head of an empty log."""
    Trial(tmp_path / "data")
    for view in VIEWS:
        if "NT-001/pcr" in view:
            assert "no value is called 'NT-001/pcr'" in run(*view, code=2)
            continue
        text = run(*view)
        assert "0:0000000000000000" in text
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert "No patient is recorded." in run()
