"""Reading events from JSON Lines or CSV: strict, and with every fault of every row in one pass."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import isfinite
from typing import Any

from pydantic import ValidationError

from neotorch.domain import events as ev
from neotorch.domain.errors import BadInput
from neotorch.rules.identifiers import looks_like

MAX_BYTES = 64 * 1024 * 1024
MAX_LINE = 256 * 1024
GENERATED = "auto-"
"""Prefix of ids made from a row's content, for rows that bring none: the same row twice is one event."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one field of one row, and what to do."""

    row: int
    field: str
    what: str
    todo: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.field}: {self.what}; {self.todo}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fault as plain values."""
        return {"row": self.row, "field": self.field, "what": self.what, "todo": self.todo}


@dataclass(frozen=True)
class Intake:
    """What was read: facts with their row numbers, and the faults of the rows that are none."""

    facts: tuple[tuple[int, ev.AnyTold], ...]
    faults: tuple[Fault, ...]


def read_events(data: bytes, name: str, study: str) -> Intake:
    """Read JSON Lines, or CSV where `name` ends in .csv. Rows without `study` belong to `study`."""
    if len(data) > MAX_BYTES:
        raise BadInput(f"{len(data) >> 20} MiB is more than {MAX_BYTES >> 20} MiB", name, "Send it in parts.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput("not UTF-8 text", f"{name}, line {line}", "Save the file as UTF-8.") from None
    rows = _csv_rows(text) if name.lower().endswith(".csv") else _json_rows(text)
    facts: list[tuple[int, ev.AnyTold]] = []
    faults: list[Fault] = []
    for number, row in rows:
        fact = row if isinstance(row, list) else read_fact(number, row.values, study, row.texts)
        if isinstance(fact, list):
            faults.extend(fact)
        else:
            facts.append((number, fact))
    if not facts and not faults:
        raise BadInput("no events in it", name, "Give one JSON object per line, or CSV with a header row.")
    return Intake(tuple(facts), tuple(faults))


def read_fact(
    number: int, values: Mapping[str, Any], study: str, texts: Mapping[str, str] | None = None
) -> ev.AnyTold | list[Fault]:
    """Return the fact in one row, or all that is wrong with it. `texts`: the cells as written, where it is a CSV's."""
    row = {"study": study, **values}
    if "id" not in row:
        row["id"] = GENERATED + ev.digest_of(row)[:20]
    kind = row.get("type")
    known = (*ev.FACT_TYPES, *ev.TRIAL_TYPES)
    if not isinstance(kind, str) or kind not in known:
        return [Fault(number, "type", f"unknown type {_short(kind)}", f"use one of {', '.join(known)}")]
    if isinstance(row["id"], str) and len(row["id"]) > MAX_ID:
        return [Fault(number, "id", f"{len(row['id'])} characters", f"use at most {MAX_ID}")]
    try:
        return ev.TRIAL_FACT.validate_python(row) if kind in ev.TRIAL_TYPES else ev.FACT.validate_python(row)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    words = {str(e["loc"][-1]) for e in wrong if e["type"] in _WANTS_TEXT and len(e["loc"]) == 2}
    again = {name: texts[name] for name in words if texts and texts.get(name, row[name]) != row[name]}
    if again:  # a CSV does not tell the text 1.0 from the number
        return read_fact(number, row | again, study)
    return _faults(number, kind, wrong)


MAX_ID = 90
"""Ids of facts are part of the keys of what the engine does about them."""
_WANTS_TEXT = ("string_type", "literal_error")
HINTS = {
    "extra_forbidden": ("no such field for this type", "remove it or correct its name"),
    "missing": ("is missing", "add it"),
    "finite_number": ("is not a finite number", "write the measured value, or leave it out"),
}
ANSWER = "write a number, a text, true or false, or a status (not_done, unknown, not_applicable) with a reason"
CODES = {
    "subject": "write the subject code of the study, never a name",
    "actor": "write a user code or a role, never a name",
}


def _faults(number: int, kind: str, errors: list[Any]) -> list[Fault]:
    """Return one fault per field: an item that is none of the allowed kinds of value is one fault, not five."""
    by_field: dict[str, list[Any]] = {}
    for error in errors:
        loc = [str(p) for p in error["loc"] if p not in (kind, *_UNION_NOISE)]
        by_field.setdefault(".".join(loc) or "row", []).append(error)
    found = []
    for name, several in by_field.items():
        if len(several) == 1:
            found.append(_fault(number, name, several[0]))
        elif not any(other.startswith(f"{name}.") for other in by_field):
            found.append(Fault(number, name, f"{_short(several[0]['input'])} is no answer", ANSWER))
    return found


def _fault(number: int, field: str, error: Any) -> Fault:
    given, message = _short(error["input"]), str(error["msg"]).removeprefix("Value error, ")
    match error["type"]:
        case known if known in HINTS:
            return Fault(number, field, *HINTS[known])
        case "value_error":
            what, _, todo = message.partition("; ")
            return Fault(number, field, what, todo or "correct it")
        case "literal_error":
            return Fault(number, field, f"{given} is not allowed", f"use one of {error['ctx']['expected']}")
        case "string_pattern_mismatch":
            return Fault(
                number, field, f"{given} is not a code", CODES.get(field, "use letters, digits and . _ + - only")
            )
        case _:
            return Fault(number, field, f"{given}: {message[:1].lower()}{message[1:]}", "correct the value")


_UNION_NOISE = (
    "bool",
    "int",
    "constrained-int",
    "function-after[_finite(), finite-float]",
    "constrained-str",
    "NotAnswered",
    "float",
    "finite-float",
)


_CODE_LIKE = re.compile(r"[A-Za-z0-9_.:/+()-]{1,40}")


