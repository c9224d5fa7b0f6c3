"""What a coordinator may say about an open matter, and what is refused with the way out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from neotorch.domain.study_file import StudyError, read_study
from tests.support import START, SUBJECT, Trial, at, cycle, fact, forms, screened, study

DAY = timedelta(1)
TODAY = START + 4 * DAY
C1D8 = START + 7 * DAY
TEXT = Path("neotorch/studies/neotorch-breast03/1.0.yaml").read_text(encoding="utf-8")


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A patient four days after C1D1 with an appointment for C1D15."""
    found = Trial(tmp_path, now=at(TODAY))
    found.tell(*screened(), cycle(1, START), *forms("C1D1", START))
    found.tell(fact("visit_booked", TODAY, id="b15", visit="C1D15", appointment=START + 14 * DAY))
    found.tell(fact("visit_waived", TODAY, id="w", visit="C2D1", reason="x"))
    return found


REFUSED: list[Any] = [
    pytest.param("visit_booked", {"visit": "C1D8", "appointment": TODAY - DAY}, "appointment", "does not follow",
                 id="an appointment before the day it is made"),
    pytest.param("visit_booked", {"visit": "C1D8", "appointment": TODAY + 400 * DAY}, "appointment", "does not follow",
                 id="an appointment in another year"),
    pytest.param("visit_booked", {"visit": "C1D8", "appointment": C1D8 + 3 * DAY}, "appointment", "outside the window",
                 id="outside the window without a reason"),
    pytest.param("visit_booked", {"visit": "C1D15", "appointment": START + 15 * DAY}, "visit", "booked for",
                 id="a second appointment that corrects nothing"),
    pytest.param("visit_booked", {"visit": "C1D1", "appointment": TODAY, "reason": "x"}, "visit", "was held",
                 id="an appointment for a visit that was held"),
    pytest.param("visit_booked", {"visit": "C9D9", "appointment": TODAY}, "visit", "not a visit",
                 id="an appointment for no visit"),
    pytest.param("visit_waived", {"visit": "C1D8"}, "reason", "needs a reason", id="a waiver without a reason"),
    pytest.param("visit_waived", {"visit": "C2D1", "reason": "x"}, "visit", "waived already", id="waived twice"),
    pytest.param("visit_waived", {"visit": "C1D1", "reason": "x"}, "visit", "was held", id="a waiver of the past"),
    pytest.param("snoozed", {"key": f"{SUBJECT}/C1D8", "until": C1D8}, "reason", "needs a reason",
                 id="put off without a reason"),
    pytest.param("snoozed", {"key": f"{SUBJECT}/C1D8", "until": TODAY, "reason": "x"}, "until", "no day to put it off",
                 id="put off to today"),
    pytest.param("snoozed", {"key": f"{SUBJECT}/C1D8", "until": TODAY + 61 * DAY, "reason": "x"}, "until",
                 "no day to put it off", id="put off for ever"),
    pytest.param("snoozed", {"key": "NT-002/C1D8", "until": C1D8, "reason": "x"}, "key", "no open matter",
                 id="another patient's matter"),
    pytest.param("notice_seen", {"key": f"{SUBJECT}/C9D9"}, "key", "no open matter", id="nobody's matter"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "field", "says"), REFUSED)
def test_what_is_refused(kind: str, fields: dict[str, Any], field: str, says: str, trial: Trial) -> None:
    """Each refusal names the field, what is wrong, and what to do; nothing is written."""
    head = trial.engine.head()
    (found,) = trial.engine.record([fact(kind, TODAY, id="f", **fields)])
    assert found.outcome == "refused"
    refusal = next(r for r in found.refusals if r.field == field)
    assert says in refusal.what
    assert refusal.todo
    assert trial.engine.head() == head


TAKEN: list[Any] = [
    pytest.param("visit_booked", {"visit": "C1D8", "appointment": C1D8 + 2 * DAY}, id="the last day of the window"),
    pytest.param("visit_booked", {"visit": "C1D8", "appointment": C1D8 - 2 * DAY}, id="the first day of the window"),
    pytest.param("visit_booked", {"visit": "C1D8", "appointment": C1D8 + 3 * DAY, "reason": "x"}, id="outside, with why"),
    pytest.param("visit_booked", {"visit": "SURG", "appointment": START + 150 * DAY}, id="before its anchor is known"),
    pytest.param("visit_booked", {"visit": "C1D15", "appointment": START + 15 * DAY, "corrects": "b15", "reason": "x"},
                 id="a change of an appointment"),
    pytest.param("visit_waived", {"visit": "C1D8", "reason": "x"}, id="a waiver with a reason"),
    pytest.param("snoozed", {"key": f"{SUBJECT}/C1D8", "until": TODAY + 60 * DAY, "reason": "x"}, id="the longest snooze"),
    pytest.param("notice_seen", {"key": f"{SUBJECT}/C1D8"}, id="seen"),
    pytest.param("unscheduled_visit", {"cause": "fever"}, id="a visit between the visits"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), TAKEN)
def test_what_is_taken(kind: str, fields: dict[str, Any], trial: Trial) -> None:
    """The boundary of each rule on its good side."""
    trial.tell(fact(kind, TODAY, id="f", **fields))


CIRCLES = [
    pytest.param("anchor: surgery, offset_days: 14", "anchor: visit.POD30, offset_days: 14",
                 "anchor: surgery, offset_days: 30", "anchor: visit.PATH, offset_days: 30", "PATH on POD30",
                 id="two visits on each other"),
    pytest.param("anchor: surgery, offset_days: 14", "anchor: visit.PATH, offset_days: 14", "", "", "PATH on PATH",
                 id="a visit on itself"),
    pytest.param("anchor: surgery, offset_days: 14", "anchor: visit.NONE, offset_days: 14", "", "",
                 "the visit 'NONE', which is not under visits", id="a visit that is not there"),
    pytest.param("anchor: surgery, offset_days: 14", "anchor: [surgery, bone], offset_days: 14", "", "",
                 "'bone' is not an anchor", id="one of several that is none"),
    pytest.param("like: C6D1", "like: PATH", "", "", "no day-1 visit", id="extra cycles like no cycle"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "old2", "new2", "says"), CIRCLES)
def test_anchors_that_lead_nowhere_are_refused(old: str, new: str, old2: str, new2: str, says: str) -> None:
    """Visits that hang on each other in a circle would wait for ever; the file is refused and names them."""
    assert old in TEXT
    with pytest.raises(StudyError) as error:
        read_study(TEXT.replace(old, new).replace(old2 or "\0", new2), "1.1.yaml")
    assert says in str(error.value)


def test_of_several_anchors_the_latest_counts(tmp_path: Path) -> None:
    """A visit that hangs on surgery and pathology waits for both and counts from the later one."""
    old, new = "anchor: surgery, offset_days: 30", "anchor: [surgery, pathology], offset_days: 30"
    trial = Trial(tmp_path, now=at(START + 200 * DAY))
    trial.engine.use(read_study(TEXT.replace(old, new)))
    assert trial.engine.study.version == study().version
    from tests.support import course, pathology, surgery, visits

    trial.tell(*screened(), *course(6), surgery(START + 140 * DAY))
    assert visits(trial)["POD30"].status == "waiting"
    assert "waits for surgery and pathology" in visits(trial)["POD30"].because.detail
    trial.tell(pathology(START + 150 * DAY))
    assert visits(trial)["POD30"].window.target == START + 180 * DAY
