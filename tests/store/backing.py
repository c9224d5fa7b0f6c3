"""What is killed in the tests of backups: `python -m tests.store.backing backup|restore FOLDER_OF_ALL FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from neotorch.store import archive
from neotorch.store.log import EventLog
from tests.store.stories import STUDY, at
from tests.support import study

job, everything, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
if job == "backup":
    source = EventLog(f"sqlite:///{everything}/source/log.db", STUDY, head_file=everything / "source" / "head.txt")
    archive.write(source, study(), folder)
else:
    log = EventLog(f"sqlite:///{folder}/log.db", STUDY, head_file=folder / "head.txt")
    log.migrate()
    with archive.opened(next((everything / "made").glob("*.gz"))) as found:
        archive.restore(log, found, now=at(1000))
