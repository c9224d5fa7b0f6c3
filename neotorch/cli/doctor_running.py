"""What `neotorch doctor` looks at in a running installation: is it up, does it follow, is anything stuck."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from neotorch.cli.doctor_checks import Check, port_free
from neotorch.engine import Engine
from neotorch.observe import marks
from neotorch.observe.tally import Stuck, Tally, stuck
from neotorch.orchestration import inspection
from neotorch.orchestration.environment import external_server
from neotorch.orchestration.presence import Presence
from neotorch.orchestration.server import healthy
from neotorch.settings import Settings

PATIENCE_SECONDS = 20
LATE = timedelta(minutes=15)
"""What has waited longer than this does not merely wait for its turn."""
UNSENT_LATE = timedelta(hours=1)
OVERDUE = {
    "recalculation": (timedelta(hours=26), "nightly and after events that bear on endpoints", "recalculate-endpoints"),
    "reconciliation": (timedelta(minutes=30), "every ten minutes", "reconcile"),
}
"""What -> how old its last success may be, how often it runs, name of its deployment."""
SHOWN = 5


def ports(settings: Settings, up: Presence | None) -> Iterator[Check]:
    """Whether the ports are free for `neotorch up`, or in use by it."""
    ours = {urlsplit(address).port or 0 for address in (up.api if up.own_server else "", up.watch)} if up else set()
    if external_server():
        yield Check("port of Prefect", True, "not needed: PREFECT_API_URL names a server")
    else:
        yield port_free(settings.host, settings.prefect_port, ours=ours - {0})
    if settings.metrics_port is not None:
        yield port_free(settings.metrics_host, settings.metrics_port, "NEOTORCH_METRICS_PORT", ours - {0})


def running(engine: Engine, up: Presence | None) -> Iterator[Check]:
    """Everything about the work that goes on, or should."""
    settings, now = engine.settings, engine.clock()
    yield presence(up)
    if up and up.watch:
        yield from ready(up)
    yield to_do(engine, up, now)
    tally = Tally().read(engine)
    yield unsent(stuck(engine, tally), now)
    yield incidents(tally)
    for what in OVERDUE:
        yield last_success(what, marks.last(settings.data_dir, what), now, is_up=up is not None)
    yield backup(marks.last(settings.data_dir, "backup"), now, used=tally.position > 0)
    if api := up.api if up else external_server():
        yield from server(engine, api)


def presence(up: Presence | None) -> Check:
    """Whether `neotorch up` runs on the data folder."""
    if up is None:
        todo = "start it: neotorch up, or systemctl start neotorch; without it nobody is reminded"
        return Check("neotorch up", True, "is not running on this data folder", todo)
    where = f", Prefect at {up.api}" if up.api else ", still starting"
    todo = "" if up.watch else "to have health pages, set NEOTORCH_METRICS_PORT to a port that is free and restart it"
    return Check("neotorch up", True, f"process {up.pid}{where}, {up.watch or 'no health pages'}", todo)


def ready(up: Presence) -> Iterator[Check]:
    """What the running process says of itself: what is amiss, each by itself, and the rest in a line."""
    try:
        answer = _ask(f"{up.watch}/ready")
    except (urllib.error.URLError, OSError, ValueError) as error:
        todo = f"see its log; if it stays so, end it (kill {up.pid}) and start it again: no step is lost or doubled"
        yield Check("readiness", False, f"{up.watch}/ready does not answer ({type(error).__name__})", todo)
        return
    for sign in answer["checks"]:
        if not sign["ok"]:
            yield Check(f"running: {sign['name']}", False, sign["detail"], sign["todo"])
    well = [f"{s['name']}: {s['detail']}" for s in answer["checks"] if s["ok"]]
    yield Check("readiness", True, "; ".join(well) or "nothing is well")


def _ask(address: str) -> dict[str, list[dict[str, str]]]:
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - an address of ours
            found: dict[str, list[dict[str, str]]] = json.load(answer)
    except urllib.error.HTTPError as error:  # 503 carries the reasons
        found = json.load(error)
    return found


def to_do(engine: Engine, up: Presence | None, now: datetime) -> Check:
    """Whether anything is due that nobody does."""
    waiting = [
        (p, since) for s in engine.subjects() if (p := engine.plan(s)).steps and (since := _since(engine, s, now))
    ]
    if not waiting:
        return Check("steps to do", True, "none is due")
    oldest = now - min(since for _, since in waiting)
    steps = sum(len(p.steps) for p, _ in waiting)
    words = f"{steps} steps for {len(waiting)} patients ({_some([p.subject for p, _ in waiting])})"
    if up is None and not external_server():
        return Check("steps to do", False, f"{words}, and neotorch up is not running", "start it: neotorch up")
    if oldest < LATE:
        return Check("steps to do", True, words, "look again in a minute: they should be done")
    todo = "see the log of neotorch up for the patients; a restart of it reconciles all journeys"
    return Check("steps to do", False, f"{words}, some since {oldest.total_seconds() / 60:.0f} min", todo)


def _since(engine: Engine, subject: str, now: datetime) -> datetime:
    """Return when the oldest event was recorded that the journey has not seen; now, where a date made it due."""
    rows = engine.log.read(subject, after=engine.log.journey_seen(subject)[1])
    return rows[0].recorded_at if rows else now


def unsent(found: list[Stuck], now: datetime) -> Check:
    """Whether notices do not get through."""
    lost = [s for s in found if s.given_up]
    waiting = [s for s in found if not s.given_up]
    if not found:
        return Check("notices", True, "none is stuck")
    age = (now - found[0].since).total_seconds() / 60
    words = f"{len(waiting)} to be tried again, {len(lost)} given up or in doubt, the oldest for {age:.0f} min"
    todo = (
        "neotorch worklist names them with the reason; mend the channel, and tell the people of those given up yourself"
    )
    return Check("notices", not lost and now - found[0].since < UNSENT_LATE, words, todo)


def incidents(tally: Tally) -> Check:
    """How many incidents the log holds. They were told; what to do on each is in the runbook."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.incidents.items()))
    return Check("incidents", True, f"so far: {kinds}; see docs/operating.md" if kinds else "none so far")


