"""What operators see of a running installation: pages, doctor, and the words for what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from neotorch.cli import doctor_running
from neotorch.cli.doctor_checks import Check
from neotorch.orchestration import presence
from neotorch.orchestration.server import choose_port
from neotorch.receivers import WebReceiver
from tests.crash.parts import House, Server, until


class Watched(House):
    """A house whose pages for operators are on a port of their own."""

    def variables(self) -> dict[str, str]:
        """As of all houses, and the port."""
        if not hasattr(self, "port"):
            self.port = choose_port("127.0.0.1", 0)
        return super().variables() | {"NEOTORCH_METRICS_PORT": str(self.port)}

    def page(self, name: str) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Value of a metric, by name and labels as they are written."""
        lines = [line for line in self.page("metrics")[1].splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    def looked_at(self) -> dict[str, Check]:
        """What doctor says of the work that goes on."""
        return {c.name: c for c in doctor_running.running(self.engine, presence.running(self.folder))}


@pytest.fixture(scope="module")
def watched(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A running installation."""
    with WebReceiver() as receiver:
        house = Watched(tmp_path_factory.mktemp("watched"), server, receiver)
        house.up()
        yield house
        house.stop()


def test_a_running_installation_is_ready_and_counts_its_wakes(watched: Watched) -> None:
    """Once the journeys are woken it is ready; what is recorded shows as a wake with the time it took."""
    status, text = watched.page("ready")
    assert status == 200, text
    assert {c["name"] for c in json.loads(text)["checks"]} >= {"log", "prefect", "worker", "dispatcher", "lag", "disk"}
    subject = watched.new_subject()
    watched.tell(subject)
    watched.asleep(subject)
    until(lambda: watched.metric("neotorch_wake_seconds_count") > 0, "the wake to be counted")
    assert watched.metric('neotorch_wakes_total{result="asleep"}') > 0
    until(
        lambda: watched.metric('neotorch_effects_total{kind="notice",result="sent"}') > 0, "the notices to be counted"
    )
    assert watched.metric("neotorch_log_position") > 0


def test_mail_down_is_seen_and_told(watched: Watched) -> None:
    """A receiver that refuses everything shows in metrics, in the worklist, and in doctor with what to do."""
    watched.receiver.fail_with = 503
    try:
        subject = watched.new_subject()
        watched.tell(subject)
        until(lambda: watched.metric("neotorch_notices_unsent") > 0, "notices to be unsent")
        assert any(line.status == "undelivered" and line.subject == subject for line in watched.engine.worklist())
        found = watched.looked_at()["notices"]
        assert "to be tried again" in found.detail and "neotorch worklist" in found.todo
    finally:
        watched.receiver.fail_with = None


def test_doctor_knows_a_running_installation(watched: Watched) -> None:
    """Nothing is wrong where nothing is; the port of the pages is in use by neotorch itself, which is no fault."""
    until(lambda: not [p for p in map(watched.engine.plan, watched.engine.subjects()) if p.steps], "all to be done")
    settings = watched.settings.model_copy(update={"metrics_port": watched.port})
    (port,) = [
        c for c in doctor_running.ports(settings, presence.running(watched.folder)) if str(watched.port) in c.name
    ]
    assert port.ok and "neotorch up itself" in port.detail
    found = watched.looked_at()
    assert [c for c in found.values() if not c.ok] == []
    assert found["readiness"].detail and found["prefect server"].ok
    assert "asleep where the log says" in found["journeys"].detail


def test_a_second_one_on_the_folder_is_refused_and_its_pages_are_not_missed(watched: Watched) -> None:
    """Whoever starts it twice hears which process has the folder; the first goes on answering."""
    command = [sys.executable, "-c", "from neotorch.cli import main; main()", "up"]
    second = subprocess.run(
        command, env=os.environ | watched.variables(), capture_output=True, text=True, timeout=120, check=False
    )
    assert second.returncode == 2 and "neotorch is up already on this folder" in second.stderr
    assert watched.page("health")[0] == 200


def test_a_killed_worker_is_noticed_and_its_work_named(watched: Watched) -> None:
    """After kill -9 doctor says that nobody is up and what waits; the restarted one is ready and has done it."""
    watched.kill()
    subject = watched.new_subject()
    watched.tell(subject)
    found = watched.looked_at()
    assert "is not running" in found["neotorch up"].detail and "neotorch up" in found["neotorch up"].todo
    assert not found["steps to do"].ok and subject in found["steps to do"].detail
    watched.up()
    watched.asleep(subject)
    assert watched.page("ready")[0] == 200
    assert watched.looked_at()["steps to do"].ok


def test_a_note_left_by_a_killed_process_is_not_believed(tmp_path: Path) -> None:
    """Whether somebody is up is told by the lock, which goes with the process, and not by the note beside it."""
    assert presence.running(tmp_path) is None
    with presence.hold(tmp_path):
        presence.tell(tmp_path, presence.Presence(os.getpid(), api="http://x/api"))
        assert presence.running(tmp_path) == presence.Presence(os.getpid(), api="http://x/api")
        note = (tmp_path / presence.NOTE).read_text()
    (tmp_path / presence.NOTE).write_text(note)
    assert presence.running(tmp_path) is None
    with presence.hold(tmp_path):
        (tmp_path / presence.NOTE).write_text(note.replace(str(os.getpid()), "1"))
        found = presence.running(tmp_path)
    assert found is not None and (found.pid, found.api) == (os.getpid(), "")
