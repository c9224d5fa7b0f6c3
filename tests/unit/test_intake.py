"""Bad input: refused with row, field, what was wrong and what to do; all in one pass; nothing written."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from neotorch.domain.errors import BadInput
from neotorch.intake import MAX_BYTES, Fault, fact_faults, read_events
from tests.support import STUDY_ID, Trial, at, consent, cycle, fact, screened

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "bad_rows.yaml").read_text(encoding="utf-8"))
ROWS: dict[str, dict[str, Any]] = {
    "consent": {"type": "consent", "subject": "NT-050", "site": "S01", "icf_version": "1.0"},
    "death": {"type": "death"},
    "contact": {"type": "contact"},
    "form": {"type": "form_received", "visit": "C2D1", "form": "CBC", "items": {"ANC": 1.5}},
    "visit_held": {"type": "visit_held", "visit": "C2D1"},
    "cycle": {"type": "cycle_given", "cycle": 3, "drugs": [{"drug": "chemotherapy"}]},
    "cycle_delayed": {"type": "cycle_delayed", "cycle": 3, "until": "2026-03-09", "cause": "x"},
    "dose_changed": {"type": "dose_changed", "drug": "anlotinib", "action": "reduced", "cause": "x"},
    "adverse_event": {"type": "adverse_event", "term": "rash", "grade": 2},
    "surgery": {"type": "surgery", "breast": "mastectomy", "axilla": "sentinel"},
    "pathology": {"type": "pathology", "ypt": "ypT0", "ypn": "ypN0"},
    "retraction": {"type": "retraction"},
    "query_answered": {"type": "query_answered"},
}
ABOUT = {"why", "row", "raw", "field", "says", "drop"}
GOOD = {"type": "contact", "id": "good", "subject": "NT-001", "occurred": "2026-02-20"}


def line_of(case: dict[str, Any]) -> str:
    """The row of a case as it stands in the file."""
    if "raw" in case:
        return str(case["raw"])
    row = {"id": "x", "subject": "NT-001", "occurred": "2026-02-25", **ROWS[case["row"]]}
    # `field` is what the case expects to be named, so a case cannot set a field of that name: no event has one
    row |= {k: v for k, v in case.items() if k not in ABOUT}
    return json.dumps({k: v for k, v in row.items() if k not in case.get("drop", ())})


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A trial with a patient on treatment, one only screened, one dead."""
    found = Trial(tmp_path_factory.mktemp("trial"), now=at(date(2026, 3, 1)))
    found.tell(*screened(), cycle(1, "2026-01-18"), cycle(2, "2026-02-09"))
    found.tell(cycle(1, "2026-01-19", id="NT-001.C1D1#2", corrects="NT-001.C1D1", reason="typing error"))
    found.tell(consent("2026-01-05", "NT-002"))
    found.tell(*screened(subject="NT-009"), fact("death", "2026-01-20", "NT-009"))
    return found


def faults_of(trial: Trial, data: bytes, name: str = "rows.jsonl") -> tuple[Fault, ...]:
    """All faults of a file, as `neotorch record` finds them; nothing is written."""
    found = read_events(data, name, STUDY_ID)
    answers = trial.engine.record([f for _, f in found.facts], dry_run=bool(found.faults))
    rows = [n for n, _ in found.facts]
    return (*found.faults, *fact_faults(zip(rows, answers, strict=True)))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["why"])
def test_bad_row(case: dict[str, Any], trial: Trial) -> None:
    """A row that cannot be so is refused: row, field, what is wrong, what to do."""
    head = trial.engine.head()
    data = "\n".join([json.dumps(GOOD), "", line_of(case)])
    found = faults_of(trial, data.encode())
    named = [f for f in found if f.field == case["field"]]
    assert named, [str(f) for f in found]
    assert any(case["says"] in f.what for f in named), [str(f) for f in named]
    assert {f.row for f in found} == {3}
    assert all(f.what and f.todo for f in found)
    assert "\n" not in str(named[0])
    assert trial.engine.head() == head, "nothing may be written, not even the good row"