def _short(value: object) -> str:
    """Return what stands there for a message. A text that is no code may be anybody's name: it is not repeated."""
    if isinstance(value, str) and value and (not _CODE_LIKE.fullmatch(value) or looks_like(value, date.max)):
        return "what stands there"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class _Row:
    """The values of a row; `texts` are the cells that they were read from."""

    values: dict[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)


def _json_rows(text: str) -> Iterator[tuple[int, _Row | list[Fault]]]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 is an ordinary character in JSON
        if line.strip():
            yield number, _json_row(number, line.rstrip("\r"))


def _json_row(number: int, line: str) -> _Row | list[Fault]:
    if len(line) > MAX_LINE:
        return [Fault(number, "row", f"{len(line)} characters", f"a row has at most {MAX_LINE}")]
    twins: list[str] = []
    try:
        row = json.loads(line, object_pairs_hook=lambda pairs: _object(pairs, twins), parse_int=_whole)
        faults = [Fault(number, *f) for f in _unfit(row, "")]
    except json.JSONDecodeError as error:
        return [Fault(number, f"column {error.colno}", f"not JSON ({error.msg})", "one JSON object per line")]
    except RecursionError:
        return [Fault(number, "row", "nested too deeply", "events are flat")]
    if not isinstance(row, dict):
        return [Fault(number, "row", f"{_short(row)} is not an object", "one JSON object per line")]
    faults += [
        Fault(number, _name(key), "the key stands there twice; nobody can say which holds", "keep one") for key in twins
    ]
    return faults or _Row(row)


def _object(pairs: list[tuple[str, Any]], twins: list[str]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twins += [key for key in dict.fromkeys(keys) if keys.count(key) > 1] if len(set(keys)) < len(keys) else []
    return dict(pairs)


def _whole(text: str) -> int | float:
    """A whole number of more digits than anything measured is read as the float that it is close to, or infinite."""
    return int(text) if len(text) <= MAX_DIGITS else float(text)


MAX_DIGITS = 18
MAX_DEPTH = 8


def _unfit(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Yield (field, what, todo) for what JSON lets through and no log can hold: NaN, infinity, half characters."""
    if depth > MAX_DEPTH:
        yield path or "row", "nested too deeply", "events are flat"
    elif isinstance(value, float) and not isfinite(value):
        yield (
            path or "row",
            "NaN, Infinity or a number beyond any range",
            "write the measured value, or leave the field out",
        )
    elif isinstance(value, str) and not _is_text(value):
        yield path or "row", "half a character (a lone surrogate escape)", "write the text as UTF-8"
    elif isinstance(value, dict):
        for key, inner in value.items():
            where = f"{path}.{_name(key)}".lstrip(".")
            yield from _unfit(key, where, depth)
            yield from _unfit(inner, where, depth + 1)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _unfit(inner, f"{path}.{n}".lstrip("."), depth + 1)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in value)


def _name(key: str) -> str:
    return key if key.isprintable() and 0 < len(key) <= 60 else _short(key)


def _csv_rows(text: str) -> Iterator[tuple[int, _Row | list[Fault]]]:
    """Yield rows of a CSV: empty cells are left out, cells that read as JSON numbers, true, false, lists are those."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        wrong = list(_header(header)) if header else []
        if wrong:
            yield 1, wrong
            return
        for cells in reader:
            number = reader.line_num
            if len(cells) != len(header) and any(cells):
                what = f"{len(cells)} cells under {len(header)} columns"
                yield number, [Fault(number, "row", what, "quote cells with commas, and give each column a cell")]
            elif any(cells):
                yield number, _csv_row(number, {h: c for h, c in zip(header, cells, strict=True) if c != ""})
    except csv.Error as error:
        yield reader.line_num, [Fault(reader.line_num, "row", f"not CSV ({error})", "check the quotes")]


def _header(header: list[str]) -> Iterator[Fault]:
    if len(header) == 1 and any(c in header[0] for c in ";\t|"):
        yield Fault(1, "row", "one column only, with ; or tab or | in it", "separate the columns by commas")
        return
    if "type" not in header:
        yield Fault(1, "type", "no such column", "begin with a row of column names; type, subject, occurred are needed")
    for name in dict.fromkeys(header):
        if not name:
            yield Fault(1, f"column {header.index(name) + 1}", "has no name", "name it, or remove it")
        elif header.count(name) > 1:
            yield Fault(1, _name(name), "the column stands there twice", "keep one")
        elif any(other.startswith(f"{name}.") for other in header):
            yield Fault(1, _name(name), "the column stands there whole and in parts", "keep one or the other")


TEXT_FIELDS = frozenset(
    {"id", "type", "study", "subject", "occurred", "actor", "reason", "corrects", "retracts", "query"}
)


def _csv_row(number: int, cells: dict[str, str]) -> _Row | list[Fault]:
    row: dict[str, Any] = {}
    for name, cell in cells.items():
        value = cell if name in TEXT_FIELDS else _cell(cell)
        outer, _, inner = name.partition(".")
        if inner:  # items.ANC and the like
            row.setdefault(outer, {})[inner] = value
        else:
            row[name] = value
    return [Fault(number, *f) for f in _unfit(row, "")] or _Row(row, cells)


def _cell(cell: str) -> Any:
    try:
        value = json.loads(cell, parse_constant=_no_constant, parse_int=_whole)
    except (ValueError, RecursionError):
        return cell
    return cell if value is None or isinstance(value, str) else value


def _no_constant(text: str) -> float:
    raise ValueError(text)


def fact_faults(rows: Iterable[tuple[int, Any]]) -> tuple[Fault, ...]:
    """Return the refusals of admissions as faults of their rows. `rows`: (row number, Admission)."""
    return tuple(Fault(n, r.field, r.what, r.todo) for n, admission in rows for r in admission.refusals)
