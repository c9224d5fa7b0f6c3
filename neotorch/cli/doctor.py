"""`neotorch doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter

from neotorch.cli import doctor_checks as checks
from neotorch.cli import doctor_running as running
from neotorch.cli.output import err, out, print_json, table
from neotorch.domain.study_file import StudyError
from neotorch.engine import Engine, utc_now
from neotorch.orchestration import presence
from neotorch.settings import load_settings


def doctor(*, send: bool = True, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Look at the study file, the machine, the data folder, the log and every notice channel; send a test notice through each.

    Exit code 1 if anything is wrong, with what to do about it.

    Parameters
    ----------
    send: bool
        Send the test notices; --no-send only checks URLs, roles and sites.
    json: bool
        Print the checks as JSON.
    """
    settings = load_settings()
    up = presence.running(settings.data_dir)
    try:
        engine = Engine.open(settings)
    except StudyError as error:  # the machine is looked at all the same
        found = [*checks.study_refused(error)]
        found += checks.machine(settings.data_dir, [], running.ports(settings, up), utc_now())
    else:
        found = [*checks.study_file(engine.study), *_installation(engine, up, send=send)]
    bad = [c for c in found if not c.ok]
    if json:
        print_json({"ok": not bad, "checks": [vars(c) for c in found]})
    else:
        rows = [(c.mark, c.name, c.detail, c.todo) for c in found]
        table(f"neotorch doctor: {len(bad)} wrong of {len(found)}", ("", "check", "found", "what to do"), rows)
        if not bad:
            out.print("Everything that was looked at is in order.")
    return 1 if bad else 0


def _installation(engine: Engine, up: presence.Presence | None, *, send: bool) -> Iterator[checks.Check]:
    settings, notifier = engine.settings, engine.notifier
    zones = [s.time_zone for s in engine.study.sites]
    newest = next((r.recorded_at for r in engine.log.read(after=engine.head() - 1)), None)
    yield from checks.machine(settings.data_dir, zones, running.ports(settings, up), engine.clock(), newest)
    with err.status("checking the notice channels"):
        yield from [checks.channel(notifier.check(c, live=send)) for c in notifier.channels]
    unheard = engine.unheard()
    yield checks.listeners(unheard, settings.outbox)
    yield checks.escalations(engine.study, unheard, used=bool(notifier.channels))
    yield checks.held_notices(engine.post.flood())
    with err.status("looking how far the visits reach"):
        yield checks.working_days(engine.study.sites, engine.last_planned)
    with err.status("verifying the log"):
        problems = engine.log.verify()
    whole = f"{engine.head()} events, chain whole" if not problems else str(problems[0])
    todo = "record nothing more, keep the data folder as it is, and see docs/operating.md, The log is not whole"
    yield checks.Check("log", not problems, whole, "" if not problems else todo)
    with err.status("looking at what is running"):
        yield from running.running(engine, up)