def test_all_bad_rows_are_told_in_one_pass(trial: Trial) -> None:
    """A file with every bad row there is: each is named, none hides another."""
    head = trial.engine.head()
    lines = [line_of(c) for c in CASES if c["says"] != "another body"]
    lines = [line.replace('"id": "x"', f'"id": "x{n}"') for n, line in enumerate(lines)]
    found = faults_of(trial, "\n".join(lines).encode())
    missing = set(range(1, len(lines) + 1)) - {f.row for f in found}
    assert not missing, [lines[n - 1] for n in missing]
    assert trial.engine.head() == head


FILES: list[Any] = [
    pytest.param(b"", "x.jsonl", "no events", id="empty file"),
    pytest.param(b"\n \r\n", "x.jsonl", "no events", id="blank lines only"),
    pytest.param(b"\xef\xbb\xbf", "x.csv", "no events", id="byte order mark only"),
    pytest.param('{"type": "death"}'.encode("utf-16"), "x.jsonl", "not UTF-8", id="UTF-16"),
    pytest.param(b'{"type": "death"}\n{"reason": "\xe9"}', "x.jsonl", "line 2", id="Latin-1 in line 2"),
    pytest.param(b"type,subject\n", "x.csv", "no events", id="a CSV of one header"),
    pytest.param(b" " * (MAX_BYTES + 1), "x.jsonl", "more than 64 MiB", id="too large"),
]


@pytest.mark.parametrize(("data", "name", "says"), FILES)
def test_a_file_that_is_none(data: bytes, name: str, says: str) -> None:
    """A file without rows or not in UTF-8 is refused whole, with its name and what to do."""
    with pytest.raises(BadInput, match=says) as error:
        read_events(data, name, STUDY_ID)
    assert error.value.todo


HEAD = "type,id,subject,occurred,visit,form,items.ANC"
ROW = "form_received,f1,NT-001,2026-02-25,C2D1,CBC"
TABLES = [
    pytest.param(f"{HEAD}\n{ROW}", 2, "row", "6 cells under 7", id="a cell short"),
    pytest.param(f"{HEAD}\n{ROW},1,2", 2, "row", "8 cells under 7", id="a cell too many"),
    pytest.param(f"{HEAD},items.ANC\n{ROW},1,2", 1, "items.ANC", "twice", id="a column twice"),
    pytest.param(f"{HEAD},items\n{ROW},1,2", 1, "items", "in parts", id="a column whole and in parts"),
    pytest.param(f"{HEAD},\n{ROW},1,2", 1, "column 8", "no name", id="a column without a name"),
    pytest.param(f"{ROW},1\n{ROW},1", 1, "type", "no such column", id="no header"),
    pytest.param(HEAD.replace(",", ";") + "\n" + ROW.replace(",", ";"), 1, "row", "one column", id="semicolons"),
    pytest.param(f'{HEAD}\n{ROW},"1', 2, "row", "not CSV", id="a quote that never ends"),
    pytest.param(f"{HEAD}\n{ROW},NaN", 2, "items.ANC", "not a number", id="NaN"),
    pytest.param(f"{HEAD}\n{ROW},1e999", 2, "items.ANC", "beyond any range", id="infinite"),
    pytest.param(f"{HEAD}\n{ROW}," + "9" * 5000, 2, "items.ANC", "beyond any range", id="5000 digits"),
    pytest.param(f"{HEAD}\n{ROW}," + "[" * 100_000, 2, "items.ANC", "no answer", id="100,000 brackets"),
    pytest.param(f"{HEAD}\n{ROW}," + "x" * 200_000, 2, "row", "not CSV", id="an endless cell"),
    pytest.param(f"{HEAD},colour\n{ROW},1,red", 2, "colour", "no such field", id="an unknown column"),
    pytest.param(f"{HEAD}\n{ROW},null", 2, "items.ANC", "not a number", id="the word null"),
]


