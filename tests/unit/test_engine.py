"""The engine on a real log: notices that fail, wakes that repeat, recalculations, and what was known on a past day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from neotorch.domain import events as ev
from neotorch.receivers import WebReceiver
from tests.support import START, SUBJECT, Trial, at, consent, course, cycle, fact, forms, pathology, screened, surgery

DAY = timedelta(1)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A patient at C1D1, seen by the journey."""
    found = Trial(tmp_path, now=at(START))
    found.tell(*screened(), cycle(1, START), *forms("C1D1", START))
    found.wake()
    return found


# ── wakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_when_a_wake_is_done_there_is_nothing_to_do(trial: Trial) -> None:
    """Plan and perform until quiet; another plan has no step, and performing the old steps again adds nothing."""
    trial.now = at(START + 20 * DAY)
    first = trial.engine.plan(SUBJECT)
    done = trial.wake()
    assert first.steps
    head = trial.engine.head()
    assert trial.engine.plan(SUBJECT).steps == ()
    for step in (*first.steps, *done):
        trial.engine.perform_now(SUBJECT, step)
    assert trial.engine.head() == head
    assert trial.engine.plan(SUBJECT).steps == ()


def test_two_engines_on_one_log_do_each_thing_once(trial: Trial, tmp_path: Path) -> None:
    """The same steps performed by two workers at once: one claim wins, nothing is sent or asked twice."""
    trial.tell(fact("form_received", START, id="f", visit="C1D8", form="CBC", items={"ANC": 2}))
    other = Trial(tmp_path, now=at(START + 20 * DAY))
    trial.now = other.now
    for _ in range(6):
        steps, theirs = trial.engine.plan(SUBJECT).steps, other.engine.plan(SUBJECT).steps
        assert [s.key for s in steps] == [s.key for s in theirs]
        for mine, their in zip(steps, theirs, strict=True):
            trial.engine.perform_now(SUBJECT, mine)
            other.engine.perform_now(SUBJECT, their)
        trial.engine.mark_seen(SUBJECT, trial.engine.head())
    rows = [r.event for r in trial.engine.log.read()]
    claims = [e.key for e in rows if isinstance(e, ev.NoticeClaimed)]
    raised = [(e.query, e.round) for e in rows if isinstance(e, ev.QueryRaised)]
    assert len(claims) == len(set(claims)) > 0
    assert len(raised) == len(set(raised)) > 0


def test_a_journey_that_lost_its_place_sends_nothing_twice(trial: Trial, tmp_path: Path) -> None:
    """The place in the log is a cache: forgotten, the history is told once more in the graph and nowhere else."""
    trial.sleep_until(at(START + 20 * DAY))
    head = trial.engine.head()
    trial.engine.mark_seen(SUBJECT, 0)
    steps = trial.wake()
    assert {s.kind for s in steps} <= {"fact", "endpoint"}
    assert trial.engine.head() == head


def test_a_wake_in_the_past_and_one_in_the_future_only_differ_in_what_is_due(trial: Trial) -> None:
    """Planning changes nothing: the same instant gives the same plan."""
    trial.now = at(START + 20 * DAY)
    one = trial.engine.plan(SUBJECT)
    trial.now = at(START + 200 * DAY)
    trial.engine.plan(SUBJECT)
    trial.now = at(START + 20 * DAY)
    assert trial.engine.plan(SUBJECT) == one


# ── endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def operated(tmp_path: Path) -> Trial:
    """A patient with a pathology report."""
    found = Trial(tmp_path, now=at(START + 150 * DAY))
    found.tell(*screened(), *course(6), surgery(START + 133 * DAY), pathology(START + 145 * DAY))
    return found


def test_a_recalculation_records_the_difference_and_then_nothing(operated: Trial) -> None:
    """The first one records all values, a second none; a changed report records what it changed, old and new."""
    first = operated.engine.recalculate("event")
    assert first.changed
    assert first.recorded is not None
    head = operated.engine.head()
    assert not operated.engine.recalculate("event").changed
    assert not operated.engine.recalculate("nightly").changed
    assert operated.engine.head() == head
    amended = pathology(
        START + 145 * DAY, id="p2", corrects=f"{SUBJECT}.PATH", reason="x", cellularity_pct=10, ypt="ypT1c"
    )
    operated.tell(amended)
    changes = {(c.subject, c.field): (c.old, c.new) for c in operated.engine.recalculate("event").changes}
    assert changes[SUBJECT, "pcr"] == ("yes", "no")
    assert changes[SUBJECT, "rcb"][0] == "RCB-0 (0.000)"
    assert [str(v).split()[0] for v in changes[None, "pcr.full"]] == ["1/1", "0/1"]
    recorded = [r.event for r in operated.engine.log.read() if isinstance(r.event, ev.EndpointsRecalculated)]
    assert recorded[-1].explained_by == ["p2"]


