"""No secret and no identifier of a patient gets out of the places where it belongs.

A whole installation is run, as users have it: facts with identifiers where a careless person may put them, secrets in
all settings, faults provoked. Then every byte that came of it is searched.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.orchestration import presence
from neotorch.receivers import MailReceiver, WebReceiver
from neotorch.settings import ChannelSettings, Settings
from tests import proofs
from tests.crash.canary import CARELESS, IDENTIFIERS, SECRETS, Search, contents
from tests.crash.parts import until
from tests.postgres import PostgresServer
from tests.support import consent, course, fact, forms, pathology, screened, surgery

PATIENT = "NT-501"
OTHER = "NT-502"
DAY = timedelta(1)


@dataclass(frozen=True)
class Job:
    """A command, what it gets to read, the settings that differ, and the exit codes that are right."""

    arguments: tuple[str, ...]
    expect: tuple[int, ...] = (0,)
    given: str = ""
    settings: dict[str, str] = field(default_factory=dict)


@dataclass
class Installation:
    """A data folder with all its settings, and everything that its commands have said."""

    folder: Path
    variables: dict[str, str]
    channels: list[dict[str, str]]
    said: dict[str, bytes] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of its commands."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("NEOTORCH_", "PREFECT_"))}
        return clean | self.variables | more

    def run(self, *jobs: Job) -> None:
        """Run commands of neotorch, all in one process (importing takes longer than they do), and keep what they say."""
        todo = [{"arguments": j.arguments, "given": j.given, "settings": j.settings} for j in jobs]
        done = subprocess.run(
            [sys.executable, "-m", "tests.crash.commands"], env=self.environment(PYTHONPATH=str(Path.cwd())), cwd=self.folder,
            input=json.dumps(todo).encode(), capture_output=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        self.said[f"stderr of batch {len(self.said)}"] = done.stderr
        for job, (code, said) in zip(jobs, json.loads(done.stdout), strict=True):
            name = f"{' '.join(job.arguments)} #{len(self.said)}"
            self.said[name] = said.encode()
            assert code in job.expect, (name, code, said[-3000:])

    def engine(self) -> Engine:
        """An engine on its log."""
        database = self.variables["NEOTORCH_DATABASE_URL"]
        channels = [ChannelSettings.model_validate(c) for c in self.channels]
        return Engine.open(Settings(data_dir=self.data, database_url=database, channels=channels, quiet_hours=False))


def careless_facts(today: Any) -> list[ev.AnyFact]:
    """Two histories in which identifiers stand in every free text: reasons, answers, questions, items."""
    first, now = today - 200 * DAY, datetime.now(UTC).isoformat()
    not_done = {"ANC": {"status": "not_done", "reason": f"refused by {CARELESS}"}}
    operation = surgery(first + 160 * DAY, OTHER)
    treated = course(6, first, OTHER)
    moved = next(f for f in treated if f.id == f"{OTHER}.C6D1")
    said = {"reason": f"told by {CARELESS}", "actor": "crc01"}
    return [
        consent(today - 15 * DAY, PATIENT),
        *forms("SCR", today - 9 * DAY, PATIENT, without=["CBC.ANC"]),
        fact("form_received", today - 9 * DAY, PATIENT, visit="SCR", form="CBC", id="cbc-2", items=not_done, **said),
        fact("visit_held", today - 9 * DAY, PATIENT, visit="SCR", **said),
        fact("adverse_event", today, PATIENT, term="COLITIS", grade=3, serious=True, aware=now, **said),
        fact("query_opened", today, PATIENT, query=f"{PATIENT}/monitor/1", visit="SCR", items=["ANC"], text=f"Is {CARELESS} the same?"),
        fact("query_answered", today, PATIENT, query=f"{PATIENT}/monitor/1", answer=f"yes, {CARELESS}", **said),
        *screened(first, OTHER), *treated, operation,
        moved.model_copy(update={"id": f"{OTHER}.C6D1.2", "corrects": moved.id, **said}),
        pathology(today - 30 * DAY, OTHER, **said),
        fact("contact", today - 3 * DAY, OTHER, id="contact-1", **said),
        fact("retraction", today - 2 * DAY, OTHER, id="r1", retracts="contact-1", **said),
        fact("death", today, OTHER, cause="other", **said),
    ]  # fmt: skip


REFUSED_ROWS = (
    {"type": "contact", "subject": IDENTIFIERS["name"], "occurred": "2026-01-05"},
    {"type": "contact", "subject": PATIENT, "occurred": "2026-01-05", "patient_name": IDENTIFIERS["name"]},
    {"type": "contact", "subject": PATIENT, "occurred": "2026-01-05", "actor": IDENTIFIERS["name in Chinese"]},
    {"type": "contact", "subject": PATIENT, "occurred": "2026-01-05", "id": f"x-{IDENTIFIERS['telephone']}"},
    {"type": "contact", "subject": PATIENT, "occurred": "2026-01-05", "id": f"x-{IDENTIFIERS['birth date']}"},
    {"type": "contact", "subject": PATIENT, "occurred": "2026-01-05", "by": IDENTIFIERS["identity card"]},
    {"type": IDENTIFIERS["name"], "subject": PATIENT, "occurred": "2026-01-05"},
)
"""Identifiers where none may be: each row is refused, and the refusal does not repeat them."""


def channels(web: WebReceiver, mail: MailReceiver) -> list[dict[str, str]]:
    """Two that work, and one for each way not to, each with its secret."""
    user = f"user:{SECRETS['password of a web receiver']}@127.0.0.1"
    sign_in = SECRETS["password of the mail server"].replace("#", "%23")
    token = SECRETS["token of a web receiver"]
    refused = f"mailto://user:{sign_in}@127.0.0.1:1?from=a@example.org&to=b@example.org"
    return [
        {"name": "web", "role": "investigator", "url": f"json://{user}:{web.port}/{token}?%2BX-Token={token}"},
        {"name": "mail", "role": "coordinator", "url": mail.url().replace("//", f"//user:{sign_in}@", 1)},
        {"name": "plain", "role": "coordinator", "url": mail.url()},
        {"name": "refused", "role": "operator", "url": refused},
        {"name": "bad", "role": "operator", "url": f"mailtox://user:{sign_in}@mail.example.org/{token}"},
    ]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Installation:
    """The installation after all of it: recorded, told, recalculated, reported, exported, faults provoked, ended."""
    folder = tmp_path_factory.mktemp("canary")
    database = f"postgresql://postgres:{SECRETS['password of the database']}@/{postgres_server.new_database()}?host={postgres_server.folder}"
    with WebReceiver() as web, MailReceiver() as mail:
        found = channels(web, mail)
        sign_in = f"admin:{SECRETS['password of the Prefect server']}"
        here = Installation(folder, {
            "NEOTORCH_DATA_DIR": str(folder / "data"), "NEOTORCH_DATABASE_URL": database, "NEOTORCH_PREFECT_PORT": "0",
            "NEOTORCH_CHANNELS": json.dumps(found), "NEOTORCH_QUIET_HOURS": "false", "NEOTORCH_LOG_LEVEL": "DEBUG",
            "NEOTORCH_METRICS_PORT": str(free_port()),
            "PREFECT_SERVER_API_AUTH_STRING": sign_in, "PREFECT_API_AUTH_STRING": sign_in,
        }, found)  # fmt: skip
        live(here)
        here.said["mails"] = "\n".join(f"{m.headers} {m.subject} {m.text} {m.html}" for m in mail.received).encode()
        # a password that the sender puts into the header for its receiver is where it belongs
        here.said["posts"] = "\n".join(f"{p.key} {p.body}" for p in web.received).encode()
        assert mail.received and web.received
    return here


def free_port() -> int:
    """A port that nobody has."""
    from neotorch.orchestration.server import choose_port

    return choose_port("127.0.0.1", 0)


def live(here: Installation) -> None:
    """Run the installation: as it should go, and then as it should not."""
    output = here.folder / "up.log"
    command = [sys.executable, "-c", "from neotorch.cli import main; main()", "up"]
    with output.open("wb") as file:
        up = subprocess.Popen(command, env=here.environment(), cwd=here.folder, stdout=file, stderr=file)
    try:
        until(
            lambda: b"neotorch is up" in output.read_bytes() or up.poll() is not None, "neotorch up", output.read_text
        )
        assert up.poll() is None, output.read_text()
        record(here)
        settled(here)
        look(here)
    finally:
        up.terminate()
        up.wait(150)
    go_wrong(here)


def record(here: Installation) -> None:
    """Facts with identifiers, and rows that are refused."""
    engine = here.engine()
    lines = "\n".join(json.dumps(f.body, ensure_ascii=False) for f in careless_facts(engine.today()))
    refused = [json.dumps(row, ensure_ascii=False) for row in REFUSED_ROWS]
    here.run(
        Job(("record", "-"), given=lines),
        *(Job(("record", "-"), (1, 2), row) for row in refused),
        Job(("record", "--json", "-"), (1, 2), "\n".join(refused)),
        Job(("waive", PATIENT, "C1D1", "--reason", f"moved house, {CARELESS}"), (0, 1, 2)),
    )


def settled(here: Installation) -> None:
    """Wait until all notices went out or failed, and the endpoints were recalculated."""
    engine = here.engine()

    def done() -> bool:
        plans = [engine.plan(s) for s in engine.subjects()]
        seen = all(engine.log.journey_seen(s)[1] >= engine.position(engine.state(s)) for s in engine.subjects())
        told = {r.event.type for r in engine.log.read()}
        return seen and not any(p.steps for p in plans) and {"endpoints_recalculated", "notice_failed"} <= told

    until(done, "all to be told", lambda: [s.name for p in map(engine.plan, engine.subjects()) for s in p.steps])
    time.sleep(3)  # the server writes its events in batches


def look(here: Installation) -> None:
    """Everything that can be looked at."""
    engine = here.engine()
    watch = presence.running(here.data)
    assert watch and watch.watch
    for page in ("metrics", "ready", "health"):
        with urllib.request.urlopen(f"{watch.watch}/{page}", timeout=30) as answer:
            here.said[page] = answer.read()
    assert b"neotorch_effects_total" in here.said["metrics"]
    commands = (
        ("worklist",), ("worklist", "--json"), ("queries",), ("patient", PATIENT), ("patient", OTHER), ("endpoints",),
        ("verify", "--json"), ("export", "report", "--out", "report"), ("export", "adam", "--out", "adam"),
        ("explain", f"{OTHER}/pcr"), ("explain", f"{OTHER}/efs"), ("explain", f"{PATIENT}/SCR"), ("doctor", "--json"),
    )  # fmt: skip
    here.run(*(Job(c, (0, 1)) for c in commands))
    failed = [r.event for r in engine.log.read() if isinstance(r.event, ev.NoticeFailed)]
    assert {e.channel for e in failed} >= {"mail"}
    here.said["effects"] = json.dumps(
        [r.event.body for r in engine.log.read() if isinstance(r.event, ev.Effect)]
    ).encode()


def go_wrong(here: Installation) -> None:
    """Faults of settings, of the database and of the server, each told in the program's own words."""
    database, secret = here.variables["NEOTORCH_DATABASE_URL"], SECRETS["password of the database"]
    urls = (
        f"postgresql://postgres:{secret}@127.0.0.1:1/none", f"mysql://postgres:{secret}@127.0.0.1/none",
        f"postgres:{secret}@127.0.0.1/none", f"postgresql://postgres:{secret}@127.0.0.1:x/none",
        re.sub(r"/t[0-9a-f]{16}", "/nothing-here", database),
    )  # fmt: skip
    text, name = json.dumps(here.channels), '"name": "web"'
    broken = (
        text[:-9],
        text.replace('"role"', '"rolle"'),
        text.replace(name, '"name": "w e b"'),
        text.replace(name, '"name": ["web"]'),
    )
    here.run(
        *(Job(("worklist",), (2,), settings={"NEOTORCH_DATABASE_URL": url}) for url in urls),
        *(Job(("doctor",), (2,), settings={"NEOTORCH_CHANNELS": channels}) for channels in broken),
        Job(("up",), (2,), settings={"NEOTORCH_DATABASE_URL": urls[0], "NEOTORCH_METRICS_PORT": "0"}),
    )
    (here.folder / "neotorch.toml").write_text(
        f'[[channels]]\nurl = "json://u:{SECRETS["password of a web receiver"]}@h"\nrole'
    )
    here.run(Job(("worklist",), (2,)))
    (here.folder / "neotorch.toml").unlink()
    settings = here.engine().settings
    here.said["repr"] = f"{settings!r} {settings} {settings.channels!r}".encode()


