"""Files written for others: under another name until they are whole, and sets of which one file says that all are there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from neotorch.crash import crash_point
from neotorch.domain.errors import BadInput


def write(path: Path, data: bytes) -> None:
    """Write a file that goes by another name until it is whole; BadInput where that cannot be."""
    write_set(path.parent, {path.name: data}, last=path.name)


def write_set(folder: Path, files: Mapping[str, bytes], *, last: str) -> None:
    """Write files that belong together; BadInput where that cannot be.

    The file `last` is taken away before the first of the others is exchanged and comes back after all of them: where it
    is, the set is whole and of one piece, whenever this was cut off.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _write_part(_part(folder / name), data)
            crash_point("part-written")
        if len(files) > 1:
            (folder / last).unlink(missing_ok=True)
        for name in sorted(files, key=lambda name: name == last):
            _part(folder / name).replace(folder / name)
            crash_point("part-renamed")
    except OSError as error:
        where, todo = str(error.filename or folder), "Name another folder with --out, or make room."
        raise BadInput(f"cannot be written ({error.strerror})", where, todo) from None


def remove(path: Path) -> None:
    """Take away what an earlier run has left, so that it is not taken for this one's; BadInput where that cannot be."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"cannot be removed ({error.strerror})", str(path), "Name another folder with --out.") from None


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _write_part(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the name with nothing under it
