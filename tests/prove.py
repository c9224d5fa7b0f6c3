"""`make prove`: the long forms of all tests that count a promise, and docs/promises.md with what they counted.

python -m tests.prove [--short] [NAME ...]     all promises of tests/promises.yaml, or those named; only all of them write the page
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from tests.seeds.prove import SHORT

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "promises.md"


@dataclass(frozen=True)
class Promise:
    """One promise, as tests/promises.yaml has it."""

    name: str
    about: str
    promise: str
    trial: str
    """What one trial is."""
    test: str
    """File, or file::test, under tests/."""


def promises() -> list[Promise]:
    """All promises in the order of the page."""
    found = yaml.safe_load((ROOT / "tests" / "promises.yaml").read_text(encoding="utf-8"))
    return [Promise(about=about, **one) for about, several in found.items() for one in several]


@dataclass(frozen=True)
class Counted:
    """What the trials of one promise came to."""

    trials: int
    failures: int
    figures: Mapping[str, Any]

    @property
    def bound(self) -> str:
        """The share of failures that would, at 95 %, have shown itself: 1 - 0.05^(1/n) for none among n, about 3/n."""
        if self.failures or not self.trials:
            return "-"
        return f"{1 - 0.05 ** (1 / self.trials):.2g}"


def read(file: Path) -> dict[str, Counted]:
    """What was counted, by promise; a promise that several tests count is added up."""
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        lines[one["promise"]].append(one)
    return {name: _sum(several) for name, several in lines.items()}


def _sum(several: Sequence[dict[str, Any]]) -> Counted:
    figures: dict[str, Any] = {}
    for one in several:
        for name, value in one["figures"].items():
            known = figures.get(name)
            adds = isinstance(value, int | float) and isinstance(known, int | float)
            figures[name] = known + value if adds else value
    return Counted(sum(o["trials"] for o in several), sum(o["failures"] for o in several), figures)


def page(
    asked: Iterable[Promise], found: Mapping[str, Counted], took_seconds: float, form: str = "long"
) -> Iterator[str]:
    """Yield docs/promises.md, line by line; `form`: whether the long or the short forms were run."""
    yield "# Promises"
    yield ""
    yield "What the engine promises, how often that was put to the test, and what came of it. Written by `make prove`, which"
    yield "runs the long form of every test named here; `make test` runs the short forms and prints their counts."
    yield ""
    yield "No number of clean trials proves that nothing can go wrong. After *n* of them a failure rate above about 3/*n* would"
    yield "have shown itself with 95 % probability: that bound stands in the fourth column. It holds for faults of the kind that"
    yield "the trials provoke, on the machine below, and for nothing else."
    yield ""
    when = f"{datetime.now(UTC):%Y-%m-%d}, {took_seconds / 60:.0f} min; {machine()}"
    yield f"Below are the **{form}** forms, of {when}."
    for about, several in groupby(asked, key=lambda p: p.about):
        yield f"\n## {about}\n\n| promise | trials | failed | rate below | counted | test |\n| --- | ---: | ---: | ---: | --- | --- |"
        for one in several:
            got = found.get(one.name, Counted(0, 0, {}))
            figures = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in got.figures.items())
            file, _, name = one.test.partition("::")
            test = f"[{name}](../tests/{file}#{name})" if name else f"`tests/{file}`"
            yield (
                f"| {one.promise} | {got.trials:,} ({one.trial}) | {got.failures} | {got.bound} | {figures or '-'} | {test} |"
            )


def machine() -> str:
    """Where this runs."""
    cores = os.cpu_count()
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{cores} cores, {platform.machine()}, {platform.system()} {platform.release()}, {python}"


def main() -> int:
    """Run, print what was counted, write the page; 1 if any test failed or a promise was not counted."""
    form = "short" if "--short" in sys.argv else "long"
    names = {name for name in sys.argv[1:] if name != "--short"}
    known = promises()
    if unknown := names - {p.name for p in known}:
        print(f"no such promise: {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in known)}")  # noqa: T201
        return 2
    asked = [p for p in known if not names or p.name in names]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="neotorch-prove-") as folder:
        counts = Path(folder) / "counts.jsonl"
        counts.touch()
        failed = _run(asked, counts, form)
        found = read(counts)
    missing = [p.name for p in asked if p.name not in found]
    for one in asked:
        if got := found.get(one.name):
            print(f"{one.name}: {got.trials} trials, {got.failures} failures, rate below {got.bound}")  # noqa: T201
    if missing:
        print(f"not counted: {', '.join(missing)}")  # noqa: T201
    if not names and not missing:
        PAGE.write_text("\n".join(page(asked, found, time.monotonic() - begun, form)) + "\n", encoding="utf-8")
    return 1 if failed or missing or any(c.failures for c in found.values()) else 0


def _run(asked: Sequence[Promise], counts: Path, form: str) -> bool:
    """Run the tests; whether any failed. The trials from seeds use all cores, so they come by themselves."""
    settings = {**os.environ, "NEOTORCH_PROVE": "1" if form == "long" else "", "NEOTORCH_PROOFS": str(counts)}
    if form == "short":
        settings.setdefault("NEOTORCH_SEEDS", str(SHORT))
    tests = list(dict.fromkeys(f"tests/{p.test}" for p in asked))
    seeds = [t for t in tests if t.startswith("tests/seeds/prove.py")]
    failed = False
    if seeds:
        failed |= bool(
            subprocess.run([sys.executable, "-m", "tests.seeds.prove"], cwd=ROOT, env=settings, check=False).returncode
        )
    if others := [t for t in tests if t not in seeds]:
        command = [sys.executable, "-m", "pytest", *others]
        failed |= bool(subprocess.run(command, cwd=ROOT, env=settings, check=False).returncode)
    return failed


if __name__ == "__main__":
    sys.exit(main())