def test_no_secret_gets_out(lived: Installation) -> None:
    """No password or token of any setting stands in any file, log line, answer, notice, error, or repr."""
    search = Search()
    search.files(SECRETS, lived.folder)
    for name, said in lived.said.items():
        search.through(SECRETS, name, said)
    proofs.count(
        "no secret gets out", search.places, len(search.found), megabytes=search.size >> 20, secrets=len(SECRETS)
    )
    assert not search.found, "\n".join(search.found)


def test_no_identifier_gets_out(lived: Installation) -> None:
    """What a careless person wrote into the texts of events stays in the log: in no notice, name, artifact, report or export."""
    search = Search()
    search.files(IDENTIFIERS, lived.folder)
    for name, said in lived.said.items():
        search.through(IDENTIFIERS, name, said)
    engine = lived.engine()
    kept = json.dumps([r.event.body for r in engine.log.read()], ensure_ascii=False)
    assert all(words in kept for words in IDENTIFIERS.values()), "they were recorded, or nothing is shown here"
    proofs.count(
        "no identifier gets out",
        search.places,
        len(search.found),
        megabytes=search.size >> 20,
        identifiers=len(IDENTIFIERS),
    )
    assert not search.found, "\n".join(search.found)


def test_the_search_finds_what_is_there(lived: Installation) -> None:
    """The patient's code, which may stand in all of these, is found in each: what is said not to be there was looked for."""
    search, needle = Search(), {"code": OTHER}
    search.files(needle, lived.folder)
    for name, said in lived.said.items():
        search.through(needle, name, said)
    found = "\n".join(search.found)
    for place in (
        "prefect.db", "up.log", "report.html", ".parquet (decoded)", "adsl", "in mails", "in posts", "in worklist",
    ):  # fmt: skip
        assert place in found, place
    assert list((lived.data / "outbox").glob("*.eml"))
    assert any(where.endswith("(text)") for where, _ in contents(lived.folder / "report" / "report.pdf"))
