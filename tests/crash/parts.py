"""A Prefect server that lives through all crash tests, and `neotorch up` in a process that can be killed at a point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.orchestration.server import START_SECONDS, choose_port, healthy
from neotorch.receivers import WebReceiver
from neotorch.settings import ChannelSettings, Settings
from tests.support import consent, course, fact, forms, pathology, screened, surgery

T = TypeVar("T")
ROLES = ("coordinator", "investigator", "statistician", "operator")
PATIENCE_SECONDS = 150.0


def until(find: Callable[[], T | None], what: str, account: Callable[[], object] = str) -> T:
    """Ask again and again until there is something."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s for {what}; {account()}")


class Server:
    """The Prefect server, asked over HTTP as it is."""

    def __init__(self, folder: Path, api: str = "") -> None:
        """`api`: one that is run by others already."""
        self.folder, self.port = folder, 0 if api else choose_port("127.0.0.1", 0)
        self.api = api or f"http://127.0.0.1:{self.port}/api"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on its folder."""
        code = (
            "import asyncio, sys; from pathlib import Path; from neotorch.orchestration.server import PrefectServer\n"
            "async def main():\n"
            "    async with PrefectServer(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2])):\n"
            "        await asyncio.to_thread(sys.stdin.read)\n"
            "asyncio.run(main())"
        )
        self._child = subprocess.Popen(
            [sys.executable, "-c", code, str(self.folder), str(self.port)], stdin=subprocess.PIPE
        )
        end = time.monotonic() + START_SECONDS
        while not healthy(self.api):
            assert time.monotonic() < end and self._child.poll() is None, "the Prefect server does not start"
            time.sleep(0.2)

    def stop(self) -> None:
        """End it in order."""
        assert self._child and self._child.stdin
        self._child.stdin.close()
        self._child.wait(60)

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """POST and read the answer."""
        request = urllib.request.Request(
            f"{self.api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def answers(self) -> bool:
        """Whether it is there."""
        return healthy(self.api)

    def journeys(self, subject: str = "") -> list[dict[str, Any]]:
        """All runs of the flow patient-journey, or those of a subject."""
        asked: dict[str, Any] = {"flows": {"name": {"any_": ["patient-journey"]}}, "limit": 200, "sort": "ID_DESC"}
        if subject:
            asked["flow_runs"] = {"tags": {"all_": [subject]}}
        found: list[dict[str, Any]] = []
        while page := self.ask("/flow_runs/filter", asked | {"offset": len(found)}):
            found += page
            if len(page) < asked["limit"]:
                break
        return found


class House:
    """One installation: data folder, receiver of notices, server, and `neotorch up` as a process.

    Without a `server` it is as users have it: `neotorch up` starts one of its own.
    """

    def __init__(self, folder: Path, server: Server | None, receiver: WebReceiver, worker: str = "neotorch") -> None:
        self.folder, self.receiver, self.worker = folder, receiver, worker
        self._shared = server
        self.server = server or Server(folder, "-")
        channels = [ChannelSettings.model_validate({"name": r, "role": r, "url": receiver.url(f"/{r}")}) for r in ROLES]
        self.settings = Settings(data_dir=folder, channels=channels, quiet_hours=False)
        self.engine = Engine.open(self.settings)
        self._up: subprocess.Popen[bytes] | None = None
        self.reconciled = ""
        """What the last start found, in words."""
        self.in_doubt: dict[tuple[str, str], int] = {}
        """(subject, delivery key) of notices that are to be sent again -> how often they had come in."""
        self._count = 0

    # ── the process ───────────────────────────────────────────────────────────────────────────────────────────────

    def up(self, *, crash_at: str = "", wait: bool = True) -> None:
        """Start `neotorch up`, if it is not running, and wait until it has reconciled."""
        if self._up and self._up.poll() is None:
            return
        variables = self.variables() | {"NEOTORCH_CRASH_AT": crash_at}
        command = [sys.executable, "-m", "tests.crash.house", self.worker]
        self._up = subprocess.Popen(command, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if wait:
            assert self._up.stdout
            word, _, rest = self._up.stdout.readline().decode().strip().partition(" ")
            assert word == "ready", "neotorch up does not come up"
            api, _, self.reconciled = rest.partition(" ")
            self.server = Server(self.folder, api)

    def variables(self) -> dict[str, str]:
        """The environment of everything that belongs to the installation."""
        channels = [c.model_dump(mode="json") | {"url": c.url.get_secret_value()} for c in self.settings.channels]
        shared = {"PREFECT_API_URL": self._shared.api} if self._shared else {}
        return shared | {
            "NEOTORCH_DATA_DIR": str(self.folder), "NEOTORCH_CHANNELS": json.dumps(channels), "NEOTORCH_PREFECT_PORT": "0",
            "NEOTORCH_QUIET_HOURS": "false", "NEOTORCH_METRICS_PORT": "none",
        }  # fmt: skip

    def crash_at(self, point: str) -> None:
        """Have the running process kill itself when it next gets to a point."""
        assert self._up and self._up.stdin and self._up.stdout
        self._up.stdin.write(f"{point}\n".encode())
        self._up.stdin.flush()
        assert self._up.stdout.readline().strip() == b"armed"

    def crashed(self) -> int:
        """Wait for the process's end; returns its code."""
        assert self._up
        return self._up.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        """End the process in order."""
        if self._up and self._up.poll() is None:
            self._up.terminate()
            self._up.wait(60)

    def kill(self) -> None:
        """Kill -9."""
        assert self._up
        self._up.kill()
        self._up.wait()

    # ── what is recorded, and what became of it ───────────────────────────────────────────────────────────────────

    def new_subject(self) -> str:
        """A code that has not been used."""
        self._count += 1
        return f"NT-{500 + self._count}"

    def tell(self, subject: str, *, reported: bool = False) -> None:
        """Record a screening with missing items and a serious adverse event: facts, queries, notices of three kinds.

        While its report is owed, a journey does not end, whatever else happens.
        """
        today, now = self.engine.today(), datetime.now(UTC).isoformat()
        report = {"reported": now} if reported else {}
        held = today - timedelta(9)
        self._record(
            consent(today - timedelta(15), subject), *forms("SCR", held, subject, without=["CBC.ANC"]),
            fact("visit_held", held, subject, visit="SCR"),
            fact("adverse_event", today, subject, term="COLITIS", grade=3, serious=True, aware=now, **report),
        )  # fmt: skip

    def tell_operated(self, subject: str) -> None:
        """Record a course of treatment up to the operation."""
        first = self.engine.today() - timedelta(200)
        operation = surgery(first + timedelta(160), subject)
        self._record(*screened(first, subject), *course(6, first, subject), operation)

    def tell_pathology(self, subject: str) -> None:
        """Record the report of a complete remission."""
        self._record(pathology(self.engine.today() - timedelta(30), subject))

    def tell_death(self, subject: str) -> None:
        """Record something that bears on the endpoints."""
        today = self.engine.today()
        self._record(fact("death", today, subject, cause="other"))

    def tell_contact(self, subject: str) -> None:
        """Record something that asks for nothing but to be seen."""
        self._record(fact("contact", self.engine.today(), subject))

    def _record(self, *facts: ev.AnyFact) -> None:
        refused = [f"{a.fact.id}: {r.what}" for a in self.engine.record(facts) for r in a.refusals]
        assert not refused, refused

    def asleep(self, subject: str) -> dict[str, Any]:
        """Wait until the subject has one live run, asleep, that has seen all and has nothing more to do."""

        def find() -> dict[str, Any] | None:
            live = self.live(subject)
            plan = self.engine.plan(subject)
            seen = self.engine.log.journey_seen(subject)[1] >= self.engine.state(subject).position
            return (
                live[0] if len(live) == 1 and live[0]["state_type"] == "SCHEDULED" and seen and not plan.steps else None
            )

        return until(find, f"{subject} to be asleep", lambda: (self.live(subject), self.engine.plan(subject)))

    def live(self, subject: str) -> list[dict[str, Any]]:
        """The subject's runs that have not ended well."""
        return [r for r in self.server.journeys(subject) if r["state_type"] != "COMPLETED"]

    def effects(self, subject: str, kind: type[ev.Effect]) -> list[Any]:
        """Effects of one type in the log."""
        return [r.event for r in self.engine.log.read(subject) if isinstance(r.event, kind)]

    def arrived(self, subject: str) -> Counter[str]:
        """How often each notice about the subject came in, by key."""
        return Counter(p.key for p in self.receiver.received if p.key.startswith(subject))
