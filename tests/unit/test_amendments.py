"""Amended protocols: adopted once, in force per site, reaching a patient on re-consent, shown before they change anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import neotorch
from neotorch.domain import events as ev
from neotorch.domain.study import Study
from neotorch.domain.study_file import StudyError, read_study
from neotorch.preview import preview
from neotorch.rules.preview import changes
from neotorch.settings import Settings, load_study
from tests.support import (
    CLEAN,
    START,
    SUBJECT,
    Trial,
    activated,
    adopted,
    at,
    consent,
    course,
    cycle,
    fact,
    forms,
    pathology,
    screened,
    study,
    surgery,
    trial_fact,
    visits,
)

DAY = timedelta(1)
FOLDER = Path(neotorch.__file__).parent / "studies" / "neotorch-breast03"
EXAMPLE = FOLDER / "1.1.yaml"
HEAD = 'version: "1.1"\namendment: {amends: "1.0", reason: test, assumption: true, source: a test}\n'


def shipped() -> Study:
    """The amendment that ships as an example."""
    return load_study(Settings(study_version="1.1"))


def older(version: str) -> Study:
    """The version that the tests amend."""
    assert version == "1.0"
    return study()


def amendment(text: str, head: str = HEAD) -> Study:
    """An amendment of 1.0 that says `text`."""
    return read_study(head + text, "1.1.yaml", older)


def agreed(on: date, version: str = "1.1", subject: str = SUBJECT, **fields: Any) -> ev.AnyFact:
    """A patient's re-consent."""
    return fact("reconsent", on, subject, version=version, **fields)


def retracted(event: str, reason: str | None = "slip") -> ev.AnyTrialFact:
    """A fact about the trial is taken back."""
    return trial_fact("trial_retraction", START, id=f"back/{event}", retracts=event, reason=reason)


def amended(folder: Path, new: Study, on: date, *facts: ev.AnyFact, now: date | None = None) -> Trial:
    """A trial with some history in which a version comes into force at S01 on a day."""
    trial = Trial(folder, now=at(now or on))
    trial.tell(*facts)
    trial.tell(adopted(new, on), activated(new.version, on))
    return trial


def window(trial: Trial, code: str, subject: str = SUBJECT) -> tuple[int, int]:
    """A visit's window as days of the journey: C1D1 is day 0."""
    span = visits(trial, subject)[code].window
    return (span.opens - START).days, (span.closes - START).days


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_example_changes_a_window_adds_a_form_and_a_visit() -> None:
    """An amendment says only what differs; all else is as in the version that it amends."""
    old, new = study(), shipped()
    assert [v.code for v in new.visits if v.code not in old.visit_by_code] == ["CARD6"]
    assert new.form_by_code.keys() - old.form_by_code.keys() == {"QOL"}
    changed = {c for c, v in old.visit_by_code.items() if new.visit_by_code[c] != v}
    assert changed == {"C1D8", "C1D15", "FU4", "FU8"}
    for name in Study.model_fields.keys() - {"version", "valid_from", "amendment", "forms", "visits"}:
        assert getattr(old, name) == getattr(new, name), name


BAD = yaml.safe_load("""
- {text: "remove: {visits: [C9D9]}", says: "remove.visits: 'C9D9' is not there"}
- {text: "remove: {drugz: [x]}", says: "remove.drugz: only sites, drugs, forms, visits"}
- {text: "remove: [C1D8]", says: "remove: name what goes, list by list"}
- {text: "visits: {C1D8: {}}", says: "visits: a list whose entries each have a `code`"}
- {text: "visits: [{code: NEW}]", says: "visits[NEW].after: a new visit needs it"}
- {text: "visits: [{code: NEW, after: C9D9}]", says: "visits[NEW].after: 'C9D9' is no visit"}
- {text: "visits: [{code: C1D8, after: SCR}]", says: "visits[C1D8].after: it is there already"}
- {text: "visits: [{code: C1D8, missed_after_days: soon}]", says: "visits[C1D8].missed_after_days (line 3)"}
- {text: "visits: [{code: NEW, after: SCR}]", says: "visits[NEW].label (line 3): is missing"}
- {text: "visits: [{code: C1D8, due: [NOFORM]}]", says: NOFORM}
- {text: "remove: {forms: [CBC]}", says: CBC}
- {text: "queries: {raise_after_days: -1}", says: "queries.raise_after_days (line 3)"}
- {text: "wrong: 1", says: "wrong (line 3): no such setting"}
""")


@pytest.mark.parametrize("bad", BAD, ids=lambda b: b["text"])
def test_an_amendment_that_does_not_fit_is_refused(bad: dict[str, str]) -> None:
    """What is wrong is named by its code and the line in the amendment, not by a number in a file nobody wrote."""
    with pytest.raises(StudyError) as error:
        amendment(bad["text"])
    assert bad["says"] in str(error.value)


