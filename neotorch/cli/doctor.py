"""`neotorch doctor`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from neotorch.cli import doctor_checks as checks
from neotorch.cli.output import err, out, print_json, table
from neotorch.engine import Engine


def doctor(*, send: bool = True, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Look at the machine, the data folder, the log and every notice channel; send a test notice through each.

    Exit code 1 if anything is wrong, with what to do about it.

    Parameters
    ----------
    send: bool
        Send the test notices; --no-send only checks URLs, roles and sites.
    json: bool
        Print the checks as JSON.
    """
    engine = Engine.open()
    settings, notifier = engine.settings, engine.notifier
    zones = [s.time_zone for s in engine.study.sites]
    found = list(checks.machine(settings.data_dir, zones, settings.host, settings.prefect_port, engine.clock()))
    with err.status("checking the notice channels"):
        found += [checks.channel(notifier.check(c, live=send)) for c in notifier.channels]
    found.append(checks.listeners(engine.unheard(), settings.outbox))
    with err.status("looking how far the visits reach"):
        found.append(checks.working_days(engine.study.sites, engine.last_planned))
    with err.status("verifying the log"):
        problems = engine.log.verify()
    whole = f"{engine.head()} events, chain whole" if not problems else str(problems[0])
    found.append(checks.Check("log", not problems, whole, "" if not problems else "see neotorch verify"))
    bad = [c for c in found if not c.ok]
    if json:
        print_json({"ok": not bad, "checks": [vars(c) for c in found]})
    else:
        rows = [("ok" if c.ok else "WRONG", c.name, c.detail, c.todo) for c in found]
        table(f"neotorch doctor: {len(bad)} wrong of {len(found)}", ("", "check", "found", "what to do"), rows)
        if not bad:
            out.print("Everything that was looked at is in order.")
    return 1 if bad else 0
