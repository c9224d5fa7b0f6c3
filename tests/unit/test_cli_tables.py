"""`neotorch rcb` and `neotorch km` on good files and on rubbish."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from neotorch import intake
from neotorch.cli import main, tables

RCB = "subject,d1_mm,d2_mm,cellularity_pct,in_situ_pct,nodes_positive,largest_met_mm\n"
WORKED = "NT-001,24,18,10,5,3,4\n"
AML = "time,event\n9,1\n13,1\n13,0\n18,1\n23,1\n28,0\n31,1\n34,1\n45,0\n48,1\n161,0\n"
CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "rcb.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The CSV it printed."""
        return list(csv.DictReader(io.StringIO(self.out)))

    @property
    def json(self) -> Any:
        """The JSON document it printed."""
        return json.loads(self.out)


Run = Callable[..., Ran]
pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line with the contents of a file (or None for no file) and options."""

    def call(command: str, content: str | bytes | None, *options: str, name: str = "table.csv") -> Ran:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        monkeypatch.setattr(sys, "argv", ["neotorch", command, str(path), *options])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return Ran(int(stop.value.code or 0), said.out, said.err)

    return call


def piped(*args: str, data: str = "") -> subprocess.CompletedProcess[str]:
    """The command line as a process of its own."""
    command = [sys.executable, "-c", "from neotorch.cli import main; main()", *args]
    return subprocess.run(command, input=data, capture_output=True, text=True, check=False)


# ── rcb ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rcb_adds_its_columns_and_keeps_the_others(run: Run) -> None:
    """Each row comes back with index, class and why; columns of one's own stay as they were."""
    got = run("rcb", RCB + WORKED)
    assert got.code == 0
    assert got.out.splitlines()[0] == RCB.strip() + ",rcb_index,rcb_class,why"
    (row,) = got.rows
    assert (row["subject"], row["rcb_index"], row["rcb_class"]) == ("NT-001", "3.031289229", "RCB-II")
    assert row["why"].startswith("index 3.031: bed 20.8 mm")


def test_rcb_takes_all_published_points(run: Run) -> None:
    """A file of all published points gives all their indices and classes."""
    cells = [",".join(str(n) for n in case["numbers"]) for case in CASES["evaluable"]]
    got = run("rcb", RCB.removeprefix("subject,") + "\n".join(cells))
    assert got.code == 0
    expected: list[Any] = [(pytest.approx(c["index"], abs=6e-10), c["class"]) for c in CASES["evaluable"]]
    assert [(float(r["rcb_index"]), r["rcb_class"]) for r in got.rows] == expected


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("NT-001,24,18,10,5,3,", "largest_met_mm missing"),
        ("NT-001,50,0,20,0,0,0", "the tumour bed measures 50 x 0 mm"),
        ("NT-001,20,20,20,0,0,5", "no positive node"),
        ("NT-001,20,20,20,0,2,0", "no size of the largest metastasis"),
    ],
)
def test_rcb_not_evaluable_is_exit_code_1(run: Run, cells: str, why: str) -> None:
    """An empty or contradictory specimen gives no index but its reason, beside the rows that have one."""
    got = run("rcb", f"{RCB}{cells}\n{WORKED}")
    assert got.code == 1
    first, second = got.rows
    assert (first["rcb_index"], first["rcb_class"]) == ("", "not evaluable")
    assert why in first["why"]
    assert second["rcb_class"] == "RCB-II"


def test_rcb_as_json(run: Run) -> None:
    """With --json there is one document; a row that is not evaluable has null for its index."""
    got = run("rcb", f"{RCB}{WORKED}NT-002,24,18,10,5,3,\n", "--json")
    assert got.code == 1
    assert [r["rcb_index"] for r in got.json] == [pytest.approx(3.031289229, abs=6e-10), None]
    assert [r["rcb_class"] for r in got.json] == ["RCB-II", "not evaluable"]


FAULTS = [
    ("abc,18,10,5,3,4", "d1_mm", "'abc' is not a number", "leave the cell empty"),
    ('"24,5",18,10,5,3,4', "d1_mm", "'24,5' has a decimal comma", "write a decimal point"),
    ("nan,18,10,5,3,4", "d1_mm", "'nan' is not a number", "write a number"),
    ("inf,18,10,5,3,4", "d1_mm", "'inf' is not a number", "write a number"),
    ("1e999,18,10,5,3,4", "d1_mm", "is not between 0 and 500", "check value and unit"),
    ("٢٤,18,10,5,3,4", "d1_mm", "is not a number", "write a number"),
    ("-24,18,10,5,3,4", "d1_mm", "-24 is not between 0 and 500", "check value and unit"),
    ("24,18,110,5,3,4", "cellularity_pct", "110 is not between 0 and 100", "check value and unit"),
    ("24,18,10,5,2.5,4", "nodes_positive", "2.5 is not a whole number", "write a whole number"),
    ("=1+1,18,10,5,3,4", "d1_mm", "'=1+1' is not a number", "write a number"),
    ("24,18,10,5,3", "row", "6 cells under 7 columns", "add or quote cells"),
]


