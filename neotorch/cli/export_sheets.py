"""`neotorch export sheets`."""

from __future__ import annotations

from pathlib import Path

from neotorch.cli.output import err
from neotorch.cli.output import out as console
from neotorch.engine import Engine


def sheets(*, out: Path) -> int:
    """Write each site's worklist for the wall: what is open now and the visits of the next 14 days.

    `neotorch up` does the same every night, into the folder `sheets` in the data folder.

    Parameters
    ----------
    out: Path
        The folder to write to; made if it is not there. Sheets in it that are older than two weeks are removed.
    """
    from neotorch.safekeeping import put_on_paper

    engine = Engine.open()
    with err.status("setting pages"):
        files = list(put_on_paper(engine, out))
    for path in files:
        console.print(f"{path}", highlight=False, soft_wrap=True)
    return 0