def test_a_changed_endpoint_is_told_to_the_statistician_once(operated: Trial) -> None:
    """The notice of a change goes to those who are listed, and not again."""
    operated.engine.recalculate("event")
    steps = operated.engine.trial_plan()
    assert [s.delivery.role for s in steps if s.delivery] == ["statistician"]
    for step in (*steps, *steps):
        operated.engine.perform_now(None, step)
    assert operated.engine.trial_plan() == ()
    assert len(list(operated.engine.settings.outbox.glob("*endpoints*.eml"))) == 1


def test_time_alone_is_no_incident(operated: Trial) -> None:
    """A pending patient becomes a non-responder when the time frame ends: a change, and nothing to be alarmed about."""
    operated.tell(*screened(subject="NT-002"), cycle(1, START, "NT-002"))
    operated.engine.recalculate("nightly")
    operated.now = at(START + 800 * DAY)
    found = operated.engine.recalculate("nightly")
    assert ("NT-002", "pcr", "pending", "no") in {(c.subject, c.field, c.old, c.new) for c in found.changes}
    assert found.incident is None


def test_a_nightly_result_that_nobodys_event_explains_is_an_incident(operated: Trial) -> None:
    """If the definitions are changed under the same version, the recorded result is no longer reproducible: told."""
    body = {"type": "second_primary", "id": "sp", "study": operated.engine.study.id, "subject": SUBJECT}
    other = {"occurred": START + 148 * DAY, "kind": "contralateral_invasive_breast"}
    operated.tell(ev.FACT.validate_python(body | other))
    operated.engine.recalculate("event")
    study = operated.engine.study
    efs = study.endpoints.efs.model_copy(update={"primary_map": "neosteep-like"})
    endpoints = study.endpoints.model_copy(update={"efs": efs})
    changed = Trial(operated.engine.settings.data_dir, now=operated.now)
    changed.engine.use(study.model_copy(update={"endpoints": endpoints}))
    found = changed.engine.recalculate("nightly")
    assert found.incident is not None
    assert SUBJECT in found.incident.detail
    assert "efs" in found.incident.detail
    told = [s for s in changed.engine.trial_plan() if s.delivery and s.delivery.notice.kind == "incident"]
    assert [s.delivery.role for s in told if s.delivery] == ["operator"]
    assert changed.engine.recalculate("nightly").incident is None, "the new result is recorded: told once"


def test_a_recorded_value_that_cannot_be_derived_again_is_an_incident(operated: Trial) -> None:
    """A result that was never true, written into the log by whatever accident, is found in the night."""
    result = operated.engine.recalculate("event").recorded
    assert result is not None
    forged = result.model_copy(
        update={
            "id": "engine:endpoints/forged",
            "log_seq": operated.engine.head(),
            "changes": [ev.EndpointChange(subject=SUBJECT, field="pcr", old="yes", new="no")],
        }
    )
    operated.engine.log.append([forged], now=operated.now)
    found = operated.engine.recalculate("nightly")
    assert found.incident is not None
    assert "no -> yes" in found.incident.detail


def test_which_events_bear_on_endpoints(operated: Trial) -> None:
    """Pathology, surgery, progression, recurrence and death trigger a recalculation, corrected or taken back too."""
    engine = operated.engine
    told = [
        (fact("contact", START + 146 * DAY), False),
        (fact("recurrence", START + 147 * DAY, site="local", id="r"), True),
        (fact("retraction", START + 148 * DAY, id="r1", retracts="r", reason="x"), True),
        (fact("retraction", START + 148 * DAY, id="r2", retracts="r1", reason="x"), True),
        (fact("retraction", START + 148 * DAY, id="r3", retracts=f"{SUBJECT}.C1D1", reason="x"), True),
    ]
    for one, bears in told:
        seq = engine.head()
        operated.tell(one)
        assert engine.subjects_since(seq) == (seq + 1, {SUBJECT}, seq + 1 if bears else 0), one.id
    assert engine.subjects_since(engine.head()) == (engine.head(), set(), 0)