def last_success(what: str, at: datetime | None, now: datetime, *, is_up: bool) -> Check:
    """Whether something regular has succeeded lately."""
    longest, often, deployment = OVERDUE[what]
    name = f"last {what}"
    if at is None:
        todo = (
            f"it runs {often}; if this stays so, see the failed runs of {deployment} in the Prefect UI" if is_up else ""
        )
        return Check(name, True, "none yet", todo)
    words = f"{_age(now - at)} ago"
    if now - at <= longest:
        return Check(name, True, words)
    todo = f"it should run {often}: see the failed runs of {deployment} in the Prefect UI, and the log of neotorch up"
    return Check(name, not is_up, words, todo if is_up else "start neotorch up")


def backup(at: datetime | None, now: datetime, *, used: bool) -> Check:
    """Whether there is a backup of a log that is in use, and how old it is."""
    todo = "neotorch backup; neotorch up makes one every night (put-by): see why it did not"
    if at is None:
        return Check("last backup", True, "none noted in this data folder", todo if used else "")
    return Check(
        "last backup",
        now - at < timedelta(hours=26),
        f"{_age(now - at)} ago",
        "" if now - at < timedelta(hours=26) else todo,
    )


def server(engine: Engine, api: str) -> Iterator[Check]:
    """Whether the Prefect server answers, is of this version, and has a journey for every patient."""
    if not healthy(api):
        todo = "see prefect/server.log in the data folder, or the server that PREFECT_API_URL names"
        yield Check("prefect server", False, f"{api} does not answer", todo)
        return
    there, here = inspection.server_version(api), inspection.prefect_version()
    todo = f"let the server and this machine have the same version: pip install 'prefect=={here}'"
    same = there in (here, "")  # one that asks for another password than ours is told of by the check of the journeys
    yield Check("prefect server", same, f"{api}, version {there or 'unknown'}, here {here}", "" if same else todo)
    yield journeys(engine, api)


def journeys(engine: Engine, api: str) -> Check:
    """Whether every patient has the one run, asleep where the log says."""
    try:
        patients, wrong = inspection.journeys(engine.settings, engine, api)
    except Exception as error:  # noqa: BLE001 - whatever a client of another program raises
        return Check("journeys", False, f"cannot be compared ({type(error).__name__})", "see the Prefect server's log")
    if not wrong:
        return Check("journeys", True, f"{patients} patients, each with one run, asleep where the log says")
    todo = "the reconciler sets it right within ten minutes while neotorch up runs; at once: restart it"
    return Check("journeys", False, f"{len(wrong)} of {patients} to set right: {_some(wrong, '; ')}", todo)


def _some(items: list[str], between: str = ", ") -> str:
    more = f"{between}and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return between.join(items[:SHOWN]) + more


def _age(age: timedelta) -> str:
    minutes = age.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
