"""Event-free survival of one patient under each map of findings."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from neotorch.domain.efs import EfsMap, event_free_survival, last_known_alive, survival_conflicts
from neotorch.domain.events import AnyFact
from neotorch.domain.time_to_event import TimeToEvent
from neotorch.rules.consistency import contradictions
from tests.support import START, SUBJECT, consent, cycle, day, fact, state_of, study, told

FILE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "efs.yaml").read_text(encoding="utf-8")
)
CASES, CONFLICTS = FILE["cases"], FILE["conflicts"]
MAPS = study().endpoints.efs.maps
ALIVE = ("SURVIVAL", "ALIVE")


def facts_of(case: dict[str, Any]) -> list[AnyFact]:
    """The facts of a case after consent and first dose."""
    found = [
        told(kind, on, {"id": f"f{n}", **({"basis": "imaging"} if kind == "recurrence" else {}), **fields})
        for n, (on, kind, fields) in enumerate(case["facts"])
    ]
    return [consent(day(-10)), cycle(1, START), *found]


def result(case: dict[str, Any], efs_map: EfsMap, facts: list[AnyFact] | None = None) -> TimeToEvent:
    """The result of a case, by the fold as in real life."""
    state = state_of(facts or facts_of(case))
    return event_free_survival(state.facts, state.first_dose, day(case.get("cut", 2000)), efs_map)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["why"])
def test_findings_under_each_map(case: dict[str, Any]) -> None:
    """Status and day are those of the map's definition, counted from the first dose as day 1."""
    expected = case.get("maps") or [case["registry"]]
    got = [result(case, m) for m in MAPS[: len(expected)]]
    assert [[r.status, r.days] for r in got] == expected
    assert all(r.on == day(r.days or 0) for r in got)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["why"])
def test_reasons_say_what_decided(case: dict[str, Any]) -> None:
    """The reason names finding, date and doubt, and the events behind the result are given."""
    got = result(case, MAPS[0])
    assert case.get("says", "") in got.reason
    assert case.get("says_not", "\0") not in got.reason
    assert str(got.on) in got.reason or got.days == 1
    assert case.get("finding", got.finding) == got.finding
    assert case.get("ids", len(got.event_ids)) == len(got.event_ids)
    if got.status == "event":
        assert f"(map {MAPS[0].name} {MAPS[0].version})" in got.reason
        assert got.event_ids


@pytest.mark.parametrize("case", [c for c in CASES if len(c["facts"]) > 1], ids=lambda c: c["why"])
def test_order_of_arrival_does_not_matter(case: dict[str, Any]) -> None:
    """The result is the same in whatever order the facts came in."""
    facts = facts_of(case)
    for efs_map in MAPS:
        assert len({result(case, efs_map, [*facts[:2], *p]) for p in permutations(facts[2:])}) == 1


def test_facts_need_not_be_sorted() -> None:
    """The function itself finds first event and last assessment in any order of facts."""
    seen = [fact("disease_assessment", day(n), status="free") for n in (300, 100, 200)]
    for order in permutations(seen):
        assert event_free_survival(order, START, day(2000), MAPS[0]).days == 300


@pytest.mark.parametrize("first_dose", [None, day(5)])
def test_nobody_starts_before_the_first_dose(first_dose: Any) -> None:
    """Without a first dose by the cut there is no time to count, and that is said."""
    got = event_free_survival([], first_dose, day(4), MAPS[0])
    assert (got.status, got.days, got.reason) == ("not started", None, "no first dose by the cut")


def test_the_study_has_three_maps_and_the_registry_one_leads() -> None:
    """The registry's definition is the primary one and no assumption; the published ones are marked as such."""
    assert [(m.name, m.assumption) for m in MAPS] == [
        ("registry", False), ("neosteep-like", True), ("keynote-522-like", True),
    ]  # fmt: skip
    assert study().endpoints.efs.primary is MAPS[0]


def test_a_map_must_say_what_to_do_with_each_finding() -> None:
    """A map that is silent on a finding is refused, because silence would mean that it is no event."""
    body = MAPS[0].model_dump()
    del body["findings"]["death"], body["findings"]["dcis_lcis"]
    with pytest.raises(ValidationError, match="map 'registry' does not say what to do with death, dcis_lcis"):
        EfsMap.model_validate(body)


@pytest.mark.parametrize("case", CONFLICTS, ids=lambda c: c["why"])
def test_what_contradicts_or_was_told_by_the_way_is_asked(case: dict[str, Any]) -> None:
    """A death or disease that is no event on record, or a status that cannot be, is found under its code with dates."""
    found = survival_conflicts(state_of(facts_of(case)).facts, ALIVE)
    assert sorted(c.code for c in found) == case["codes"]
    text = "; ".join(c.text for c in found)
    for words in case.get("says", []):
        before, _, on = words.partition("day ")
        assert before + (str(day(int(on))) if on else "") in text
    assert text.startswith(case.get("starts", ""))
    assert all(c.event_ids for c in found)


@pytest.mark.parametrize("case", [c for c in CONFLICTS if c["codes"]], ids=lambda c: c["why"])
def test_each_conflict_is_a_query_in_the_trial(case: dict[str, Any]) -> None:
    """Every one of them reaches the site as a query that names the events behind it."""
    findings = contradictions(state_of(facts_of(case)), study())
    asked = {f.query: f for f in findings}
    for code in case["codes"]:
        assert asked[f"{SUBJECT}/survival/{code}"].because.event_ids


def test_last_known_alive() -> None:
    """The newest sign of life counts, and neither a death nor a form without a word on it is one."""
    known = facts_of({"facts": [[300, "contact", {}], [400, "form_received", {"visit": "FU1", "form": "EXAM", "items": {}}],
                                [500, "death", {}]]})  # fmt: skip
    assert last_known_alive(known, ALIVE) == day(300)
    assert last_known_alive([], ALIVE) is None
    said = {"visit": "FU3", "form": "SURVIVAL", "items": {"ALIVE": True}}
    assert last_known_alive([*known, *facts_of({"facts": [[600, "form_received", said]]})], ALIVE) == day(600)