@pytest.mark.parametrize(("text", "row", "named", "says"), TABLES)
def test_bad_table(text: str, row: int, named: str, says: str, trial: Trial) -> None:
    """A CSV whose rows or columns do not fit is refused, with the row and the column."""
    found = faults_of(trial, text.encode(), "rows.csv")
    assert [(f.row, f.field) for f in found] == [(row, named)]
    assert says in found[0].what


def test_byte_order_marks_and_windows_line_ends_are_read(trial: Trial) -> None:
    """Files as Excel and Windows write them are ordinary files."""
    rows = json.dumps(GOOD) + "\r\n" + json.dumps(GOOD | {"id": "g2"}) + "\r\n"
    found = read_events(b"\xef\xbb\xbf" + rows.encode(), "x.jsonl", STUDY_ID)
    assert [n for n, _ in found.facts] == [1, 2]
    table = f"{HEAD}\r\n{ROW},1.5\r\n"
    assert read_events(b"\xef\xbb\xbf" + table.encode(), "X.CSV", STUDY_ID).facts[0][0] == 2


def test_a_line_separator_inside_a_text_is_not_a_new_row() -> None:
    """U+2028 and U+0085 may stand in a JSON string; rows end at line feeds only."""
    row = json.dumps(GOOD | {"reason": "one\u2028two\u0085three"}, ensure_ascii=False)
    found = read_events(row.encode(), "x.jsonl", STUDY_ID)
    assert found.faults == ()
    assert found.facts[0][1].reason == "one\u2028two\u0085three"


def test_a_text_in_a_csv_may_look_like_a_number(tmp_path: Path) -> None:
    """Version 1.0 of a consent form and HER2 of 0 are texts, though a spreadsheet writes them like numbers."""
    trial = Trial(tmp_path, now=at(date(2026, 3, 1)))
    told = "type,subject,occurred,site,icf_version\nconsent,NT-003,2026-01-05,S01,1.0\n"
    her2 = "type,subject,occurred,visit,form,items.HER2\nform_received,NT-003,2026-01-06,SCR,BIOPSY,0\n"
    report = "type,subject,occurred,ypt,ypn,her2\npathology,NT-003,2026-01-06,ypT0,ypN0,0\n"
    assert faults_of(trial, told.encode(), "x.csv") == ()
    assert faults_of(trial, her2.encode(), "x.csv") == ()
    assert read_events(report.encode(), "x.csv", STUDY_ID).facts[0][1].body["her2"] == "0"


def test_rows_without_an_id_are_the_same_event_when_they_say_the_same() -> None:
    """The same file sent twice is one set of events, also if it gives no ids."""
    row = json.dumps({k: v for k, v in GOOD.items() if k != "id"})
    one, two = (read_events(row.encode(), "x.jsonl", STUDY_ID).facts[0][1] for _ in range(2))
    other = read_events(row.replace("02-20", "02-21").encode(), "x.jsonl", STUDY_ID).facts[0][1]
    assert one.id == two.id
    assert one.id != other.id


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["type", "id", "subject", "occurred", "items", "drugs", "visit", "form", "cycle", "corrects"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ROWS)), st.dictionaries(NAMES, JSON_VALUES, max_size=3))
def test_no_row_makes_intake_fail(trial: Trial, kind: str, changes: dict[str, Any]) -> None:
    """Whatever stands in a row, the answer is a fact or words about what is wrong, never an exception."""
    row = json.dumps({"subject": "NT-001", "occurred": "2026-02-25", **ROWS[kind], **changes})
    found = read_events(row.encode("utf-8", "surrogatepass").replace(b"\n", b" "), "x.jsonl", STUDY_ID)
    answers = trial.engine.record([f for _, f in found.facts], dry_run=True)
    assert answers or found.faults
    assert all(f.what and f.todo for f in (*found.faults, *(r for a in answers for r in a.refusals)))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["x.csv", "x.jsonl"]))
def test_no_bytes_make_intake_fail(data: bytes, name: str) -> None:
    """Any file is read, or refused in words."""
    try:
        found = read_events(data, name, STUDY_ID)
    except BadInput:
        return
    assert found.facts or found.faults
