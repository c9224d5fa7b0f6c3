"""`neotorch record`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from neotorch.cli.output import err, out, print_json, read_input, table
from neotorch.engine import Engine
from neotorch.intake import MAX_BYTES, Fault, fact_faults, read_events


def record(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    dry_run: bool = False,
    accept_good: bool = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Record events from a file: JSON Lines, or CSV with a header row. All rows or none.

    Parameters
    ----------
    file: str
        The file; - reads JSON Lines from standard input.
    dry_run: bool
        Say what would happen, write nothing.
    accept_good: bool
        Record the good rows although others are refused.
    json: bool
        Print the result as JSON.
    """
    data, name = read_input(file, MAX_BYTES)
    engine = Engine.open()
    intake = read_events(data, name, engine.study.id)
    numbers = [n for n, _ in intake.facts]
    stop = bool(intake.faults) and not accept_good
    admissions = engine.record([f for _, f in intake.facts], dry_run=dry_run or stop, accept_good=accept_good)
    faults = sorted((*intake.faults, *fact_faults(zip(numbers, admissions, strict=True))), key=lambda f: f.row)
    outcomes: list[str] = [a.outcome for a in admissions]
    counts: dict[str, int] = {o: outcomes.count(o) for o in dict.fromkeys(outcomes) if o != "refused"}
    counts["refused"] = len({f.row for f in faults})
    if json:
        print_json({"file": name, "rows": counts, "faults": [f.as_dict() for f in faults], "head": engine.head()})
    else:
        _print(name, counts, faults, written=not (dry_run or (faults and not accept_good)))
    return 2 if faults else 0


def _print(name: str, counts: dict[str, int], faults: list[Fault], *, written: bool) -> None:
    if faults:
        table(
            f"{name}: refused",
            ("row", "field", "what is wrong", "what to do"),
            [(f.row, f.field, f.what, f.todo) for f in faults],
        )
    said = ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "nothing to record"
    (out if not faults else err).print(f"{said}{'' if written else '; nothing was written'}", highlight=False)
