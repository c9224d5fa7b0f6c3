"""A monitoring boundary crossed: recorded once, told once, taken back when the data no longer show it."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
import yaml

from neotorch.domain import events as ev
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.plan import Step
from neotorch.rehearsal import rehearse
from neotorch.settings import Settings, load_study
from neotorch.simulation import simulate
from tests.stories import shipped
from tests.support import Trial, at, course, day, fact, pathology, screened, study, surgery

PEOPLE = ("NT-001", "NT-002", "NT-003")
RESIDUAL = {"ypt": "ypT1c", "cellularity_pct": 10}
KEY = "boundary/futility.pcr/2"


def small() -> Study:
    """The study with a futility look at two patients that none out of two stops."""
    ends = study().endpoints
    rule = ends.monitoring.futility[0].model_copy(update={"looks": [2], "threshold": 0.5})
    monitoring = ends.monitoring.model_copy(update={"futility": [rule]})
    return study().model_copy(update={"endpoints": ends.model_copy(update={"monitoring": monitoring})})


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Three patients operated; no report yet."""
    found = Trial(tmp_path, now=at(day(150)), quiet_hours=False)
    found.engine.use(small())
    for subject in PEOPLE:
        found.tell(*screened(subject=subject), *course(6, subject=subject), surgery(day(134), subject))
    found.engine.recalculate("event")
    return found


def kinds(trial: Trial) -> list[tuple[str, int]]:
    """What the log says of boundaries: (type, round)."""
    told = (r.event for r in trial.engine.log.read())
    return [(e.type, e.round) for e in told if isinstance(e, ev.BoundaryCrossed | ev.BoundaryWithdrawn)]


def due(trial: Trial) -> list[Step]:
    """What is due to be told about boundaries."""
    return [s for s in trial.engine.trial_plan() if s.delivery and s.delivery.notice.kind == "boundary"]


def said(path: Path) -> str:
    """The words of a message in the outbox."""
    body = message_from_bytes(path.read_bytes(), policy=default).get_body(("plain",))
    assert body
    return str(body.get_content())


def report(trial: Trial, subject: str, on: int, **fields: object) -> None:
    """Record a report and recalculate, as the event would make it."""
    trial.tell(pathology(day(on), subject, **fields))
    trial.engine.recalculate("event")


def test_a_crossing_is_recorded_on_the_day_and_only_once(trial: Trial) -> None:
    """The second non-responder crosses it; neither a further recalculation nor another process records it again."""
    report(trial, "NT-002", 146, **RESIDUAL)
    assert kinds(trial) == []
    report(trial, "NT-001", 148, **RESIDUAL)
    trial.engine.recalculate("event")
    trial.engine.recalculate("nightly")
    other = Engine.open(trial.engine.settings, clock=lambda: trial.now)
    other.use(small())
    other.recalculate("event")
    assert kinds(trial) == [("boundary_crossed", 1)]
    event = next(r.event for r in trial.engine.log.read() if isinstance(r.event, ev.BoundaryCrossed))
    assert (event.n, event.x, event.stop_at, event.on) == (2, 0, 0, day(148))


def test_it_is_told_to_whom_the_study_file_names_without_a_patient(trial: Trial) -> None:
    """Counts, and no subject code; told once."""
    report(trial, "NT-002", 146, **RESIDUAL)
    report(trial, "NT-001", 148, **RESIDUAL)
    steps = due(trial)
    assert {s.delivery.role for s in steps if s.delivery} == {"statistician", "operator"}
    for step in steps:
        trial.engine.perform_now(None, step)
    assert due(trial) == []
    texts = [said(p) for p in trial.engine.settings.outbox.glob("*boundary*.eml")]
    assert len(texts) == 2
    assert all("0 of 2" in t or "2 例中 0 例" in t for t in texts)
    assert not any(subject in t for t in texts for subject in PEOPLE)


def test_a_correction_takes_it_back_and_another_crosses_it_again(trial: Trial) -> None:
    """Each is recorded and told under a key of its own."""
    report(trial, "NT-002", 146, **RESIDUAL)
    report(trial, "NT-001", 148, **RESIDUAL)
    amended = {"corrects": "NT-001.PATH", "reason": "x"}
    report(trial, "NT-001", 148, id="NT-001.p2", **amended)
    assert kinds(trial) == [("boundary_crossed", 1), ("boundary_withdrawn", 1)]
    titles = {s.delivery.notice.title for s in due(trial) if s.delivery}
    assert titles == {
        "notice: boundary futility.pcr at 2 crossed", "notice: boundary futility.pcr at 2 no longer crossed"
    }  # fmt: skip
    report(trial, "NT-001", 148, id="NT-001.p3", **(amended | {"corrects": "NT-001.p2"}), **RESIDUAL)
    assert kinds(trial)[-1] == ("boundary_crossed", 2)


def test_an_earlier_patient_who_is_learnt_of_later_moves_the_look(trial: Trial) -> None:
    """A responder reported late, but of an earlier day, comes before: then one of the first two responded."""
    report(trial, "NT-002", 146, **RESIDUAL)
    report(trial, "NT-001", 148, **RESIDUAL)
    report(trial, "NT-003", 145)
    assert kinds(trial) == [("boundary_crossed", 1), ("boundary_withdrawn", 1)]


