"""`neotorch simulate`."""

from __future__ import annotations

import json as jsonlib
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import NonNegativeInt, PositiveInt

from neotorch.cli.output import err, out, print_json, table
from neotorch.domain.calendar import local_date
from neotorch.domain.dates import parse_date
from neotorch.domain.errors import BadInput
from neotorch.engine import utc_now
from neotorch.settings import load_settings, load_study
from neotorch.simulation import Dated, simulate as make


def simulate(
    *,
    patients: PositiveInt = 60,
    seed: NonNegativeInt = 1,
    until: str | None = None,
    out_file: Annotated[Path | None, Parameter(name="--out")] = None,
    summary: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make a synthetic trial's events as JSON Lines that `neotorch record` takes. Same numbers, same bytes.

    Parameters
    ----------
    patients: int
        How many patients.
    seed: int
        Another number makes another trial.
    until: str
        The last day (YYYY-MM-DD); yesterday if not given.
    out_file: Path
        The file to write; standard output if not given.
    summary: bool
        Print how many events of each type there are, and no events.
    json: bool
        With --summary: print it as JSON.
    """
    study = load_study(load_settings())
    yesterday = local_date(utc_now(), study.sites[0].time_zone) - timedelta(days=1)
    try:
        last = parse_date(until) if until else yesterday
    except ValueError as error:
        raise BadInput(str(error), "--until", "") from None
    with err.status("simulating"):
        dated = make(study, patients=patients, seed=seed, until=last)
    if summary:
        _summary(dated, json=json)
        return 0
    lines = "".join(jsonlib.dumps(d.fact.body, ensure_ascii=False) + "\n" for d in dated)
    if out_file is None:
        sys.stdout.write(lines)
        return 0
    try:
        out_file.write_text(lines, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot be written ({error.strerror})", str(out_file), "Name another file.") from None
    out.print(f"{len(dated)} events of {patients} patients up to {last} in {out_file}", highlight=False)
    return 0


def _summary(dated: list[Dated], *, json: bool) -> None:
    counts = Counter(d.fact.type for d in dated)
    if json:
        print_json({"events": len(dated), "subjects": len({d.fact.subject for d in dated}), "types": dict(counts)})
    else:
        table(
            f"{len(dated)} events of {len({d.fact.subject for d in dated})} patients",
            ("type", "events"),
            counts.most_common(),
        )
