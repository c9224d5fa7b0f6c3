"""Keep the log of a trial as this version of the program writes it, and what is so and due: tests/cases/frozen/VERSION.

python -m tools.freeze     (make freeze)  once per released version; tests/replay holds every later version against it
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from neotorch import __version__
from neotorch.store.chain import Row
from tests.replay.frozen import FOLDER, Frozen, Replay, lines
from tests.replay.trial import frozen_world
from tests.seeds.life import Life


def rows_of(life: Life) -> list[Row]:
    """The rows that a life leaves behind."""
    life.live()
    log = life.engine.log
    return list(log.rows(log.head().seq))


def freeze(folder: Path) -> int:
    """Write log, study file, settings and what is expected; returns the number of events."""
    world = frozen_world()
    with tempfile.TemporaryDirectory(prefix="neotorch-freeze-") as data:
        rows = rows_of(Life(world, Path(data)))
    folder.mkdir(parents=True)
    (folder / "log.jsonl.gz").write_bytes(zipped("".join(lines(rows))))
    (folder / "study.json").write_text(_json(world.study.definition), encoding="utf-8")
    (folder / "settings.json").write_text(_json(world.settings), encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="neotorch-freeze-") as data:
        looks = dict(Replay(Frozen(folder), Path(data)).looks())
    text = yaml.safe_dump(looks, sort_keys=False, allow_unicode=True, width=140)
    (folder / "expected.yaml").write_text(text, encoding="utf-8")
    return len(rows)


def zipped(text: str) -> bytes:
    """The text, compressed: the same text gives the same bytes."""
    found = io.BytesIO()
    with gzip.GzipFile(fileobj=found, mode="wb", mtime=0) as file:
        file.write(text.encode())
    return found.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    """Freeze this version, unless it is frozen already."""
    folder = FOLDER / __version__
    if folder.exists():
        print(
            f"{folder}: version {__version__} is frozen already. A released version stays as it is: raise the version in"
        )
        print("pyproject.toml first. As long as it is not released, remove the folder to freeze it anew.")
        return 1
    print(f"{freeze(folder)} events kept in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