HEADS = [
    ('version: "1.1"\namendment: {reason: x}\n', "amendment.amends is missing"),
    ('version: "1.1"\namendment: soon\n', "amendment.amends is missing"),
    ('version: "1.0"\namendment: {amends: "1.0"}\n', "amends 1.0 is not before version 1.0"),
    ('version: "1.9"\namendment: {amends: "1.10"}\n', "amends 1.10 is not before version 1.9"),
]


@pytest.mark.parametrize(("head", "says"), HEADS)
def test_an_amendment_comes_after_what_it_amends(head: str, says: str) -> None:
    """Versions rise; 1.10 comes after 1.9; nothing amends itself."""
    with pytest.raises(StudyError) as error:
        amendment("", head)
    assert says in str(error.value)


def test_an_amendment_alone_cannot_be_read(tmp_path: Path) -> None:
    """Without the version that it amends beside it, an amendment is refused with the file that is looked for."""
    lonely = tmp_path / "1.1.yaml"
    lonely.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"1\.0\.yaml"):
        load_study(Settings(study_file=lonely))


# ── for whom, since when ──────────────────────────────────────────────────────────────────────────────────────────


def test_new_patients_are_entered_under_what_is_in_force_at_their_site(tmp_path: Path) -> None:
    """Who consents on the day of the activation or later is on the new version; who did the day before is not."""
    trial = amended(tmp_path, shipped(), START, consent(START - DAY, "NT-001"))
    trial.tell(consent(START, "NT-002"))
    on = [trial.engine.study_of(trial.engine.state(s)).version for s in ("NT-001", "NT-002")]
    assert on == ["1.0", "1.1"]


def test_a_patient_moves_on_re_consent_and_not_before(tmp_path: Path) -> None:
    """Until the answer the old windows hold; from its day on the new ones do."""
    trial = amended(tmp_path, shipped(), START + 2 * DAY, *screened(), cycle(1, START))
    assert window(trial, "C1D8") == (5, 9)
    assert "CARD6" not in visits(trial)
    trial.now = at(START + 3 * DAY)
    trial.tell(agreed(START + 3 * DAY))
    assert window(trial, "C1D8") == (4, 10)
    assert visits(trial)["CARD6"].status == "waiting"


def test_who_has_not_been_asked_becomes_a_query_and_the_answer_closes_it(tmp_path: Path) -> None:
    """Three days after the activation the site is asked; agreement or refusal answers, refusal keeps the old version."""
    trial = amended(tmp_path, shipped(), START + 2 * DAY, *screened(), *forms("C1D1", START), cycle(1, START))
    trial.sleep_until(at(START + 4 * DAY))
    assert trial.open_queries() == set()
    trial.sleep_until(at(START + 5 * DAY))
    assert trial.open_queries() == {"reconsent/1.1"}
    assert (
        "version 1.1 is in force at S01 since 2026-01-21" in trial.engine.explain(f"{SUBJECT}/reconsent/1.1")["because"]
    )
    trial.tell(agreed(START + 5 * DAY, agreed=False))
    trial.wake()
    assert trial.open_queries() == set()
    assert window(trial, "C1D8") == (5, 9)


def test_other_sites_keep_their_version(tmp_path: Path) -> None:
    """An amendment is in force where it was approved; a site that it adds takes patients from its own activation on."""
    site = study().definition["sites"][0] | {"code": "S02"}
    new = amendment(yaml.safe_dump({"sites": [site]}))
    trial = amended(tmp_path, new, START)
    other = consent(START, "NT-002").model_copy(update={"site": "S02"})
    refused = trial.engine.record([other])
    assert refused[0].refusals[0].what == "unknown site 'S02'"
    trial.tell(activated("1.1", START, "S02"))
    trial.tell(other)
    assert trial.engine.today("S02") == START


def test_an_amendment_that_needs_no_consent_reaches_all_of_a_site_on_its_day(tmp_path: Path) -> None:
    """With `reconsent: false` the patients of a site move when it is activated there, and nobody is asked."""
    head = HEAD.replace("reason: test", "reason: test, reconsent: false")
    text = "visits: [{code: C1D8, timing: [{anchor: cycle.1, offset_days: 7, window_days_before: 4, window_days_after: 4}]}]"
    trial = amended(tmp_path, amendment(text, head), START + 2 * DAY, *screened(), cycle(1, START))
    assert window(trial, "C1D8") == (3, 11)
    assert trial.engine.study_of(trial.engine.state(SUBJECT)).offers == ()


def test_the_day_of_an_activation_can_be_corrected(tmp_path: Path) -> None:
    """With a reason, as any fact; who consented in between is on the old version then."""
    trial = amended(tmp_path, shipped(), START, consent(START), now=START + 5 * DAY)
    assert trial.engine.study_of(trial.engine.state(SUBJECT)).version == "1.1"
    trial.tell(activated("1.1", START + 3 * DAY, id="active/again", corrects="active/1.1/S01", reason="typing error"))
    assert trial.engine.study_of(trial.engine.state(SUBJECT)).version == "1.0"


