"""Migrations killed (-9), each on an empty database of its own: `python -m tests.crash.kill_migrations FOLDER SEED KILLS [URL]`.

FOLDER takes head files, and SQLite files unless URL names a Postgres server to make databases on. Prints its figures as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import make_url

from neotorch.store import connect
from neotorch.store.log import EventLog
from neotorch.store.migrate import HEAD_REVISION, current_revision
from tests.crash.fork import Say, fork
from tests.crash.kill_writers import wait_for_servers
from tests.store.stories import STUDY, contact

LONGEST_LIFE = 0.1
"""Seconds; a migration that nobody kills takes about half of it."""


def new_database(folder: Path, number: int, server: str) -> tuple[str, Path]:
    """URL of an empty database, and its head file."""
    head_file = folder / f"{number}.head"
    if not server:
        return f"sqlite:///{folder}/{number}.db", head_file
    name = f"{make_url(server).database}_{number}"
    with connect.reading(engine := connect.open_engine(server)) as connection:
        connection.exec_driver_sql("COMMIT")  # a database cannot be made in a transaction
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False), head_file


def migrate(url: str, head_file: Path, _say: Say) -> None:
    """What every command does at its start."""
    EventLog(url, STUDY, head_file=head_file).migrate()


def one(url: str, head_file: Path, pick: random.Random) -> str:
    """Kill one or two migrations of a database, then migrate and record; returns at what the first was cut off."""
    outcome = ""
    log = EventLog(url, STUDY, head_file=head_file)
    for _ in range(pick.randint(1, 2)):
        point = pick.choice(["migrating", ""])
        child = fork(partial(migrate, url, head_file), crash_at=point)
        if not point:
            child.kill_at(time.monotonic() + pick.uniform(0, LONGEST_LIFE))
        _, code = child.end()
        wait_for_servers(log)
        state = current_revision(log.engine)
        log.close()  # no connection may be open when the next one is forked
        assert state in {None, HEAD_REVISION}
        assert code == -9 or state == HEAD_REVISION
        outcome = outcome or ("before it was done" if state is None else "afterwards")
    log.migrate()
    assert log.append([contact(1)], now=datetime.now(UTC))[0].seq == 1
    assert log.verify() == []
    log.close()
    return outcome


def main(folder: str, seed: str, kills: str, server: str = "") -> None:
    """Kill the migrations of so many databases."""
    migrate(*new_database(Path(folder), 0, server), print)
    pick = random.Random(int(seed))
    outcomes = (one(*new_database(Path(folder), number, server), pick) for number in range(1, int(kills) + 1))
    print(json.dumps({f"killed {what}": n for what, n in Counter(outcomes).items()}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
