"""Several processes on one log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from neotorch.store.log import EventLog
from tests.store.conftest import Open

ROOT = Path(__file__).parents[2]


def start(job: str, url: str, head_file: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Start a writer and wait until it stands at the line."""
    command = [sys.executable, "-m", "tests.store.writers", job, url, str(head_file), name, str(count)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def run_two(job: str, url: str, head_file: Path, count: int) -> list[list[str]]:
    """Let two writers go at the same time; the lines that each printed."""
    both = [start(job, url, head_file, name, count) for name in ("a", "b")]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=300)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    return answers


def test_two_processes_append_without_loss_or_gap(log: EventLog, url: str, head_file: Path) -> None:
    """1,000 events from two processes give positions 1 to 1,000, each acknowledged to exactly one of them."""
    answers = run_two("append", url, head_file, 500)
    assert sorted(int(seq) for answer in answers for seq in answer) == list(range(1, 1001))
    rows = log.read()
    assert [row.seq for row in rows] == list(range(1, 1001))
    assert {row.event.id for row in rows} == {f"{name}-{i}" for name in "ab" for i in range(500)}
    assert log.verify() == []


def test_each_claim_is_won_by_one_process(log: EventLog, url: str, head_file: Path) -> None:
    """300 keys, two processes after each: every key is owned once."""
    first, second = run_two("claim", url, head_file, 300)
    assert sorted([*first, *second]) == sorted(f"key-{i}/claim/1" for i in range(300))
    assert log.head().seq == 300
    assert log.verify() == []


def test_two_processes_may_migrate_at_once(open_log: Open, url: str, head_file: Path) -> None:
    """One makes the tables, the other waits and finds them."""
    assert run_two("migrate", url, head_file, 0) == [["0"], ["0"]]
    assert open_log().verify() == []


def test_a_killed_writer_leaves_a_valid_log(log: EventLog, url: str, head_file: Path) -> None:
    """Killed (-9) while appending: all that was acknowledged is there, in an unbroken chain, and it goes on."""
    acknowledged = 0
    for round_number in range(5):
        process = start("append", url, head_file, f"r{round_number}", 100_000)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        for _ in range(20 + 7 * round_number):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert log.head().seq >= acknowledged
        assert log.verify() == []
    assert [row.seq for row in log.read()] == list(range(1, log.head().seq + 1))