@pytest.mark.parametrize(("cells", "column", "what", "todo"), FAULTS)
def test_rcb_faults_name_line_column_and_way_out(run: Run, cells: str, column: str, what: str, todo: str) -> None:
    """A cell that is no number in range stops the whole file with line, column, what is wrong and what to do."""
    got = run("rcb", f"{RCB}{WORKED}NT-002,{cells}\n", "--json")
    assert got.code == 2
    (fault,) = got.json["faults"]
    assert (fault["row"], fault["field"]) == (3, column)
    assert what in fault["what"]
    assert todo in fault["todo"]


def test_rcb_names_all_faults_at_once(run: Run) -> None:
    """Every bad cell of every row is named in one pass, as a table for people."""
    got = run("rcb", f"{RCB}NT-001,x,18,200,5,3,4\n\nNT-003,24,18,10,5,3,4,5\n")
    assert got.code == 2
    for words in ("table.csv: not usable", "'x' is not a number", "200 is not between 0 and 100", "8 cells under 7"):
        assert words in got.out


# ── km ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_km_prints_table_median_and_follow_up(run: Run) -> None:
    """Table, median and median follow-up are printed with the interval's type and level."""
    got = run("km", AML)
    assert got.code == 0
    assert "n 11, 7 events, 95 % log-log interval" in got.out
    assert "median: 31 (13 - not reached)" in got.out
    assert "median follow-up (reverse Kaplan-Meier): 103 (13 - not reached)" in got.out
    assert "0.490909" in got.out


def test_km_takes_level_and_interval(run: Run) -> None:
    """Another type of interval and another level give other limits, and both are named."""
    got = run("km", AML, "--interval", "log", "--level", "0.9", "--json")
    assert got.code == 0
    assert (got.json["interval"], got.json["level"], got.json["median"]) == ("log", 0.9, [31, 23, None])


def test_km_as_json(run: Run) -> None:
    """With --json the whole survival table is one document."""
    found = run("km", AML, "--json").json
    assert (found["n"], found["events"], found["median"], len(found["table"])) == (11, 7, [31, 13, None], 10)
    at31 = next(p for p in found["table"] if p["time"] == 31)
    assert (at31["n_risk"], at31["n_event"], at31["n_censor"]) == (5, 1, 0)
    assert [at31["survival"], at31["lower"], at31["upper"]] == pytest.approx([0.4909, 0.1673, 0.7530], abs=6e-4)


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        ("5,2", "event", "2 is not between 0 and 1"), ("5,yes", "event", "'yes' is not a number"),
        ("5,", "event", "is empty"), (",1", "time", "is empty"), ("-1,1", "time", "-1 is not between"),
        ("5,0.5", "event", "0.5 is not a whole number"), ("NaN,1", "time", "'NaN' is not a number"),
        ("2026-03-04,1", "time", "'2026-03-04' is not a number"),
    ],
)  # fmt: skip
def test_km_faults(run: Run, row: str, column: str, what: str) -> None:
    """A time or an event that is none stops the file, by line and column."""
    got = run("km", f"time,event\n9,1\n{row}\n", "--json")
    assert got.code == 2
    (fault,) = got.json["faults"]
    assert (fault["row"], fault["field"]) == (3, column)
    assert what in fault["what"]


@pytest.mark.parametrize("level", ["95", "1", "0.4", "nan", "-1"])
def test_km_refuses_what_is_no_level(run: Run, level: str) -> None:
    """A level in per cent or outside the scale is refused with an example."""
    got = run("km", AML, "--level", level)
    assert (got.code, got.out) == (2, "")
    assert "is not a confidence level" in got.err
    assert "such as 0.95" in " ".join(got.err.split())


# ── both ──────────────────────────────────────────────────────────────────────────────────────────────────────────

