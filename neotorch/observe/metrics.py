"""What is counted in this process, for Prometheus. What the log can tell is not counted here but read from it (tally.py).

No label holds a subject code: a metric goes to more readers than the trial has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # else a series per series, which nobody asks for
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

WAKES = Counter("neotorch_wakes", "Wakes of journeys, by how they ended", ["result"], registry=REGISTRY)
WAKE_RESULTS = ("asleep", "ended", "retry")
"""Went to sleep; the patient's journey has ended; a step failed and is tried again."""

WAKE_SECONDS = Histogram(
    "neotorch_wake_seconds", "From the recording of an event to the end of the wake that dealt with it",
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800), registry=REGISTRY,
)  # fmt: skip

RUNS = Counter("neotorch_flow_runs", "Flow runs that this worker was to run", ["flow", "result"], registry=REGISTRY)
RUN_RESULTS = ("done", "refused", "failed", "cancelled")
"""Ran to its end or its next sleep; was not ours to start; raised an error; stopped by an operator."""

for _result in WAKE_RESULTS:
    WAKES.labels(_result)  # a series that is there from the start makes `increase()` right from the start


@contextmanager
def counted_run(flow: str) -> Iterator[list[str]]:
    """Count one flow run by the result that the caller leaves in the list; an exception counts as failed."""
    result = ["done"]
    try:
        yield result
    except Exception:
        result[0] = "failed"
        raise
    except BaseException:
        result[0] = "cancelled"
        raise
    finally:
        RUNS.labels(flow, result[0]).inc()