# ── explaining, and the past ──────────────────────────────────────────────────────────────────────────────────────


def test_every_line_of_the_worklist_can_be_explained(tmp_path: Path) -> None:
    """Each key of a visit, a query, a deviation, a stuck notice about a visit, about a fact, about the trial leads to its reason."""
    with WebReceiver() as gone:
        roles = ("coordinator", "investigator", "statistician", "operator")
        told = [{"name": r, "role": r, "url": gone.url(f"/{r}")} for r in roles]
    trial = Trial(tmp_path, now=at(START + 40 * DAY), channels=told)
    trial.tell(*screened(), cycle(1, START), fact("death", START + 39 * DAY, "NT-001", id="d"))
    trial.tell(*screened(subject="NT-002"), cycle(1, START, "NT-002"), forms("C1D8", START + 9 * DAY, "NT-002")[0])
    for subject in trial.engine.subjects():
        trial.wake(subject)
    trial.engine.recalculate("event")
    for step in trial.engine.trial_plan():
        trial.engine.perform_now(None, step)
    lines = trial.engine.worklist()
    assert {o.kind for o in lines} == {"visit", "query", "notice", "deviation"}
    assert len({o.key for o in lines}) == len(lines)
    for line in lines:
        found = trial.engine.explain(line.key)
        assert found, line.key
        assert line.why


KEYS = ["C1D8", "C2D1", "FU1", "pcr", "rcb", "rcb01", "efs", "C2D1/CBC"]


@pytest.mark.parametrize("key", KEYS)
def test_what_can_be_explained(key: str, operated: Trial) -> None:
    """Visits, endpoints and queries say why, with the events behind them where there are any."""
    if key == "C2D1/CBC":
        operated.tell(fact("retraction", START + 150 * DAY, id="r", retracts=f"{SUBJECT}.C2D1.CBC", reason="x"))
        operated.wake()
    found = operated.engine.explain(f"{SUBJECT}/{key}")
    assert found["because"]


def test_an_event_is_explained_by_what_it_says_and_what_replaced_it(operated: Trial) -> None:
    """An event's key shows its body, its place in the log, its hash, and who superseded it."""
    operated.tell(surgery(START + 134 * DAY, id="s2", corrects=f"{SUBJECT}.SURG", reason="x"))
    found = operated.engine.explain(f"{SUBJECT}.SURG")
    assert found["superseded by"] == "s2"
    assert found["hash"]
    assert operated.engine.explain("nothing") == {}
    assert operated.engine.explain(f"{SUBJECT}/nothing") == {}


def test_as_of_gives_what_was_known_and_due_then(tmp_path: Path) -> None:
    """A past day shows the worklist, the story, the endpoints and the reasons of that day, whatever came later."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START), *forms("C1D1", START))
    trial.wake()
    then = at(START + 22 * DAY)
    trial.sleep_until(then)
    worklist, story = trial.engine.worklist(), trial.engine.story_markdown(SUBJECT)
    result, because = trial.engine.endpoints(), trial.engine.explain(f"{SUBJECT}/C2D1")
    trial.sleep_until(at(START + 60 * DAY))
    trial.tell(
        cycle(1, START - DAY, id="c1#2", corrects=f"{SUBJECT}.C1D1", reason="x"),
        fact("death", START + 30 * DAY),
        consent(START, "NT-002"),
    )
    trial.wake()
    assert trial.engine.worklist(as_of=then) == worklist
    assert trial.engine.story_markdown(SUBJECT, as_of=then) == story
    assert trial.engine.endpoints(as_of=then).values() == result.values()
    assert trial.engine.explain(f"{SUBJECT}/C2D1", as_of=then) == because
    assert trial.engine.worklist() != worklist


def test_the_worklist_of_a_site_is_its_own(trial: Trial) -> None:
    """Only that site's lines."""
    trial.now = at(START + 22 * DAY)
    assert trial.engine.worklist(site="S01") == trial.engine.worklist() != []
    assert trial.engine.worklist(site="S99") == []


def test_a_cut_shows_only_what_happened_up_to_it(operated: Trial) -> None:
    """The clinical data cut leaves out later facts although they are known."""
    before = operated.engine.endpoints(cut=START + 144 * DAY)
    assert before.values()[f"{SUBJECT}/pcr"] == "pending"
    assert operated.engine.endpoints().values()[f"{SUBJECT}/pcr"] == "yes"
    assert operated.engine.endpoints(cut=date(2025, 1, 1)).counts["dosed"] == 0
