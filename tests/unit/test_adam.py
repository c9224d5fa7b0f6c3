"""Analysis datasets: they say what the analysis says, they are what the standards of CDISC ask for, byte for byte."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import odmlib
import pyarrow.parquet as pq
import pytest
import xmlschema
from jsonschema import Draft201909Validator
from odmlib.dataset_json_1_1 import DatasetJSON

from neotorch.adam.datasets import RESPONSES, Table
from neotorch.adam.gather import gather
from neotorch.adam.variables import datasets
from neotorch.adam.write import WRITERS, comma_separated, dataset_json, define, parquet
from neotorch.domain.statistics import kaplan_meier
from neotorch.engine import Engine
from neotorch.rehearsal import rehearse
from neotorch.settings import Settings
from neotorch.simulation import simulate
from tests.support import (
    START,
    SUBJECT,
    Trial,
    activated,
    adopted,
    at,
    consent,
    cycle,
    fact,
    forms,
    pathology,
    screened,
    study,
    surgery,
)
from tests.unit.test_amendments import shipped

UNTIL = date(2026, 11, 22)
CUT = date(2025, 6, 30)
ROWS = {"ADSL", "ADRS", "ADTTE", "ADAE", "ADEX"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A rehearsed trial."""
    facts = simulate(study(), patients=24, seed=5, until=UNTIL)
    return rehearse(Settings(data_dir=tmp_path_factory.mktemp("adam")), facts, datetime(2026, 11, 23, 1, tzinfo=UTC))


