"""`neotorch export adam`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neotorch.cli.output import cut_option, err, instant_option
from neotorch.cli.output import out as console
from neotorch.domain.errors import BadInput
from neotorch.engine import Engine
from neotorch.files import write_set

Formats = Annotated[list[str], Parameter(name="--format", consume_multiple=True, negative="")]


def adam(*, out: Path, cut: str | None = None, as_of: str | None = None, formats: Formats | None = None) -> int:
    """Write the analysis datasets after CDISC ADaM: ADSL, ADRS, ADTTE, ADAE, ADEX, and define.xml that describes them.

    Parameters
    ----------
    out: Path
        The folder to write to; made if it is not there.
    cut: str
        Clinical data cut: only facts dated up to this day; today if not given.
    as_of: str
        Only what was known at this date or time.
    formats: list[str]
        json (CDISC Dataset-JSON 1.1), csv, parquet; all of them if not given.
    """
    from neotorch.adam.gather import gather
    from neotorch.adam.write import DEFINE, WRITERS, define

    wanted = list(dict.fromkeys(formats or WRITERS))
    unknown = next((f for f in wanted if f not in WRITERS), None)
    if unknown is not None:
        raise BadInput(f"{unknown!r} is no format", "--format", f"Use {', '.join(WRITERS)}.")
    engine = Engine.open()
    at = instant_option(as_of, "--as-of", engine.study.sites[0].time_zone)
    with err.status("deriving the datasets"):
        tables, study, origin = gather(engine, cut=cut_option(cut), as_of=at)
        files = {DEFINE: define(tables, study, origin)}
        for name in wanted:
            ending, writer = WRITERS[name]
            files |= {f"{t.dataset.name.lower()}.{ending}": writer(t, origin) for t in tables}
    write_set(out, files, last=DEFINE)  # where the description is, all that it describes is there
    said = ", ".join(f"{t.dataset.name} {len(t.rows)}" for t in tables)
    console.print(f"{len(files)} files in {out}: {said} records", highlight=False, soft_wrap=True)
    console.print(origin.line, highlight=False, soft_wrap=True)
    return 0