def test_an_activation_can_be_taken_back(tmp_path: Path) -> None:
    """Everybody is on the version before again, whoever had agreed to the new one too; the journeys of the site look."""
    trial = amended(tmp_path, shipped(), START, *screened(), cycle(1, START))
    trial.tell(agreed(START))
    assert window(trial, "C1D8") == (4, 10)
    upto = trial.engine.log.head().seq
    trial.tell(retracted("active/1.1/S01"))
    assert window(trial, "C1D8") == (5, 9)
    assert trial.engine.study_of(trial.engine.state(SUBJECT)).offers == ()
    assert trial.engine.versions().positions == {"S01": upto + 1}
    trial.tell(activated("1.1", START, id="again"))
    assert window(trial, "C1D8") == (4, 10), "and it can come into force after all"


def test_an_absence_can_be_taken_back_and_what_was_adopted_cannot(tmp_path: Path) -> None:
    """What others rest on, or what has gone out, stays; the refusal names what can be taken back."""
    trial = amended(tmp_path, shipped(), START, *screened())
    for event, reason, says in (
        ("protocol/1.1", "slip", "no absence or activation in force"),
        ("active/1.1/S01", None, "needs a reason"),
    ):
        (found,) = trial.engine.record([retracted(event, reason=reason)])
        assert found.outcome == "refused"
        assert says in found.refusals[0].what
        assert found.refusals[0].todo


def test_only_the_newest_activation_of_a_site_is_taken_back(tmp_path: Path) -> None:
    """What came into force after it would hang in the air."""
    second = HEAD.replace('"1.1"', '"1.2"').replace('"1.0"', '"1.1"')
    third = read_study(second + "visits: []", "1.2.yaml", lambda _: shipped())
    trial = amended(tmp_path, shipped(), START, *screened(), cycle(1, START))
    trial.tell(adopted(third, START), activated("1.2", START))
    (found,) = trial.engine.record([retracted("active/1.1/S01")])
    assert [(r.field, r.todo) for r in found.refusals] == [("retracts", "take back active/1.2/S01 first")]


def test_an_amendment_takes_an_item_of_a_form_and_a_grade_of_a_visit_away() -> None:
    """By giving the key no value; a visit that had a grade of its own can go that way."""
    visit, kept = "SFU30", study()
    own = f"deviations: {{missed: {{visits: {{{visit}: {{grade: important}}}}}}}}"
    graded = read_study(HEAD + own, "1.1.yaml", lambda _: kept)
    assert visit in graded.deviations.missed.visits
    head = HEAD.replace('"1.1"', '"1.2"').replace('"1.0"', '"1.1"')
    gone = f"remove: {{visits: [{visit}]}}\ndeviations: {{missed: {{visits: {{{visit}: null}}}}}}"
    assert visit not in read_study(head + gone, "1.2.yaml", lambda _: graded).visit_by_code
    form = kept.forms[0]
    item = next(iter(form.items))
    less = read_study(HEAD + f"forms: [{{code: {form.code}, items: {{{item}: null}}}}]", "1.1.yaml", lambda _: kept)
    assert set(less.form_by_code[form.code].items) == set(form.items) - {item}


def test_one_amendment_after_the_other(tmp_path: Path) -> None:
    """A patient may move twice, or from the first version straight to the third; only the newest is asked for."""
    second = HEAD.replace('"1.1"', '"1.2"').replace('"1.0"', '"1.1"')
    text = "visits: [{code: C1D8, timing: [{anchor: cycle.1, offset_days: 7, window_days_before: 1, window_days_after: 1}]}]"
    third = read_study(second + text, "1.2.yaml", lambda _: shipped())
    trial = amended(tmp_path, shipped(), START, *screened(), cycle(1, START), now=START + 4 * DAY)
    trial.tell(adopted(third, START + DAY), activated("1.2", START + DAY))
    offers = trial.engine.study_of(trial.engine.state(SUBJECT)).offers
    assert [o.version for o in offers] == ["1.2"]
    trial.tell(agreed(START + DAY, "1.1"))
    assert window(trial, "C1D8") == (4, 10)
    trial.tell(agreed(START + 2 * DAY, "1.2"))
    assert window(trial, "C1D8") == (6, 8)
    assert "CARD6" in visits(trial)


# ── what lay behind stays as it was ───────────────────────────────────────────────────────────────────────────────


def test_visits_that_lay_behind_keep_their_windows(tmp_path: Path) -> None:
    """A visit held or over before the move is judged by the version it was held under: no deviation comes or goes."""
    early = forms("C1D8", START + 4 * DAY)  # a day before its window in 1.0, inside it in 1.1
    trial = amended(
        tmp_path, shipped(), START + 8 * DAY, *screened(), *forms("C1D1", START), cycle(1, START), now=START + 12 * DAY
    )
    trial.tell(*early)
    trial.tell(agreed(START + 8 * DAY))
    plans = visits(trial)
    assert window(trial, "C1D8") == (5, 9)
    assert plans["C1D8"].because.study_version == "1.0"
    assert window(trial, "C1D15") == (11, 17)
    assert plans["C1D15"].because.study_version == "1.1"
    trial.wake()
    assert "out-of-window/C1D8" in trial.open_deviations()
    trial.tell(
        *(
            e.model_copy(
                update={"id": f"{e.id}2", "corrects": e.id, "reason": "typing error", "occurred": START + 8 * DAY}
            )
            for e in early
        )
    )
    trial.wake()
    assert window(trial, "C1D8") == (4, 10), "held on the day of the move, it is a visit of the new version"
    assert trial.open_deviations() == set()


