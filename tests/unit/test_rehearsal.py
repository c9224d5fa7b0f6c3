"""The rehearsal: years of trial through the real engine, with a log as real life would have left it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.rehearsal import PaperNotifier, RehearsalError, in_batches, rehearse
from neotorch.rehearsal_shared import GUARD, MOST, WORTH_IT, share_of
from neotorch.settings import Settings
from neotorch.simulation import Dated, simulate
from neotorch.simulation.sites import with_sites
from neotorch.store.errors import HeadMoved
from neotorch.store.log import EventLog
from neotorch.store.rehearsal import RehearsalLog
from tests.support import STUDY_ID, Trial, at, consent, fact, study

UNTIL = date(2026, 11, 22)
NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
NOWHERE = [{"name": "mail", "role": "coordinator", "url": "mailto://127.0.0.1:9?from=a@example.org&to=b@example.org"}]


def facts(patients: int = 16, seed: int = 1) -> list[Dated]:
    """A small trial."""
    return simulate(study(), patients=patients, seed=seed, until=UNTIL)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A small trial, rehearsed once with a mail channel that nobody listens to."""
    folder = tmp_path_factory.mktemp("rehearsed")
    return rehearse(Settings.model_validate({"data_dir": folder, "channels": NOWHERE}), facts(), NOW)


def test_the_log_is_whole_and_holds_every_fact(rehearsed: Engine) -> None:
    """The chain verifies, every simulated fact is in the log at its own instant, and time only goes forward."""
    assert rehearsed.log.verify() == []
    rows = rehearsed.log.read()
    learnt = {r.event.id: r.recorded_at for r in rows if isinstance(r.event, ev.Fact)}
    assert learnt == {d.fact.id: d.known_at for d in facts()}
    assert [r.recorded_at for r in rows] == sorted(r.recorded_at for r in rows)
    assert rows[-1].recorded_at <= NOW


def test_every_notice_is_claimed_and_sent_once_and_no_channel_is_contacted(rehearsed: Engine) -> None:
    """Claims and outcomes stand in the log under the real channel's name; the channel itself hears nothing."""
    events = [r.event for r in rehearsed.log.read()]
    claims = Counter(e.key for e in events if isinstance(e, ev.NoticeClaimed))
    sent = Counter(e.key for e in events if isinstance(e, ev.NoticeSent))
    assert claims == sent
    assert set(sent.values()) == {1}
    assert not any(isinstance(e, ev.NoticeFailed) for e in events)
    assert {e.channel for e in events if isinstance(e, ev.NoticeSent) and e.role == "coordinator"} == {"mail"}
    assert isinstance(rehearsed.notifier, PaperNotifier)
    assert rehearsed.notifier.sent == sent.total()
    assert not rehearsed.settings.outbox.exists()


def test_nothing_is_left_to_do(rehearsed: Engine) -> None:
    """At the end every journey has seen all events, has no step left, and sleeps until an instant yet to come."""
    for subject in rehearsed.subjects():
        plan = rehearsed.plan(subject)
        assert plan.steps == ()
        assert plan.done or (plan.until is not None and plan.until > NOW)
        assert rehearsed.log.journey_seen(subject)[1] == plan.seen
    assert rehearsed.trial_plan() == ()
    assert not rehearsed.recalculate("nightly").changed
    assert not [line for line in rehearsed.worklist() if line.status == "undelivered"]


def test_queries_come_and_go(rehearsed: Engine) -> None:
    """Missing items were asked after their grace period; most were answered and closed, some are open."""
    events = [r.event for r in rehearsed.log.read()]
    raised = sum(isinstance(e, ev.QueryRaised) for e in events)
    closed = sum(isinstance(e, ev.QueryClosed) for e in events)
    assert raised > closed > raised / 2


def test_it_comes_out_as_if_lived_through(tmp_path: Path) -> None:
    """A patient's effects are those of a journey that sleeps until its own dates, on an ordinary log."""
    dated = [d for d in facts(4, seed=5) if d.fact.subject == "NT-002"]
    fast = rehearse(Settings(data_dir=tmp_path / "fast"), dated, NOW)
    slow = Trial(tmp_path / "slow", now=dated[0].known_at)
    for known_at, group in groupby(dated, key=lambda d: d.known_at):
        if slow.engine.head():
            slow.sleep_until(known_at, "NT-002")
        slow.now = known_at
        slow.tell(*(d.fact for d in group))
        slow.wake("NT-002")
    slow.sleep_until(NOW, "NT-002")
    assert _effects(fast.log) == _effects(slow.engine.log)
    assert len(_effects(fast.log)) > 20


def _effects(log: EventLog) -> list[tuple[str, datetime]]:
    return [(r.event.id, r.recorded_at) for r in log.read("NT-002") if isinstance(r.event, ev.Effect)]


def test_the_same_trial_gives_the_same_log(tmp_path: Path) -> None:
    """Two rehearsals of the same facts end with the same head of the hash chain."""
    heads = [rehearse(Settings(data_dir=tmp_path / name), facts(3), NOW).log.head() for name in ("a", "b")]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("seed", [3, 4])
