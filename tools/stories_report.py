"""Which patient story covers which rule and window of the study file: tests/cases/stories, played through the real engine.

python -m tools.stories_report [FILE]     (make stories)  prints or writes the table as Markdown; exit code 1 if anything is uncovered
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.ledger.book import Ledger
from tests.support import study

SHOWN = 3
"""So many stories are named for each rule; of others only the number."""


def lines(ledger: Ledger) -> Iterator[str]:
    """The report, line by line."""
    rows = list(ledger.coverage())
    lacking = ledger.uncovered()
    yield f"# Stories of {study().id} {study().version}"
    yield ""
    yield f"{len(rows)} rules and boundaries, {len(ledger.notes)} stories and cases, {len(lacking)} uncovered"
    yield from (f"* uncovered: {line}" for line in lacking)
    for group, members in groupby(rows, key=lambda row: row[0].group):
        yield f"\n## {group}\n\n| what | story |\n| --- | --- |"
        for point, names in members:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield (
                f"| {point.name} | {'; '.join(names[:SHOWN])}{more} |"
                if names
                else f"| {point.name} | {point.at or '**none**'} |"
            )


def main() -> int:
    """Play all stories and report; 1 if anything is uncovered."""
    ledger = Ledger()
    ledger.complete()
    text = "\n".join(lines(ledger)) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        print(text)
    return bool(ledger.uncovered())


if __name__ == "__main__":
    sys.exit(main())
