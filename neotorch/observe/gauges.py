"""The metrics that are worked out when they are asked for: from the log, the dispatcher, and the notes of last successes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from neotorch import __version__
from neotorch.observe import marks
from neotorch.observe.metrics import REGISTRY
from neotorch.observe.tally import Stuck, Tally


@dataclass(frozen=True)
class Load:
    """What this process has before it."""

    behind: int = 0
    """Journeys whose news they have yet to see."""
    longest_seconds: float = 0.0
    """How long the one of them that waits longest has been waiting."""
    queued: int = 0
    """Wakes that wait for a lane."""
    awake: int = 0


@dataclass(frozen=True)
class Figures:
    """Everything that one scrape shows. `tally` None: the log could not be read."""

    now: datetime
    data_dir: Path
    ready: bool
    patients: int = 0
    tally: Tally | None = None
    stuck: list[Stuck] = field(default_factory=list)
    load: Load = Load()


class Gauges(Collector):
    """Turns figures into metrics."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics that are worked out."""
        found = self._figures()
        info = GaugeMetricFamily("neotorch_build_info", "Version of neotorch", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield _gauge("neotorch_ready", "1 if /ready says so", float(found.ready))
        yield _gauge("neotorch_log_readable", "1 if the event log could be read", float(found.tally is not None))
        if found.tally is not None:
            yield from _of_log(found, found.tally)
        yield from _of_load(found.load)
        yield _successes(found.data_dir)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)


def _of_log(found: Figures, tally: Tally) -> Iterator[Metric]:
    yield _gauge("neotorch_log_position", "Newest position of the event log", tally.position)
    yield _gauge("neotorch_patients", "Patients in the log", found.patients)
    if tally.newest:
        yield _gauge("neotorch_log_head_time_seconds", "When the newest event was recorded", tally.newest.timestamp())
        age = (found.now - tally.newest).total_seconds()
        yield _gauge("neotorch_log_head_age_seconds", "Age of the newest event; negative: the clock was set back", age)
    counts = (
        ("neotorch_events", "Events in the log, by type", ["type"], {(k,): v for k, v in tally.events.items()}),
        ("neotorch_effects", "Effects in the log, by kind and result", ["kind", "result"], tally.effects),
        ("neotorch_notices", "Attempts to send, by channel and result", ["channel", "result"], tally.notices),
        ("neotorch_incidents", "Incidents, by kind", ["kind"], {(k,): v for k, v in tally.incidents.items()}),
    )
    for name, words, labels, values in counts:
        family = CounterMetricFamily(name, words, labels=labels)
        for key, value in sorted(values.items()):
            family.add_metric(key, value)
        yield family
    waiting = [s for s in found.stuck if not s.given_up]
    oldest = (found.now - waiting[0].since).total_seconds() if waiting else 0.0
    yield _gauge("neotorch_notices_unsent", "Copies tried, not gone out, and to be tried again", len(waiting))
    words = "Since when the oldest of them has been due"
    yield _gauge("neotorch_oldest_unsent_notice_age_seconds", words, max(oldest, 0.0))
    given_up = len(found.stuck) - len(waiting)
    yield _gauge("neotorch_notices_undelivered", "Copies that only a person can see to (on the worklist)", given_up)


def _of_load(load: Load) -> Iterator[Metric]:
    yield _gauge("neotorch_journeys_behind", "Journeys whose news they have yet to see", load.behind)
    yield _gauge(
        "neotorch_journeys_behind_longest_seconds", "How long the longest has been waiting", load.longest_seconds
    )
    yield _gauge("neotorch_wakes_queued", "Wakes that wait for a lane of this worker", load.queued)
    yield _gauge("neotorch_runs_awake", "Flow runs awake in this worker", load.awake)


def _successes(data_dir: Path) -> Metric:
    family = GaugeMetricFamily(
        "neotorch_last_success_time_seconds", "When it last succeeded; absent: never", labels=["what"]
    )
    for what in marks.KNOWN:
        if at := marks.last(data_dir, what):
            family.add_metric([what], at.timestamp())
    return family


def page(figures: Callable[[], Figures]) -> Callable[[], bytes]:
    """Return what makes the page of /metrics."""
    derived = CollectorRegistry()
    derived.register(Gauges(figures))
    return lambda: generate_latest(REGISTRY) + generate_latest(derived)
