"""The demo's acts: each finds somebody to whom it can happen, is taken by the engine, and leads to what it promises."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from neotorch.cli.acts import ACTS, Act
from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.plan import Step
from neotorch.rehearsal import rehearse
from neotorch.settings import Settings
from neotorch.simulation import simulate
from tests.support import study

UNTIL = date(2026, 11, 22)
LEADS_TO = {
    "visit_enters_window": ("reminder",),
    "item_is_missing": ("notice: ANC missing at",),
    "item_is_supplied": ("query closed",),
    "pathology_arrives": ("pCR: yes, RCB-0",),
    "recurrence_is_found": ("notice: distant recurrence",),
    "surgery_date_is_corrected": ("moved", "reminder"),
}


def wake(engine: Engine, subject: str) -> list[Step]:
    """Do all that the journey has to do now; returns the steps."""
    done: list[Step] = []
    while steps := [s for s in engine.plan(subject).steps if s.key not in {d.key for d in done} or s.kind != "fact"]:
        for step in steps:
            engine.perform_now(subject, step)
        engine.mark_seen(subject, engine.state(subject).position)
        done += steps
    return done


@pytest.fixture(scope="module", params=[(1, 10, 1), (2, 10, 22)], ids=["by day", "by night"])
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A rehearsed trial whose clock stands on the day after its last one; 22 h UTC is before the reminders' hour."""
    seed, patients, hour = request.param
    now = datetime(2026, 11, 23 if hour < 16 else 22, hour, tzinfo=UTC)
    dated = simulate(study(), patients=patients, seed=seed, until=UNTIL)
    return rehearse(Settings(data_dir=tmp_path_factory.mktemp("acts"), quiet_hours=False), dated, now)


def test_every_act_can_be_played_and_leads_to_what_it_promises(trial: Engine) -> None:
    """In the order of the demo: the facts are recorded, the journey does what the act is about, the tale names it."""
    for make in ACTS:
        act = make(trial)
        assert isinstance(act, Act), f"nobody for {make.__name__}"
        assert {a.outcome for a in trial.record(act.facts)} == {"recorded"}
        names = [s.name for s in wake(trial, act.subject)]
        assert any(words in name for words in LEADS_TO[make.__name__] for name in names), (make.__name__, names)
        if act.endpoints:
            changed = {c.subject for c in trial.recalculate("event").changes}
            assert act.subject in changed
        assert len({f.subject for f in act.facts}) == 1


def test_an_act_without_anybody_is_left_out(tmp_path: Path) -> None:
    """In a trial where nobody can have it today, an act is None and not an error."""
    dated = [d for d in simulate(study(), patients=2, seed=1, until=UNTIL) if isinstance(d.fact, ev.Consent)]
    engine = rehearse(Settings(data_dir=tmp_path), dated, datetime(2026, 11, 23, 1, tzinfo=UTC))
    assert [make(engine) for make in ACTS] == [None] * len(ACTS)
