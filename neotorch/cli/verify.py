"""`neotorch verify`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from neotorch.cli.output import out, print_json, table
from neotorch.engine import Engine


def verify(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Check the whole log: hashes, links, gaps, and the head kept outside the database. Exit code 1 if not whole.

    Parameters
    ----------
    json: bool
        Print the result as JSON.
    """
    engine = Engine.open(read=False)  # a log that cannot be read is what this is for
    problems = engine.log.verify()
    head = engine.log.head()
    restored = [str(r) for r in engine.log.restorations()]
    if json:
        print_json({
            "events": head.seq, "head": head.hash, "problems": [{"seq": p.seq, "what": str(p)} for p in problems],
            "restored": restored,
        })  # fmt: skip
        return 1 if problems else 0
    for line in restored:
        out.print(line, highlight=False)
    if problems:
        table(f"{engine.study.id}: {len(problems)} problems", ("position", "what"), [(p.seq, p) for p in problems])
    else:
        out.print(f"{engine.study.id}: {head.seq} events, chain whole, head {head.hash}", highlight=False)
    return 1 if problems else 0
