"""Ask for known vulnerabilities of every package that the lock pins, by pip-audit.

python -m tools.audit     exit code 1 on a finding; 0 with one line where the tool or its data cannot be had
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOOL = "pip-audit==2.10.1"
COMMAND = ("-r", "requirements.lock", "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")
PATIENCE_SECONDS = 300
ACCEPTED: dict[str, str] = {}
"""Id of a finding -> why it does not concern us. Each needs a line in CHANGELOG.md."""


def ask() -> tuple[str, str]:
    """Return the report of pip-audit (empty if there is none) and why there is none, in a line."""
    uv = Path(sys.executable).with_name("uv")
    try:
        done = subprocess.run(
            [str(uv), "tool", "run", TOOL, *COMMAND],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", type(error).__name__
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return (done.stdout, "") if done.stdout.lstrip().startswith("{") else ("", last[:200])


def findings(report: str) -> Iterator[str]:
    """Yield a line for each vulnerability that nobody has accepted."""
    known: dict[str, Any] = json.loads(report)
    for package in known["dependencies"]:
        for one in package.get("vulns", ()):
            if not {one["id"], *one.get("aliases", ())} & set(ACCEPTED):
                fixed = ", ".join(one.get("fix_versions", ())) or "no version yet"
                yield f"{package['name']} {package['version']}: {one['id']}, mended in {fixed}"


def main() -> int:
    """Say what was found; 1 if anything was."""
    report, why = ask()
    if not report:
        print(f"not audited: {TOOL} or its data cannot be had here ({why})")
        return 0
    found = list(findings(report))
    print("\n".join(found) if found else f"{len(json.loads(report)['dependencies'])} packages, no known vulnerability")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
