"""The trial's figures in one process: only who changed is derived anew, and every night all are, from the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.rules.endpoints import history
from tests.support import START, Trial, at, course, day, fact, pathology, screened, surgery

DAY = timedelta(1)
PEOPLE = tuple(f"NT-00{n}" for n in range(1, 6))
WORSE = {"cellularity_pct": 10, "ypt": "ypT1c", "d1_mm": 20, "d2_mm": 15}


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Five patients with a report, recalculated once."""
    found = Trial(tmp_path, now=at(START + 150 * DAY))
    for subject in PEOPLE:
        found.tell(
            *screened(subject=subject),
            *course(6, subject=subject),
            surgery(day(134), subject),
            pathology(day(146), subject),
        )
    found.engine.recalculate("event")
    return found


def amend(trial: Trial, subject: str) -> None:
    """The report of a patient, amended."""
    report = {"id": f"{subject}.p2", "corrects": f"{subject}.PATH", "reason": "x"}
    trial.tell(pathology(day(146), subject, **report, **WORSE))


def test_after_an_event_only_who_changed_is_derived_anew(trial: Trial) -> None:
    """One amended report among five patients is one derivation, and the figures are those of a fresh process."""
    amend(trial, "NT-003")
    found = trial.engine.recalculate("event")
    assert found.derived == 1
    assert {c.subject for c in found.changes} == {None, "NT-003"}
    assert found.result.values() == Engine.open(trial.engine.settings, clock=lambda: trial.now).endpoints().values()


def test_what_a_look_has_derived_is_still_recorded(trial: Trial) -> None:
    """Who asks for the figures between event and recalculation takes no change away from it."""
    amend(trial, "NT-002")
    trial.engine.endpoints()
    assert {c.subject for c in trial.engine.recalculate("event").changes} == {None, "NT-002"}


def test_a_patient_whose_first_dose_is_taken_back_leaves_the_figures(trial: Trial) -> None:
    """Values that are no more are recorded as gone."""
    for number in range(6, 0, -1):
        trial.tell(fact("retraction", day(149), "NT-005", id=f"r{number}", retracts=f"NT-005.C{number}D1", reason="x"))
    gone = {c.field: c.new for c in trial.engine.recalculate("event").changes if c.subject == "NT-005"}
    assert gone == {"pcr": None, "rcb": None, "efs": None}


def test_time_changes_only_whose_time_frame_ends(trial: Trial) -> None:
    """At the end of a time frame those are derived whose values it bears on, and nobody on the day before it."""
    frame = trial.engine.study.endpoints.pcr.frame_days
    trial.now = at(START + (frame - 1) * DAY)
    assert trial.engine.recalculate("event").derived == 0
    trial.now = at(START + frame * DAY)
    assert trial.engine.recalculate("event").derived == len(PEOPLE)


def test_a_kept_value_that_the_log_does_not_give_is_an_incident_with_patient_and_field(trial: Trial) -> None:
    """The night derives everything from the log: what was kept wrongly is named, with what it was and what it is."""
    cohort = trial.engine._figures._cohort
    assert cohort is not None
    kept = cohort.members["NT-004"]
    wrong = replace(kept.endpoints, pcr=replace(kept.endpoints.pcr, answer="no"))
    cohort.members["NT-004"] = replace(kept, endpoints=wrong)
    found = trial.engine.recalculate("nightly")
    assert found.incident is not None
    assert found.incident.kind == "incremental-endpoint"
    assert "NT-004 pcr: no -> yes" in found.incident.detail


def test_a_quiet_night_says_nothing(trial: Trial) -> None:
    """What was kept, what was recorded and what the log gives are one."""
    amend(trial, "NT-001")
    trial.engine.recalculate("event")
    found = trial.engine.recalculate("nightly")
    assert (found.changes, found.incident) == ((), None)


def moments(trial: Trial, *fields: str) -> Sequence[tuple[str, str | None, str | None]]:
    """The history of fields, as (field, old, new)."""
    return [
        (m.field, m.old and m.old.split()[0], m.new and m.new.split()[0])
        for m in history(trial.engine.log.read(), *fields)
    ]


def test_the_history_of_a_figure_says_what_moved_it(trial: Trial) -> None:
    """Each value that was ever recorded, in order, with the events that moved it."""
    amend(trial, "NT-003")
    trial.engine.recalculate("event")
    assert moments(trial, "pcr.full") == [("pcr.full", None, "5/5"), ("pcr.full", "5/5", "4/5")]
    assert moments(trial, "NT-003/pcr") == [("NT-003/pcr", None, "yes"), ("NT-003/pcr", "yes", "no")]
    assert history(trial.engine.log.read(), "pcr.full")[-1].moved_by == ("NT-003.p2",)
    assert {m.field for m in history(trial.engine.log.read())} == set(trial.engine.endpoints().trial_values())


def test_a_past_result_comes_out_again_to_the_byte(trial: Trial) -> None:
    """What was known then, at the cut of then, gives the digest that was recorded then."""
    first = next(r.event for r in trial.engine.log.read() if isinstance(r.event, ev.EndpointsRecalculated))
    amend(trial, "NT-003")
    trial.now = at(START + 400 * DAY)
    trial.engine.recalculate("event")
    again = trial.engine.endpoints(cut=first.occurred, until_seq=first.log_seq).values()
    assert ev.digest_of(again) == first.result_digest
