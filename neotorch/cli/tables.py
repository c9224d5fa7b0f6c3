"""Reading the small CSV tables of `neotorch rcb` and `neotorch km`: every fault of every cell in one pass."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neotorch.domain.errors import BadInput
from neotorch.intake import MAX_BYTES, Fault

NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$", re.ASCII)


@dataclass(frozen=True)
class Column:
    """A column of numbers with inclusive limits."""

    name: str
    low: float = 0.0
    high: float = 1e9
    whole: bool = False
    required: bool = False


def read_table(
    data: bytes, name: str, columns: Sequence[Column]
) -> tuple[list[dict[str, str]], list[dict[str, float | None]], list[Fault]]:
    """Return the rows as text, the numbers of `columns` (None where empty), and all faults.

    BadInput where there is no table at all: too large, not UTF-8, no header, no row, a column missing or there twice.
    """
    if len(data) > MAX_BYTES:  # the reader stops just above: a table cut short must not pass for a whole one
        raise BadInput(f"more than {MAX_BYTES >> 20} MiB", name, "Send it in parts.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("not UTF-8 text", name, "Save the file as UTF-8.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except csv.Error as error:
        raise BadInput(f"not CSV ({error})", f"{name}, line {reader.line_num}", "Check the quotes.") from None
    header = [h.strip() for h in lines[0][1]] if lines else []
    _check_header(header, name, columns)
    if len(lines) == 1:
        raise BadInput("no rows", name, f"Give one row per patient: {','.join(c.name for c in columns)}.")
    rows, numbers, faults = [], [], []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            faults.append(Fault(line, "row", f"{len(cells)} cells under {len(header)} columns", "add or quote cells"))
            continue
        row = {h: c.strip() for h, c in zip(header, cells, strict=True)}
        found, wrong = _numbers(row, line, columns)
        faults += wrong
        rows.append(row)
        numbers.append(found)
    return rows, numbers, faults


def _check_header(header: list[str], name: str, columns: Sequence[Column]) -> None:
    todo = f"Name the columns {','.join(c.name for c in columns)}."
    absent = [c.name for c in columns if c.name not in header]
    if absent:
        if any(";" in h for h in header):
            todo += " It seems to be separated by semicolons; use commas."
        raise BadInput(f"the header lacks {', '.join(absent)}", f"{name}, line 1", todo)
    twice = [repr(h) for h, count in Counter(header).items() if count > 1]
    if twice:  # also a column that is only handed through: the second would overwrite the first
        raise BadInput(f"the header repeats {', '.join(twice)}", f"{name}, line 1", "Give each column its own name.")


def _numbers(
    row: Mapping[str, str], line: int, columns: Sequence[Column]
) -> tuple[dict[str, float | None], list[Fault]]:
    found: dict[str, float | None] = {}
    faults = []
    for column in columns:
        fault = cell_fault(row[column.name], column)
        if fault:
            faults.append(Fault(line, column.name, *fault))
        found[column.name] = None if fault or not row[column.name] else float(row[column.name])
    return found, faults


def cell_fault(cell: str, column: Column) -> tuple[str, str] | None:
    """Return what is wrong with a cell and what to do, None if nothing."""
    if not cell:
        return ("is empty", "give a number") if column.required else None
    if not NUMBER.match(cell):
        if re.fullmatch(r"[+-]?\d+,\d+", cell):
            return f"{cell!r} has a decimal comma", "write a decimal point"
        return f"{cell[:40]!r} is not a number", "write a number, or leave the cell empty if it is not known"
    value = float(cell)
    if not column.low <= value <= column.high:
        return f"{cell} is not between {column.low:g} and {column.high:g}", "check value and unit"
    if column.whole and value != int(value):
        return f"{cell} is not a whole number", "write a whole number"
    return None
