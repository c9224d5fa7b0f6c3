"""compose.yaml from plain processes: recorders write, workers, servers and the broker are killed; all is done once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.receivers import WebReceiver
from neotorch.rules.notices import NEVER_LOST
from neotorch.settings import ChannelSettings, Settings
from neotorch.store.log import EventLog
from tests import proofs
from tests.scale.town import Town, running_town
from tests.support import consent

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
ROLES = ("coordinator", "investigator", "statistician", "operator")
PATIENCE_SECONDS = 300.0

RECORDERS = proofs.rounds(short=6, long=20)
EVENTS = proofs.rounds(short=40, long=500)
PATIENTS = proofs.rounds(short=12, long=40)
PAUSE_SECONDS = 0.4
"""Mean pause of a recorder between two events, so that they go on while processes are killed."""
VICTIMS = (
    ("worker-1", "api-1", "redis", "worker-2", "api-2", "services") if proofs.LONG else ("worker-1", "api-1", "redis")
)
ROUNDS = proofs.rounds(short=1, long=3)
LANES = 4


class World(NamedTuple):
    """What the tests look at."""

    town: Town
    receiver: WebReceiver
    engine: Engine


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The town with a receiver that counts, and an engine of the test's own that reads."""
    folder = tmp_path_factory.mktemp("town")
    with WebReceiver() as receiver:
        channels = [ChannelSettings.model_validate({"name": r, "role": r, "url": receiver.url(f"/{r}")}) for r in ROLES]
        said = [c.model_dump(mode="json") | {"url": c.url.get_secret_value()} for c in channels]
        more = {"NEOTORCH_CHANNELS": json.dumps(said), "NEOTORCH_QUIET_HOURS": "false"}
        with running_town(folder, more) as town:
            settings = Settings(
                data_dir=folder / "reader", database_url=town.log_url, channels=channels, quiet_hours=False
            )
            yield World(town, receiver, Engine.open(settings))


def test_everything_is_done_once_whoever_is_killed(world: World) -> None:
    """Recorders write while a worker, a server and the broker are killed in turn; at the end nothing is lost or doubled."""
    subjects = [f"NT-{n}" for n in range(501, 501 + PATIENTS)]
    world.engine.record([consent(world.engine.today(), s) for s in subjects])
    recorders = [start_recorder(world, f"r{n}", subjects) for n in range(RECORDERS)]
    kills = Counter(kill_in_turn(world.town))
    told = [line for r in recorders for line in r.communicate(timeout=PATIENCE_SECONDS * 4)[0].split()]
    assert [r.returncode for r in recorders] == [0] * RECORDERS
    assert len(told) == RECORDERS * EVENTS
    until(lambda: not awake(world, subjects), "all journeys to be asleep", lambda: account(world, subjects))
    check_log(world, told)
    doubt = check_effects(world, sum(n for name, n in kills.items() if name.startswith("worker")))
    check_journeys(world, subjects)
    proofs.count(
        "distributed", trials=len(told), notices=len(world.receiver.received), in_doubt=doubt,
        killed=sum(kills.values()), journeys=len(subjects),
    )  # fmt: skip


def start_recorder(world: World, name: str, subjects: list[str]) -> subprocess.Popen[str]:
    """Start a recorder on a folder of its own."""
    arguments = [str(world.town.folder / name), world.town.log_url, name, str(EVENTS), str(PAUSE_SECONDS), *subjects]
    command = [sys.executable, "-m", "tests.scale.recorder", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_in_turn(town: Town) -> Iterator[str]:
    """Kill -9 one after another, each while work is going on, and start it again after a while."""
    for _ in range(ROUNDS):
        for name in VICTIMS:
            time.sleep(4)
            town.kill(name)
            yield name
            time.sleep(3)
            town.begin(name)
            if name != "services":
                town.ready(name)


def awake(world: World, subjects: list[str]) -> list[str]:
    """Subjects whose journeys have not yet done all that the log asks of them."""
    engine = world.engine
    behind = [s for s in subjects if engine.log.journey_seen(s)[1] < engine.state(s).position or engine.plan(s).steps]
    return behind or [s for s, runs in by_subject(world).items() if [r["state_type"] for r in runs] != ["SCHEDULED"]]


def by_subject(world: World) -> dict[str, list[dict[str, Any]]]:
    """All runs, by subject."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in world.town.journeys():
        found.setdefault(run["parameters"]["subject"], []).append(run)
    return found


def account(world: World, subjects: list[str]) -> object:
    """How things stand, for the message of a test that fails."""
    runs = by_subject(world)
    return {
        s: (
            [(r["state_name"], r["state"]["message"], r["run_count"]) for r in runs.get(s, [])],
            world.engine.plan(s).steps,
        )
        for s in awake(world, subjects)
    }


def check_log(world: World, told: list[str]) -> None:
    """What was acknowledged is in the log, each once, and the log is whole by every machine's own notes of its head."""
    facts = [r.event.id for r in world.engine.log.read() if isinstance(r.event, ev.Contact | ev.AdverseEvent)]
    assert sorted(facts) == sorted(told)
    for folder in (world.town.folder / name for name in (*world.town.workers, "r0", "reader")):
        assert (folder / "head.log").stat().st_size, folder
        log = EventLog(world.town.log_url, world.engine.study.id, head_file=folder / "head.log")
        assert log.verify() == [], folder
        log.close()


def check_effects(world: World, worker_kills: int) -> int:
    """Each notice came in once by the receiver's count, but for those whose sending was cut off; returns how many."""
    events = [r.event for r in world.engine.log.read()]
    claims = [(e.key, e.attempt) for e in events if isinstance(e, ev.NoticeClaimed)]
    sent = [(e.key, e.attempt) for e in events if isinstance(e, ev.NoticeSent)]
    assert len(claims) == len(set(claims))
    assert len(sent) == len(set(sent)) > 0
    doubt = {key for key, _ in set(claims) - set(sent)}
    assert len(doubt) <= LANES * worker_kills, "only what a kill cut off may be in doubt"
    arrived = Counter(post.key for post in world.receiver.received)
    assert arrived.keys() <= {key for key, _ in claims}
    assert {key: n for key, n in arrived.items() if key not in doubt and n != 1} == {}
    assert {key for key, _ in sent} <= arrived.keys()
    for key in doubt:
        assert arrived[key] <= sum(k == key for k, _ in claims), key
    raised = [(e.query, e.round) for e in events if isinstance(e, ev.QueryRaised)]
    assert len(raised) == len(set(raised))
    serious = [e.id for e in events if isinstance(e, ev.AdverseEvent)]
    untold = [i for i in serious if not any(key.startswith(i) for key in arrived)]
    assert untold == [], f"{sorted(NEVER_LOST)} are never lost"
    return len(doubt)


def check_journeys(world: World, subjects: list[str]) -> None:
    """One live run for each patient, asleep until when the log says."""
    found = by_subject(world)
    assert sorted(found) == sorted(subjects)
    for subject, runs in found.items():
        (run,) = runs
        plan, due = world.engine.plan(subject), datetime.fromisoformat(run["next_scheduled_start_time"])
        assert run["state_type"] == "SCHEDULED"
        assert plan.until is not None
        assert datetime.now(UTC) < due <= plan.until + timedelta(seconds=2), (subject, due, plan.until)


def until(find: Callable[[], T], what: str, say: Callable[[], object]) -> T:
    """Ask again and again until there is something."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s for {what}; {say()}")
