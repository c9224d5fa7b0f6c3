"""Which story covers which rule and window; `make stories` prints it, test_stories.py holds it against the file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.ledger.chapter import Chapter
from tests.ledger.deviations import deviation_notes, table
from tests.ledger.points import Point, points
from tests.ledger.seen import Note
from tests.stories import CASES, play, read_stories, read_yaml
from tests.support import study

BOTH_SIDES = frozenset({"window", "reminder", "query"})
"""Groups of which one story has to show both sides of a boundary; elsewhere (values, hours, grades) two may share it."""


class Ledger:
    """Who covers what, as far as stories have been played."""

    def __init__(self) -> None:
        """Empty."""
        self.notes: dict[str, set[Note]] = {}

    def play(self, name: str, story: dict[str, object], folder: Path) -> None:
        """Play a story, and write down what it covers."""
        chapter = Chapter()
        play(story, folder, chapter)
        self.notes[name] = chapter.notes()

    def complete(self) -> None:
        """Play the stories that have not been played, and read the tables."""
        for name, story in read_stories():
            if name not in self.notes:
                with tempfile.TemporaryDirectory() as folder:
                    self.play(name, story, Path(folder))
        self.notes |= {name: set(deviation_notes(seen)) for name, seen in table()}
        self.notes["gates.yaml"] = set(_gates())

    def coverage(self) -> Iterator[tuple[Point, list[str]]]:
        """Each point with the stories that cover it, the first one alone if that covers all of its sides."""
        for point in points(study()):
            yield point, self._by(point)

    def _by(self, point: Point) -> list[str]:
        sides = {
            name: {s for g, n, s in notes if (g, n) == (point.group, point.name)} for name, notes in self.notes.items()
        }
        whole = [name for name, found in sides.items() if found >= point.sides]
        if whole or point.group in BOTH_SIDES:
            return whole
        parts = [name for name, found in sides.items() if found & point.sides]
        covered: set[str] = set().union(*(sides[name] for name in parts))
        return parts if covered >= point.sides else []

    def uncovered(self) -> list[str]:
        """Every point that no story covers, with the side that is missing."""
        found = []
        for point, names in self.coverage():
            if names or (point.at and point.group != "gate"):
                continue
            lacks = sorted(point.sides)
            found.append(f"{point.group}: {point.name}" + (f" ({', '.join(lacks)})" if lacks != [""] else ""))
        return found


def _gates() -> Iterator[Note]:
    """What the table of gates expects of each condition."""
    for case in read_yaml(CASES / "gates.yaml"):
        for gate, verdicts in (case["expect"] or {}).items():
            for name, verdict in verdicts.items() if isinstance(verdicts, dict) else ():
                yield "gate", f"{'dose' if '/' in gate else 'surgery'}: {name}", verdict
