"""What one event costs the trial's figures with 1,000, 10,000 and 100,000 patients, and what a whole night costs.

Patients are some hundred simulated ones copied under other subject codes. After an event only who changed is derived anew
(seconds of derivation grow with them); the whole answer is what the recalculation then does in memory: the figures, the
boundaries, the changes against the last result, the digest. The night derives everybody.

    python bench/recalculate.py [--patients 1000 10000 100000] [--changed 1 10]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Study
from neotorch.figures import names_to_compare
from neotorch.garbage import keep, little_garbage
from neotorch.rules.endpoints import Cohort, TrialResult, member, trial_result
from neotorch.rules.trial import diff_values
from neotorch.settings import Settings, load_study
from neotorch.simulation import simulate

MODELS = 200
CUT = date(2026, 6, 30)
GOAL_SECONDS, GOAL_RATIO = 2.0, 11.0
T = TypeVar("T")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[1, 10])
    args = parser.parse_args()
    study = load_study(Settings())
    models = simulated(study)
    trial_result([member(s, study, CUT) for s in models], study, CUT)  # what is loaded or worked out once
    print(f"{'patients':>10}{'changed':>10}{'derivation':>14}{'whole answer':>14}{'its CPU':>12}")
    nights: dict[int, tuple[float, float]] = {}
    for count in args.patients:
        busy = time.process_time()
        with little_garbage():  # as neotorch/figures.py has it
            trial, seconds = timed(lambda n=count: Trial(copies(models, n), study))
        nights[count] = (seconds, time.process_time() - busy)
        keep()
        for changed in args.changed:
            spent = trial.after_an_event(changed)
            print(f"{count:>10}{changed:>10}{spent.derivation:>12.4f} s{spent.whole:>12.3f} s{spent.cpu:>10.3f} s")
            if spent.whole > GOAL_SECONDS:
                print(f"{'':>10}goal missed: {GOAL_SECONDS:g} s")
        del trial
    print(f"{'patients':>10}{'night: everybody derived':>38}{'its CPU':>12}")
    for count, (seconds, cpu) in nights.items():
        ratio = f"{cpu / nights[count // 10][1]:>8.1f} x" if count // 10 in nights else ""
        print(f"{count:>10}{seconds:>36.1f} s{cpu:>10.1f} s{ratio}")


@dataclass(frozen=True)
class Spent:
    """Seconds after one event."""

    derivation: float
    whole: float
    cpu: float
    """Of the whole; where it is far less than `whole`, others had the machine."""


class Trial:
    """The figures of many patients, kept as one process keeps them."""

    def __init__(self, states: dict[str, PatientState], study: Study) -> None:
        """Derive everybody once."""
        self.states, self.study, self.cohort = states, study, Cohort(study)
        self.cohort.refresh(states, CUT, states.__getitem__)
        self.values = trial_result(self.cohort.members.values(), study, CUT).values()

    def after_an_event(self, changed: int) -> Spent:
        """Do what a recalculation does in memory after events of so many patients."""
        subjects = list(self.states)[:: max(1, len(self.states) // changed)][:changed]
        for subject in subjects:
            state = self.states[subject]
            self.states[subject] = replace(state, memo={}, kept={})  # nothing kept from before
        began, busy = time.perf_counter(), time.process_time()
        derived, derivation = timed(lambda: self.cohort.refresh(subjects, CUT, self.states.__getitem__))
        result = trial_result(self.cohort.members.values(), self.study, CUT)
        self._answer(result, derived)
        return Spent(derivation, time.perf_counter() - began, time.process_time() - busy)

    def _answer(self, result: TrialResult, derived: set[str]) -> None:
        new = result.values()
        names = names_to_compare(result, self.values, derived)
        diff_values({n: self.values[n] for n in names if n in self.values}, {n: new[n] for n in names if n in new})
        ev.digest_of(new)


def simulated(study: Study) -> list[PatientState]:
    """Some hundred patients at all stages."""
    rows: dict[str, list[ev.Recorded]] = {}
    for n, draft in enumerate(simulate(study, patients=MODELS, seed=7, until=CUT, months_back=60), 1):
        row = ev.Recorded.model_construct(seq=n, recorded_at=draft.known_at, event=draft.fact, prev_hash="", hash="")
        rows.setdefault(draft.fact.subject, []).append(row)
    return [fold(told, subject) for subject, told in rows.items()]


def copies(models: list[PatientState], count: int) -> dict[str, PatientState]:
    """So many patients under codes of their own; their facts are those of the models."""
    return {
        f"NT-{n:06d}": replace(models[n % len(models)], subject=f"NT-{n:06d}", memo={}, kept={})
        for n in range(1, count + 1)
    }


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what `work` gives and the seconds it took."""
    began = time.perf_counter()
    found = work()
    return found, time.perf_counter() - began


if __name__ == "__main__":
    main()