NO_TABLE = [
    ("no file", None, "no such file"),
    ("empty", "", "the header lacks"),
    ("blank lines", "\n\n  \n", "the header lacks"),
    ("only a header", RCB.strip() + ",time,event\n", "no rows"),
    ("another header", "a,b\n1,2\n", "the header lacks"),
    ("semicolons", "time;event\n1;1\n", "separated by semicolons"),
    ("a column twice", RCB.strip() + ",time,event,time\n" + "1," * 9 + "1\n", "the header repeats 'time'"),
    ("a column of one's own twice", RCB.strip() + ",time,event,subject\n" + "1," * 9 + "1\n", "repeats 'subject'"),
    ("UTF-16", "time,event\n1,1\n".encode("utf-16"), "not UTF-8"),
    ("bytes of an image", b"\x89PNG\r\n\x1a\n\x00\xff", "not UTF-8"),
    ("an open quote", RCB.strip() + ',time,event\n"1' + ",1" * 8, "not CSV"),
    ("JSON", '{"time": 1, "event": 1}', "the header lacks"),
]


@pytest.mark.parametrize("command", ["rcb", "km"])
@pytest.mark.parametrize(("content", "says"), [c[1:] for c in NO_TABLE], ids=[c[0] for c in NO_TABLE])
def test_what_is_no_table_is_refused_in_one_line(run: Run, command: str, content: Any, says: str) -> None:
    """Something that is no table of these columns is refused with exit code 2, in words and without a traceback."""
    got = run(command, content)
    assert (got.code, got.out) == (2, "")
    assert says in " ".join(got.err.split())
    assert "table.csv" in got.err
    assert "Traceback" not in got.err


@pytest.mark.parametrize("command", ["rcb", "km"])
def test_a_table_that_is_too_large_is_not_cut_short(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the limit is refused as a whole, never read up to the limit."""
    monkeypatch.setattr(tables, "MAX_BYTES", 20)
    got = run(command, RCB.strip() + ",time,event\n" + "1," * 8 + "1\n")
    assert got.code == 2
    assert "Send it in parts" in got.err
    assert intake.MAX_BYTES > 1 << 20


@pytest.mark.parametrize(("command", "content"), [("rcb", RCB + WORKED), ("km", AML)])
def test_marks_of_spreadsheets_do_no_harm(run: Run, command: str, content: str) -> None:
    """A byte order mark, Windows line ends, blank lines, blanks around cells and the order of columns do not matter."""
    plain = run(command, content, "--json")
    lines = [",".join(f" {c} " for c in reversed(line.split(","))) for line in content.splitlines()]
    odd = run(command, b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode(), "--json")
    assert (odd.code, odd.json) == (plain.code, plain.json)


@pytest.mark.parametrize(("command", "content"), [("rcb", RCB + "x,x,1,1,1,1,1\n"), ("km", "time,event\nx,1\n")])
def test_a_file_name_is_no_markup(run: Run, command: str, content: str) -> None:
    """A name with brackets is printed as it is."""
    got = run(command, content, name="a [red].csv")
    assert got.code == 2
    assert "a [red].csv: not usable" in got.out


def test_a_folder_is_no_table(run: Run, tmp_path: Path) -> None:
    """A folder is refused by name."""
    (tmp_path / "table.csv").mkdir()
    got = run("km", None)
    assert got.code == 2
    assert "is a folder" in " ".join(got.err.split())


def test_standard_input_and_exit_codes_of_the_process() -> None:
    """`-` reads standard input, and the process ends with 0, 1 or 2."""
    good = piped("rcb", "-", data=RCB + WORKED)
    assert (good.returncode, good.stderr) == (0, "")
    assert "3.031289229" in good.stdout
    assert piped("rcb", "-", data=RCB + "NT-001,,18,10,5,3,4\n").returncode == 1
    bad = piped("km", "-", "--json", data="time,event\n1,x\n")
    assert bad.returncode == 2
    assert json.loads(bad.stdout)["faults"][0]["row"] == 2
    none = piped("km", "-")
    assert none.returncode == 2
    assert none.stderr.startswith("BadInput standard input, line 1: the header lacks time, event.")


@pytest.mark.parametrize(
    "args", [["rcb"], ["km"], ["km", "a", "b"], ["km", "-", "--level", "much"], ["rcb", "--x", "1"]]
)
def test_wrong_usage_is_exit_code_2(args: list[str]) -> None:
    """A call that makes no sense ends with 2, in words."""
    got = piped(*args)
    assert got.returncode == 2
    assert "Traceback" not in got.stderr
    assert got.stderr.strip() or got.stdout.strip()
