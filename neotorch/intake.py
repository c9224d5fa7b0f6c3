"""Reading events from JSON Lines or CSV: strict, and with every fault of every row in one pass."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from neotorch.domain import events as ev
from neotorch.domain.errors import BadInput

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

    facts: tuple[tuple[int, ev.AnyFact], ...]
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
    facts: list[tuple[int, ev.AnyFact]] = []
    faults: list[Fault] = []
    for number, row in rows:
        if isinstance(row, Fault):
            faults.append(row)
            continue
        fact = read_fact(number, row, study)
        if isinstance(fact, list):
            faults.extend(fact)
        else:
            facts.append((number, fact))
    if not facts and not faults:
        raise BadInput("no events in it", name, "Give one JSON object per line, or CSV with a header row.")
    return Intake(tuple(facts), tuple(faults))


def read_fact(number: int, row: dict[str, Any], study: str) -> ev.AnyFact | list[Fault]:
    """Return the fact in one row, or all that is wrong with it."""
    row = {"study": study, **row}
    if "id" not in row:
        row["id"] = GENERATED + hashlib.sha256(ev.canonical(row)).hexdigest()[:20]
    kind = row.get("type")
    if not isinstance(kind, str) or kind not in ev.FACT_TYPES:
        return [Fault(number, "type", f"unknown type {_short(kind)}", f"use one of {', '.join(ev.FACT_TYPES)}")]
    if isinstance(row["id"], str) and len(row["id"]) > MAX_ID:
        return [Fault(number, "id", f"{len(row['id'])} characters", f"use at most {MAX_ID}")]
    try:
        return ev.FACT.validate_python(row)
    except ValidationError as error:
        return [_fault(number, kind, e) for e in error.errors(include_url=False)]


MAX_ID = 90
"""Ids of facts are part of the keys of what the engine does about them."""
HINTS = {
    "extra_forbidden": ("no such field for this type", "remove it or correct its name"),
    "missing": ("is missing", "add it"),
    "finite_number": ("is not a finite number", "write the measured value, or leave it out"),
    "literal_error": ("", ""),
}


def _fault(number: int, kind: str, error: Any) -> Fault:
    loc = [str(p) for p in error["loc"] if p not in (kind, *(u for u in _UNION_NOISE))]
    field = ".".join(loc) or "row"
    hint = HINTS.get(error["type"])
    if hint and hint[0]:
        return Fault(number, field, hint[0], hint[1])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        what, _, todo = message.partition("; ")
        return Fault(number, field, what, todo or "correct it")
    if error["type"] == "literal_error":
        return Fault(
            number, field, f"{_short(error['input'])} is not allowed", f"use one of {error['ctx']['expected']}"
        )
    return Fault(number, field, f"{_short(error['input'])}: {message[:1].lower()}{message[1:]}", "correct the value")


_UNION_NOISE = (
    "bool",
    "int",
    "function-after[_finite(), finite-float]",
    "constrained-str",
    "NotAnswered",
    "float",
    "finite-float",
)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        yield number, _json_row(number, line)


def _json_row(number: int, line: str) -> dict[str, Any] | Fault:
    if len(line) > MAX_LINE:
        return Fault(number, "row", f"{len(line)} characters", f"a row has at most {MAX_LINE}")
    try:
        row = json.loads(line, object_pairs_hook=_no_twins, parse_constant=_no_constant)
        ev.canonical(row)  # what cannot be hashed (a lone surrogate, 1e999) cannot be recorded
    except json.JSONDecodeError as error:
        return Fault(number, f"column {error.colno}", f"not JSON ({error.msg})", "one JSON object per line")
    except RecursionError:
        return Fault(number, "row", "nested too deeply", "events are flat")
    except UnicodeEncodeError:
        return Fault(number, "row", "half a character (a lone surrogate escape)", "write the text as UTF-8")
    except ValueError as error:
        what, _, todo = str(error).partition("; ")
        return Fault(number, "row", what, todo or "correct it")
    return (
        row
        if isinstance(row, dict)
        else Fault(number, "row", f"{_short(row)} is not an object", "one JSON object per line")
    )


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands there twice; nobody can say which holds: keep one")
        found[key] = value
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number; write the measured value, or leave the field out")


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Yield rows of a CSV: empty cells are left out, cells that read as JSON numbers, true, false, lists are those."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        twins = {h for h in header if header.count(h) > 1}
        if twins:
            yield 1, Fault(1, ", ".join(sorted(twins)), "the column stands there twice", "keep one")
            return
        for cells in reader:
            number = reader.line_num
            if len(cells) > len(header):
                yield (
                    number,
                    Fault(number, "row", f"{len(cells)} cells under {len(header)} columns", "quote cells with commas"),
                )
            elif any(cells):
                yield number, _nest({h.strip(): c for h, c in zip(header, cells, strict=False) if c != ""})
    except csv.Error as error:
        yield reader.line_num, Fault(reader.line_num, "row", f"not CSV ({error})", "check the quotes")


TEXT_FIELDS = frozenset(
    {"id", "type", "study", "subject", "occurred", "actor", "reason", "corrects", "retracts", "query"}
)


def _nest(cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, cell in cells.items():
        value = cell if name in TEXT_FIELDS else _cell(cell)
        outer, _, inner = name.partition(".")
        if inner:  # items.ANC and the like
            row.setdefault(outer, {})[inner] = value
        else:
            row[name] = value
    return row


def _cell(cell: str) -> Any:
    try:
        value = json.loads(cell, parse_constant=_no_constant)
    except ValueError:
        return cell
    return cell if isinstance(value, str) else value


def fact_faults(rows: Iterable[tuple[int, Any]]) -> tuple[Fault, ...]:
    """Return the refusals of admissions as faults of their rows. `rows`: (row number, Admission)."""
    return tuple(Fault(n, r.field, r.what, r.todo) for n, admission in rows for r in admission.refusals)
