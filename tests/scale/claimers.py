"""A process that delivers every obligation it is told of: `python -m tests.scale.claimers URL FOLDER RECEIVER COUNT`.

Several of these go through the same obligations in the same order, so that they are always after the same one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from neotorch.engine import Engine
from neotorch.rules.notices import Delivery, Notice
from neotorch.rules.schedule import Because
from neotorch.settings import ChannelSettings, Settings

SUBJECT = "NT-501"
CHANNEL = "hook"


def obligation(number: int, version: str) -> Delivery:
    """One of the obligations, the same in each process."""
    data = {"channel": CHANNEL}
    notice = Notice(f"{SUBJECT}/obligation-{number}", "test", "obligation", Because("test", version), data)
    return Delivery(notice, "coordinator", CHANNEL, attempt=1, possible_repeat=False)


def main(url: str, folder: str, receiver: str, count: str) -> None:
    """Deliver what nobody else delivers, and print how many that were."""
    channel = ChannelSettings.model_validate({"name": CHANNEL, "role": "coordinator", "url": receiver})
    engine = Engine.open(Settings(data_dir=Path(folder), database_url=url, channels=[channel], quiet_hours=False))
    effects = engine.effects(SUBJECT)
    print("ready", flush=True)  # noqa: T201 - how it talks to the test
    sys.stdin.readline()  # all wait here, so that they start together
    version = engine.study.version
    words = [effects.deliver(obligation(n, version), engine.notifier, "") for n in range(int(count))]
    assert set(words) <= {"somebody else is sending it", "sent to coordinator by hook"}, set(words)
    print(sum(word.startswith("sent") for word in words), flush=True)  # noqa: T201 - see above


if __name__ == "__main__":
    main(*sys.argv[1:])
