"""`neotorch verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neotorch.cli.output import out, print_json, read_input, table
from neotorch.engine import Engine
from neotorch.witness import Kept, read_head, read_notice, wrong_with

NOTICE_MAX = 1_000_000
"""Bytes; a notice is a page."""


Heads = Annotated[list[str], Parameter(name="--head", negative="")]
Notices = Annotated[list[Path], Parameter(name="--notice", negative="")]


def verify(
    *, head: Heads | None = None, notice: Notices | None = None, json: Annotated[bool, Parameter(negative="")] = False
) -> int:
    """Check the whole log: hashes, links, gaps, and the head kept outside the database. Exit code 1 if not whole.

    Parameters
    ----------
    head: list[str]
        A head as an export has it, SEQ:HASH: does the log still hold exactly that? May be given several times.
    notice: list[Path]
        A notice that told the head, saved as a file; its signature is checked if NEOTORCH_HEAD_KEY is set.
    json: bool
        Print the result as JSON.
    """
    kept = [read_head(text) for text in head or ()]
    kept += [read_notice(*read_input(str(file), NOTICE_MAX)) for file in notice or ()]
    engine = Engine.open(read=False)  # a log that cannot be read is what this is for
    problems = [(p.seq, str(p)) for p in engine.log.verify()]
    problems += [(one.seq, wrong) for one in kept if (wrong := wrong_with(engine, one))]
    restored = [str(r) for r in engine.log.restorations()]
    newest = engine.log.head()
    if json:
        found = [{"seq": seq, "what": what} for seq, what in problems]
        print_json({"events": newest.seq, "head": newest.hash, "problems": found, "restored": restored})
        return 1 if problems else 0
    for line in restored:
        out.print(line, highlight=False)
    if problems:
        table(f"{engine.study.id}: {len(problems)} problems", ("position", "what"), problems)
    else:
        out.print(f"{engine.study.id}: {newest.seq} events, chain whole, head {newest.hash}", highlight=False)
        for one in kept:
            out.print(f"holds {one}{_signed(engine, one)}", highlight=False, soft_wrap=True)
    return 1 if problems else 0


def _signed(engine: Engine, kept: Kept) -> str:
    """Say what the signature of a kept head is worth."""
    if kept.signature is None:
        return ""
    return ", signed with our key" if engine.settings.head_key else ", signature not checked: set NEOTORCH_HEAD_KEY"