def operated(trial: Trial, start: date = START) -> None:
    """A patient through surgery, day 150."""
    facts = [
        *screened(start),
        *course(6, start),
        *forms("PREOP", start + 130 * DAY),
        surgery(start + 140 * DAY),
        *forms("SURG", start + 140 * DAY),
    ]
    trial.tell(*facts, pathology(start + 150 * DAY), pathology(start + 160 * DAY, id="CENTRAL", read="central"))


def test_a_new_form_is_asked_for_only_at_visits_to_come(tmp_path: Path) -> None:
    """FU4 was held under 1.0 and owes no quality of life; FU8, held under 1.1, does."""
    trial = Trial(tmp_path, now=at(START + 900 * DAY))
    operated(trial)
    trial.tell(*forms("FU4", START + 504 * DAY))
    trial.tell(adopted(shipped(), START + 600 * DAY), activated("1.1", START + 600 * DAY), agreed(START + 610 * DAY))
    trial.tell(*forms("FU8", START + 868 * DAY))
    due = {f.query.removeprefix(f"{SUBJECT}/") for f in trial.engine.duties(SUBJECT)[1].findings}
    assert "FU8/QOL" in due
    assert "FU4/QOL" not in due
    assert "CARD6" not in visits(trial), "its window had closed before the patient moved"


def test_a_form_that_grows_asks_nothing_more_of_visits_behind(tmp_path: Path) -> None:
    """An item added to a form is due from the move on; one taken away is due only before it."""
    count = {"items": {"LYM": {"label": {"en": "lymphocytes", "zh": "淋巴细胞"}}}}
    new = amendment(yaml.safe_dump({"forms": [{"code": "CBC", **count}]}))
    trial = amended(
        tmp_path, new, START + 5 * DAY, *screened(), *forms("C1D1", START), cycle(1, START), now=START + 20 * DAY
    )
    trial.tell(agreed(START + 5 * DAY), *forms("C1D8", START + 7 * DAY))
    assert {f.query: f.items for f in trial.engine.duties(SUBJECT)[1].findings if "CBC" in f.query} == {
        f"{SUBJECT}/C1D8/CBC": ("LYM",)
    }


def test_a_visit_taken_away_stays_with_those_who_had_it(tmp_path: Path) -> None:
    """Gone for who had yet to come to it; kept where it was held or over, also when that is told late."""
    new = amendment("remove: {visits: [C1D8]}\ndeviations: {missed: {visits: {}}}")
    trial = amended(
        tmp_path, new, START + 6 * DAY, *screened(), *forms("C1D1", START), cycle(1, START), now=START + 9 * DAY
    )
    trial.tell(agreed(START + 6 * DAY))
    assert "C1D8" not in visits(trial)
    trial.tell(*forms("C1D8", START + 5 * DAY))
    plans = visits(trial)
    assert plans["C1D8"].status == "held"
    codes = list(plans)
    assert codes.index("C1D1") + 1 == codes.index("C1D8")


def test_doses_are_judged_by_the_rules_of_their_day(tmp_path: Path) -> None:
    """A limit raised by an amendment makes no deviation of a dose given before; one given after is held to it."""
    body = study().definition
    gates = json.loads(
        json.dumps(body["safety"]["dose_gates"]).replace(
            '"value": "ANC", "at_least": 1.5', '"value": "ANC", "at_least": 9'
        )
    )
    assert gates != body["safety"]["dose_gates"]
    new = amendment(yaml.safe_dump({"safety": {"dose_gates": gates}}))
    trial = amended(tmp_path, new, START + 10 * DAY, *screened(), *course(2), now=START + 60 * DAY)
    trial.tell(agreed(START + 10 * DAY))
    failed = {d.key.rsplit("/", 2)[1] for d in trial.engine.duties(SUBJECT)[1].deviations if d.kind == "dose-gate"}
    assert failed == {"C2D1"}
    by = {g.visit: g.conditions[0].because.study_version for g in trial.engine.duties(SUBJECT)[1].gates}
    assert (by["C1D1"], by["C2D1"]) == ("1.0", "1.1")


def test_deviations_keep_the_grade_of_their_day(tmp_path: Path) -> None:
    """A kind that an amendment calls important stays minor where it happened before."""
    new = amendment("deviations: {missed: {grade: important}}")
    missed = [fact("visit_missed", START + n * DAY, visit=v, cause="holiday") for n, v in ((8, "C1D8"), (15, "C1D15"))]
    trial = amended(tmp_path, new, START + 10 * DAY, *screened(), cycle(1, START), now=START + 16 * DAY)
    trial.tell(agreed(START + 10 * DAY), *missed)
    found = {d.visit: d.grade for d in trial.engine.duties(SUBJECT)[1].deviations if d.kind == "missed"}
    assert found == {"C1D8": "minor", "C1D15": "important"}


