"""The command line: exit codes, both forms of output, and no traceback whatever it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from neotorch.cli import main
from tests.support import SUBJECT, course, pathology, screened, surgery

START = date(2024, 1, 15)
"""Long ago, whatever day it is: the command line has the real clock."""

Run = Callable[..., tuple[int, str, str]]


def lines(*facts: Any) -> str:
    """Facts as JSON Lines."""
    return "".join(json.dumps(f.body) + "\n" for f in facts)


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


@pytest.fixture
def told(run: Run, tmp_path: Path) -> Run:
    """One operated patient is in the log."""
    file = tmp_path / "events.jsonl"
    report = pathology(START.replace(month=6, day=12))
    file.write_text(lines(*screened(START), *course(6, START), surgery(START.replace(month=6, day=1)), report))
    assert run("record", str(file))[0] == 0
    return run


def process(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run a command as a user would; returns exit code, stdout, stderr."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("NEOTORCH_")}
    done = subprocess.run(
        [sys.executable, "-c", "from neotorch.cli import main; main()", *words],
        cwd=folder,
        env=settings | {"NEOTORCH_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(Path.cwd())},
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


BAD_FILES = [
    pytest.param("x.jsonl", b"", "no events", id="empty"),
    pytest.param("x.jsonl", b'{"type":"death","occurred":"2026-02-30"}', "not in the calendar", id="30 February"),
    pytest.param("x.jsonl", b'{"type":"death"' + b"[" * 90_000, "JSON", id="brackets"),
    pytest.param("x.jsonl", b"\xff\xfe\x00", "not UTF-8", id="bytes"),
    pytest.param("x.csv", b"type;subject\ndeath;NT-001\n", "separate the columns by commas", id="semicolons"),
    pytest.param("x.jsonl", b'{"type":"form_received","items":{"ANC":1e999}}', "items.ANC", id="infinite"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "says"), BAD_FILES)
def test_a_bad_file_is_refused_with_exit_code_2(name: str, data: bytes, says: str, run: Run, tmp_path: Path) -> None:
    """What is wrong is told, nothing is written, and the exit code is 2."""
    (tmp_path / name).write_bytes(data)
    code, out, err = run("record", name)
    assert code == 2
    assert says in " ".join((out + err).split())
    assert "Traceback" not in out + err
    assert json.loads(run("verify", "--json")[1])["events"] == 0


def test_all_bad_rows_are_told_and_the_good_one_is_not_written(run: Run, tmp_path: Path) -> None:
    """Two bad rows and a good one: two faults with row and field, nothing recorded; accepted on request."""
    rows = lines(screened(START)[0]) + '{"type": "death"}\n' + lines(surgery(START, "NT-999"))
    (tmp_path / "x.jsonl").write_text(rows)
    code, out, _ = run("record", "x.jsonl", "--json")
    found = json.loads(out)
    assert code == 2
    assert {f["row"] for f in found["faults"]} == {2, 3}
    assert found["head"] == 0
    code, out, _ = run("record", "x.jsonl", "--json", "--accept-good")
    assert (code, json.loads(out)["rows"]["recorded"], json.loads(out)["head"]) == (2, 1, 1)


def test_a_dry_run_says_what_would_happen(run: Run, tmp_path: Path) -> None:
    """Exit code 0 for a good file, and the log stays as it was."""
    (tmp_path / "x.jsonl").write_text(lines(*screened(START)))
    code, out, _ = run("record", "x.jsonl", "--dry-run")
    assert code == 0
    assert "nothing was written" in out
    assert json.loads(run("verify", "--json")[1])["events"] == 0


def test_the_same_file_twice_changes_nothing(told: Run) -> None:
    """The second time every row is a duplicate, exit code 0."""
    before = json.loads(told("verify", "--json")[1])
    code, out, _ = told("record", "events.jsonl", "--json")
    assert code == 0
    assert set(json.loads(out)["rows"]) == {"duplicate", "refused"}
    assert json.loads(told("verify", "--json")[1]) == before


def test_worklist_says_1_when_something_is_open(told: Run) -> None:
    """Exit code 1 with lines, 0 without; each line with its why and a key that can be explained."""
    code, out, _ = told("worklist", "--json", "--as-of", "2027-01-01")
    found = json.loads(out)
    assert code == 1
    assert all(line["why"] and line["key"] for line in found["lines"])
    for line in found["lines"]:
        code, out, _ = told("explain", line["key"], "--as-of", "2027-01-01")
        assert code == 0
        assert out.strip()
    code, out, _ = told("worklist", "--as-of", "2020-01-01")
    assert code == 0


COMMANDS = [
    ("worklist",), ("worklist", "--site", "S01"), ("patient", SUBJECT), ("patient", SUBJECT, "--as-of", "2024-03-01"),
    ("patient", SUBJECT, "--as-of", "2020-01-01"), ("endpoints",), ("endpoints", "--cut", "2024-06-01"),
    ("endpoints", "--cut", "2020-01-01"), ("endpoints", "--as-of", "2026-06-01T09:30:00+08:00"), ("verify",),
    ("explain", f"{SUBJECT}/C2D1"), ("explain", f"{SUBJECT}/pcr"), ("explain", f"{SUBJECT}.SURG"), ("--version",),
    ("--help",), ("record", "--help"),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_prints_for_people_and_for_programs(words: tuple[str, ...], told: Run) -> None:
    """The plain form prints something, `--json` one JSON document; both exit 0, or 1 where something is open."""
    code, out, err = told(*words)
    assert code in (0, 1)
    assert out.strip()
    assert "Traceback" not in out + err
    if not any(w.startswith("--h") or w == "--version" for w in words):
        again, out, _ = told(*words, "--json")
        assert json.loads(out) is not None
        assert again == code


WRONG = [
    ("patient", "NT-999"), ("patient", "Li Wei"), ("patient",), ("explain", "nothing"), ("explain", f"{SUBJECT}/C9D9"),
    ("worklist", "--as-of", "yesterday"), ("worklist", "--as-of", "2026-02-30"), ("worklist", "--as-of", "2026"),
    ("worklist", "--site", "S99"), ("worklist", "--colour"), ("endpoints", "--cut", "now"), ("endpoints", "--cut", ""),
    ("record", "nowhere.jsonl"), ("record", "."), ("record",), ("record", "--frobnicate", "x"), ("nonsense",),
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage_is_exit_code_2_in_words(words: tuple[str, ...], told: Run) -> None:
    """What is wrong and what to do, on stderr or in a table; never a traceback."""
    code, out, err = told(*words)
    assert code == 2
    assert (out + err).strip()
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NEOTORCH_STUDY_VERSION", "9.9", "9.9"),
        ("NEOTORCH_STUDY_FILE", "nowhere.yaml", "nowhere.yaml"),
        ("NEOTORCH_DATA_DIR", "/dev/null/x", "data folder"),
        ("NEOTORCH_DATABASE_URL", "nonsense", ""),
        ("NEOTORCH_DATABASE_URL", "mysql://a/b", ""),
        ("NEOTORCH_PREFECT_PORT", "99999", "prefect_port"),
        ("NEOTORCH_CHANNELS", "[{}]", "channels"),
        ("NEOTORCH_CHANNELS", "not json", ""),
    ],
)
def test_a_wrong_setting_is_exit_code_2_in_words(
    name: str, value: str, says: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting is named, and no traceback is shown."""
    monkeypatch.setenv(name, value)
    code, out, err = run("worklist")
    assert code == 2
    assert says in " ".join((out + err).split())


