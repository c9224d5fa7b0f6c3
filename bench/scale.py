"""How it grows: the same journeys on embedded SQLite, on Postgres, and on Postgres + Redis + two servers + three workers.

Side by side in one run, with plain `flow.serve()` as the peer: how long a single event takes, how many wakes a second all
patients at once make, and the night on which all fall due at one instant and each is sent a notice. Then what the worker's
poll and the reconciler's listing cost with 100, 1,000 and 10,000 sleeping journeys. Every part is a real one; the notices
go to a web receiver that counts them.

    python bench/scale.py [--patients 60] [--events 15] [--sleepers 100 1000 10000] [--only sqlite]
    python bench/scale.py --patients 1000 --only postgres --events 5       # the night of 1,000 patients: minutes
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.receivers import WebReceiver
from neotorch.settings import ChannelSettings, Settings

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.postgres import PostgresServer, running_postgres  # noqa: E402 - the tests' real Postgres and topology
from tests.scale.town import Town, running_town  # noqa: E402

PATIENCE_SECONDS = 3600.0
ROLES = ("coordinator", "investigator", "statistician", "operator")
KINDS = ("serve", "sqlite", "postgres", "town")
WHAT = {
    "neotorch up": "worker", "orchestration.serve": "Prefect server", "server services": "Prefect services", "prefect": "Prefect server",
    "redis-server": "Redis", "postgres": "Postgres",
}  # fmt: skip
"""Part of a command line -> what that process is, the first that fits."""
SERVE_AT_MOST = 8
"""Journeys of the peer, each of whose wakes starts an interpreter."""


def main() -> None:
    """Measure each kind in a process of its own and print all side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--events", type=int, default=15, help="single events")
    parser.add_argument("--sleepers", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--only", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args)))
        return
    show({kind: run(kind) for kind in args.only})


def run(kind: str) -> dict[str, float]:
    """Measure one kind in a process of its own."""
    print(f"measuring {kind} ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(found: dict[str, dict[str, float]]) -> None:
    """Print all figures, and each as a ratio to those of the first kind."""
    base = next(iter(found.values()))
    print(f"{'':44}" + "".join(f"{kind:>22}" for kind in found))
    for name in dict.fromkeys(n for one in found.values() for n in one):
        cells = []
        for one in found.values():
            value, first = one.get(name), base.get(name)
            ratio = f" ({value / first:.2f} x)" if value is not None and first and one is not base else ""
            cells.append(f"{'-' if value is None else f'{value:.3g}{ratio}':>22}")
        print(f"{name:44}" + "".join(cells))


def channels_to(receiver: WebReceiver) -> list[dict[str, str]]:
    """One channel for each role, all of them the counting receiver."""
    return [{"name": r, "role": r, "url": receiver.url(f"/{r}")} for r in ROLES]


def variables(receiver: WebReceiver) -> dict[str, str]:
    """What the workers of every kind run with."""
    said = json.dumps(channels_to(receiver))
    return {"NEOTORCH_CHANNELS": said, "NEOTORCH_QUIET_HOURS": "false", "NEOTORCH_FLOOD_FLOOR": "100000"}


# ── the worlds ────────────────────────────────────────────────────────────────────────────────────────────────────────


class World:
    """One way to run it: how to start and stop who wakes journeys, where Prefect and the log are."""

    def __init__(self, folder: Path, receiver: WebReceiver, database: str | None = None) -> None:
        self.folder, self.receiver, self.database = folder, receiver, database
        channels = [ChannelSettings.model_validate(c) for c in channels_to(receiver)]
        settings = Settings(data_dir=folder, database_url=database, channels=channels, quiet_hours=False)
        self.engine = Engine.open(settings)
        self.api = ""

    def start(self) -> None:
        """Start the workers."""

    def stop(self) -> None:
        """End the workers; the server and the log stay."""

    def make_due(self, at: datetime) -> int:
        """Have all journeys fall due at one instant, whatever they sleep for; returns how many."""
        raise NotImplementedError

    def add_sleepers(self, count: int) -> None:
        """See to it that so many further journeys sleep in the pool."""
        raise NotImplementedError


class Single(World):
    """One process group: a Prefect server of this bench's own that outlives the worker, and `neotorch up` beside it."""

    def __init__(self, folder: Path, receiver: WebReceiver, postgres: PostgresServer | None) -> None:
        database = postgres.url(postgres.new_database()) if postgres else None
        super().__init__(folder, receiver, database)
        self._postgres, self._name = postgres, postgres.new_database() if postgres else ""
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._start_server()

    def environment(self) -> dict[str, str]:
        """What server and worker run with."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "NEOTORCH_"))}
        own |= variables(self.receiver)
        own |= {"NEOTORCH_DATA_DIR": str(self.folder), "PYTHONPATH": str(ROOT)}
        if self.database and self._postgres:
            own |= {"NEOTORCH_DATABASE_URL": self.database, "NEOTORCH_JOURNEYS_AT_ONCE": "4"}
            own["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = self._postgres.url(self._name, "+asyncpg")
        return own | ({"PREFECT_API_URL": self.api} if self.api else {})

    def _start_server(self) -> None:
        code = (
            "import asyncio, sys; from pathlib import Path\n"
            "from neotorch.orchestration.server import PrefectServer, choose_port\n"
            "async def main():\n"
            "    port = choose_port('127.0.0.1', 0)\n"
            "    async with PrefectServer(Path(sys.argv[1]), '127.0.0.1', port) as server:\n"
            "        print(server.api, flush=True)\n"
            "        await asyncio.to_thread(sys.stdin.read)\n"
            "asyncio.run(main())"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(self.folder / "prefect")], env=self.environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout
        self.api = child.stdout.readline().decode().strip()
        self._children["server"] = child

    def start(self) -> None:
        """Start `neotorch up` and wait until it is up."""
        log = self.folder / f"up-{len(list(self.folder.glob('up-*.log')))}.log"
        with log.open("wb") as output:
            self._children["up"] = subprocess.Popen(
                [Path(sys.executable).with_name("neotorch"), "up"], env=self.environment(), stdout=output, stderr=output
            )
        wait(lambda: "neotorch is up" in log.read_text(), f"neotorch up; {log.read_text()}")

    def stop(self) -> None:
        """End `neotorch up`."""
        child = self._children.pop("up")
        child.terminate()
        child.wait(120)

    def end(self) -> None:
        """End everything."""
        for child in self._children.values():
            if child.stdin:
                child.stdin.close()
            child.terminate()
            child.wait(60)

    def make_due(self, at: datetime) -> int:
        """See World."""
        if not self._postgres:
            return make_due_sqlite(self.folder / "prefect" / "prefect.db", at)
        return make_due_postgres(self._postgres, self._name, at)

    def add_sleepers(self, count: int) -> None:
        """See World."""
        if self._postgres:
            add_sleepers(self._postgres, self._name, count)


class Many(World):
    """The topology of compose.yaml."""

    def __init__(self, receiver: WebReceiver, town: Town) -> None:
        super().__init__(town.folder / "reader", receiver, town.log_url)
        self.town, self.api = town, town.api

    def start(self) -> None:
        """Start the three workers."""
        for name in self.town.workers:
            self.town.begin(name)
        for name in self.town.workers:
            self.town.ready(name)

    def stop(self) -> None:
        """End the three workers in order."""
        for name in self.town.workers:
            self.town.end(name)

    def make_due(self, at: datetime) -> int:
        """See World."""
        return make_due_postgres(self.town.postgres, self.town.database("prefect"), at)

    def add_sleepers(self, count: int) -> None:
        """See World."""
        add_sleepers(self.town.postgres, self.town.database("prefect"), count)


@contextmanager
def world(kind: str) -> Iterator[World]:
    """A running world of one kind, with nobody in it and its workers up."""
    with WebReceiver() as receiver, tempfile.TemporaryDirectory(prefix="neotorch-bench-") as name:
        folder = Path(name)
        if kind == "town":
            with running_town(folder, variables(receiver)) as town:
                yield Many(receiver, town)
            return
        with maybe_postgres(kind) as postgres:
            single = Single(folder, receiver, postgres)
            try:
                single.start()
                yield single
            finally:
                single.end()


@contextmanager
def maybe_postgres(kind: str) -> Iterator[PostgresServer | None]:
    """A Postgres, where the kind asks for one."""
    if kind == "sqlite":
        yield None
        return
    with running_postgres() as server:
        yield server


# ── what is done to Prefect's database, where doing it through the API would take longer than what is measured ─────────

JOURNEYS = "%/NT-%"
DUE = "UPDATE flow_run SET next_scheduled_start_time = {at} WHERE state_type = 'SCHEDULED' AND idempotency_key LIKE {like}"


def make_due_sqlite(database: Path, at: datetime) -> int:
    """Have all sleeping journeys fall due at one instant."""
    import sqlite3

    with sqlite3.connect(database, timeout=60) as connection:
        return connection.execute(
            DUE.format(at="?", like="?"), (at.strftime("%Y-%m-%d %H:%M:%S.%f"), JOURNEYS)
        ).rowcount


def make_due_postgres(server: PostgresServer, name: str, at: datetime) -> int:
    """Have all sleeping journeys fall due at one instant."""
    with psycopg.connect(host=str(server.folder), user="postgres", dbname=name, autocommit=True) as connection:
        return connection.execute(DUE.format(at="%s", like="%s"), (at, JOURNEYS)).rowcount


def add_sleepers(server: PostgresServer, name: str, count: int) -> None:
    """Copy one sleeping journey, with its state, until so many sleep besides those of the patients."""
    with psycopg.connect(host=str(server.folder), user="postgres", dbname=name, autocommit=True) as connection:
        columns = [r[0] for r in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'flow_run' AND is_generated = 'NEVER'"
        )]  # fmt: skip
        own = {
            "id": "gen_random_uuid()",
            "idempotency_key": "'sleeper/' || n",
            "state_id": "NULL",
            "name": "'sleeper ' || n",
        }
        have = connection.execute("SELECT count(*) FROM flow_run WHERE name LIKE 'sleeper %'").fetchone()
        assert have is not None
        connection.execute(
            f"INSERT INTO flow_run ({', '.join(columns)}) SELECT {', '.join(own.get(c, c) for c in columns)} FROM "
            "(SELECT * FROM flow_run WHERE idempotency_key LIKE '%/NT-%' AND state_type = 'SCHEDULED' LIMIT 1) one, "
            f"generate_series({have[0] + 1}, {count}) n".encode()
        )
        connection.execute("ANALYZE flow_run")


# ── what is measured ──────────────────────────────────────────────────────────────────────────────────────────────────


def measure(kind: str, args: argparse.Namespace) -> dict[str, float]:
    """Everything about one kind."""
    if kind == "serve":
        return peer(args)
    with world(kind) as found:
        figures = wakes(found, args.patients, args.events)
        figures |= night(found, args.patients)
        if kind == "postgres":
            figures |= sleepers(found, args.sleepers)
        return figures


def peer(args: argparse.Namespace) -> dict[str, float]:
    """Plain `flow.serve()` with the same engine and flow, as in bench/latency.py."""
    command = [sys.executable, str(ROOT / "bench" / "latency.py"), "--only", "plain"]
    sizes = [
        "--plain-events",
        str(min(args.events, SERVE_AT_MOST)),
        "--patients",
        str(min(args.patients, SERVE_AT_MOST)),
    ]
    done = subprocess.run([*command, *sizes], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {"event to step done, median, s": found["median"], "event to step done, p95, s": found["p95"],
            "wakes a second, all patients told at once": found["rate"]}  # fmt: skip


def wakes(world: World, patients: int, events: int) -> dict[str, float]:
    """New patients, single events, and one event of each at once."""
    engine, today = world.engine, world.engine.today()
    subjects = [f"NT-{n:03d}" if n < 1000 else f"NT-{n}" for n in range(1, patients + 1)]
    site = engine.study.sites[0].code
    begin = time.perf_counter()
    engine.record([
        ev.Consent(id=f"consent/{s}", study=engine.study.id, subject=s, occurred=today, site=site, icf_version="1.0")
        for s in subjects
    ])  # fmt: skip
    seen(engine, subjects)
    made = patients / (time.perf_counter() - begin)
    time.sleep(3)
    waits = sorted(one_event(engine, subjects[i % patients], i) for i in range(events))
    begin, before = time.perf_counter(), cpu_seconds()
    tell(engine, subjects, "burst")
    seen(engine, subjects)
    rate = patients / (time.perf_counter() - begin)
    used = {what: 1000 * (seconds - before.get(what, 0)) / patients for what, seconds in cpu_seconds().items()}
    return {
        "event to step done, median, s": statistics.median(waits),
        "event to step done, p95, s": waits[round(0.95 * (len(waits) - 1))],
        "wakes a second, all patients told at once": rate,
        "new journeys a second": made,
        "CPU of a wake, ms": sum(used.values()),
        **{f"- of which {what}, ms": value for what, value in sorted(used.items())},
    }


def cpu_seconds() -> dict[str, float]:
    """CPU time so far of all processes that this one has started, by what they are (Linux)."""
    parents, used, names = {}, {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pid, parents[folder.name] = folder.name, fields[1]
            used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            names[pid] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    found: dict[str, float] = {}
    for pid, name in names.items():
        if pid != str(os.getpid()) and _descends(pid, parents):
            what = next((w for part, w in WHAT.items() if part in name), "else")
            found[what] = found.get(what, 0.0) + used[pid]
    return found


def _descends(pid: str, parents: dict[str, str]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == str(os.getpid()):
            return True
    return False


def night(world: World, patients: int) -> dict[str, float]:
    """All fall due at one instant, each with a safety notice to send; the workers find them by their poll alone."""
    engine, today = world.engine, world.engine.today()
    time.sleep(5)
    world.stop()
    engine.record([
        ev.AdverseEvent(id=f"sae/{s}", study=engine.study.id, subject=s, occurred=today, term="COLITIS", grade=3,
                        serious=True, aware=datetime.now(UTC).isoformat())
        for s in engine.subjects()
    ])  # fmt: skip
    due = world.make_due(datetime.now(UTC) - timedelta(seconds=5))
    assert due == patients, (due, patients)
    before = len(world.receiver.received)
    world.start()
    seen(engine, engine.subjects())
    keys = [p.key for p in world.receiver.received[before:]]
    assert len(keys) == len(set(keys)) >= patients, (len(keys), len(set(keys)))
    times = [
        r.event.at for r in engine.log.read() if isinstance(r.event, ev.NoticeSent) and r.event.key.startswith("sae/")
    ]
    seconds = (max(times) - min(times)).total_seconds()
    return {"night: patients": patients, "night: notices": len(keys), "night: patients a second": patients / seconds}


def sleepers(world: World, counts: list[int]) -> dict[str, float]:
    """The cost of one poll, of a wake, and of reading all runs as the reconciler does, with so many asleep."""
    found: dict[str, float] = {}
    subject = world.engine.subjects()[0]
    for count in counts:
        world.add_sleepers(count)
        polls = [timed(lambda: ask(world, "/work_pools/neotorch/get_scheduled_flow_runs", {"scheduled_before": now()}))
                 for _ in range(20)]  # fmt: skip
        found[f"poll with {count:,} asleep, ms"] = 1000 * statistics.median(polls)
        found[f"event to step done with {count:,} asleep, s"] = statistics.median(
            one_event(world.engine, subject, f"{count}-{i}") for i in range(5)
        )
        found[f"reading {count:,} runs, s"] = timed(lambda: read_all(world))
    return found


def now() -> str:
    """The present instant for a request."""
    return datetime.now(UTC).isoformat()


def read_all(world: World) -> int:
    """Read every journey, a page of 200 at a time, as the reconciler does."""
    offset = 0
    flows = {"name": {"any_": ["patient-journey"]}}
    while page := ask(world, "/flow_runs/filter", {"flows": flows, "sort": "ID_DESC", "limit": 200, "offset": offset}):
        offset += len(page)
    return offset


def ask(world: World, path: str, body: dict[str, Any]) -> Any:
    """POST to Prefect and read the answer."""
    request = urllib.request.Request(
        f"{world.api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


def one_event(engine: Engine, subject: str, tag: object) -> float:
    """Record one event and wait until the journey has done what it asks for; then a rest of uneven length."""
    tell(engine, [subject], f"single-{tag}")
    waited = timed(lambda: seen(engine, [subject]))
    time.sleep(0.7 + 0.13 * (hash(str(tag)) % 7))
    return waited


def tell(engine: Engine, subjects: list[str], tag: str) -> None:
    """Record one new fact about each."""
    engine.record([
        ev.Contact(id=f"contact/{s}/{tag}", study=engine.study.id, subject=s, occurred=engine.today()) for s in subjects
    ])  # fmt: skip


def seen(engine: Engine, subjects: list[str]) -> None:
    """Wait until the journeys have done all that the log asks of them."""
    for subject in subjects:
        wait(lambda s=subject: engine.log.journey_seen(s)[1] >= engine.state(s).position, f"{subject} to move")  # type: ignore[misc]


def wait(done: Callable[[], bool], what: str) -> None:
    """Look every 10 ms."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_SECONDS:.0f} s for {what}")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