def test_several_processes_make_the_log_that_one_makes(seed: int, tmp_path: Path) -> None:
    """Who plays the patients makes no difference: the same rows in the same order, the same figures, the same places."""
    engines = [rehearse(Settings(data_dir=tmp_path / str(n)), facts(8, seed), NOW, processes=n) for n in (1, 2, 3)]
    assert len({e.log.head() for e in engines}) == 1
    assert {e.log.verify() == [] for e in engines} == {True}
    places = [{s: e.log.journey_seen(s)[1] for s in e.subjects()} for e in engines]
    assert places[0] == places[1] == places[2]
    assert engines[2].endpoints().values() == engines[0].endpoints().values()


def test_the_same_seed_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """Another process with another order of hashes makes the same facts, and of them the same log."""
    code = (
        "import sys; from pathlib import Path; from tests.unit.test_rehearsal import *;"
        "print(rehearse(Settings(data_dir=Path(sys.argv[1])), facts(4, 2), NOW).log.head())"
    )
    heads = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / hashes)], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(Path(__file__).parents[2])},
        ).stdout
        for hashes in ("1", "4711")
    ]  # fmt: skip
    assert heads[0] == heads[1]
    assert "hash=" in heads[0]


def test_a_process_that_does_not_come_up_is_told_of(tmp_path: Path) -> None:
    """A script that would start itself again and again hears what to do, instead of waiting for ever."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from pathlib import Path; from tests.unit.test_rehearsal import *\n"
        "rehearse(Settings(data_dir=Path(sys.argv[1])), facts(6), NOW, processes=2)\n",
        encoding="utf-8",
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
    assert ended.returncode != 0
    assert GUARD in ended.stderr


def test_what_counts_everybodys_notices_is_played_by_one_process(tmp_path: Path) -> None:
    """A digest, a cap, or far more notices than usual hang on all patients: shared out, the log would be another."""
    channel = {"name": "m", "role": "coordinator", "url": "mailto://127.0.0.1:9?from=a@example.org&to=b@example.org"}
    many = in_batches(facts(WORTH_IT))
    assert share_of(Settings(data_dir=tmp_path), many) == min(MOST, os.cpu_count() or 1)
    for kept in ({"digest": True}, {"most_per_day": 5}):
        assert share_of(Settings.model_validate({"data_dir": tmp_path, "channels": [channel | kept]}), many) == 1
    touchy = {"flood_factor": 1.01, "flood_floor": 1}
    engines = [rehearse(Settings(data_dir=tmp_path / str(n), **touchy), facts(6), NOW, processes=n) for n in (1, 2)]
    assert engines[0].log.head() == engines[1].log.head()


def test_patients_go_to_the_sites_in_turn() -> None:
    """A study of several sites is simulated at all of them; further ones are copies of the first with its ranges."""
    wide = with_sites(study(), 4)
    consents = [d.fact for d in simulate(wide, patients=8, seed=1, until=UNTIL) if isinstance(d.fact, ev.Consent)]
    assert Counter(c.site for c in consents) == {"S01": 2, "S02": 2, "S03": 2, "S04": 2}
    assert wide.safety is not None
    assert wide.safety.limits("S04", "neutrophils") == wide.safety.limits("S01", "neutrophils")
    assert with_sites(study(), 1).definition == study().definition
    with pytest.raises(ValueError, match="has 4 sites"):
        with_sites(wide, 3)


def test_progress_is_told(tmp_path: Path) -> None:
    """Progress counts facts from some to all."""
    told: list[tuple[int, int]] = []
    rehearse(Settings(data_dir=tmp_path), facts(1), NOW, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (len(facts(1)), len(facts(1)))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_refused_fact_says_why(processes: int, tmp_path: Path) -> None:
    """A story that cannot be so stops the rehearsal with the engine's reason, and leaves an empty log behind."""
    on = date(2026, 1, 5)
    early = fact("surgery", on, breast="mastectomy", axilla="none")
    with pytest.raises(RehearsalError, match="surgery before enrolment"):
        rehearse(
            Settings(data_dir=tmp_path),
            [Dated(at(on), consent(on)), Dated(at(on, "13:00"), early)],
            NOW,
            processes=processes,
        )
    assert Engine.open(Settings(data_dir=tmp_path)).head() == 0


def test_a_log_that_is_there_is_not_touched(tmp_path: Path) -> None:
    """A rehearsal refuses a data folder with a log in it."""
    Trial(tmp_path, now=at(date(2026, 1, 5))).tell(consent(date(2026, 1, 5)))
    with pytest.raises(RehearsalError, match="a log already"):
        rehearse(Settings(data_dir=tmp_path), facts(1), NOW)


def test_a_rehearsal_log_yields_to_another_writer(tmp_path: Path) -> None:
    """If somebody else wrote to the log meanwhile, nothing of the rehearsal is written."""
    url, on = f"sqlite:///{tmp_path / 'log.db'}", date(2026, 1, 5)
    real, mine = EventLog(url, STUDY_ID), RehearsalLog(url, STUDY_ID)
    real.migrate()
    mine.append([consent(on)], now=at(on))
    real.append([consent(on, "NT-002")], now=at(on) + timedelta(hours=1))
    with pytest.raises(HeadMoved):
        mine.settle()
    assert real.head().seq == 1
