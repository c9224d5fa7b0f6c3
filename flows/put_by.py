"""What is put by every night for a bad day: a backup that is tried out, and each site's worklist on paper."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from prefect.utilities.annotations import quote

from flows.tell_operators import tell_all
from neotorch.domain.errors import NeotorchError
from neotorch.engine import Engine, current_engine
from neotorch.orchestration import names
from neotorch.orchestration.dispatcher import in_engine
from neotorch.orchestration.incidents import record_incident
from neotorch.orchestration.successes import succeeded
from neotorch.safekeeping import Backup, Drill, back_up, drill, put_on_paper
from neotorch.witness import told


@flow(name=names.PUTTING_BY, persist_result=False, retries=0)
async def put_by() -> Any:
    """Back up the log, restore it elsewhere to see that it can be done, and write the sheets for the wall."""
    engine = await in_engine(current_engine)
    said, wrong = [], ""
    for do in (keep, write_sheets):
        try:
            said.append(await do())
        except (NeotorchError, OSError) as error:  # one must not keep the other from being done
            wrong = str(error)
            said.append(wrong)
    text = "# Put by\n\n" + "\n".join(f"* {line}" for line in said)
    await acreate_markdown_artifact(text, key="put-by", description="The last backup, its drill, and the sheets")
    if engine.settings.head_notice and await in_engine(told, engine):
        await tell_all()
    if wrong:
        await in_engine(record_incident, engine, "backup", wrong, str(engine.today()))
        await tell_all()
        return Failed(message=wrong)
    return Completed(message="; ".join(said))


async def keep() -> str:
    """Back up and try out; raises what went wrong."""
    made = await backup()
    tried = await try_out(quote(made))  # type: ignore[call-overload]  # a quoted value is unquoted by Prefect
    if tried.problems:
        raise NeotorchError(
            tried.words, str(made.path), "Keep the older backups; run `neotorch verify` and `neotorch doctor`."
        )
    await in_engine(succeeded, "backup")
    return f"{made.path.name}: {made.bytes / 1000:.0f} kB, {tried.words}"


@task(task_run_name="back up", persist_result=False, cache_policy=NO_CACHE)
async def backup() -> Backup:
    """Write the log into one file, in a thread of its own."""
    settings = current_engine().settings
    return await asyncio.to_thread(back_up, current_engine(), settings.backups, settings.backups_kept)


@task(task_run_name="restore drill", persist_result=False, cache_policy=NO_CACHE)
async def try_out(made: Backup) -> Drill:
    """Restore the file into a database that is thrown away."""
    return await asyncio.to_thread(drill, current_engine(), made)


@task(task_run_name="worklists on paper", persist_result=False, cache_policy=NO_CACHE)
async def write_sheets() -> str:
    """Write each site's sheet. The engine is asked in its own thread; the pages are set there too, a second each."""
    engine = current_engine()
    files = await in_engine(_sheets, engine)
    return f"{len(files)} sheets in {engine.settings.sheets}"


def _sheets(engine: Engine) -> list[str]:
    return [path.name for path in put_on_paper(engine, engine.settings.sheets)]