def test_text_in_data_is_never_read_as_markup(run: Run, tmp_path: Path) -> None:
    """Square brackets in a name are shown as they are, not taken for colours."""
    (tmp_path / "x.jsonl").write_text('{"type": "contact", "[bold red]x[/nope]": 1, "subject": "NT-001"}')
    code, out, _ = run("record", "x.jsonl")
    assert code == 2
    assert "[bold red]x[/nope]" in "".join(out.split("\n")).replace("│", "")


def test_as_a_process(tmp_path: Path) -> None:
    """As a user runs it: a good file from a pipe is recorded, bad bytes are refused without a traceback."""
    good = lines(*screened(START)).encode()
    code, out, err = process(tmp_path, "record", "-", stdin=good)
    assert (code, err) == (0, "")
    assert "recorded" in out
    for bad in (b"\xff\xff", b"[" * 70_000):
        code, out, err = process(tmp_path, "record", "-", stdin=bad)
        assert code == 2
        assert "Traceback" not in out + err
    code, out, _ = process(tmp_path, "worklist", "--json")
    assert (code, bool(json.loads(out)["lines"])) == (1, True)


def test_record_and_worklist_start_without_prefect(tmp_path: Path) -> None:
    """Recording must not wait for what only the server needs."""
    watch = (
        "import sys; sys.argv = ['neotorch', 'worklist', '--json']\n"
        "from neotorch.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('prefect', 'scipy', 'apprise') if m in sys.modules], file=sys.stderr)"
    )
    settings = os.environ | {"NEOTORCH_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", watch], capture_output=True, text=True, env=settings, check=True, timeout=120
    )
    assert done.stderr.strip() == "[]"
