"""The datasets as bytes: CDISC Dataset-JSON 1.1, CSV, Parquet, and Define-XML 2.1 to describe them.

No clock and no machine has a part in it: with the same tables and provenance every file has the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any
from xml.etree import ElementTree as ET

from neotorch import __version__
from neotorch.adam.datasets import Cell, Table
from neotorch.adam.variables import Kind, Variable
from neotorch.domain.study import Study
from neotorch.provenance import Provenance

ODM, DEF, XLINK = "http://www.cdisc.org/ns/odm/v1.3", "http://www.cdisc.org/ns/def/v2.1", "http://www.w3.org/1999/xlink"
XML = "http://www.w3.org/XML/1998/namespace"
DEFINE = "define.xml"


def made_at(origin: Provenance) -> str:
    """Return the creation time that the files carry: when the newest event was recorded; the cut for an empty log."""
    at = origin.head_at or datetime.combine(origin.cut, time.min, tzinfo=UTC)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _versioned(origin: Provenance) -> str:
    return f"MDV.{origin.study}.{origin.version}"


# ── Dataset-JSON 1.1 ──────────────────────────────────────────────────────────────────────────────────────────────


def dataset_json(table: Table, origin: Provenance) -> bytes:
    """Return a dataset as Dataset-JSON 1.1, a row per line; dates are ISO 8601 text, to be read as numbers of days."""
    d = table.dataset
    found: dict[str, Any] = {
        "datasetJSONCreationDateTime": made_at(origin), "datasetJSONVersion": "1.1.0",
        "fileOID": f"{_versioned(origin)}/{d.name}", "dbLastModifiedDateTime": made_at(origin),
        "originator": origin.line, "sourceSystem": {"name": "neotorch", "version": __version__},
        "studyOID": origin.study, "metaDataVersionOID": _versioned(origin), "metaDataRef": DEFINE,
        "itemGroupOID": f"IG.{d.name}", "records": len(table.rows), "name": d.name, "label": d.label,
        "columns": [_column(v, table) for v in d.variables],
    }  # fmt: skip
    lines = [f"{_text(name)}: {_text(value)}" for name, value in found.items()]
    rows = ",\n".join(_text([_plain(c) for c in row]) for row in table.rows)
    return ("{\n" + ",\n".join([*lines, f'"rows": [\n{rows}\n]']) + "\n}\n").encode()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _column(variable: Variable, table: Table) -> dict[str, Any]:
    d = table.dataset
    found: dict[str, Any] = {
        "itemOID": f"IT.{d.name}.{variable.name}", "name": variable.name, "label": variable.label, "dataType": variable.kind,
    }  # fmt: skip
    if variable.kind == "string":
        found["length"] = _length(variable, table)
    if variable.kind == "date":
        found |= {"targetDataType": "integer", "displayFormat": "E8601DA."}
    if variable.name in d.keys:
        found["keySequence"] = d.keys.index(variable.name) + 1
    return found


def _length(variable: Variable, table: Table) -> int:
    place = table.dataset.variables.index(variable)
    return max((len(str(row[place]).encode()) for row in table.rows if row[place] is not None), default=1) or 1


def _plain(cell: Cell) -> str | int | float | None:
    return cell.isoformat() if isinstance(cell, date) else cell


# ── CSV and Parquet ───────────────────────────────────────────────────────────────────────────────────────────────


def comma_separated(table: Table, origin: Provenance) -> bytes:
    """Return a dataset as CSV after RFC 4180 in UTF-8, names in the first line; what is not there is empty."""
    del origin  # a line of it would be a row to who reads it; define.xml beside it says where it comes from
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([v.name for v in table.dataset.variables])
    writer.writerows([_safe(_plain(c)) for c in row] for row in table.rows)
    return text.getvalue().encode()


def _safe(cell: str | float | None) -> str | int | float | None:
    """Return text so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell


