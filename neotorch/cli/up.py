"""`neotorch up`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from neotorch.cli.output import err, out
from neotorch.settings import load_settings, load_study

if TYPE_CHECKING:
    from neotorch.orchestration.up import Running


def up(*, worker: Literal["neotorch", "process"] = "neotorch", port: int | None = None) -> int:
    """Run for real: Prefect server, worker and dispatcher as one thing, until one Ctrl-C.

    Parameters
    ----------
    worker: Literal["neotorch", "process"]
        Run flows in this process (neotorch), or leave them to `prefect worker start --type process`.
    port: int
        Port of the Prefect server, in place of NEOTORCH_PREFECT_PORT; 0: any free one.
    """
    from neotorch.observe.logs import configure
    from neotorch.orchestration.up import up as run

    settings = load_settings() if port is None else load_settings(prefect_port=port)
    configure(settings.log_format, settings.log_level)
    load_study(settings)  # a bad study file is said before a server is started
    with steps() as progress:

        def ready(running: Running) -> None:
            progress.stop()
            out.print(f"neotorch is up on {settings.data_dir}", highlight=False)
            out.print(f"  Prefect UI  {running.ui}\n  journeys    {running.reconciled}", highlight=False)
            out.print(
                f"  health      {running.watch}/ready, {running.watch}/metrics"
                if running.watch
                else "  health      off"
            )
            out.print("  End it with Ctrl-C.")

        asyncio.run(run(settings, on_ready=ready, on_progress=Bars(progress), worker=worker))
    return 0


def steps() -> Progress:
    """Return the progress display of a start."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=err, transient=True)


class Bars:
    """One bar per step of a start, as it is told of."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, int] = {}

    def stop(self) -> None:
        """Take the bars off the screen."""
        self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how far `what` has come."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)  # type: ignore[arg-type]
