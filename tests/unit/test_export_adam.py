"""`neotorch export adam` on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from neotorch.cli import main
from tests.support import START, Trial, at, cycle, screened

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
NAMES = ("adae", "adex", "adrs", "adsl", "adtte")


def export(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run it; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["neotorch", "export", "adam", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside a trial with one patient."""
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(tmp_path / "data"))
    found = Trial(tmp_path / "data", now=at(START))
    found.tell(*screened(), cycle(1, START))
    return tmp_path / "out"


def test_it_writes_every_dataset_in_every_format(
    trial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says how many records there are and what they were derived from."""
    assert export(monkeypatch, "--out", str(trial)) == 0
    assert sorted(f.name for f in trial.iterdir()) == sorted(
        ["define.xml", *(f"{n}.{e}" for n in NAMES for e in ("csv", "json", "parquet"))]
    )
    said = capsys.readouterr().out
    assert "ADSL 1" in said
    assert "data cut" in said


def test_only_the_formats_asked_for(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And define.xml, without which nobody knows what they hold."""
    assert export(monkeypatch, "--out", str(trial), "--format", "csv") == 0
    assert {f.suffix for f in trial.iterdir()} == {".csv", ".xml"}


BAD = [
    (("--format", "xpt"), "'xpt' is no format"),
    (("--cut", "yesterday"), "--cut"),
    (("--as-of", "soon"), "--as-of"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=[b[1] for b in BAD])
def test_rubbish_is_refused_before_anything_is_written(
    words: tuple[str, ...], says: str, trial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is wrong and what to write instead."""
    assert export(monkeypatch, "--out", str(trial), *words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert not trial.exists()


def test_a_folder_that_cannot_be(
    trial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where the folder should be: said, and left as it is."""
    trial.write_text("mine")
    assert export(monkeypatch, "--out", str(trial)) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert trial.read_text() == "mine"