def parquet(table: Table, origin: Provenance) -> bytes:
    """Return a dataset as Parquet, each column with its label, the file with its label and provenance."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types: Mapping[Kind, Any] = {
        "string": pa.string(),
        "integer": pa.int64(),
        "double": pa.float64(),
        "date": pa.date32(),
    }
    variables = table.dataset.variables
    fields = [pa.field(v.name, types[v.kind], metadata={"label": v.label}) for v in variables]
    said = {"label": table.dataset.label, **{k.lower().replace(" ", "_"): v for k, v in origin.rows()}}
    columns = [
        pa.array([row[n] for row in table.rows], field.type) for n, field in enumerate(fields)
    ]  # fmt: skip
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=said)), out)
    return out.getvalue()


WRITERS: Mapping[str, tuple[str, Callable[[Table, Provenance], bytes]]] = {
    "json": ("json", dataset_json), "csv": ("csv", comma_separated), "parquet": ("parquet", parquet),
}  # fmt: skip
"""Format -> ending of its files and who writes them."""


# ── Define-XML 2.1 ────────────────────────────────────────────────────────────────────────────────────────────────


def define(tables: Sequence[Table], study: Study, origin: Provenance) -> bytes:
    """Return the description of all datasets as Define-XML 2.1: variables, value lists, derivations."""
    for prefix, uri in (("", ODM), ("def", DEF), ("xlink", XLINK)):
        ET.register_namespace(prefix, uri)
    root = _at(None, "ODM", {
        "ODMVersion": "1.3.2", "FileType": "Snapshot", "FileOID": f"{_versioned(origin)}/define",
        "CreationDateTime": made_at(origin), "SourceSystem": "neotorch", "SourceSystemVersion": __version__,
        "Originator": origin.line, f"{{{DEF}}}Context": "Other",
    })  # fmt: skip
    place = _at(root, "Study", {"OID": origin.study})
    said = _at(place, "GlobalVariables")
    for name, words in (
        ("StudyName", study.short_title), ("StudyDescription", f"{study.title.en}. {origin.line}"), ("ProtocolName", study.id),
    ):  # fmt: skip
        _at(said, name).text = words
    version = _at(place, "MetaDataVersion", {
        "OID": _versioned(origin), "Name": f"Analysis datasets of {study.short_title}, data cut {origin.cut}",
        f"{{{DEF}}}DefineVersion": "2.1.0",
    })  # fmt: skip
    standards = _at(version, f"{{{DEF}}}Standards")
    known = {"OID": "STD.ADAMIG", "Name": "ADaMIG", "Type": "IG", "Version": "1.3", "Status": "Final"}
    _at(standards, f"{{{DEF}}}Standard", known)
    for table in tables:
        _group(version, table)
    for table in tables:
        for variable in table.dataset.variables:
            _item(version, table, variable)
    for oid, variable in _each(tables):
        if variable.codes:
            _codes(version, oid, variable)
    for oid, variable in _each(tables):
        method = _at(version, "MethodDef", {"OID": f"MT.{oid}", "Name": f"Derivation of {oid}", "Type": "Computation"})
        _words(method, variable.derivation)
    ET.indent(root, " ")
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _each(tables: Sequence[Table]) -> Iterator[tuple[str, Variable]]:
    return ((f"{t.dataset.name}.{v.name}", v) for t in tables for v in t.dataset.variables)


def _at(parent: ET.Element | None, name: str, attributes: Mapping[str, str] | None = None) -> ET.Element:
    tag = name if name.startswith("{") else f"{{{ODM}}}{name}"
    given = dict(attributes or {})
    return ET.Element(tag, given) if parent is None else ET.SubElement(parent, tag, given)


def _words(parent: ET.Element, text: str) -> None:
    _at(_at(parent, "Description"), "TranslatedText", {f"{{{XML}}}lang": "en"}).text = text


def _group(version: ET.Element, table: Table) -> None:
    d = table.dataset
    group = _at(version, "ItemGroupDef", {
        "OID": f"IG.{d.name}", "Name": d.name, "SASDatasetName": d.name, "Repeating": "No" if d.subject_level else "Yes",
        "IsReferenceData": "No", "Purpose": "Analysis", f"{{{DEF}}}StandardOID": "STD.ADAMIG",
        f"{{{DEF}}}Structure": d.structure, f"{{{DEF}}}ArchiveLocationID": f"LF.{d.name}",
    })  # fmt: skip
    _words(group, d.label)
    for number, variable in enumerate(d.variables, 1):
        key = {"KeySequence": str(d.keys.index(variable.name) + 1)} if variable.name in d.keys else {}
        oid = f"{d.name}.{variable.name}"
        _at(group, "ItemRef", {
            "ItemOID": f"IT.{oid}", "OrderNumber": str(number), "Mandatory": "Yes" if key else "No", **key,
            "MethodOID": f"MT.{oid}",
        })  # fmt: skip
    kind = "SUBJECT LEVEL ANALYSIS DATASET" if d.subject_level else _CLASSES.get(d.name, "BASIC DATA STRUCTURE")
    _at(group, f"{{{DEF}}}Class", {"Name": kind})
    leaf = _at(group, f"{{{DEF}}}leaf", {"ID": f"LF.{d.name}", f"{{{XLINK}}}href": f"{d.name.lower()}.json"})
    _at(leaf, f"{{{DEF}}}title").text = f"{d.name.lower()}.json"


_CLASSES = {"ADAE": "OCCURRENCE DATA STRUCTURE"}
_TYPES: Mapping[Kind, str] = {"string": "text", "integer": "integer", "double": "float", "date": "date"}


def _item(version: ET.Element, table: Table, variable: Variable) -> None:
    oid = f"{table.dataset.name}.{variable.name}"
    sized = {
        "string": {"Length": str(_length(variable, table))}, "integer": {"Length": "8"},
        "double": {"Length": "17", "SignificantDigits": "12"}, "date": {},
    }[variable.kind]  # fmt: skip
    item = _at(version, "ItemDef", {
        "OID": f"IT.{oid}", "Name": variable.name, "DataType": _TYPES[variable.kind], "SASFieldName": variable.name, **sized,
    })  # fmt: skip
    _words(item, variable.label)
    if variable.codes:
        _at(item, "CodeListRef", {"CodeListOID": f"CL.{oid}"})
    _at(item, f"{{{DEF}}}Origin", {"Type": "Derived", "Source": "Sponsor"})


def _codes(version: ET.Element, oid: str, variable: Variable) -> None:
    kind = "integer" if variable.kind == "integer" else "text"
    listed = _at(version, "CodeList", {"OID": f"CL.{oid}", "Name": f"Values of {oid}", "DataType": kind})
    for code in variable.codes:
        _at(listed, "EnumeratedItem", {"CodedValue": code})
