"""A recorder in a process of its own: `python -m tests.scale.recorder FOLDER URL NAME EVENTS PAUSE SUBJECT...`.

Records one event at a time about patients whom all recorders share, and prints each id once it is recorded.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.settings import Settings
from tests.support import fact

SERIOUS_EVERY = 4
"""Each fourth event is a serious adverse event, which is told at once and must never be lost."""


def event(engine: Engine, name: str, number: int, subject: str) -> ev.AnyFact:
    """The recorder's next event."""
    today, key = engine.today(), f"{subject}.{name}.{number}"
    if number % SERIOUS_EVERY:
        return fact("contact", today, subject, id=key)
    aware = datetime.now(UTC).isoformat()
    return fact("adverse_event", today, subject, id=key, term="COLITIS", grade=3, serious=True, aware=aware)


def main(folder: str, url: str, name: str, events: str, pause: str, *subjects: str) -> None:
    """Record, and say what was recorded."""
    engine = Engine.open(Settings(data_dir=Path(folder), database_url=url, channels=[]))
    chance = random.Random(name)
    for number in range(int(events)):
        (found,) = engine.record([event(engine, name, number, chance.choice(subjects))])
        assert found.outcome == "recorded", found
        print(found.fact.id, flush=True)  # noqa: T201 - this is the acknowledgement
        time.sleep(chance.random() * 2 * float(pause))


if __name__ == "__main__":
    main(*sys.argv[1:])