def test_a_crossing_is_explained(trial: Trial) -> None:
    """Rule, parameters, source, patients, and what was recorded about it; a look to come says its boundary."""
    assert trial.engine.explain(KEY)["status"] == "0 patients are evaluable; at 2: stops at 0 or fewer"
    report(trial, "NT-002", 146, **RESIDUAL)
    report(trial, "NT-001", 148, **RESIDUAL)
    found = trial.engine.explain(KEY)
    assert found["status"] == "crossed"
    assert "patients NT-002, NT-001" in found["because"]
    assert "Thall and Simon" in found["source"]
    assert any("0 of 2 responded" in words for words in found.values())
    event = trial.engine.explain(f"engine:{KEY}/round/1")
    assert event["reason"].startswith("0 of 2 responded, stops at 0 or fewer; NT-001 became evaluable on")
    assert trial.engine.explain("boundary/futility.rcb01/2") == {}
    assert trial.engine.explain("boundary/futility.pcr/two") == {}


def test_what_was_known_before_is_explained_as_it_was(trial: Trial) -> None:
    """As of the day before the report there was one patient."""
    report(trial, "NT-002", 146, **RESIDUAL)
    then = trial.now
    trial.now = at(day(152))
    report(trial, "NT-001", 148, **RESIDUAL)
    assert trial.engine.explain(KEY, as_of=then)["status"] == "1 patients are evaluable; at 2: stops at 0 or fewer"


def test_toxicity_that_counts_asks_for_a_recalculation_at_once(trial: Trial) -> None:
    """An adverse event that a rule counts bears on the endpoints, as does a correction of any; others do not."""
    seq = trial.engine.head()

    def bears() -> bool:
        nonlocal seq
        seq, _, found = trial.engine.subjects_since(seq)
        return bool(found)

    trial.tell(fact("adverse_event", day(100), id="a1", term="rash", grade=3))
    assert not bears()
    trial.tell(fact("adverse_event", day(101), id="a2", term="colitis", grade=3, immune_related=True))
    assert bears()
    correction = {"corrects": "a2", "reason": "x", "term": "colitis", "grade": 2, "immune_related": True}
    trial.tell(fact("adverse_event", day(101), id="a3", **correction))
    assert bears()


def test_a_study_file_that_names_nobody_tells_whom_it_tells_of_endpoints_and_incidents() -> None:
    """A file from before monitoring was told of still works."""
    body = study().definition
    body["recipients"]["tell"].pop("boundary", None)
    assert Study.model_validate(body).recipients.tell["boundary"] == ["operator", "statistician"]


def test_time_alone_makes_a_patient_evaluable(trial: Trial) -> None:
    """Who is never reported on counts from the day after the time frame: the night of that day crosses it, none before."""
    report(trial, "NT-002", 146, **RESIDUAL)
    assert trial.engine.next_turn() is not None
    frame = trial.engine.study.endpoints.pcr.frame_days
    trial.now = at(day(frame), "02:00")
    trial.engine.recalculate("nightly")
    assert kinds(trial) == []
    trial.now = at(day(frame + 1), "02:00")
    assert trial.engine.next_turn() == day(frame + 1)
    assert len(trial.engine.recalculate("nightly").boundaries) == 1
    event = next(r.event for r in trial.engine.log.read() if isinstance(r.event, ev.BoundaryCrossed))
    assert (event.on, event.n, event.x) == (day(frame + 1), 2, 0)


def crossing_early(folder: Path) -> Path:
    """The study file with futility looks at two and three patients that one responder does not pass."""
    data = deepcopy(shipped())
    data["endpoints"]["monitoring"]["futility"][0] |= {"looks": [2, 3], "threshold": 0.8}
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return file


def test_a_rehearsal_tells_of_a_crossing_once_and_on_its_day(tmp_path: Path) -> None:
    """As in life: recorded when the patient becomes evaluable or is known to be, told at once to each role, explained."""
    settings = Settings(data_dir=tmp_path / "data", study_file=crossing_early(tmp_path), quiet_hours=False)
    until = day(300)
    played = simulate(load_study(settings), patients=12, seed=3, until=until)
    engine = rehearse(settings, played, at(until), processes=1)
    rows = engine.log.read()
    found = [(r, r.event) for r in rows if isinstance(r.event, ev.BoundaryCrossed)]
    assert found
    for row, event in found:
        behind = engine.explain(f"boundary/{event.rule}/{event.n}")
        known = max(r.recorded_at for r in rows if r.event.id in behind["because"])
        night = at(event.on, "02:00")
        assert timedelta(0) <= row.recorded_at - max(known, night) <= timedelta(minutes=1)
        sent = [r for r in rows if isinstance(r.event, ev.NoticeSent) and r.event.key.startswith(f"{event.id}/told")]
        assert len({r.event.key for r in sent}) == len(sent) == 2
        assert {r.recorded_at for r in sent} == {row.recorded_at}
        assert behind["status"] == "crossed"


def test_nothing_stops_by_itself(trial: Trial) -> None:
    """A crossing changes no journey: what is done about it is decided by people."""
    before = trial.engine.plan("NT-003").steps
    report(trial, "NT-002", 146, **RESIDUAL)
    report(trial, "NT-001", 148, **RESIDUAL)
    assert trial.engine.plan("NT-003").steps == before
