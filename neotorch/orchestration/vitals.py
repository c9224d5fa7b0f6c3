"""The signs of health and the figures of a running `neotorch up`. Looks on from threads of its own, and imports no Prefect."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neotorch.domain.errors import NeotorchError
from neotorch.engine import Engine, current_engine
from neotorch.observe.gauges import Figures, Load, page
from neotorch.observe.health import Cached, Sign
from neotorch.observe.tally import Stuck, Tally, stuck
from neotorch.orchestration.server import healthy
from neotorch.settings import Settings

if TYPE_CHECKING:
    from neotorch.orchestration.hands import Hands

SIGNS_SECONDS, FIGURES_SECONDS = 3.0, 3.0
"""So long an answer stands, however often it is asked for."""
SILENT_SECONDS = 60.0
"""A dispatcher or worker that has not looked for so long does not follow."""
LAG_SECONDS = 900.0
"""A journey that has had news for so long is stuck. A busy night takes its time: hundreds of wakes go one by one."""
DISK_MIN_BYTES = 200 * 1024**2


class Vitals:
    """Knows what is up. `api` and `hands` are set once they are there."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.api = ""
        self.hands: Hands | None = None
        self.signs: Callable[[], list[Sign]] = Cached(lambda: list(self._signs()), SIGNS_SECONDS)
        self.figures: Callable[[], Figures] = Cached(self._figures, FIGURES_SECONDS)
        self.metrics = page(self.figures)
        self._tally = Tally()

    # ── signs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _signs(self) -> Iterator[Sign]:
        yield disk(self.settings)
        if not self.api or self.hands is None:
            yield Sign("start", False, "still starting", "wait; the first start migrates a database and takes a minute")
            return
        yield prefect(self.api)
        yield log_of(current_engine())
        yield from self._worker(self.hands)
        yield from self._dispatcher()

    def _worker(self, hands: Hands) -> Iterator[Sign]:
        worker = hands.worker
        if worker is None:
            if hands.worker_type == "neotorch":
                yield Sign("worker", False, "has not been set up", "see the log; if it stays so, restart neotorch up")
            return
        yield _follows("worker", worker.polled if worker.is_setup else None, "asked the Prefect server for due runs")

    def _dispatcher(self) -> Iterator[Sign]:
        from neotorch.orchestration.dispatcher import Dispatcher  # imports Prefect, which has been set up by now

        found = Dispatcher.current
        yield _follows("dispatcher", found.looked if found else None, "looked at the event log")
        if found:
            seconds, behind = found.longest_seconds, len(found.pending)
            words = f"{behind} journeys have news to see, the longest for {seconds:.0f} s" if behind else "none behind"
            todo = "look at the log for 'cannot wake' and at the failed runs; neotorch doctor names the patients"
            yield Sign("lag", seconds < LAG_SECONDS, words, "" if seconds < LAG_SECONDS else todo)

    # ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _figures(self) -> Figures:
        now, ready = datetime.now(UTC), all(s.ok for s in self.signs())
        if self.hands is None:
            return Figures(now, self.settings.data_dir, ready)
        from neotorch.orchestration.dispatcher import Dispatcher, ask_engine  # as above

        load = _load(self.hands, Dispatcher.current)
        try:
            found, patients = ask_engine(self._from_log)
        except (NeotorchError, TimeoutError):
            return Figures(now, self.settings.data_dir, ready, load=load)
        return Figures(now, self.settings.data_dir, ready, patients, self._tally, found, load)

    def _from_log(self) -> tuple[list[Stuck], int]:
        engine = current_engine()
        tally = self._tally.read(engine)
        return stuck(engine, tally), len(engine.subjects())


def disk(settings: Settings) -> Sign:
    """Whether there is room for more."""
    free = shutil.disk_usage(settings.data_dir).free
    todo = f"free at least {DISK_MIN_BYTES // 1024**2} MB on the disk of {settings.data_dir}"
    ok = free > DISK_MIN_BYTES
    return Sign("disk", ok, f"{free // 1024**2} MB free", "" if ok else todo)


def prefect(api: str) -> Sign:
    """Whether the Prefect server answers."""
    ok = healthy(api)
    todo = "see prefect/server.log in the data folder, or the server that PREFECT_API_URL names"
    return Sign("prefect", ok, f"{api} {'answers' if ok else 'does not answer'}", "" if ok else todo)


def log_of(engine: Engine) -> Sign:
    """Whether the event log can be read and written."""
    try:
        position = engine.head()
        engine.log.probe()
    except NeotorchError as error:
        return Sign("log", False, f"{error.where}: {error.what}", error.todo)
    return Sign("log", True, f"{position} events, readable and writable")


def _follows(name: str, when: float | None, what: str) -> Sign:
    if when is None:
        return Sign(name, False, f"has not yet {what}", "wait; if it stays so, see the log and restart neotorch up")
    ago = time.monotonic() - when
    ok = ago < SILENT_SECONDS
    todo = "see the log for why; restart neotorch up if it does not recover by itself"
    return Sign(name, ok, f"last {what} {ago:.0f} s ago", "" if ok else todo)


def _load(hands: Hands, dispatcher: object) -> Load:
    from neotorch.orchestration.dispatcher import Dispatcher

    worker = hands.worker
    behind, longest = (
        (len(dispatcher.pending), dispatcher.longest_seconds) if isinstance(dispatcher, Dispatcher) else (0, 0.0)
    )
    return Load(behind, longest, worker.queued if worker else 0, len(worker.awake) if worker else 0)