# ── the trial ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_figures_follow_the_newest_version_in_force_and_say_why_they_changed(tmp_path: Path) -> None:
    """Another definition of pCR changes the value, explained by the activation; the night after finds no incident."""
    new = amendment("endpoints: {pcr: {definition: ypT0 ypN0}}")
    trial = Trial(tmp_path, now=at(START + 200 * DAY))
    facts = [
        *screened(),
        *course(6),
        surgery(START + 140 * DAY),
        pathology(START + 150 * DAY, **CLEAN | {"ypt": "ypTis"}),
    ]
    trial.tell(*facts)
    before = trial.engine.recalculate("event").result.values()
    assert before[f"{SUBJECT}/pcr"] == "yes"
    known = trial.engine.head()
    trial.tell(adopted(new, START + 199 * DAY), activated("1.1", START + 199 * DAY))
    assert trial.engine.subjects_since(known)[1:] == ({SUBJECT}, known + 2)
    found = trial.engine.recalculate("event")
    assert {(c.field, c.old, c.new) for c in found.changes if c.subject} == {("pcr", "yes", "no")}
    assert found.recorded
    assert found.recorded.explained_by == ["active/1.1/S01"]
    assert trial.engine.recalculate("nightly").incident is None
    assert trial.engine.endpoints(until_seq=known).values() == before, "what was known then is as it was"


def test_the_journeys_of_the_site_look_when_an_amendment_comes_into_force(tmp_path: Path) -> None:
    """An activation concerns the site's patients though it names none: their journeys have not seen the log's end."""
    trial = amended(tmp_path, shipped(), START + 5 * DAY, *screened(), now=START + 5 * DAY)
    state = trial.engine.state(SUBJECT)
    assert trial.engine.position(state) == trial.engine.head() > state.position
    trial.wake()
    assert trial.engine.log.journey_seen(SUBJECT)[1] >= trial.engine.versions().positions["S01"]


def test_the_past_is_seen_by_the_version_of_then(tmp_path: Path) -> None:
    """`as of` a day before the amendment shows the old windows; another process reads the same versions from the log."""
    trial = amended(tmp_path, shipped(), START + 2 * DAY, *screened(), cycle(1, START))
    then = at(START + 3 * DAY)
    trial.now = at(START + 4 * DAY)
    trial.tell(agreed(START + 4 * DAY))
    span = next(p.window for p in trial.engine.duties(SUBJECT, as_of=then)[1].plans if p.code == "C1D8")
    assert (span.opens - START).days == 5
    again = Trial(tmp_path, now=trial.now)
    assert again.engine.duties(SUBJECT) == trial.engine.duties(SUBJECT)
    assert again.engine.study.version == "1.1"


def test_a_log_that_began_before_an_amendment_is_not_opened_under_it(tmp_path: Path) -> None:
    """Settings that name the amended version for an older log would move every patient: refused, with the remedy."""
    trial = amended(tmp_path, shipped(), START, *screened())
    with pytest.raises(StudyError, match="NEOTORCH_STUDY_VERSION"):
        Trial(tmp_path, now=trial.now, study_version="1.1")


def test_an_amendment_says_no_word_twice(tmp_path: Path) -> None:
    """Only a visit whose day moved is told of again; what was told and still holds is not."""
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START), *forms("C1D1", START))
    trial.sleep_until(at(START + 6 * DAY))
    said = set(trial.sent())
    trial.tell(adopted(shipped(), START + 6 * DAY), activated("1.1", START + 6 * DAY), agreed(START + 6 * DAY))
    trial.wake()
    assert {k for k in trial.sent() if k not in said} == set()


REFUSED: list[tuple[str, Sequence[ev.AnyTrialFact | ev.AnyFact], str, str]] = [
    ("adopted twice", [adopted(shipped(), START).model_copy(update={"id": "again"})], "version", "adopted already"),
    ("activated unadopted", [activated("1.7", START)], "version", "1.7 has not been adopted"),
    ("activated elsewhere", [activated("1.1", START, "S77")], "site", "no site of version 1.1"),
    ("activated twice", [activated("1.1", START, id="again")], "version", "in force at S01 since 2026-01-19"),
    ("activated tomorrow", [activated("1.1", START + 2 * DAY, id="a2", corrects="active/1.1/S01", reason="slip")],
     "occurred", "in the future"),
    ("unknown version", [agreed(START, "1.7")], "version", "1.7 is not in force at S01"),
    ("before its approval", [agreed(START - DAY)], "occurred", "before 1.1 came into force"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "told", "field", "says"), REFUSED, ids=[r[0] for r in REFUSED])
