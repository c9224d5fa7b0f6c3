"""The page of promises is about tests that exist, and says what their counts allow to say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.prove import Counted, Promise, page, promises, read

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("promise", promises(), ids=lambda p: p.name)
def test_each_promise_has_a_test_that_counts_it(promise: Promise) -> None:
    """The file is there, holds the test, and counts under the promise's name."""
    file, _, name = promise.test.partition("::")
    text = (TESTS / file).read_text(encoding="utf-8")
    assert f"def {name or 'test_'}" in text or "def main" in text
    assert f'"{promise.name}"' in text


def test_names_are_given_once() -> None:
    """Two promises are not counted together."""
    names = [p.name for p in promises()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(("trials", "bound"), [(1, "0.95"), (300, "0.0099"), (3000, "0.001"), (10_000, "0.0003")])
def test_clean_trials_bound_the_rate_by_three_over_their_number(trials: int, bound: str) -> None:
    """The exact bound at 95 %, of which the rule of three is the rounding."""
    assert Counted(trials, 0, {}).bound == bound
    assert Counted(trials, 1, {}).bound == "-"


def test_counts_are_added_up_and_stand_on_the_page(tmp_path: Path) -> None:
    """Two tests of one promise give one row, with the sums of what they counted."""
    lines = [
        {"promise": "kill", "trials": n, "failures": 0, "figures": {"events": 10 * n, "on": "SQLite"}}
        for n in (100, 200)
    ]
    (tmp_path / "counts").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    asked = Promise("kill", "Recording", "Nothing is lost", "kills", "store/test_log.py::test_x")
    rows = "\n".join(page([asked], read(tmp_path / "counts"), 60))
    assert "## Recording" in rows
    assert (
        "| Nothing is lost | 300 (kills) | 0 | 0.0099 | events 3000, on SQLite | [test_x](../tests/store/test_log.py#test_x) |"
        in rows
    )
