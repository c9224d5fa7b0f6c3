"""`neotorch rcb`: Residual Cancer Burden for a table of specimens."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from neotorch.cli.output import print_json, read_input, table
from neotorch.cli.tables import Column, read_table
from neotorch.domain.rcb import RcbInputs, RcbResult, rcb
from neotorch.intake import MAX_BYTES, Fault

COLUMNS = (
    Column("d1_mm", high=500), Column("d2_mm", high=500), Column("cellularity_pct", high=100),
    Column("in_situ_pct", high=100), Column("nodes_positive", high=200, whole=True), Column("largest_met_mm", high=200),
)  # fmt: skip


def command(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Add rcb_index, rcb_class and why to each row of a CSV with the six RCB inputs. Other columns are kept.

    Where the file already has columns of these three names they are filled anew, so the output can be corrected and
    read again.

    Columns: d1_mm, d2_mm, cellularity_pct, in_situ_pct (share of the cancer), nodes_positive, largest_met_mm. An empty
    cell is a missing value. Exit code 1 if a row is not evaluable, 2 if a cell is not a number in range.

    Parameters
    ----------
    file: str
        The CSV file; - reads standard input.
    json: bool
        Print the rows as JSON.
    """
    data, name = read_input(file, MAX_BYTES)
    rows, numbers, faults = read_table(data, name, COLUMNS)
    if faults:
        show_faults(name, faults, json=json)
        return 2
    results = [rcb(_inputs(n)) for n in numbers]
    full = [row | _answer(result) for row, result in zip(rows, results, strict=True)]
    if json:
        print_json([row | {"rcb_index": r.index} for row, r in zip(full, results, strict=True)])
    else:
        writer = csv.DictWriter(sys.stdout, fieldnames=list(full[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(full)
    return 0 if all(r.evaluable for r in results) else 1


def _inputs(numbers: dict[str, float | None]) -> RcbInputs:
    nodes = numbers["nodes_positive"]
    return RcbInputs(**(numbers | {"nodes_positive": None if nodes is None else int(nodes)}))  # type: ignore[arg-type]


def _answer(result: RcbResult) -> dict[str, str]:
    index = "" if result.index is None else f"{result.index:.9f}"
    return {"rcb_index": index, "rcb_class": result.rcb_class or "not evaluable", "why": result.reason}


def show_faults(name: str, faults: list[Fault], *, json: bool) -> None:
    """Print what is wrong with the table."""
    if json:
        print_json({"faults": [f.as_dict() for f in faults]})
    else:
        table(
            f"{escape(name)}: not usable",
            ("line", "column", "what is wrong", "what to do"),
            [(f.row, f.field, f.what, f.todo) for f in faults],
        )