def test_versions_out_of_order_are_refused(
    tmp_path: Path, what: str, told: Sequence[ev.AnyTrialFact | ev.AnyFact], field: str, says: str
) -> None:
    """Each refusal names the field, what is wrong and what is in force."""
    del what
    trial = amended(tmp_path, shipped(), START, *screened(), now=START + DAY)
    found = trial.engine.record(told)
    assert found[0].outcome == "refused"
    assert [(r.field, says in r.what) for r in found[0].refusals] == [(field, True)]


def test_a_definition_that_is_no_study_is_not_adopted(tmp_path: Path) -> None:
    """The log never holds a version that nobody could read: the path of the first fault is named."""
    good = adopted(shipped(), START)
    assert isinstance(good, ev.ProtocolAmended)
    trial = Trial(tmp_path, now=at(START))
    for change, field in (({"visits": []}, "definition"), ({"cycles": {"count": 0}}, "definition.cycles")):
        bad = good.model_copy(update={"definition": {**good.definition, **change}})
        assert trial.engine.record([bad])[0].refusals[0].field.startswith(field)
    elsewhere = json.loads(json.dumps(good.definition).replace('"S01"', '"S02"'))
    lost = good.model_copy(update={"definition": elsewhere})
    assert trial.engine.record([lost])[0].refusals[0].field == "definition.sites"


# ── before anything changes ───────────────────────────────────────────────────────────────────────────────────────


def plain(value: object) -> object:
    """Duties without the reasons' version, for comparing what is shown with what comes."""
    return value.model_dump() if isinstance(value, BaseModel) else value


def test_what_is_shown_before_is_what_comes(tmp_path: Path) -> None:
    """The preview of an amendment names just what differs once it is in force and the patient has moved."""
    trial = Trial(tmp_path, now=at(START + 6 * DAY))
    trial.tell(*screened(), cycle(1, START), *forms("C1D1", START))
    trial.tell(*screened(subject="NT-002"), fact("death", START + 3 * DAY, "NT-002", cause="disease"))
    head = trial.engine.head()
    shown = preview(trial.engine, shipped(), ["S01"])
    assert trial.engine.head() == head, "a preview writes nothing"
    assert (shown.looked_at, shown.ended, shown.touched) == (1, 1, 1)
    assert {(c.what, c.name) for c in shown.changes} >= {("visit", "C1D8"), ("visit", "CARD6"), ("reminder", "C1D8")}
    before = trial.engine.study_of(trial.engine.state(SUBJECT))
    trial.tell(adopted(shipped(), START + 6 * DAY), activated("1.1", START + 6 * DAY), agreed(START + 6 * DAY))
    state = trial.engine.state(SUBJECT)
    came = changes(state, before, trial.engine.study_of(state), trial.now)
    assert [c for c in shown.changes if c.subject] == came


def test_a_preview_shows_figures_of_the_trial(tmp_path: Path) -> None:
    """A definition of an endpoint changes values of patients and of the trial; both are shown with old and new."""
    trial = Trial(tmp_path, now=at(START + 200 * DAY))
    trial.tell(
        *screened(), *course(6), surgery(START + 140 * DAY), pathology(START + 150 * DAY, **CLEAN | {"ypt": "ypTis"})
    )
    shown = preview(trial.engine, amendment("endpoints: {pcr: {definition: ypT0 ypN0}}"), ["S01"])
    found = {(c.subject, c.name): (c.before, c.after) for c in shown.changes if c.what == "endpoint"}
    assert found[SUBJECT, "pcr"] == ("yes", "no")
    assert found[None, "pcr.full"][0].startswith("1/1")
    assert found[None, "pcr.full"][1].startswith("0/1")


# ── what a hostile reader asked ───────────────────────────────────────────────────────────────────────────────────


def moved(folder: Path, text: str, on: date, *facts: ev.AnyFact, now: date | None = None, head: str = HEAD) -> Trial:
    """A trial in which a patient with some history agrees to an amendment on the day it comes into force."""
    trial = amended(folder, amendment(text, head), on, *facts, now=now or on)
    trial.tell(agreed(on))
    return trial


def longer(count: int) -> str:
    """An amendment to `count` cycles; each new one has a day 1 like that of the last."""
    like = study().definition["visits"]
    last = next(v for v in like if v["code"] == "C6D1")
    more = [
        {**last, "code": f"C{n}D1", "cycle": n, "after": f"C{n - 1}D1",
         "timing": [{**last["timing"][0], "anchor": f"cycle.{n - 1}"}]}
        for n in range(7, count + 1)
    ]  # fmt: skip
    return yaml.safe_dump({"cycles": {"count": count}, "visits": more})


def test_a_course_that_was_over_is_not_taken_up_again(tmp_path: Path) -> None:
    """Who waits for surgery after six cycles goes on waiting for surgery when the protocol plans eight."""
    trial = moved(tmp_path, longer(8), START + 131 * DAY, *screened(), *course(6))
    plans = visits(trial)
    assert "C7D1" not in plans
    assert plans["SURG"].window is not None
    assert trial.engine.duties(SUBJECT)[1].awaited.code == "PREOP"


