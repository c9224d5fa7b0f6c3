"""Prefect's side of an installation can be lost without anything being lost, and be shared with plain workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from neotorch.domain import events as ev
from neotorch.receivers import WebReceiver
from tests.crash.parts import House, until


def test_deleting_prefect_s_database_rebuilds_all_journeys_and_sends_nothing_twice(tmp_path: Path) -> None:
    """With the database gone, the next start makes every journey anew, asleep where it was, and no effect a second time."""
    with WebReceiver() as receiver:
        house = House(tmp_path, None, receiver)
        try:
            house.up()
            subjects = [house.new_subject() for _ in range(3)]
            for subject in subjects:
                house.tell(subject)
            ended = house.new_subject()
            house.tell(ended, reported=True)
            house.tell_death(ended)
            before = {s: house.asleep(s) for s in subjects}
            until(lambda: [r for r in house.server.journeys() if r["state_type"] == "COMPLETED"], "the ended one")
            house.stop()
            told, head = Counter(p.key for p in receiver.received), house.engine.head()
            for file in (tmp_path / "prefect").glob("prefect.db*"):
                file.unlink()

            house.up()
            after = {s: house.asleep(s) for s in subjects}
            assert {s: (r["name"], r["next_scheduled_start_time"]) for s, r in after.items()} == {
                s: (r["name"], r["next_scheduled_start_time"]) for s, r in before.items()
            }
            assert all(after[s]["id"] != before[s]["id"] for s in subjects)
            until(lambda: [r for r in house.server.journeys() if r["state_type"] == "COMPLETED"], "the ended one")
            assert Counter(p.key for p in receiver.received) == told
            new = house.engine.log.read(after=head)
            assert not [r for r in new if isinstance(r.event, ev.QueryRaised | ev.NoticeClaimed)]
        finally:
            house.stop()


def test_a_plain_process_pool_works_too(tmp_path: Path) -> None:
    """With `--worker process`, an ordinary `prefect worker start` does the work, and events still wake journeys."""
    with WebReceiver() as receiver:
        house = House(tmp_path, None, receiver, worker="process")
        worker = None
        try:
            house.up()
            command = [
                sys.executable,
                "-m",
                "prefect",
                "worker",
                "start",
                "--pool",
                "neotorch-process",
                "--type",
                "process",
            ]
            worker = subprocess.Popen(
                command, env=os.environ | house.variables() | {"PREFECT_API_URL": house.server.api}
            )
            subject = house.new_subject()
            house.tell(subject)
            run = house.asleep(subject)
            assert run["state_name"] == "Scheduled"
            count = run["run_count"]
            house.tell_contact(subject)
            assert house.asleep(subject)["run_count"] > count
        finally:
            if worker:
                worker.send_signal(signal.SIGINT)
                worker.wait(60)
            house.stop()


def test_one_sigterm_ends_all_and_the_death_of_the_parent_ends_the_server(tmp_path: Path) -> None:
    """No server is left behind, neither after an orderly end nor after kill -9; and a second `up` is refused."""
    with WebReceiver() as receiver:
        house = House(tmp_path, None, receiver)
        house.up()
        second = House(tmp_path, None, receiver)
        with pytest.raises(AssertionError, match="does not come up"):
            second.up()
        house.stop()
        until(lambda: not house.server.answers(), "the server to end")
        house.up()
        house.kill()
        until(lambda: not house.server.answers(), "the server to end")
        house.up()  # what was left behind does not stand in the way
        house.stop()