def rows(table: Table) -> list[dict[str, Any]]:
    """The rows with their names."""
    names = [v.name for v in table.dataset.variables]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def read(engine: Engine, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """Every dataset with its rows."""
    return {t.dataset.name: rows(t) for t in gather(engine, **options)[0]}


# ── they say what the analysis says ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut", [CUT, UNTIL])
def test_sets_and_shares_are_those_of_the_analysis(engine: Engine, cut: date) -> None:
    """Whoever counts flags and answers has the counts of `neotorch endpoints`."""
    found, result = read(engine, cut=cut), engine.analysis(cut=cut).result
    flags = {name: sum(r[name] == "Y" for r in found["ADSL"]) for name in ("ENRLFL", "FASFL", "SAFFL", "EVALFL")}
    assert len(found["ADSL"]) == result.counts["screened"]
    assert flags == {
        "ENRLFL": result.counts["enrolled"], "FASFL": result.counts["dosed"], "SAFFL": result.counts["dosed"],
        "EVALFL": result.counts["assessed"],
    }  # fmt: skip
    shares = {(p.name, p.set_name): p for p in result.proportions}
    for name, code in (("pcr", "PCR"), ("rcb01", "RCB01")):
        answers = [r for r in found["ADRS"] if r["PARAMCD"] == code]
        for set_name, flag in (("full", "FASFL"), ("evaluable", "EVALFL")):
            share = shares[name, set_name]
            counted = Counter(r["AVALC"] for r in answers if r[flag] == "Y")
            assert counted["Y"] == share.responders
            assert sum(r["AVALSTAT"] == "PENDING" for r in answers if r[flag] == "Y") == share.pending


@pytest.mark.parametrize("cut", [CUT, UNTIL])
def test_survival_worked_out_from_adtte_is_that_of_the_analysis(engine: Engine, cut: date) -> None:
    """AVAL and CNSR of every parameter give the very curve."""
    times = read(engine, cut=cut)["ADTTE"]
    curves = [c for c in engine.analysis(cut=cut).curves if c.analysis.paramcd]
    assert {"EFS", "EFSNS", "EFSKN", "OS", "DFI"} <= {c.analysis.paramcd for c in curves}
    assert {r["PARAMCD"] for r in times} == {c.analysis.paramcd for c in curves if c.km}
    for curve in curves:
        mine = [r for r in times if r["PARAMCD"] == curve.analysis.paramcd]
        found = kaplan_meier([r["AVAL"] for r in mine], [r["CNSR"] == 0 for r in mine])
        assert curve.km
        assert [(p.time, p.survival) for p in found.points] == [(p.time, p.survival) for p in curve.km.points]
        for row in mine:
            assert row["AVAL"] == (row["ADT"] - row["STARTDT"]).days + 1
            assert (row["CNSDTDSC"] is None) == (row["CNSR"] == 0)
            assert (row["EVNTDESC"] == "CENSORED") == (row["CNSR"] == 1)


def test_every_value_names_the_event_that_it_came_from(engine: Engine) -> None:
    """SRCSEQ is the place in the log of the event SRCID, of the type SRCDOM, and dated as the value is."""
    log = {r.seq: r.event for r in engine.log.read()}
    found = read(engine)
    checked = 0
    for name in ("ADRS", "ADTTE", "ADAE"):
        for row in found[name]:
            if row["SRCSEQ"] is None:
                assert row.get("AVALSTAT", "PENDING") != "KNOWN" or row["PARAMCD"] in {"PCR", "RCB01", *PCRS}, row
                continue
            event = log[row["SRCSEQ"]]
            assert (event.id, event.type.upper(), event.subject) == (row["SRCID"], row["SRCDOM"], row["SUBJID"])
            checked += 1
    assert checked > 200


PCRS = {code for code, _ in RESPONSES.values() if code.startswith("PCR")}
"""A patient without an operation is no responder once the time frame is over: no event says so."""


def test_one_patient_in_every_dataset(tmp_path: Path) -> None:
    """From consent to recurrence, as a programmer would look it up."""
    day = timedelta(1)
    operated = START + 150 * day
    trial = Trial(tmp_path, now=at(START + 400 * day))
    trial.tell(
        *screened(), cycle(1, START), *forms("C1D1", START), surgery(operated), pathology(operated + 7 * day),
        fact("adverse_event", START + 3 * day, term="neutropenia", grade=2, related_to=["chemotherapy"]),
        fact("adverse_event", START + 9 * day, id="worse", term="neutropenia", grade=3, serious=True, aware=at(START + 9 * day)),
        fact("adverse_event", START - 3 * day, id="before", term="headache", grade=1),
        fact("recurrence", START + 300 * day, site="distant"),
    )  # fmt: skip
    found = read(trial.engine)
    (subject,) = found["ADSL"]
    assert (subject["SUBJID"], subject["SITEID"], subject["PROTVER"], subject["EOSSTT"]) == (
        SUBJECT,
        "S01",
        "1.0",
        "ONGOING",
    )
    assert (subject["TRTSDT"], subject["SURGDT"], subject["EVALFL"], subject["DTHFL"]) == (START, operated, "Y", "N")
    answers = {r["PARAMCD"]: r for r in found["ADRS"]}
    assert (answers["PCR"]["AVALC"], answers["PCR"]["AVAL"], answers["PCR"]["ADY"]) == ("Y", 1.0, 158)
    assert (answers["RCB"]["AVALC"], answers["RCB"]["AVAL"]) == ("RCB-0", 0.0)
    times = {r["PARAMCD"]: r for r in found["ADTTE"]}
    assert (times["EFS"]["AVAL"], times["EFS"]["CNSR"], times["EFS"]["EVNTDESC"]) == (301.0, 0, "distant recurrence")
    assert (times["DFI"]["STARTDT"], times["DFI"]["AVAL"]) == (operated, 151.0)
    assert (times["OS"]["CNSR"], times["OS"]["EVNTDESC"]) == (1, "CENSORED")
    events = [(r["AESEQ"], r["AETERM"], r["ATOXGRN"], r["ASTDY"], r["TRTEMFL"], r["AOCCFL"]) for r in found["ADAE"]]
    assert events == [
        (1, "headache", 1, -3, "N", "N"),
        (2, "neutropenia", 2, 4, "Y", "N"),
        (3, "neutropenia", 3, 10, "Y", "Y"),
    ]
    assert {r["EXTRT"] for r in found["ADEX"]} == {d.code for d in study().drugs}


def test_the_version_of_each_patient_stands_in_adsl(tmp_path: Path) -> None:
    """PROTVER is the version that they are on, not the newest."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(consent(START), adopted(shipped(), START), activated("1.1", START))
    trial.now = at(START + timedelta(2))
    trial.tell(consent(START + timedelta(1), subject="NT-002"))
    assert [(r["SUBJID"], r["PROTVER"]) for r in read(trial.engine)["ADSL"]][1:] == [("NT-002", "1.1")]


NOBODY: list[Any] = [
    pytest.param(list, {"ADSL": 0}, id="empty cohort"),
    pytest.param(lambda: [*screened()], {"ADSL": 1, "ADRS": 0, "ADTTE": 0, "ADEX": 0}, id="nobody dosed"),
    pytest.param(lambda: [*screened(), cycle(1, START)], {"ADSL": 1, "ADRS": 7, "ADEX": 3}, id="nobody operated"),
]


@pytest.mark.parametrize(("facts", "expected"), NOBODY)
def test_where_there_is_little_the_files_say_so(facts: Any, expected: dict[str, int], tmp_path: Path) -> None:
    """Every file is there and whole, with the rows that there are."""
    trial = Trial(tmp_path, now=at(START + timedelta(30)))
    trial.tell(*facts())
    tables, own, origin = gather(trial.engine)
    counts = {t.dataset.name: len(t.rows) for t in tables}
    assert counts.keys() == ROWS
    assert {n: counts[n] for n in expected} == expected
    for table in tables:
        assert json.loads(dataset_json(table, origin))["records"] == len(table.rows)
        assert pq.read_table(io.BytesIO(parquet(table, origin))).num_rows == len(table.rows)
    assert b"ItemGroupDef" in define(tables, own, origin)


def test_a_cut_before_the_first_consent_has_nobody(engine: Engine) -> None:
    """And no row of anything."""
    assert {name: len(found) for name, found in read(engine, cut=date(2000, 1, 1)).items()} == dict.fromkeys(ROWS, 0)


# ── they are what the standards ask for ───────────────────────────────────────────────────────────────────────────

INSTANT = {
    "type": "string",
    "pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$",
}
WORDS, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 1}
COLUMN = {
    "itemOID": WORDS, "name": WORDS, "label": WORDS, "length": NUMBER, "keySequence": NUMBER, "displayFormat": WORDS,
    "dataType": {"enum": ["string", "integer", "decimal", "float", "double", "boolean", "datetime", "date", "time", "URI"]},
    "targetDataType": {"enum": ["integer", "decimal"]},
}  # fmt: skip
SYSTEM = {"type": "object", "required": ["name", "version"], "properties": {"name": WORDS, "version": WORDS}}
DATASET_JSON = {
    "type": "object", "additionalProperties": False,
    "required": [
        "datasetJSONCreationDateTime", "datasetJSONVersion", "itemGroupOID", "records", "name", "label", "columns",
    ],
    "properties": {
        "datasetJSONCreationDateTime": INSTANT, "dbLastModifiedDateTime": INSTANT,
        "datasetJSONVersion": {"type": "string", "pattern": r"^1\.1(\.\d+)?$"},
        **dict.fromkeys(("fileOID", "originator", "studyOID", "metaDataVersionOID", "metaDataRef", "itemGroupOID"), WORDS),
        "isReferenceData": {"type": "boolean"}, "sourceSystem": SYSTEM, "name": WORDS, "label": WORDS,
        "records": {"type": "integer", "minimum": 0},
        "columns": {"type": "array", "items": {
            "type": "object", "additionalProperties": False, "required": ["itemOID", "name", "label", "dataType"],
            "properties": COLUMN,
        }},
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}}},
    },
}  # fmt: skip
"""What CDISC's Dataset-JSON 1.1 asks of a file: its attributes, which of them have to be there, their types and values."""

TYPES = {"string": str, "integer": int, "double": float, "date": str}


def test_dataset_json_is_version_1_1(engine: Engine) -> None:
    """A reader of the standard takes every file; each column's values are of its type and length, keys tell rows apart."""
    tables, _, origin = gather(engine)
    for table in tables:
        body = json.loads(dataset_json(table, origin))
        Draft201909Validator(DATASET_JSON).validate(body)
        parsed = DatasetJSON.from_json(json.dumps(body))
        assert parsed.column_names == [v.name for v in table.dataset.variables]
        assert body["records"] == len(body["rows"])
        for place, column in enumerate(body["columns"]):
            cells = [r[place] for r in body["rows"] if r[place] is not None]
            assert all(type(c) is TYPES[column["dataType"]] for c in cells), column
            assert len(column["name"]) <= 8
            assert len(column["label"]) <= 40, column["label"]
            if column["dataType"] == "string":
                assert max((len(c.encode()) for c in cells), default=1) <= column["length"]
            if column["dataType"] == "date":
                assert all(date.fromisoformat(c) for c in cells)
        keys = [n for n, c in enumerate(body["columns"]) if "keySequence" in c]
        told = [tuple(r[k] for k in keys) for r in body["rows"]]
        assert len(set(told)) == len(told)


def test_define_xml_is_version_2_1_and_describes_every_variable(engine: Engine) -> None:
    """Held against the schemas of CDISC; every column of every file is in it with its derivation, and listed values hold."""
    tables, own, origin = gather(engine)
    data = define(tables, own, origin)
    schema = Path(odmlib.__file__).parent / "schemas" / "define" / "2.1" / "define2-1-0.xsd"
    xmlschema.XMLSchema(str(schema)).validate(io.BytesIO(data))
    root = ET.fromstring(data)
    odm = "{http://www.cdisc.org/ns/odm/v1.3}"
    methods = {m.get("OID"): "".join(m.itertext()).strip() for m in root.iter(f"{odm}MethodDef")}
    oids = {i.get("ItemOID"): methods[i.get("MethodOID")] for i in root.iter(f"{odm}ItemRef")}
    for table in tables:
        columns = json.loads(dataset_json(table, origin))["columns"]
        assert all(oids[c["itemOID"]] for c in columns)
        for place, variable in enumerate(table.dataset.variables):
            said = {str(r[place]) for r in table.rows if r[place] is not None}
            assert not variable.codes or said <= set(variable.codes), variable.name


def test_three_formats_hold_the_same(engine: Engine) -> None:
    """CSV and Parquet have the rows of the JSON; Parquet has real dates, labels and the provenance."""
    tables, _, origin = gather(engine)
    for table in tables:
        body = json.loads(dataset_json(table, origin))
        told = list(csv.reader(io.StringIO(comma_separated(table, origin).decode())))
        assert told[0] == [c["name"] for c in body["columns"]]
        assert told[1:] == [["" if c is None else str(c) for c in r] for r in body["rows"]]
        stored = pq.read_table(io.BytesIO(parquet(table, origin)))
        assert [tuple(r.values()) for r in stored.to_pylist()] == list(table.rows)
        assert stored.schema.metadata[b"log_head"].decode().startswith(f"{origin.head_seq}:")
        assert [f.metadata[b"label"].decode() for f in stored.schema] == [v.label for v in table.dataset.variables]


def test_the_same_cut_and_knowledge_give_the_same_bytes(tmp_path: Path) -> None:
    """Also after more was recorded: a past export can be made again."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START))
    then = trial.now

    def files() -> dict[str, bytes]:
        tables, own, origin = gather(trial.engine, cut=START, as_of=then)
        made = {f"{t.dataset.name}.{n}": w(t, origin) for t in tables for n, (_, w) in WRITERS.items()}
        return made | {"define.xml": define(tables, own, origin)}

    before = files()
    trial.now = at(START + timedelta(40))
    trial.tell(fact("death", START + timedelta(30), cause="other"), fact("adverse_event", START, term="rash", grade=1))
    assert files() == before


def test_no_two_subgroups_share_a_variable() -> None:
    """Names of at most eight letters, each once."""
    names = [v.name for v in datasets(study())[0].variables]
    assert len(set(names)) == len(names)
    assert all(len(n) <= 8 for n in names)
