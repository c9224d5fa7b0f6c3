"""Runs commands of neotorch one after another in this process: `python -m tests.crash.commands`, the list as JSON on stdin.

Answers with a list of [exit code, everything said] as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys

from neotorch.cli import main


def run(arguments: list[str], given: str, settings: dict[str, str]) -> tuple[int, str]:
    """Run one command; returns its exit code and what it wrote to stdout and stderr."""
    said, before = io.StringIO(), dict(os.environ)
    os.environ.update(settings)
    sys.argv, sys.stdin = ["neotorch", *arguments], io.TextIOWrapper(io.BytesIO(given.encode()))
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main()
    except SystemExit as ended:
        return int(ended.code or 0), said.getvalue()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return 0, said.getvalue()


if __name__ == "__main__":
    answer = [run(job["arguments"], job["given"], job["settings"]) for job in json.load(sys.stdin)]
    sys.stdout.write(json.dumps(answer))
