"""The estimate step: our Kaplan-Meier against lifelines' KaplanMeierFitter, as ratios of their times.

Both get the same patients in the same form and give the same things: survival with log-log limits at every time, the
median and its interval. The forms are whole days as lists (as the rules hand them over), the same as NumPy arrays, and
times with fractions, hardly two alike, as arrays. The two take turns (A B A B ...) in one run, because the processor of
a shared machine is not equally fast at all times; at the end their answers are compared.

    python bench/estimate.py [--patients 1000 10000 100000] [--rounds 15] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.utils import median_survival_times

from neotorch.domain.statistics import KaplanMeier, kaplan_meier

GOAL = 5
ROUNDING = 1e-9


@dataclass(frozen=True)
class Result:
    """Milliseconds per estimate, medians over the rounds; `ratio` is the median of each round's lifelines / ours."""

    patients: int
    form: str
    ours_ms: float
    lifelines_ms: float
    ratio: float
    ratios: list[float]


def ours(times: Any, events: Any) -> KaplanMeier:
    """The curve with its limits, and the median with its interval."""
    curve = kaplan_meier(times, events)
    _ = curve.median
    return curve


def theirs(times: Any, events: Any) -> KaplanMeierFitter:
    """The same from lifelines."""
    fitter = KaplanMeierFitter().fit(times, events)
    _ = fitter.median_survival_time_, median_survival_times(fitter.confidence_interval_)
    return fitter


def forms(patients: int) -> Iterator[tuple[str, Any, Any]]:
    """Follow-up of three years with three in ten events, in the forms it may come in."""
    random = np.random.default_rng(patients)
    event, censored = random.exponential(3000, patients), random.uniform(30, 1900, patients)
    times, happened = np.minimum(event, censored), event <= censored
    days = np.ceil(times)
    yield "days, lists", days.tolist(), happened.tolist()
    yield "days, arrays", days, happened
    yield "fractions, arrays", times, happened


def took(estimate: Callable[[Any, Any], object], times: Any, events: Any) -> float:
    """Milliseconds of one estimate."""
    start = time.perf_counter()
    estimate(times, events)
    return 1000 * (time.perf_counter() - start)


def compare(patients: int, form: str, times: Any, events: Any, rounds: int) -> Result:
    """Let both take turns; the first turn of each warms up and serves to compare the answers."""
    check(ours(times, events), theirs(times, events))
    pairs = [(took(ours, times, events), took(theirs, times, events)) for _ in range(rounds)]
    ratios = [round(other / own, 2) for own, other in pairs]
    own, other = (round(statistics.median(side), 3) for side in zip(*pairs, strict=True))
    return Result(patients, form, own, other, round(statistics.median(ratios), 2), ratios)


def check(curve: KaplanMeier, fitter: KaplanMeierFitter) -> None:
    """A fast answer that differs is no answer."""
    table = curve.columns
    inside = (table.survival > 0) & (table.survival < 1)
    at = table.time[inside]
    found = np.column_stack((table.survival, table.lower, table.upper))[inside]
    expected = np.column_stack((fitter.survival_function_at_times(at), fitter.confidence_interval_.loc[at]))
    if not np.allclose(found, expected, rtol=0, atol=ROUNDING):
        raise SystemExit("the estimates differ from those of lifelines")


def main() -> None:
    """Print one line per number of patients and form, and the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    results = []
    if not asked.json:
        print("Kaplan-Meier with log-log limits, median and its interval (milliseconds per estimate)")
    for patients in asked.patients:
        for form, times, events in forms(patients):
            result = compare(patients, form, times, events, asked.rounds)
            results.append(asdict(result))
            if not asked.json:
                print(
                    f"  {result.patients:7} patients, {result.form:18} ours {result.ours_ms:8.3f}   "
                    f"lifelines {result.lifelines_ms:8.3f}   {result.ratio:5.1f} times as fast "
                    f"(rounds {min(result.ratios):.1f} to {max(result.ratios):.1f}; goal at least {GOAL})",
                    flush=True,
                )
    if asked.json:
        print(json.dumps({"goal": GOAL, "results": results}))


if __name__ == "__main__":
    main()
