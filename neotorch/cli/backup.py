"""`neotorch backup` and `neotorch restore`."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neotorch.cli.output import err, print_json
from neotorch.cli.output import out as console
from neotorch.domain.errors import BadInput
from neotorch.domain.events import digest_of
from neotorch.engine import Engine

Json = Annotated[bool, Parameter(negative="")]


def backup(*, out: Path | None = None, keep: int | None = None, json: Json = False) -> int:
    """Write the whole log into one file, try out whether it can be restored, and remove old ones. Exit code 1 if it cannot.

    Goes on beside recording and beside `neotorch up`, which does the same every night.

    Parameters
    ----------
    out: Path
        The folder to write to; as the settings say if not given.
    keep: int
        So many backups are kept, this one included; as the settings say if not given.
    json: bool
        Print the result as JSON.
    """
    from neotorch.observe import marks
    from neotorch.safekeeping import back_up, drill

    engine = Engine.open()
    if keep is not None and keep < 1:
        raise BadInput(f"{keep} backups cannot be kept", "--keep", "Give a number of 1 or more.")
    with err.status("writing"):
        made = back_up(engine, out or engine.settings.backups, keep or engine.settings.backups_kept)
    with err.status("restoring it into an empty database, to see whether that can be done"):
        tried = drill(engine, made)
    if not tried.problems:
        marks.done(engine.settings.data_dir, "backup", engine.clock())
    if json:
        print_json({
            "file": str(made.path), "events": made.head.seq, "head": made.head.hash, "bytes": made.bytes,
            "removed": [str(p) for p in made.removed], "drill_seconds": round(tried.seconds, 2),
            "problems": list(tried.problems),
        })  # fmt: skip
    else:
        say(f"{made.path}: {made.head.seq} events, {made.bytes / 1000:.0f} kB, head {made.head.hash}")
        say(tried.words)
    return 1 if tried.problems else 0


def restore(file: Path, /, *, json: Json = False) -> int:
    """Put the log back from a backup, into an empty database: all of it, or nothing. Exit code 1 if events are lost.

    Stop `neotorch up` first; start it afterwards, and the journeys are made anew from the log.

    Parameters
    ----------
    file: Path
        What `neotorch backup` wrote.
    json: bool
        Print the result as JSON.
    """
    from neotorch.orchestration.incidents import record_incident
    from neotorch.safekeeping import put_back

    engine = Engine.open()
    with err.status("restoring"):
        about, done = put_back(engine, file)
    other = digest_of(about.definition) != digest_of(engine.study.definition)
    kept = engine.settings.data_dir / f"restored-{about.study}-{about.study_version}.yaml"
    if other:
        kept.write_text(encoder.dumps(about.definition, ensure_ascii=False, indent=1), encoding="utf-8")
    if done.lost:
        gone = f"events {done.head.seq + 1} to {done.noted} were recorded after the backup and are lost"
        record_incident(engine, "restored", gone, f"{done.head.seq}-{done.noted}")
    if json:
        print_json({
            "events": done.head.seq, "head": done.head.hash, "lost": done.lost, "study_file": str(kept) if other else None,
        })  # fmt: skip
        return 1 if done.lost else 0
    say(f"{done.head.seq} events restored, chain whole, head {done.head.hash}")
    if other:
        say(f"the backup was made under another study file; it is in {kept}: compare, or set NEOTORCH_STUDY_FILE to it")
    if done.lost:
        say(f"{gone}: record them again; `neotorch verify` will go on saying so")
    return 1 if done.lost else 0


def say(line: str) -> None:
    """Print a line as it is."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
