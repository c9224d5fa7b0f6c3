"""Event recorded -> journey step done, and wakes per second: neotorch's worker beside plain `flow.serve()`.

Both run the same flow on the same engine, each on a real Prefect server of its own with the same server settings and an
SQLite database in a new folder; the event log too is SQLite. `flow.serve()` is at its defaults, and is woken the same
way a journey in any foreign worker is: its run is set to Scheduled now. The clock starts when the event is in the log
and stops when the journey has noted that all steps of its wake are done.

    python bench/latency.py [--events 30] [--plain-events 8] [--patients 20]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from neotorch.domain import events as ev
from neotorch.engine import Engine, current_engine
from neotorch.orchestration import environment
from neotorch.orchestration.server import PrefectServer, choose_port
from neotorch.orchestration.up import export, up
from neotorch.settings import Settings

PATIENCE_SECONDS = 120.0


def main() -> None:
    """Measure one way in a process of its own, or both and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=30, help="single events through our worker")
    parser.add_argument("--plain-events", type=int, default=8, help="single events through flow.serve()")
    parser.add_argument("--patients", type=int, default=20, help="journeys, all woken at once for the throughput")
    parser.add_argument("--only", choices=["ours", "plain"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        with tempfile.TemporaryDirectory(prefix="neotorch-bench-") as folder:
            settings = Settings(data_dir=Path(folder), prefect_port=0, channels=[], quiet_hours=False)
            export(settings)
            measure = ours if args.only == "ours" else plain
            print(json.dumps(asyncio.run(measure(settings, args))))
        return
    show(run("ours"), run("plain"))


def run(which: str) -> dict[str, float]:
    """Measure in a process of its own: Prefect's settings are fixed for good when it is first imported."""
    print(f"measuring {which} ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--only", which], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(ours: dict[str, float], plain: dict[str, float]) -> None:
    """Print both side by side with their ratios."""
    print(f"{'':38}{'neotorch worker':>16}{'flow.serve()':>16}{'ratio':>10}")
    for label, key, unit in [
        ("event recorded -> step done, median", "median", "s"), ("event recorded -> step done, p95", "p95", "s"),
        ("wakes per second, all at once", "rate", "/s"),
    ]:  # fmt: skip
        ratio = ours[key] / plain[key] if key == "rate" else plain[key] / ours[key]
        print(f"{label:38}{ours[key]:>14.2f} {unit:<2}{plain[key]:>13.2f} {unit:<2}{ratio:>8.1f} x")
    print(
        f"{'events, journeys':38}{ours['n']:>10.0f}, {ours['journeys']:<6.0f}{plain['n']:>8.0f}, {plain['journeys']:<6.0f}"
    )


# ── what is measured ──────────────────────────────────────────────────────────────────────────────────────────────────


def found_patients(engine: Engine, count: int) -> list[str]:
    """Record the consent of `count` patients."""
    subjects = [f"NT-{n:03d}" for n in range(1, count + 1)]
    today = engine.today()
    engine.record([
        ev.Consent(id=f"consent/{s}", study=engine.study.id, subject=s, occurred=today, site=engine.study.sites[0].code, icf_version="1.0")
        for s in subjects
    ])  # fmt: skip
    return subjects


def tell(engine: Engine, subjects: list[str], tag: str) -> None:
    """Record one new fact about each."""
    found = engine.record([
        ev.Contact(id=f"contact/{s}/{tag}", study=engine.study.id, subject=s, occurred=engine.today()) for s in subjects
    ])  # fmt: skip
    assert all(a.outcome == "recorded" for a in found), found


async def seen(engine: Engine, subjects: list[str]) -> None:
    """Wait until the journeys have done all that the log asks of them."""
    end = time.monotonic() + PATIENCE_SECONDS
    for subject in subjects:
        while engine.log.journey_seen(subject)[1] < engine.state(subject).position:
            if time.monotonic() > end:
                raise TimeoutError(f"{subject} has not moved for {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(0.01)


async def figures(engine: Engine, count: int, patients: int, rest: float) -> dict[str, float]:
    """Measure `count` single events with a rest between them, then one event of each patient at once."""
    subjects = found_patients(engine, patients)
    await seen(engine, subjects)
    await asyncio.sleep(rest)
    waits = []
    for i in range(count):
        subject = subjects[i % len(subjects)]
        tell(engine, [subject], f"single-{i}")
        start = time.perf_counter()
        await seen(engine, [subject])
        waits.append(time.perf_counter() - start)
        await asyncio.sleep(rest * (0.5 + (i * 7 % 10) / 10))
    tell(engine, subjects, "burst")
    start = time.perf_counter()
    await seen(engine, subjects)
    rate = len(subjects) / (time.perf_counter() - start)
    waits.sort()
    p95 = waits[min(len(waits) - 1, round(0.95 * len(waits)))]
    return {"median": statistics.median(waits), "p95": p95, "rate": rate, "n": len(waits), "journeys": len(subjects)}


# ── the two ways ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def ours(settings: Settings, args: argparse.Namespace) -> dict[str, float]:
    """Measure through `neotorch up`."""
    found: dict[str, float] = {}
    stop = asyncio.Event()

    async def measure(_: Any) -> None:
        try:
            found.update(await figures(Engine.open(settings), args.events, args.patients, 0.7))
        finally:
            stop.set()

    await up(settings, on_ready=measure, stop=stop)
    return found


async def plain(settings: Settings, args: argparse.Namespace) -> dict[str, float]:
    """Measure through `patient_journey.serve()` with all defaults, in a process of its own."""
    server = PrefectServer(settings.data_dir / "prefect", settings.host, choose_port(settings.host, 0))
    environment.prepare(server.home, server.api)
    async with server:
        from prefect.client.orchestration import get_client

        from neotorch.orchestration.deploy import deploy
        from neotorch.orchestration.dispatcher import follow_for_others

        engine = current_engine()
        async with get_client() as client:
            await deploy(client, pool=settings.work_pool, pool_type="neotorch", time_zone="UTC")
            code = "from flows.patient_journey import patient_journey as p; p.serve(name='plain', print_starting_message=False)"
            serving = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            following = asyncio.create_task(follow_for_others(client, engine, "plain"))
            await asyncio.sleep(0.5)  # it notes the log's position first of all
            try:
                return await figures(Engine.open(settings), args.plain_events, min(args.patients, 8), 3.0)
            finally:
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
                serving.terminate()
                serving.wait(20)


if __name__ == "__main__":
    main()
