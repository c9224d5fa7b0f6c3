"""How the promises of docs/promises.md are counted: short rounds in CI, long ones in `make prove`, and what came of them.

A test asks how many rounds it is to go, and says at its end how many it went and how many failed. What was counted stands
below the results of the run; with NEOTORCH_PROOFS naming a file, also there, one line of JSON each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

LONG = os.environ.get("NEOTORCH_PROVE", "") not in {"", "0"}
"""Whether this is `make prove`; read once, as a test knows no settings but its own."""
FILE = os.environ.get("NEOTORCH_PROOFS", "")

counted: list[str] = []
"""What this run has counted, a line each."""


def rounds(short: int, long: int) -> int:
    """How many rounds a test is to go."""
    return long if LONG else short


def count(promise: str, trials: int, failures: int = 0, **figures: Any) -> None:
    """Note what was shown: `promise` names its row in docs/promises.md, `trials` how often it was put to the test."""
    more = "".join(f", {name.replace('_', ' ')} {value}" for name, value in figures.items())
    counted.append(f"{promise}: {trials} trials, {failures} failures{more}")
    if FILE:
        line = {"promise": promise, "trials": trials, "failures": failures, "figures": figures}
        with Path(FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")
