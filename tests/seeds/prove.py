"""The long form of tests/seeds: 200 trials, or as many as NEOTORCH_SEEDS says, each lived through and checked.

python -m tests.seeds.prove [FIRST_SEED]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests import proofs
from tests.seeds.invariants import Findings, check
from tests.seeds.life import Life, Lived
from tests.seeds.world import world

SHORT, LONG = 15, 200
"""Seeds in the test suite, and in the long form."""
WANTED = os.environ.get("NEOTORCH_SEEDS", "")
"""Read when this is imported: a test knows none of the settings it runs under."""
COUNTS = ("patients", "visits", "reminders", "notices", "queries", "deviations", "looks")


def wanted(default: int) -> int:
    """Return how many seeds are asked for."""
    if WANTED and not (WANTED.isdigit() and int(WANTED)):
        raise SystemExit(f"NEOTORCH_SEEDS is {WANTED!r}; give a number of seeds, 1 or more")
    return int(WANTED or default)


def live(seed: int, *, small: bool = False) -> Lived:
    """Live the world of a seed through."""
    with tempfile.TemporaryDirectory(prefix="neotorch-seeds-") as folder:
        return Life(world(seed, small=small), Path(folder)).live()


def checked(seed: int) -> Findings:
    """Live the whole world of a seed through, and check it."""
    return check(live(seed))


def _each(seeds: Sequence[int]) -> Iterator[tuple[int, Findings]]:
    """Yield what each seed came to, on all cores."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from zip(seeds, pool.map(checked, seeds), strict=True)


def main() -> int:
    """Live all seeds; print progress, figures and violations. Returns 1 if there are any."""
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    seeds = range(first, first + wanted(LONG))
    figures: Counter[str] = Counter()
    broken = 0
    begun = time.monotonic()
    for done, (seed, found) in enumerate(_each(seeds), 1):
        figures += found.figures
        broken += len(found.violations)
        for one in found.violations:
            print(f"seed {seed}: {one}", flush=True)
        if done % 10 == 0 or done == len(seeds):
            counted = ", ".join(f"{figures[c]} {c}" for c in COUNTS[:5])
            print(
                f"{done}/{len(seeds)} seeds, {time.monotonic() - begun:.0f} s: {counted}, {broken} violations",
                flush=True,
            )
    print()
    print(f"{len(seeds)} seeds, " + ", ".join(f"{figures[c]} {c}" for c in COUNTS) + f", {broken} violations")
    for name in sorted(figures.keys() - set(COUNTS)):
        print(f"  {name}: {figures[name]}")
    proofs.count("seeds", len(seeds), broken, **{name: figures[name] for name in COUNTS})
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
