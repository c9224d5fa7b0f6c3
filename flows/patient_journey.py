"""One patient's journey: one flow run from consent to the end of follow-up, asleep between wakes.

A wake asks the engine what there is to do, does each step as a task run of its own, and goes to sleep until the next
date. What is due, and whether it was done already, is decided by the engine from the event log alone; a wake with
nothing to do is harmless, and so is one that is killed anywhere.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.utilities.annotations import quote

from neotorch.engine import Engine, crash_point, current_engine
from neotorch.observe import metrics
from neotorch.observe.logs import about
from neotorch.orchestration import names, sleep
from neotorch.orchestration.dispatcher import behind, in_engine
from neotorch.plan import Plan, Step

ROUNDS = 8
"""A step may give rise to another; after so many rounds the journey sleeps and goes on at its next wake."""
FIRST_RETRY = timedelta(minutes=5)
LONGEST_RETRY = timedelta(hours=6)
log = logging.getLogger("neotorch.journey")


@flow(name=names.JOURNEY, persist_result=False, retries=0)
async def patient_journey(study: str, subject: str) -> Any:
    """Wake the journey of `subject` in `study`: do what is due, then sleep, or end if the patient's journey has ended."""
    crash_point("wake-started")
    engine = await in_engine(current_engine)
    if study != engine.study.id:
        raise ValueError(
            f"this worker is for study {engine.study.id}, not {study}: start one with NEOTORCH_STUDY={study}"
        )
    with about(study=study, subject=subject, run=str(sleep.this_run()[1].id)):
        return await _wake(engine, subject)


async def _wake(engine: Engine, subject: str) -> Any:
    """Do what is due, put the run to sleep, and count."""
    since = await in_engine(news_since, engine, subject)
    plan, failed = await _work(engine, subject)
    crash_point("before-artifact")
    await sleep.publish(subject, await in_engine(engine.story_markdown, subject))
    attempt = _attempt() + 1 if failed else 0
    await sleep.label(plan.title, {*plan.tags, *([f"retry:{attempt}"] if failed else [])})
    crash_point("before-sleep")
    if plan.done and not failed:
        _count(engine, plan, "ended", since)
        return Completed(message=plan.awaiting)
    until, message = plan.until, plan.awaiting
    if failed:
        retry = engine.clock() + min(FIRST_RETRY * 2 ** min(attempt - 1, 10), LONGEST_RETRY)
        until, message = min(retry, until or retry), f"{failed[0]} failed, will be tried again · {plan.awaiting}"
    state = await sleep.fall_asleep(until or engine.clock() + LONGEST_RETRY, message)
    crash_point("asleep-before-second-look")
    if state.is_scheduled() and await in_engine(behind, engine, subject):
        await sleep.wake_again()  # whoever wrote before this look may have found the run awake and left it alone
    _count(engine, plan, "retry" if failed else "asleep", since)
    crash_point("wake-ended")
    return sleep.leave(state)


def news_since(engine: Engine, subject: str) -> datetime | None:
    """Return when the oldest event was recorded that the journey has not seen; None without any: a date woke it."""
    rows = engine.log.read(subject, after=engine.log.journey_seen(subject)[1])
    return rows[0].recorded_at if rows else None


def _count(engine: Engine, plan: Plan, result: str, since: datetime | None) -> None:
    """Count the wake, say that it has ended, and how long what was recorded has waited for that."""
    metrics.WAKES.labels(result).inc()
    if since is not None:
        metrics.WAKE_SECONDS.observe(max((engine.clock() - since).total_seconds(), 0.0))
    log.info("wake ended", extra={"position": plan.seen, "result": result})


async def _work(engine: Engine, subject: str) -> tuple[Plan, list[str]]:
    """Do all steps, looking again until none is left. Returns the last plan and the names of steps that failed."""
    failed: dict[str, str] = {}
    for _ in range(ROUNDS):
        plan = await in_engine(engine.plan, subject)
        crash_point("plan-made")
        todo = [step for step in plan.steps if step.key not in failed]
        for step in todo:
            crash_point("before-step")
            if not await _do(subject, step):
                failed[step.key] = step.name
            crash_point("after-step")
        await in_engine(engine.mark_seen, subject, plan.seen)
        if not todo:
            break
    return plan, list(failed.values())


async def _do(subject: str, step: Step) -> bool:
    """Do one step as a task run that bears its name; a step that fails leaves a failed task run and the journey alive."""
    named = perform.with_options(task_run_name=step.name.replace("{", "{{").replace("}", "}}"))
    with about(effect=step.key, attempt=step.delivery.attempt if step.delivery else None):
        state = await named(subject, quote(step), return_state=True)  # type: ignore[misc]  # Prefect types the sync form
        done = bool(state.is_completed())
        log.log(logging.INFO if done else logging.ERROR, "step", extra={"result": "done" if done else "failed"})
    return done


@task(name="step", persist_result=False, cache_policy=NO_CACHE, retries=0)
async def perform(subject: str, step: Step) -> Any:
    """Have the engine do the step; the outcome in words becomes the message of the task run's state."""
    return Completed(message=await current_engine().perform(subject, step))


def _attempt() -> int:
    """How often the journey has been put off because of failures; it stands among the run's tags."""
    _, run = sleep.this_run()
    return max((int(t.partition(":")[2]) for t in run.tags if t.startswith("retry:") and t[6:].isdigit()), default=0)
