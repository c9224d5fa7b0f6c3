"""The trial that is frozen with each version: drawn from a seed, with whatever the seed leaves out told besides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from importlib import resources
from typing import Any

from neotorch.domain import events as ev
from neotorch.domain.study import Study
from neotorch.domain.study_file import read_study
from neotorch.simulation import Dated
from tests.seeds.world import World, world
from tests.support import (
    RESIDUAL,
    activated,
    adopted,
    at,
    course,
    day,
    fact,
    forms,
    pathology,
    screened,
    surgery,
    trial_fact,
)

SEED = 18
ADOPTED = date(2026, 5, 4)


def frozen_world() -> World:
    """The world of the seed, with an amendment, looks at a boundary early on, and patients to whom rare things happen."""
    drawn = world(SEED, small=True)
    study = _early_looks(drawn.study)
    dated = sorted((*drawn.dated, *_rare()), key=lambda d: d.known_at)
    told = sorted((*drawn.told, *_about_the_trial(study)), key=lambda t: t[0])
    return replace(drawn, study=study, dated=tuple(dated), told=tuple(told))


def _early_looks(study: Study) -> Study:
    """The study with futility looks from two patients on, so that a boundary is crossed."""
    body = study.definition
    body["endpoints"]["monitoring"]["futility"][0] |= {"looks": [2, 3, 4, 5], "threshold": 0.5}
    return Study.model_validate(body)


def _about_the_trial(study: Study) -> Iterator[tuple[datetime, ev.AnyTrialFact]]:
    text = (resources.files("neotorch") / "studies" / "neotorch-breast03" / "1.1.yaml").read_text(encoding="utf-8")
    amended = read_study(text, "1.1.yaml", lambda _: study)
    yield at(ADOPTED), adopted(amended, ADOPTED)
    yield at(ADOPTED, "13:00"), activated("1.1", ADOPTED, "S01")
    yield at(ADOPTED, "13:00"), activated("1.1", ADOPTED, "S02")
    back = trial_fact(
        "trial_retraction",
        ADOPTED + timedelta(1),
        id="active/1.1/S02/back",
        retracts="active/1.1/S02",
        reason="not yet",
    )
    yield at(ADOPTED + timedelta(1)), back


def _rare() -> Iterator[Dated]:
    """Yield what happens to three more patients, known at noon of its day."""
    one, two, three = "NT-101", "NT-102", "NT-103"
    for subject in (one, two, three):
        yield from _known(*screened(subject=subject), *course(6 if subject != two else 2, subject=subject))
    yield from _known(surgery(day(134), one), *forms("SURG", day(134), one), surgery(day(135), three))
    yield from _known(  # the reads differ, and somebody settles it; the other one is corrected into a response
        pathology(day(146), one, **RESIDUAL), pathology(day(150), one, id=f"{one}.CENTRAL", read="central"),
        pathology(day(155), one, id=f"{one}.SETTLED", read="adjudication", **RESIDUAL),
        pathology(day(147), three, **RESIDUAL),
        _corrected(pathology(day(147), three), day(170)),
    )  # fmt: skip
    yield from _known(
        fact("reconsent", day(112), one, version="1.1", icf_version="2.0"),
        fact("unscheduled_visit", day(36), two, cause="fever"),
        fact("progression", day(40), two, operable=False, basis="imaging"),
        fact("new_therapy", day(48), two, therapy="capecitabine"),
        fact("contact", day(60), two, by="phone"),
        fact("lost_to_follow_up", day(90), two),
        fact("contact", day(120), two, by="record"),
        fact("withdrawal", day(150), two, scope="study"),
        fact("visit_missed", day(140), one, visit="SFU30", cause="declined"),
        fact("second_primary", day(230), one, kind="dcis_lcis"),
        fact("recurrence", day(260), one, site="distant"),
        fact("death", day(280), three, cause="other"),
        fact(
            "retraction",
            day(282),
            three,
            id=f"{three}.death.back",
            retracts=f"{three}.death.{day(280)}",
            reason="of another patient",
        ),
    )


def _corrected(right: ev.AnyFact, on: date) -> ev.AnyFact:
    """The same report with the right values, told on a later day."""
    body: dict[str, Any] = right.body | {"id": f"{right.id}#1", "corrects": right.id, "reason": "read anew"}
    return ev.FACT.validate_python(body | {"occurred": on.isoformat()})


def _known(*facts: ev.AnyFact) -> Iterator[Dated]:
    for one in facts:
        yield Dated(at(one.occurred), one)
