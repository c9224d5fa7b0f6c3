"""Write requirements.lock: every package the project and its tests need, by hash, for Python 3.11 to 3.13.

python tools/lock.py [--upgrade] [--upgrade-package NAME]     keeps what is pinned already unless told otherwise
python tools/lock.py --check                                  only checks the file for what must not be in it
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
COMPILE = (
    *("uv", "pip", "compile", "pyproject.toml", "--extra", "dev", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--quiet", "-o", LOCK.name),
)
FOREIGN = re.compile(r"://|^\s*-|^\s*#.*\s/|@\s*(file|/|\.)", re.MULTILINE)
"""An address, an option line, a path: the lock has to mean the same on every machine."""


def problems(text: str) -> list[str]:
    """What must not stand in a lock, as `line: text`; and whether the build tool is pinned at all."""
    lines = text.splitlines()
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(lines, 1)
        if FOREIGN.search(line) and not line.strip().startswith("--hash=sha256:")
    ]
    if not any(line.startswith("setuptools==") for line in lines):
        found.append("setuptools is missing: the project itself could not be built without a download")
    return found


def main(arguments: list[str]) -> int:
    """Compile unless asked to check only; 0 when the file is fit to be committed."""
    if arguments != ["--check"]:
        command = [Path(sys.executable).with_name("uv"), *COMPILE[1:], *arguments]
        subprocess.run(command, cwd=ROOT, check=True)
    found = problems(LOCK.read_text("utf-8"))
    for problem in found:
        print(f"requirements.lock {problem}", file=sys.stderr)
    print(f"requirements.lock: {LOCK.read_text('utf-8').count('==')} pins")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
