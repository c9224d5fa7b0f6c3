"""How long a trial of 300 patients at four sites over five years takes to be rehearsed, and how that grows.

python bench/rehearsal.py [--patients 300] [--processes N]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import yaml

from neotorch.domain import events as ev
from neotorch.rehearsal import rehearse
from neotorch.settings import Settings, load_study
from neotorch.simulation import simulate
from neotorch.simulation.sites import with_sites

UNTIL, NOW = date(2026, 11, 22), datetime(2026, 11, 23, 1, tzinfo=UTC)
MONTHS = 60
SITES = 4


@dataclass(frozen=True)
class Measured:
    """One rehearsal. Seconds of the clock, and of all processes together."""

    patients: int
    wall: float
    cpu: float
    rows: int
    notices: int
    head: str

    def __str__(self) -> str:
        return (
            f"{self.patients} patients, {SITES} sites, {MONTHS} months: {self.wall:.1f} s ({self.cpu:.1f} s of CPU), "
            f"{self.rows} events, {self.notices} notices, head {self.head[:16]}"
        )


def measure(patients: int, processes: int | None) -> Measured:
    """Rehearse so many patients in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data", study_file=four_sites(Path(folder)))
        dated = simulate(load_study(settings), patients=patients, seed=1, until=UNTIL, months_back=MONTHS)
        began, spent = time.perf_counter(), cpu()
        engine = rehearse(settings, dated, NOW, processes=processes)
        wall, used = time.perf_counter() - began, cpu() - spent
        sent = sum(isinstance(r.event, ev.NoticeSent) for r in engine.log.read())
        head = engine.log.head()
        return Measured(patients, wall, used, head.seq, sent, head.hash)


def four_sites(folder: Path) -> Path:
    """The study file with its site four times."""
    file = folder / "study.yaml"
    body = with_sites(load_study(Settings()), SITES).definition
    file.write_text(yaml.safe_dump(body, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


def cpu() -> float:
    """Seconds of CPU of this process and of those that it has started."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


def main() -> None:
    """Measure a quarter and the whole."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--processes", type=int, default=None)
    asked = parser.parse_args()
    print(
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; goal: 300 patients in under 60 s on two quiet cores"
    )
    part = measure(asked.patients // 4, asked.processes)
    print(part)
    whole = measure(asked.patients, asked.processes)
    print(whole)
    print(f"four times the patients take {whole.cpu / part.cpu:.1f} times the CPU")


if __name__ == "__main__":
    main()
