"""What does not fit in a study file: the place, the value with what is wrong about it, and the way out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

FEW = 8
"""So many names are listed to choose from; of more only the nearest is."""
Place = tuple[str | int, ...]
"""Keys and list positions from the part that is looked at down to the value, as pydantic counts them."""


@dataclass(frozen=True)
class Misfit:
    """One thing that cannot be so."""

    where: Place
    what: str
    todo: str


class MisfitError(ValueError):
    """All that does not fit, said at once; a validator raises it and `study_file` finds the lines."""

    def __init__(self, found: Iterable[Misfit]) -> None:
        self.found = tuple(found)
        super().__init__("\n".join(f"{m.what}; {m.todo}" for m in self.found))


def unknown(where: Place, what: str, name: str, names: Collection[str], of: str) -> Iterator[Misfit]:
    """Yield the misfit if a name of a part (`what`: form, role ...) is not among those `of` the study file."""
    if name not in names:
        near = get_close_matches(name, names, n=1) or (sorted(names) if len(names) <= FEW else [])
        todo = f"use {' or '.join(near)}, or add it there" if near else "correct it, or add it there"
        yield Misfit(where, f"names the {what} {name!r}, which is not under {of}", todo)
