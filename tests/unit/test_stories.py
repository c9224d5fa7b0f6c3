"""Patient stories written by people who know the trial: tests/cases/stories/*.yaml (its README says how to add one)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ledger.book import Ledger
from tests.ledger.points import points
from tests.stories import by_day, read_stories
from tests.support import study

STORIES = read_stories()
LEDGER = Ledger()
"""What the stories of this run have covered so far."""


@pytest.mark.parametrize(("name", "story"), STORIES, ids=[name for name, _ in STORIES])
def test_story(name: str, story: dict[str, Any], tmp_path: Path) -> None:
    """A patient's story goes as the people who wrote it down expect."""
    assert story["why"], "every story says why it is told"
    LEDGER.play(name, story, tmp_path)


def test_no_rule_and_no_window_is_without_its_story() -> None:
    """Every visit, boundary, reminder, query, check, deviation, clock, endpoint and ending of the study file is expected by a story."""
    LEDGER.complete()
    assert LEDGER.uncovered() == []


def test_without_stories_everything_is_uncovered() -> None:
    """What has to be covered comes from the study file: each visit with each side of its boundaries, and every rung."""
    lacking = Ledger().uncovered()
    assert "window: C2D1 from cycle.1: closes (day, day after)" in lacking
    assert "reminder: appointment: week-ahead (day, day before: not)" in lacking
    for visit in study().visits:
        assert f"visit: {visit.code} held" in lacking
    stories = [point for point in points(study()) if not point.at]
    assert len(lacking) == len(stories) + sum(point.group == "gate" for point in points(study()))


def test_stories_are_told_apart() -> None:
    """No two have the same name, and there are the sixty that were asked for."""
    names = [name for name, _ in STORIES]
    assert len(names) == len(set(names)) >= 60


def test_every_story_ends_in_the_past_of_its_last_expectation() -> None:
    """No story has a fact after its last expectation: it would test nothing."""
    for name, story in STORIES:
        wanted = [*story.get("expect", ()), *by_day(story.get("days", {}))]
        last = max(e["day"] for e in wanted)
        told = [next(iter(f)) for f in story["facts"] if "screened" not in f.values()]
        assert max(told, default=last) <= last, name