def test_cycles_given_stay_when_the_protocol_plans_fewer_or_more(tmp_path: Path) -> None:
    """Each cycle given is in the list once, can be corrected, and an extra one stays what it was."""
    extra = cycle(7, START + 126 * DAY, drugs=[{"drug": "chemotherapy"}])
    trial = moved(tmp_path, longer(8), START + 150 * DAY, *screened(), *course(6), extra)
    codes = [p.code for p in trial.engine.duties(SUBJECT)[1].plans]
    assert codes.count("C7D1") == 1
    trial.tell(
        extra.model_copy(
            update={"id": "C7again", "corrects": extra.id, "reason": "slip", "occurred": START + 127 * DAY}
        )
    )


@pytest.mark.parametrize("added", [True, False])
def test_a_drug_that_only_one_version_knows(tmp_path: Path, added: bool) -> None:
    """Visits that hang on it are judged as before, and giving it under the version without it is a deviation."""
    body = json.loads(json.dumps(study().definition))
    if added:
        drug = {"code": "newdrug", "label": {"en": "n", "zh": "n"}, "unit": "mg", "dose": 10, "cycles": [5, 6],
                "assumption": True, "source": "a test"}  # fmt: skip
        change = {
            "drugs": [drug],
            "visits": [{"code": "SURG", "not_before": [{"anchor": "last_dose.newdrug", "days": 14}]}],
        }
    else:
        gates = [g | {"drugs": [d for d in g["drugs"] if d != "anlotinib"]} for g in body["safety"]["dose_gates"]]
        surgical = [w for w in body["safety"]["surgery_gate"]["wash_outs"] if w["drug"] != "anlotinib"]
        change = {"remove": {"drugs": ["anlotinib"]}, "visits": [{"code": "SURG", "not_before": []}],
                  "safety": {"dose_gates": gates, "surgery_gate": {"wash_outs": surgical}}}  # fmt: skip
    trial = moved(tmp_path, yaml.safe_dump(change), START + 30 * DAY, *screened(), *course(2), now=START + 200 * DAY)
    trial.tell(cycle(3, START + 42 * DAY), surgery(START + 140 * DAY))
    kinds = {d.key.partition("deviation/")[2] for d in trial.engine.duties(SUBJECT)[1].deviations}
    assert ("drug-not-planned/C3D1/anlotinib" in kinds) is not added


def test_whoever_declined_is_not_moved_by_what_comes_after(tmp_path: Path) -> None:
    """An administrative version on top of one that the patient declined does not bring it in by the back door."""
    second = (
        HEAD.replace('"1.1"', '"1.2"')
        .replace('"1.0"', '"1.1"')
        .replace("reason: test", "reason: test, reconsent: false")
    )
    third = read_study(second + "queries: {remind_every_days: 6}", "1.2.yaml", lambda _: shipped())
    trial = amended(tmp_path, shipped(), START, *screened(), cycle(1, START), now=START + 9 * DAY)
    trial.tell(
        agreed(START + 3 * DAY, agreed=False), adopted(third, START + 5 * DAY), activated("1.2", START + 5 * DAY)
    )
    mine = trial.engine.study_of(trial.engine.state(SUBJECT))
    assert (mine.version, [o.version for o in mine.offers]) == ("1.0", ["1.2"])
    trial.tell(agreed(START + 6 * DAY))
    assert trial.engine.study_of(trial.engine.state(SUBJECT)).version == "1.2", "with the consent the rest follows"


def test_an_amendment_of_the_rhythm_moves_no_window_of_the_past(tmp_path: Path) -> None:
    """With another cycle length visits behind keep the days they had, also after a cycle that was left out."""
    facts = [
        *screened(),
        cycle(1, START),
        fact("visit_missed", START + 22 * DAY, visit="C2D1", cause="ill"),
        cycle(3, START + 42 * DAY),
    ]
    trial = moved(tmp_path, "cycles: {length_days: 14}", START + 60 * DAY, *facts)
    assert window(trial, "C3D1") == (39, 45)
    assert {d.kind for d in trial.engine.duties(SUBJECT)[1].deviations if d.visit == "C3D1"} <= {"dose-gate"}


def test_what_the_site_said_of_a_visit_stays_when_the_visit_goes(tmp_path: Path) -> None:
    """A missed visit that was acknowledged remains a deviation after an amendment removed it."""
    told = fact("visit_missed", START + 14 * DAY, visit="C1D15", cause="holiday")
    trial = moved(tmp_path, "remove: {visits: [C1D15]}", START + 16 * DAY, *screened(), cycle(1, START), told)
    assert "missed/C1D15" in {d.key.partition("deviation/")[2] for d in trial.engine.duties(SUBJECT)[1].deviations}


