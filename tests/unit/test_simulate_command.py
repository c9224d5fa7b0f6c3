"""`neotorch simulate` and the demo's folder: lines that `record` takes, files that are whole, nobody's data wiped."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neotorch.cli import main
from neotorch.cli.demo import MARKER
from neotorch.simulation import STAGES

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a folder of its own, in this process; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(tmp_path / "data"))

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["neotorch", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


def test_record_takes_what_simulate_makes(run: Run) -> None:
    """The lines go into an empty log as they are, all of them, and a second time as duplicates."""
    assert run("simulate", "--patients", "3", "--out", "trial.jsonl")[0] == 0
    count = len(Path("trial.jsonl").read_text().splitlines())
    code, said, _ = run("record", "trial.jsonl", "--json")
    assert (code, json.loads(said)["rows"]) == (0, {"recorded": count, "refused": 0})
    code, said, _ = run("record", "trial.jsonl", "--json")
    assert (code, json.loads(said)["rows"]) == (0, {"duplicate": count, "refused": 0})


def test_a_trial_of_several_sites_is_recorded_under_the_study_file_that_comes_with_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--sites adds sites to the study file; with the file that is put beside the events all of them are taken."""
    code, _, said = run("simulate", "--patients", "4", "--sites", "4", "--out", "trial.jsonl")
    assert (code, "trial.jsonl.study.yaml" in said) == (0, True)
    monkeypatch.setenv("NEOTORCH_STUDY_FILE", "trial.jsonl.study.yaml")
    count = len(Path("trial.jsonl").read_text().splitlines())
    code, said, _ = run("record", "trial.jsonl", "--json")
    assert (code, json.loads(said)["rows"]) == (0, {"recorded": count, "refused": 0})
    code, said, _ = run("queries", "--json")
    assert [s["site"] for s in json.loads(said)["sites"]] == ["S01", "S02", "S03", "S04"]


@pytest.mark.parametrize("options", [("--sites", "0"), ("--sites", "4"), ("--sites", "51", "--summary")])
def test_sites_that_cannot_be_are_refused(run: Run, options: tuple[str, ...]) -> None:
    """None at all, more than anybody needs, or further sites without a file to put them in."""
    code, said, wrong = run("simulate", "--patients", "2", *options)
    assert (code != 0, said, "--sites" in wrong) == (True, "", True)


def test_the_same_options_give_the_same_bytes(run: Run) -> None:
    """Standard output and the file are one and the same, however often it is asked for."""
    options = ("simulate", "--patients", "2", "--seed", "7", "--until", "2026-05-04")
    first = run(*options)[1]
    assert run(*options, "--out", "trial.jsonl")[:2] == (0, "")
    assert Path("trial.jsonl").read_text() == first
    assert [p.name for p in Path().iterdir()] == ["trial.jsonl"]


def test_the_summary_counts_stages_and_types(run: Run) -> None:
    """With --summary no event is printed, but how many there are of each type and patients in each stage."""
    code, said, _ = run("simulate", "--patients", "24", "--until", "2026-05-04", "--summary", "--json")
    found = json.loads(said)
    assert code == 0
    assert list(found["stages"]) == list(STAGES)
    assert min(found["stages"].values()) >= 1
    assert sum(found["stages"].values()) == found["patients"] == 24
    assert sum(found["types"].values()) == found["events"]
    assert "screen failure" in run("simulate", "--patients", "24", "--summary")[1]


@pytest.mark.parametrize(("words", "said"), [
    (("--until", "now"), "not a date"),
    (("--until", "2026-02-30"), "not in the calendar"),
    (("--until", "2199-01-01"), "in the future"),
    (("--until", "1950-01-01"), "too long ago"),
    (("--json",), "goes with --summary"),
    (("--out", "nowhere/trial.jsonl"), "cannot be written"),
    (("--out", "."), "cannot be written"),
    (("--patients", "0"), "--patients"),
    (("--patients", "100000"), "--patients"),
    (("--seed", "-1"), "--seed"),
])  # fmt: skip
def test_bad_options_are_refused_in_words(run: Run, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, what is wrong and where, nothing on standard output, no file left behind."""
    code, out, err = run("simulate", "--patients", "1", *words)
    assert code == 2
    assert said in " ".join(err.split())
    assert out == ""
    assert list(Path().iterdir()) == []


def test_the_demo_wipes_only_what_a_demo_made(run: Run) -> None:
    """A folder with anything in it that was not made by a demo, or a file, is refused and stays as it is."""
    mine = Path("mine")
    mine.mkdir()
    (mine / "data.csv").write_text("precious")
    for folder in ("mine", "mine/data.csv"):
        code, _, err = run("demo", "--exit", "--data-dir", folder)
        assert code == 2
        assert "was not made by a demo" in " ".join(err.split())
    assert (mine / "data.csv").read_text() == "precious"


def test_the_demo_does_not_start_where_one_is_running(run: Run) -> None:
    """While a demo holds its folder, a second one there is refused."""
    Path("demo").mkdir()
    with (Path("demo") / MARKER).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (Path("demo") / "log.db").touch()
        code, _, err = run("demo", "--exit", "--data-dir", "demo")
    assert code == 2
    assert "a demo is running there" in " ".join(err.split())
    assert (Path("demo") / "log.db").exists()
