"""Four promises over trials drawn from seeds. The long form is `make prove`; see tests/seeds/invariants.py."""

from __future__ import annotations

from functools import cache

import pytest

from tests import proofs
from tests.seeds.invariants import Findings, check
from tests.seeds.life import Lived
from tests.seeds.prove import COUNTS, SHORT, live, wanted


@cache
def small(seed: int) -> Lived:
    """A small world, lived through once for all tests."""
    return live(seed, small=True)


@cache
def findings(seed: int) -> Findings:
    """What the checker says of it."""
    return check(small(seed))


@pytest.mark.parametrize("seed", range(wanted(SHORT)))
def test_no_promise_is_broken(seed: int) -> None:
    """Reminders, the end of a journey, one obligation per key, and queries as the data say, in spite of all that goes wrong."""
    assert [str(v) for v in findings(seed).violations] == []


def test_the_worlds_hold_what_the_promises_are_about() -> None:
    """Over the first seeds: visits, queries and deviations; reasons for no reminder; words after the end of a journey."""
    figures = sum((findings(seed).figures for seed in range(SHORT)), start=Findings().figures)
    broken = sum(len(findings(seed).violations) for seed in range(SHORT))
    proofs.count("seeds", SHORT, broken, **{name: figures[name] for name in COUNTS})
    for name in ("visits", "reminders", "queries", "deviations", "looks", "reminded: told", "reminded: early"):
        assert figures[name] > 0, name
    assert figures["reminded: off"] > 0, "outages over due times"
    assert {n for n in figures if n.startswith("after the end: ")} >= {
        f"after the end: {w}" for w in ("told", "asked", "found")
    }


def test_the_same_seed_gives_the_same_log() -> None:
    """Two lives of one world end with the same rows."""
    again = live(0, small=True)
    assert [r.hash for r in again.rows] == [r.hash for r in small(0).rows]
