"""Events recorded durably per second: EventLog.append, one event per commit, against bare SQLAlchemy.

The bare loop inserts the very same finished rows, one per commit, into a table with the same columns, keys and index
on the same settings, but without triggers, hash chain, look-up of duplicates, parsing and head file. The two take
turns (A B A B ...) in one run, because the disk of a shared machine is not equally fast at all times.

    python bench/record.py [--events 150] [--rounds 13] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, MetaData, insert

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.postgres, when started by hand

from neotorch.domain.events import FormReceived
from neotorch.store import connect
from neotorch.store.chain import GENESIS, Head, Row, make_row
from neotorch.store.log import EventLog
from neotorch.store.tables import event as event_table
from tests.postgres import describe, find_binaries, running_postgres

STUDY = "bench"
GOAL = 0.5
BARE = event_table.to_metadata(MetaData(), name="bare_event")


@dataclass(frozen=True)
class Result:
    """Rates in events per second, medians over the rounds; `ratio` is the median of each round's log / bare."""

    database: str
    log_per_second: float
    bare_per_second: float
    ratio: float
    ratios: list[float]


def forms(count: int, prefix: str) -> Iterator[FormReceived]:
    """Forms of ten laboratory values, as a cycle's visit brings them."""
    items = dict.fromkeys(("ANC", "WBC", "HGB", "PLT", "ALT", "AST", "CREA", "TBIL", "TSH", "LIPASE"), 4.25)
    for number in range(count):
        yield FormReceived(
            id=f"{prefix}-{number}",
            study=STUDY,
            subject=f"NT-{number % 60:03d}",
            occurred="2026-03-04",
            visit="C1D1",
            form="labs",
            items=items,
        )


def time_log(log: EventLog, count: int, prefix: str) -> float:
    """Record `count` events, one per commit; events per second."""
    events = list(forms(count, prefix))
    start = time.perf_counter()
    for event in events:
        log.append([event], now=datetime.now(UTC))
    return count / (time.perf_counter() - start)


def time_bare(engine: Engine, count: int, prefix: str, head: Head) -> tuple[float, Head]:
    """Insert `count` finished rows, one per commit; rows per second."""
    rows: list[Row] = []
    for event in forms(count, prefix):
        rows.append(make_row(STUDY, rows[-1].head if rows else head, "2026-03-04T01:30:00.000000Z", event))
    values = [row._asdict() for row in rows]
    statement = insert(BARE)
    start = time.perf_counter()
    for value in values:
        with engine.begin() as connection:
            connection.execute(statement, value)
    return count / (time.perf_counter() - start), rows[-1].head


def make_bare(engine: Engine) -> None:
    """The same columns, keys and index as the log's table."""
    with engine.begin() as connection:
        BARE.create(connection)


def compare(database: str, urls: tuple[str, str], folder: Path, events: int, rounds: int) -> Result:
    """Let both take turns; the first, short turn of each warms up and is not counted."""
    log = EventLog(urls[0], STUDY, head_file=folder / f"{database}-head.txt")
    log.migrate()
    engine = connect.open_engine(urls[1])
    make_bare(engine)
    time_log(log, 20, "warm")
    head = time_bare(engine, 20, "warm", Head(0, GENESIS))[1]
    rates: list[tuple[float, float]] = []
    for number in range(rounds):
        ours = time_log(log, events, f"round{number}")
        bare, head = time_bare(engine, events, f"round{number}", head)
        rates.append((ours, bare))
    if problems := log.verify():
        raise SystemExit(f"the log is not whole: {problems[0]}")
    log.close()
    engine.dispose()
    ratios = [round(ours / bare, 3) for ours, bare in rates]
    logs, bares = zip(*rates, strict=True)
    middle = statistics.median
    return Result(database, round(middle(logs), 1), round(middle(bares), 1), round(middle(ratios), 3), ratios)


def run(events: int, rounds: int) -> Iterator[Result]:
    """SQLite, then Postgres (with fsync) if there is one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neotorch-bench-")))
        files = (f"sqlite:///{folder}/log.db", f"sqlite:///{folder}/bare.db")
        yield compare("sqlite", files, folder, events, rounds)
        if find_binaries():
            server = stack.enter_context(running_postgres(fsync=True))
            databases = (server.url(server.new_database()), server.url(server.new_database()))
            yield compare("postgres", databases, folder, events, rounds)


def main() -> None:
    """Print one line per database, and the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150, help="per round and side")
    parser.add_argument("--rounds", type=int, default=13)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    results = []
    if not asked.json:
        print(f"Events recorded durably per second, one per commit ({describe()})")
    for result in run(asked.events, asked.rounds):
        results.append(asdict(result))
        if not asked.json:
            print(
                f"  {result.database:8}  EventLog.append {result.log_per_second:7.0f}/s   "
                f"bare SQLAlchemy {result.bare_per_second:7.0f}/s   ratio {result.ratio:.2f} "
                f"(rounds {min(result.ratios):.2f} to {max(result.ratios):.2f}; goal at least {GOAL})",
                flush=True,
            )
    if asked.json:
        print(json.dumps({"goal": GOAL, "results": results}))


if __name__ == "__main__":
    main()
