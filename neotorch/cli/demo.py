"""`neotorch demo`: a whole trial rehearsed on a virtual clock, then live on the real parts."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.types import NonNegativeInt, PositiveInt

from neotorch.cli.endpoints import show
from neotorch.cli.output import out
from neotorch.cli.up import Bars, steps
from neotorch.domain.errors import BadInput
from neotorch.engine import Engine
from neotorch.receivers import MailReceiver, WebReceiver
from neotorch.settings import Settings, load_settings, load_study

if TYPE_CHECKING:
    from neotorch.orchestration.up import Running

MARKER = "this-folder-is-made-by-neotorch-demo"


def demo(
    *,
    exit: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002 - the option's name
    seed: NonNegativeInt = 1,
    patients: PositiveInt = 60,
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
    folder = data_dir.expanduser().absolute()
    _fresh(folder)
    with MailReceiver() as mail, WebReceiver() as web:
        settings = _settings(folder, mail, web, port)
        for name in [n for n in os.environ if n.startswith(("NEOTORCH_", "PREFECT_"))]:
            del os.environ[name]  # a demo touches nobody's real server, log or channels
        with steps() as progress:
            bars = Bars(progress)
            engine = _rehearse(settings, seed, patients, bars)
            out.print(
                f"Rehearsed {patients} patients: {engine.head()} events in the log, "
                f"{len(engine.worklist())} lines on today's worklist.", highlight=False,
            )  # fmt: skip
            engine.log.close()
            asyncio.run(_live(settings, bars, mail, web, began=began, leave=exit))
    return 0


def _fresh(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            todo = "Name another folder with --data-dir."
            raise BadInput("is there already and was not made by a demo", str(folder), todo)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()


def _settings(folder: Path, mail: MailReceiver, web: WebReceiver, port: int) -> Settings:
    def channel(name: str, role: str, url: str, language: str) -> dict[str, str]:
        return {"name": name, "role": role, "url": url, "language": language}

    return load_settings(
        data_dir=folder,
        prefect_port=port,
        channels=[
            channel("coordinator-mail", "coordinator", mail.url("coordinator@example.org"), "zh"),
            channel("investigator-mail", "investigator", mail.url("investigator@example.org"), "en"),
            channel("statistician-mail", "statistician", mail.url("statistician@example.org"), "en"),
            channel("operator-web", "operator", web.url("/operators"), "en"),
        ],
    )


def _rehearse(settings: Settings, seed: int, patients: int, bars: Bars) -> Engine:
    from neotorch.engine import utc_now
    from neotorch.rehearsal import rehearse
    from neotorch.simulation import simulate

    study, now = load_study(settings), utc_now()
    dated = simulate(study, patients=patients, seed=seed, until=(now - timedelta(days=1)).date())
    return rehearse(settings, dated, now, progress=lambda done, total: bars("rehearsal", done, total))


async def _live(
    settings: Settings, bars: Bars, mail: MailReceiver, web: WebReceiver, *, began: float, leave: bool
) -> None:
    from neotorch.cli.acts import play
    from neotorch.orchestration.up import up

    stop = asyncio.Event()

    async def ready(running: Running) -> None:
        bars.stop()
        out.print(f"Prefect is up: {running.ui}  ({running.reconciled})", highlight=False)
        out.print(f"Ready after {time.monotonic() - began:.0f} s.", style="bold", highlight=False)
        engine = Engine.open(settings)
        await asyncio.to_thread(play, engine, mail, web)
        show(engine.endpoints(), engine)
        _addresses(running, settings, mail, web)
        if leave:
            stop.set()
        else:
            out.print("Runs on until Ctrl-C.", style="bold")

    await up(settings, on_ready=ready, on_progress=bars, stop=stop)


def _addresses(running: Running, settings: Settings, mail: MailReceiver, web: WebReceiver) -> None:
    rows: list[tuple[str, Any]] = [
        ("Prefect UI", running.ui),
        ("journeys asleep", f"{running.ui}/deployments, then patient-journey, then Upcoming"),
        ("received", f"{len(mail.received)} mails, {len(web.received)} web notices"),
        ("worklist", f"NEOTORCH_DATA_DIR={settings.data_dir} neotorch worklist"),
        ("one patient", f"NEOTORCH_DATA_DIR={settings.data_dir} neotorch patient NT-001"),
    ]
    for what, where in rows:
        out.print(f"  {what:<16} {where}", highlight=False, soft_wrap=True)