def test_a_report_is_owed_by_the_rules_of_the_day_of_awareness(tmp_path: Path) -> None:
    """Onset before the move, awareness after it: the hours of the new version."""
    aware = at(START + 29 * DAY).isoformat()
    told = fact("adverse_event", START + 8 * DAY, term="fever", grade=3, serious=True, aware=aware)
    trial = moved(tmp_path, "safety: {sae: {within_hours: 12}}", START + 10 * DAY, *screened(), now=START + 30 * DAY)
    trial.tell(told)
    clock = trial.engine.duties(SUBJECT)[1].clocks[0]
    assert (clock.deadline - clock.aware) == timedelta(hours=12)


def test_nobody_is_asked_after_the_end(tmp_path: Path) -> None:
    """A patient whose follow-up is complete is not asked to re-consent."""
    trial = Trial(tmp_path, now=at(START + 1400 * DAY))
    operated(trial)
    trial.tell(*forms("EFS36", START + 1095 * DAY))
    trial.tell(adopted(shipped(), START + 1190 * DAY), activated("1.1", START + 1190 * DAY))
    assert not [f for f in trial.engine.duties(SUBJECT)[1].findings if f.kind == "reconsent"]


def test_what_was_tried_leaves_nothing_behind(tmp_path: Path) -> None:
    """After a dry run with another definition the process works from the one that is in the log, as a fresh one does."""
    text = "visits: [{code: C1D8, timing: [{anchor: cycle.1, offset_days: 7, window_days_before: 4, window_days_after: 4}]}]"
    trial = Trial(tmp_path, now=at(START))
    trial.tell(*screened(), cycle(1, START))
    trial.engine.record([adopted(amendment(text), START), activated("1.1", START), agreed(START)], dry_run=True)
    trial.tell(adopted(shipped(), START), activated("1.1", START), agreed(START))
    assert window(trial, "C1D8") == (4, 10)
    assert window(Trial(tmp_path, now=trial.now), "C1D8") == (4, 10)


def test_a_fresh_process_sees_the_past_as_a_warm_one_does(tmp_path: Path) -> None:
    """`as of` now in a process that has looked at nothing yet goes by the versions in force, sites included."""
    trial = amended(tmp_path, shipped(), START, *screened(), cycle(1, START))
    trial.tell(agreed(START))
    fresh = Trial(tmp_path, now=trial.now).engine
    assert fresh.study.version == "1.1"
    assert fresh.duties(SUBJECT, as_of=trial.now)[1].plans == trial.engine.duties(SUBJECT)[1].plans


def test_re_consents_may_be_told_in_any_order(tmp_path: Path) -> None:
    """The earlier answer told after the later one is taken; it counts for the days between the two."""
    second = HEAD.replace('"1.1"', '"1.2"').replace('"1.0"', '"1.1"')
    third = read_study(second + "queries: {remind_every_days: 6}", "1.2.yaml", lambda _: shipped())
    trial = amended(tmp_path, shipped(), START, *screened(), cycle(1, START), now=START + 20 * DAY)
    trial.tell(adopted(third, START), activated("1.2", START), agreed(START + 12 * DAY, "1.2"))
    trial.tell(agreed(START + 3 * DAY, "1.1"))
    mine = trial.engine.study_of(trial.engine.state(SUBJECT))
    assert [e.rules.version for e in mine.eras] == ["1.0", "1.1", "1.2"]
    assert mine.version_of("C1D8") == "1.1"


def test_an_activation_corrected_to_another_day_or_site_takes_its_re_consents_along(tmp_path: Path) -> None:
    """A consent to what was not in force then moves nobody; the journeys of both sites look."""
    trial = amended(tmp_path, shipped(), START, *screened(), cycle(1, START), now=START + 6 * DAY)
    trial.tell(agreed(START + 2 * DAY))
    head = trial.engine.head()
    trial.tell(activated("1.1", START + 5 * DAY, id="again", corrects="active/1.1/S01", reason="slip"))
    mine = trial.engine.study_of(trial.engine.state(SUBJECT))
    assert (mine.version, [o.version for o in mine.offers]) == ("1.0", ["1.1"])
    assert trial.engine.subjects_since(head)[1] == {SUBJECT}


HOSTILE = {
    "a list in place of a code": HEAD + "remove: {visits: [[C1D8]]}",
    "digits without end": 'version: "1.1"\namendment: {amends: "' + "9" * 5000 + '"}',
    "brackets without end": HEAD + "forms: " + "[" * 20_000,
    "aliases that grow": HEAD + "a: &a [x,x]\n" + "".join(f"{c}: &{c} [{', '.join([f'*{p}'] * 30)}]\n" for p, c in ("ab", "bc", "cd", "de")),
    "an alias that holds itself": HEAD + "forms: &f [*f]",
    "a key that is a list": HEAD + "? [a, b]\n: c",
    "another study": HEAD + "id: other",
    "a code twice": HEAD + "visits: [{code: C1D8}, {code: C1D8}]",
    "too long": HEAD + "# " + "x" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_in_words(text: str) -> None:
    """No traceback and no waiting: a file that would keep the machine busy is refused like any other bad one."""
    with pytest.raises(StudyError):
        read_study(text, "1.1.yaml", older)
