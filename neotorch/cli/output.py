"""How results are shown: rich tables for people, one JSON document with --json for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from neotorch.domain.dates import parse_date, parse_instant
from neotorch.domain.errors import BadInput

out = Console(width=None if sys.stdout.isatty() else 160)
"""Wide where nobody's window limits it: a file, a pipe."""
err = Console(stderr=True)


def print_json(value: object) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str | None = None) -> None:
    """Print a table; cells are data, never markup."""
    wide = min(len(title), out.width)  # a title is not broken because its columns are narrow
    grid = Table(
        title=title, min_width=wide, title_justify="left", caption=caption, caption_justify="left", header_style="bold"
    )
    for name in header:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(_plain(cell) for cell in row))
    out.print(grid)


def _plain(cell: object) -> str:
    return str("" if cell is None else cell).replace("[", "\\[")


def read_input(path: str, limit: int) -> tuple[bytes, str]:
    """Return the bytes and the name of a file, or of standard input for `-`; BadInput says what is wrong."""
    if path == "-":
        return sys.stdin.buffer.read(limit + 1), "standard input"
    file = Path(path)
    try:
        if file.is_dir():
            raise BadInput("is a folder", path, "Name a file, or - for standard input.")
        with file.open("rb") as handle:
            return handle.read(limit + 1), file.name
    except FileNotFoundError:
        raise BadInput("no such file", path, "Check the name; - reads standard input.") from None
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", path, "Check its permissions.") from None


def instant_option(text: str | None, name: str, zone: str) -> datetime | None:
    """Return the instant of an option: a time with zone, or a date, which means the end of that day in `zone`."""
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError:
        pass
    try:
        day = parse_date(text)
    except ValueError:
        todo = "Write a date (2026-03-04) or a time with zone (2026-03-04T09:30:00+08:00)."
        raise BadInput(f"{text!r} is neither", name, todo) from None
    import pendulum

    return pendulum.datetime(day.year, day.month, day.day, tz=zone).end_of("day")


def cut_option(text: str | None) -> date | None:
    """Return the day of `--cut`."""
    try:
        return parse_date(text) if text is not None else None
    except ValueError as error:
        raise BadInput(str(error), "--cut", "") from None
