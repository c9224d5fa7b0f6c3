"""`neotorch demo`: a whole trial rehearsed on a virtual clock, then live on the real parts."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.types import NonNegativeInt
from cyclopts.validators import Number

from neotorch.cli.endpoints import show
from neotorch.cli.inbox import Inbox
from neotorch.cli.output import out
from neotorch.cli.simulate import played_study
from neotorch.cli.up import Bars, steps
from neotorch.domain.calendar import local_date
from neotorch.domain.errors import BadInput
from neotorch.engine import Engine, utc_now
from neotorch.settings import Settings, load_settings, load_study

if TYPE_CHECKING:
    from neotorch.orchestration.up import Running

MARKER = "this-folder-is-made-by-neotorch-demo"
MOST = 500
"""Patients. Each adds about 0.6 s to the rehearsal and 0.2 s to the start."""


def demo(
    *,
    exit: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002 - the option's name
    seed: NonNegativeInt = 15,
    patients: Annotated[int, Parameter(validator=Number(gte=1, lte=MOST))] = 60,
    data_dir: Path = Path(".neotorch-demo"),
    port: int = 0,
) -> int:
    """Rehearse a whole trial: years on a virtual clock by the real engine, then live on Prefect with real notices.

    Parameters
    ----------
    exit: bool
        End after the live part; else it keeps running until Ctrl-C.
    seed: int
        Another number makes another trial.
    patients: int
        How many patients.
    data_dir: Path
        Where everything goes; wiped first if an earlier demo made it.
    port: int
        Port of the Prefect UI; 0: any free one.
    """
    began = time.monotonic()
    played_study()
    folder = data_dir.expanduser().resolve()
    with _fresh(folder), Inbox(folder / "inbox") as inbox:
        _alone(folder)
        settings = _settings(folder, inbox, port)
        with steps() as progress:
            bars = Bars(progress)
            _rehearse(settings, seed, patients, bars)
            asyncio.run(_live(settings, bars, inbox, began=began, leave=exit))
    return 0


@contextlib.contextmanager
def _fresh(folder: Path) -> Iterator[None]:
    """Empty the folder, if an earlier demo made it and has ended, and hold it while this one runs."""
    marker = folder / MARKER
    if folder.exists() and not (folder.is_dir() and (marker.exists() or not any(folder.iterdir()))):
        raise BadInput("is there already and was not made by a demo", str(folder), "Name another with --data-dir.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = marker.open("a")
    except OSError as error:
        todo = "Name another folder with --data-dir."
        raise BadInput(f"cannot be written ({error.strerror})", str(folder), todo) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            todo = "End that one, or name another folder with --data-dir."
            raise BadInput("a demo is running there", str(folder), todo) from None
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != marker:
                entry.unlink()
        yield


def _alone(folder: Path) -> None:
    """Leave the user's own configuration behind: a demo touches nobody's server, log or channels."""
    for name in [n for n in os.environ if n.startswith(("NEOTORCH_", "PREFECT_"))]:
        del os.environ[name]
    os.chdir(folder)  # where there is no neotorch.toml


def _settings(folder: Path, inbox: Inbox, port: int) -> Settings:
    def channel(name: str, role: str, url: str, language: str = "en") -> dict[str, str]:
        return {"name": name, "role": role, "url": url, "language": language}

    mail, web = inbox.mail, inbox.web
    return load_settings(
        data_dir=folder,
        prefect_port=port,
        metrics_port=None,  # beside a real installation it must not want its port
        quiet_hours=False,  # who looks on at night wants to see the notices too
        channels=[
            channel("coordinator-mail", "coordinator", mail.url("coordinator@example.org"), "zh"),
            channel("investigator-mail", "investigator", mail.url("investigator@example.org")),
            channel("investigator-web", "investigator", web.url("/investigators")),
            channel("statistician-mail", "statistician", mail.url("statistician@example.org")),
            channel("operator-web", "operator", web.url("/operators")),
        ],
    )


def _rehearse(settings: Settings, seed: int, patients: int, bars: Bars) -> None:
    from neotorch.domain.events import Fact
    from neotorch.rehearsal import rehearse
    from neotorch.simulation import STAGES, simulate
    from neotorch.simulation.stages import stage

    study, now = load_study(settings), utc_now()
    yesterday = local_date(now, study.sites[0].time_zone) - timedelta(days=1)
    bars("synthetic trial", 0, 1)
    dated = simulate(study, patients=patients, seed=seed, until=yesterday)
    bars("synthetic trial", 1, 1)
    engine = rehearse(settings, dated, now, progress=lambda done, total: bars("rehearsal", done, total))
    rows = engine.log.read()
    effects = Counter(r.event.type for r in rows if not isinstance(r.event, Fact))
    months = (now - rows[0].recorded_at).days / 30.4375
    out.print(
        f"Rehearsed {patients} patients over {months:.0f} months: {len(dated)} facts, "
        f"{effects['query_raised']} queries, {effects['notice_sent']} notices, "
        f"{effects['endpoints_recalculated']} changed results.", highlight=False,
    )  # fmt: skip
    stages = Counter(stage(engine.state(s), study, yesterday) for s in engine.subjects())
    out.print("Today " + ", ".join(f"{stages[s]} {s}" for s in STAGES if stages[s]) + ".", highlight=False)
    engine.log.close()


async def _live(settings: Settings, bars: Bars, inbox: Inbox, *, began: float, leave: bool) -> None:
    from neotorch.cli.live import play
    from neotorch.orchestration.up import up

    stop = asyncio.Event()

    async def ready(running: Running) -> None:
        bars.stop()
        out.print(f"Prefect is up: {running.ui}", highlight=False, soft_wrap=True)
        out.print(f"Ready after {time.monotonic() - began:.0f} s; journeys: {running.reconciled}.", highlight=False)
        out.print()
        engine = Engine.open(settings)
        await asyncio.to_thread(play, engine, inbox, stop.is_set)
        if stop.is_set():
            return
        show(engine.endpoints(), engine)
        _addresses(running, settings, inbox, engine)
        if leave:
            stop.set()
        else:
            out.print("Runs on until Ctrl-C.", style="bold")

    await up(settings, on_ready=ready, on_progress=bars, stop=stop)


def _addresses(running: Running, settings: Settings, inbox: Inbox, engine: Engine) -> None:
    lines, somebody = len(engine.worklist()), engine.subjects()[0]
    ask = f"NEOTORCH_DATA_DIR={settings.data_dir} neotorch"
    rows: list[tuple[str, Any]] = [
        ("Prefect UI", running.ui),
        ("journeys asleep", _upcoming(running)),
        (
            "inbox",
            f"{inbox.folder}: {_many(len(inbox.mail.received), 'mail')}, {_many(len(inbox.web.received), 'web notice')}",
        ),
        (f"worklist ({lines})", f"{ask} worklist"),
        ("one patient", f"{ask} patient {somebody}"),
        ("why", f"{ask} explain {somebody}/pcr"),
    ]
    out.print()
    for what, where in rows:
        out.print(f"  {what:<16} {where}", highlight=False, soft_wrap=True)


def _many(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _upcoming(running: Running) -> str:
    """Return the page on which Prefect lists the sleeping journeys."""
    ask = f"{running.api}/deployments/name/patient-journey/patient-journey"
    try:
        with urllib.request.urlopen(ask, timeout=5) as answer:  # noqa: S310 - the server that has just been started
            return f"{running.ui}/deployments/deployment/{json.load(answer)['id']}?tab=Upcoming"
    except (OSError, ValueError, KeyError):
        return f"{running.ui}/deployments, then patient-journey, then Upcoming"
