"""A visit that somebody was told or gave a day for and that is not planned any more: told, and explained."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from neotorch.domain.study_file import read_study
from tests.support import START, SUBJECT, Trial, activated, adopted, at, course, cycle, fact, forms, screened, study

DAY = timedelta(1)
HEAD = 'version: "1.1"\namendment: {amends: "1.0", reason: test, reconsent: false, assumption: true, source: a test}\n'


def gone(trial: Trial) -> list[str]:
    """The visits of which it was told that they are not planned any more, with the day that was told."""
    return sorted(k.replace("/gone", "") for k in trial.sent() if "/gone/" in k)


def test_a_visit_that_an_amendment_removes_is_told_to_whoever_was_told_its_day(tmp_path: Path) -> None:
    """The notice names the visit by its title, and `explain` gives the reason by its key and by that of the notice."""
    new = read_study(HEAD + "remove: {visits: [C1D15]}", "1.1.yaml", lambda _: study())
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START), *forms("C1D1", START), *forms("C1D8", START))
    trial.sleep_until(at(START + 12 * DAY))
    assert any(k.startswith("C1D15/") for k in trial.sent())
    trial.tell(adopted(new, START + 12 * DAY), activated("1.1", START + 12 * DAY))
    trial.sleep_until(at(START + 13 * DAY))
    assert gone(trial) == ["C1D15/2026-02-02"]
    (told,) = [n for n in trial.engine.duties(SUBJECT)[1].notices if "/gone/" in n.key]
    assert told.data["visit_label"] == {"en": "cycle 1 day 15", "zh": "第1周期第15天"}
    found = trial.engine.explain(f"{SUBJECT}/C1D15/gone/2026-02-02")
    assert (found["notice"], found["status"]) == ("C1D15 of 2026-02-02 is no longer planned", "so it is")
    assert "version 1.1 plans no such visit" in found["because"]
    found = trial.engine.explain(f"{SUBJECT}/C1D15")
    assert found.get("status") == "not planned", found
    trial.sleep_until(at(START + 40 * DAY))
    assert gone(trial) == ["C1D15/2026-02-02"], "once"


def test_an_extra_cycle_that_is_taken_back_is_told(tmp_path: Path) -> None:
    """A cycle beyond the plan is there as long as the site says so; no version need have it for its end to be told."""
    last = START + 105 * DAY
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened())
    for told in course(6):
        trial.now = max(trial.now, at(told.occurred))
        trial.tell(told)
    more = fact("cycle_delayed", last + 7 * DAY, id="seventh", cycle=7, until=last + 21 * DAY, cause="logistics")
    trial.sleep_until(at(last + 7 * DAY))
    trial.tell(more)
    trial.sleep_until(at(last + 19 * DAY))
    trial.tell(fact("retraction", last + 19 * DAY, retracts="seventh", reason="another patient's"))
    trial.sleep_until(at(last + 20 * DAY))
    assert gone(trial) == [f"C7D1/{last + 21 * DAY}"]
