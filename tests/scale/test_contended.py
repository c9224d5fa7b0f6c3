"""Several workers after the same obligations at the same time: each obligation is fired once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.receivers import WebReceiver
from neotorch.settings import Settings
from tests import proofs
from tests.scale.claimers import SUBJECT
from tests.support import consent

ROOT = Path(__file__).parents[2]
WORKERS = 3
SHORT, LONG = 1_000, 10_000


@pytest.fixture(params=["postgres", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, on each of the two kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    return str(request.getfixturevalue("postgres_url"))


def test_two_workers_never_fire_one_obligation_twice(url: str, tmp_path: Path) -> None:
    """Processes that all go for the same obligations send each once, by the count of who receives them."""
    count = proofs.rounds(short=SHORT, long=LONG)
    engine = Engine.open(Settings(data_dir=tmp_path, database_url=url, channels=[]))
    with WebReceiver() as receiver:
        engine.record([consent(engine.today(), SUBJECT)])
        workers = [start(url, tmp_path / f"worker-{n}", receiver.url(), count) for n in range(WORKERS)]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        fired = [int(worker.communicate(timeout=1800)[0]) for worker in workers]
        assert sum(fired) == count
        assert min(fired) > 0, "all of them are to have been in it"
        arrived = Counter(post.key for post in receiver.received)
        assert len(arrived) == count
        assert set(arrived.values()) == {1}
        sent = [r.event for r in engine.log.read(SUBJECT) if isinstance(r.event, ev.NoticeSent)]
        assert len(sent) == count
        assert engine.log.verify() == []
    proofs.count("contended", trials=count, workers=WORKERS, kind=url.partition(":")[0], fired_by_each=fired)


def start(url: str, folder: Path, receiver: str, count: int) -> subprocess.Popen[str]:
    """Start a worker and wait until it stands at the line."""
    command = [sys.executable, "-m", "tests.scale.claimers", url, str(folder), receiver, str(count)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process
