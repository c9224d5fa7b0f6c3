"""Queries that stay open: age, reminders, escalation, questions that people ask, figures per site."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Due, Form, Visit
from neotorch.domain.study_file import StudyError, read_study
from neotorch.rules.metrics import metrics
from neotorch.rules.missing import missing_items
from neotorch.rules.queries import bucket
from neotorch.rules.schedule import visit_plans
from tests.support import (
    SUBJECT,
    Trial,
    at,
    consent,
    course,
    cycle,
    fact,
    forms,
    learnt,
    pathology,
    screened,
    state_of,
    study,
    surgery,
)  # fmt: skip

DAY = timedelta(1)
C2D1 = date(2026, 2, 9)
RAISED = C2D1 + 3 * DAY
KEY, ASKED = f"{SUBJECT}/C2D1/CBC", f"{SUBJECT}/monitor/1"
TEXT = Path("neotorch/studies/neotorch-breast03/1.0.yaml").read_text(encoding="utf-8")


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """ANC was missing at C2D1, and the site has been asked this morning."""
    found = Trial(tmp_path, now=at(C2D1))
    found.tell(*screened(), *course(1), cycle(2, C2D1), *forms("C2D1", C2D1, without=["CBC.ANC"]))
    found.sleep_until(at(RAISED))
    assert found.open_queries() == {"C2D1/CBC"}
    return found


def supplied(**fields: Any) -> ev.AnyFact:
    """The value that was missing."""
    body = {"id": "anc", "visit": "C2D1", "form": "CBC", "items": {"ANC": 0}} | fields
    return fact("form_received", C2D1, **body)


def told(trial: Trial, query: str = "C2D1/CBC") -> list[str]:
    """What went out about a query, without the query's key."""
    return sorted(k.removeprefix(f"{query}/") for k in trial.sent() if k.startswith(f"{query}/"))


# ── age ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, "0-7"), (7, "0-7"), (8, "8-14"), (14, "8-14"), (15, "15-30"), (30, "15-30"), (31, ">30"), (900, ">30")],
)
def test_the_buckets(days: int, name: str) -> None:
    """The last day of a bucket is in it, the day after in the next."""
    assert bucket(days) == name


@pytest.mark.parametrize("days", [7, 11, 12, 13, 14, 30, 31, 32])
def test_nothing_is_due_before_its_morning(days: int, trial: Trial) -> None:
    """At the study's hour of their day at the site, and not a minute before.

    Day 7 lies in the Spring Festival, which ends on day 11; day 30 is a Saturday.
    """
    day = RAISED + days * DAY
    before = trial.sleep_until(at(day, "07:59"))
    earlier = told(trial)
    assert before.until is not None
    trial.sleep_until(at(day, "08:00"))
    trial.wake()
    due = {12: {"reminder/1/7"}, 14: {"reminder/1/14", "escalated/1/14"}, 32: {"escalated/1/30"}}
    assert set(told(trial)) - set(earlier) == due.get(days, set())


def test_the_journey_wakes_by_itself_for_each_rung(trial: Trial) -> None:
    """Asleep until its own next instant, it misses none of the first five weeks."""
    trial.sleep_until(at(RAISED + 36 * DAY))
    weeks = [f"reminder/1/{n}" for n in (7, 14, 21, 28, 35)]
    assert told(trial) == sorted(["asked/1", "escalated/1/14", "escalated/1/30", *weeks])


@pytest.mark.parametrize(
    ("held", "every", "sent"),
    [
        pytest.param(date(2026, 2, 9), 7, {"reminder/1/7": date(2026, 2, 24)}, id="the Spring Festival"),
        pytest.param(
            date(2026, 2, 9), 3, {"reminder/1/12": date(2026, 2, 24)}, id="several in one holiday: the newest"
        ),
        pytest.param(date(2026, 2, 20), 5, {"reminder/1/5": date(2026, 2, 28)}, id="a Saturday worked in exchange"),
        pytest.param(date(2026, 3, 2), 3, {"reminder/1/3": date(2026, 3, 9)}, id="a Sunday like any other"),
    ],
)
def test_reminders_come_on_working_days(held: date, every: int, sent: dict[str, date], tmp_path: Path) -> None:
    """On a day off the coordinator hears nothing; one reminder on the next working day, by China's exchanged days."""
    own = tmp_path / "own.yaml"
    own.write_text(TEXT.replace("remind_every_days: 7", f"remind_every_days: {every}"), encoding="utf-8")
    found = Trial(tmp_path / "data", now=at(held), study_file=own)
    found.tell(*screened(held - 21 * DAY), *course(1, held - 21 * DAY), cycle(2, held))
    found.tell(*forms("C2D1", held, without=["CBC.ANC"]))
    found.sleep_until(at(held + 3 * DAY))
    (day,) = sent.values()
    found.sleep_until(at(day - DAY, "23:59"))
    assert told(found) == ["asked/1"]
    found.sleep_until(at(day, "07:59"))
    assert told(found) == ["asked/1"], "not before eight"
    found.sleep_until(at(day, "08:00"))
    found.wake()
    assert told(found) == sorted(["asked/1", *sent])


def test_a_day_that_a_person_named_is_kept(trial: Trial) -> None:
    """Put off to a Sunday, the reminder comes on that Sunday."""
    sunday = date(2026, 3, 8)
    trial.tell(fact("snoozed", RAISED, key=KEY, until=sunday, reason="on call"))
    trial.sleep_until(at(sunday))
    assert trial.sent()["C2D1/CBC/reminder/1/24"] == at(sunday, "08:00")


def test_who_hears_of_it(trial: Trial) -> None:
    """The coordinator is reminded; the monitor and the investigator get what was passed on to them, and nothing else."""
    trial.sleep_until(at(RAISED + 32 * DAY))
    trails = trial.engine.state(SUBJECT).notices
    about = {k.removeprefix(f"{KEY}/").rsplit("/", 2)[0]: k.rsplit("/", 2)[1] for k in trails if k.startswith(KEY)}
    assert about.pop("escalated/1/14") == "monitor"
    assert about.pop("escalated/1/30") == "investigator"
    assert set(about.values()) == {"coordinator"}


@pytest.mark.parametrize(("off", "reminder"), [(1, None), (8, None), (12, 7), (20, 14), (40, 35)])
def test_after_an_outage_only_the_newest_reminder_is_due(off: int, reminder: int | None, trial: Trial) -> None:
    """However long nobody ran, each person hears at most one thing about a query."""
    trial.now = at(RAISED + off * DAY)
    trial.wake()
    heard = [k for k in told(trial) if k != "asked/1"]
    assert [k for k in heard if k.startswith("reminder")] == ([f"reminder/1/{reminder}"] if reminder else [])
    assert len(heard) == (reminder is not None) + (off >= 14) + (off >= 30)


def test_what_was_closed_meanwhile_is_not_reminded_of(trial: Trial) -> None:
    """The server was off, and the answer is there when it is on again: nothing goes out."""
    trial.now = at(RAISED + 40 * DAY)
    trial.tell(supplied())
    trial.wake()
    assert told(trial) == ["asked/1"]
    assert "C2D1/CBC" not in trial.open_queries()


def test_seen_after_a_level_stops_that_level(trial: Trial) -> None:
    """What was due by the day on which somebody took note is settled, also where it did not get through."""
    trial.now = at(RAISED + 15 * DAY)
    trial.tell(fact("notice_seen", RAISED + 15 * DAY, key=KEY))
    trial.sleep_until(at(RAISED + 29 * DAY))
    assert told(trial) == ["asked/1"]
    trial.sleep_until(at(RAISED + 32 * DAY))
    assert told(trial) == ["asked/1", "escalated/1/30"]


def test_a_word_on_an_earlier_round_says_nothing_of_this_one(trial: Trial) -> None:
    """Seen and put off, answered, taken back: the second round is reminded of like any other."""
    day = RAISED + 2 * DAY
    trial.sleep_until(at(day))
    trial.tell(fact("notice_seen", day, key=KEY), fact("snoozed", day, key=KEY, until=day + 50 * DAY, reason="x"))
    trial.tell(supplied())
    trial.wake()
    trial.sleep_until(at(day + DAY))
    trial.tell(fact("retraction", day + DAY, id="back", retracts="anc", reason="x"))
    trial.sleep_until(at(day + 10 * DAY))
    assert {"asked/2", "reminder/2/7"} <= set(told(trial))


def test_putting_off_after_taking_note_brings_one_reminder_back(trial: Trial) -> None:
    """The later of the two words counts."""
    trial.tell(fact("notice_seen", RAISED, key=KEY))
    trial.now += timedelta(hours=1)
    trial.tell(fact("snoozed", RAISED, key=KEY, until=RAISED + 10 * DAY, reason="x"))
    trial.sleep_until(at(RAISED + 11 * DAY))
    assert told(trial) == ["asked/1", "reminder/1/10"]


def test_a_role_hears_only_the_newest_level_that_names_it(tmp_path: Path) -> None:
    """Two levels for one role, both come due at once: one notice."""
    own = tmp_path / "own.yaml"
    own.write_text(TEXT.replace("roles: [investigator]}", "roles: [investigator, monitor]}"), encoding="utf-8")
    found = Trial(tmp_path / "data", now=at(C2D1), study_file=own)
    found.tell(*screened(), *course(1), cycle(2, C2D1), *forms("C2D1", C2D1, without=["CBC.ANC"]))
    found.sleep_until(at(RAISED))
    found.now = at(RAISED + 40 * DAY)
    found.wake()
    heard = [k for k in found.engine.state(SUBJECT).notices if "/monitor/" in k and k.startswith(KEY)]
    assert [k.removeprefix(f"{KEY}/").rsplit("/", 2)[0] for k in heard] == ["escalated/1/30"]


def test_reminders_end_after_the_study_files_days(tmp_path: Path) -> None:
    """What nobody answered for so long stands on the worklist and in the figures, and is not sent for ever."""
    own = tmp_path / "own.yaml"
    own.write_text(TEXT.replace("remind_for_days: 90", "remind_for_days: 15"), encoding="utf-8")
    found = Trial(tmp_path / "data", now=at(C2D1), study_file=own)
    found.tell(*screened(), *course(1), cycle(2, C2D1), *forms("C2D1", C2D1, without=["CBC.ANC"]))
    found.sleep_until(at(RAISED))
    found.sleep_until(at(RAISED + 60 * DAY))
    assert [k for k in told(found) if k.startswith("reminder")] == ["reminder/1/14", "reminder/1/7"]
    assert KEY in {o.key for o in found.engine.worklist()}


# ── what counts as an answer ──────────────────────────────────────────────────────────────────────────────────────

REASON = {"reason": "x"}
ZERO: dict[str, Any] = {"number": 0, "integer": 0, "boolean": False, "text": "0", "date": "2026-02-09"}
ITEMS: list[Any] = [
    pytest.param(v, d, study().form_by_code[d.form], i, id=f"{v.code} {d.form} {i}")
    for v in study().visits
    for d in v.due
    for i in d.items or study().form_by_code[d.form].items
]


def _asked(facts: list[ev.AnyFact], visit: Visit, due: Due) -> tuple[str, ...]:
    state = state_of(facts)
    plans = visit_plans(state, study(), C2D1)
    found = {f.query: f for f in missing_items(state, study(), plans)}
    finding = found.get(f"{SUBJECT}/{visit.code}/{due.form}")
    return finding.items if finding else ()


@pytest.mark.parametrize(("visit", "due", "form", "item"), ITEMS)
def test_every_item_is_answered_by_zero_and_by_each_reason(visit: Visit, due: Due, form: Form, item: str) -> None:
    """Whatever the item: nothing is asked about; zero, no, and a reasoned absence are answers."""
    held = fact("visit_held", C2D1, visit=visit.code)
    definition = form.items[item]
    answers: list[Any] = [{"status": s} | REASON for s in ("not_done", "unknown", "not_applicable")]
    if form.event is None:
        answers.append(definition.choices[0] if definition.kind == "choice" else ZERO[definition.kind])
    if definition.only_if is None:
        assert item in _asked([held], visit, due)
    for answer in answers:
        part = fact("form_received", C2D1, id="p", visit=visit.code, form=form.code, items={item: answer})
        assert item not in _asked([held, part], visit, due)


@pytest.mark.parametrize(
    "item", ["d1_mm", "d2_mm", "cellularity_pct", "in_situ_pct", "nodes_positive", "largest_met_mm"]
)
def test_zero_in_a_report_is_an_answer(item: str) -> None:
    """A zero among the six RCB inputs is a measurement."""
    visit = study().visit_by_code["PATH"]
    assert _asked([surgery(C2D1), pathology(C2D1, **{item: 0})], visit, visit.due[0]) == ()
    assert _asked([surgery(C2D1), pathology(C2D1, **{item: None})], visit, visit.due[0]) == (item,)


def test_a_report_that_lacks_a_number_may_be_answered_by_a_reason(trial: Trial) -> None:
    """The form of a report takes reasons why an item is not there, and nothing else."""
    reason = {"status": "unknown", "reason": "slides lost"}
    trial.tell(fact("form_received", C2D1, id="why", visit="PATH", form="PATHLOCAL", items={"in_situ_pct": reason}))
    number = fact("form_received", C2D1, id="no", visit="PATH", form="PATHLOCAL", items={"in_situ_pct": 5})
    (answer,) = trial.engine.record([number])
    assert [r.field for r in answer.refusals] == ["form"]
    assert "record the pathology itself" in answer.refusals[0].todo


# ── questions that people ask ─────────────────────────────────────────────────────────────────────────────────────


def question(key: str = ASKED, **fields: Any) -> ev.AnyFact:
    """A monitor's question."""
    body = {"id": "ask", "query": key, "visit": "C2D1", "items": ["ANC"], "text": "SECRET-WORDS", "actor": "mon01"}
    return fact("query_opened", RAISED, **body | fields)


REFUSED: list[Any] = [
    pytest.param(question("NT-002/monitor/1"), "query", "does not begin with", id="another subject's key"),
    pytest.param(question("monitor/1"), "query", "does not begin with", id="a key without the subject"),
    pytest.param(question(f"{SUBJECT}/{'x' * 100}"), "query", "longer than 100", id="a key that is too long"),
    pytest.param(question(KEY), "query", "already", id="the key of a query that there is"),
    pytest.param(question(f"{SUBJECT}/open/1"), "query", "already", id="the key of a question that there is"),
    pytest.param(question(f"{SUBJECT}/C2D1"), "query", "the engine's own", id="the key of a visit"),
    pytest.param(question(f"{SUBJECT}/C2D1/VITALS"), "query", "the engine's own", id="the key of a query to come"),
    pytest.param(question(f"{SUBJECT}/efs"), "query", "the engine's own", id="the key of an endpoint"),
    pytest.param(question(visit="C9D9"), "visit", "not a visit", id="no such visit"),
    pytest.param(question(f"{SUBJECT}/other", corrects="open1", reason="x"), "query", "another key", id="another key"),
    pytest.param(fact("query_resolved", RAISED, query=ASKED), "query", "no query", id="resolved before it was asked"),
    pytest.param(fact("query_resolved", RAISED, query=KEY), "query", "closes by the data", id="resolved by hand"),
    pytest.param(fact("query_resolved", RAISED, id="r", query=f"{SUBJECT}/done/1"), "query", "was resolved", id="twice"),
    pytest.param(fact("query_answered", RAISED, query=f"{SUBJECT}/x", answer="y"), "query", "no query", id="no query"),
]  # fmt: skip


@pytest.mark.parametrize(("told_fact", "field", "says"), REFUSED)
def test_what_is_refused(told_fact: ev.AnyFact, field: str, says: str, trial: Trial) -> None:
    """Each refusal names the field, what is wrong, and a way out; nothing is written."""
    trial.tell(question(f"{SUBJECT}/open/1", id="open1"), question(f"{SUBJECT}/done/1", id="open2"))
    trial.tell(fact("query_resolved", RAISED, id="done", query=f"{SUBJECT}/done/1"))
    head = trial.engine.head()
    (answer,) = trial.engine.record([told_fact])
    assert [r.field for r in answer.refusals] == [field]
    assert says in answer.refusals[0].what
    assert answer.refusals[0].todo
    assert trial.engine.head() == head


def test_a_question_goes_round(trial: Trial) -> None:
    """Asked, answered, resolved, opened again by taking the resolution back: each step with who did it."""
    trial.tell(question())
    trial.wake()
    assert ASKED in {o.key for o in trial.engine.worklist()}
    trial.tell(fact("query_answered", RAISED, query=ASKED, answer="in 10^9/L", actor="crc01"))
    trial.wake()
    assert "answered/1/1" in told(trial, "monitor/1")
    (line,) = [o for o in trial.engine.worklist() if o.key == ASKED]
    assert "answered, to be resolved by whoever asked" in line.what
    trial.tell(fact("query_resolved", RAISED, id="done", query=ASKED, actor="mon01"))
    trial.wake()
    assert "monitor/1" not in trial.open_queries()
    assert trial.engine.explain(ASKED)["status"].startswith("closed: resolved by mon01")
    trial.tell(fact("retraction", RAISED, id="back", retracts="done", reason="x"))
    trial.wake()
    assert trial.engine.state(SUBJECT).queries[ASKED].round == 2
    assert "answered" not in next(o.what for o in trial.engine.worklist() if o.key == ASKED)


def test_a_question_taken_back_is_closed(trial: Trial) -> None:
    """A retracted question is no question any more."""
    trial.tell(question())
    trial.wake()
    trial.tell(fact("retraction", RAISED, id="back", retracts="ask", reason="wrong patient"))
    trial.wake()
    assert "monitor/1" not in trial.open_queries()
    assert trial.engine.explain(ASKED)["status"] == "closed: the question was taken back"


def test_the_words_of_a_question_stay_on_the_console(trial: Trial) -> None:
    """Explain shows question and answer with who said it; no notice, run name, story or worklist line holds the text."""
    trial.tell(question())
    trial.wake()
    trial.tell(fact("query_answered", RAISED, query=ASKED, answer="SECRET-ANSWER", actor="crc01"))
    names = [s.name + s.why for s in trial.wake()] + [trial.plan.title, trial.plan.awaiting]
    trial.sleep_until(at(RAISED + 31 * DAY))
    found = trial.engine.explain(ASKED)
    assert found["question"] == f"SECRET-WORDS (mon01, {RAISED})"
    assert found["answer 1"] == f"SECRET-ANSWER (crc01, {RAISED})"
    mails = [f.read_text(encoding="utf-8") for f in trial.engine.settings.outbox.iterdir()]
    lines = [str(o) for o in trial.engine.worklist()]
    assert not [t for t in (*mails, *names, *lines, trial.engine.story_markdown(SUBJECT)) if "SECRET" in t]
    assert [m for m in mails if "monitor/1" in m]


def test_the_longest_key_fits_into_every_effect(trial: Trial) -> None:
    """A key of full length can be claimed, sent and written down."""
    trial.tell(question(f"{SUBJECT}/{'x' * (100 - len(SUBJECT) - 1)}"))
    trial.sleep_until(at(RAISED + 31 * DAY))
    assert [k for k in trial.sent() if k.startswith("xxx") and "escalated" in k]


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────


def history(*rounds: tuple[int, int | None], words: int | None = None, subject: str = SUBJECT, key: str = "a") -> Any:
    """One query of a patient: (raised, closed) by day, and the day of an answer in words."""
    query = f"{subject}/{key}"
    base = {"study": "neotorch-breast03", "subject": subject, "occurred": C2D1, "query": query}
    found: list[tuple[Any, datetime]] = [(consent(C2D1, subject), at(C2D1))]
    for n, (raised, closed) in enumerate(rounds, 1):
        opened = ev.QueryRaised(**base, id=f"engine:{query}/{n}", round=n, kind="missing")
        found.append((opened, at(C2D1 + raised * DAY)))
        if closed is not None:
            ended = ev.QueryClosed(**base, id=f"engine:{query}/{n}/c", round=n)
            found.append((ended, at(C2D1 + closed * DAY)))
    if words is not None:
        answer = fact("query_answered", C2D1, subject, id=f"{query}.w", query=query, answer="x")
        found.append((answer, at(C2D1 + words * DAY)))
    return found


def state_from(*histories: Any) -> PatientState:
    """The state of a patient with these queries."""
    from neotorch.domain.state import fold

    every = enumerate((told for story in histories for told in story), 1)
    rows = [learnt([e], when)[0].model_copy(update={"seq": n}) for n, (e, when) in every]
    return fold(rows, SUBJECT)


FIGURES: list[Any] = [
    pytest.param([], {"raised": 0, "open": 0, "days_to_answer": None, "days_to_close": None, "reopened": None}, id="none"),
    pytest.param([history((0, None))], {"open": 1, "answered_open": 0, "days_to_answer": None, "reopened": None},
                 id="open and unanswered"),
    pytest.param([history((0, None), words=4)], {"open": 1, "answered_open": 1, "days_to_answer": 4, "days_to_close": None},
                 id="answered in words"),
    pytest.param([history((0, 6))], {"open": 0, "days_to_answer": 6, "days_to_close": 6, "reopened": 0},
                 id="answered by the data"),
    pytest.param([history((0, 6), words=2)], {"days_to_answer": 2, "days_to_close": 6}, id="words before the data"),
    pytest.param([history((0, 0))], {"days_to_answer": 0, "days_to_close": 0}, id="closed on its day"),
    pytest.param([history((0, 2), (10, None))], {"raised": 1, "open": 1, "days_to_close": 2, "reopened": 1}, id="reopened"),
    pytest.param([history((0, 2), (10, None), words=1)], {"answered_open": 0}, id="the answer was to the first round"),
    pytest.param([history((0, 2), (10, 14), key="a"), history((0, 9), key="b")],
                 {"raised": 2, "open": 0, "days_to_close": 4, "reopened": 0.5}, id="a median over rounds"),
]  # fmt: skip


@pytest.mark.parametrize(("histories", "figures"), FIGURES)
def test_the_figures_of_a_site(histories: list[Any], figures: dict[str, Any]) -> None:
    """Open, answered, medians and the share that opened again, from known histories."""
    (found,) = metrics([state_from(*histories)] if histories else [], study(), at(C2D1 + 20 * DAY))
    assert {k: getattr(found, k) for k in figures} == figures


@pytest.mark.parametrize(
    ("days", "name"), [(7, "0-7"), (8, "8-14"), (14, "8-14"), (15, "15-30"), (30, "15-30"), (31, ">30")]
)
def test_the_ages_of_a_site(days: int, name: str) -> None:
    """An open query counts in one bucket, by the day at the site, under its kind."""
    (found,) = metrics([state_from(history((0, None)))], study(), at(C2D1 + days * DAY, "00:01"))
    assert {b: n for b, n in found.by_age.items() if n} == {name: 1}
    assert found.by_kind == {"missing": 1}


def test_the_command(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`neotorch queries` prints a table or JSON, exits 0, knows the past, and refuses a site that there is not."""
    from neotorch.cli import main

    trial.engine.log.close()
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(tmp_path))

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["neotorch", "queries", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out + said.err

    code, text = run("--json", "--site", "S01", "--as-of", str(RAISED + 9 * DAY))
    (site,) = json.loads(text)["sites"]
    assert (code, site["open"], site["by_age"]["8-14"], site["by_kind"]) == (0, 1, 1, {"missing": 1})
    code, text = run("--json", "--as-of", str(RAISED - DAY))
    assert (code, json.loads(text)["sites"][0]["open"]) == (0, 0)
    code, text = run()
    assert code == 0
    assert "S01" in text
    code, text = run("--site", "X")
    assert (code, "no site 'X'" in text) == (2, True)


# ── the study file ────────────────────────────────────────────────────────────────────────────────────────────────

BROKEN: list[Any] = [
    pytest.param("roles: [monitor]}", "roles: [nurse]}", "names the role 'nurse'", id="no such role"),
    pytest.param("asked_by: [monitor]", "asked_by: [nurse]", "queries.asked_by (line", id="nobody asks"),
    pytest.param("after_days: 30,", "after_days: 14,", "must rise", id="two levels on one day"),
    pytest.param("remind_every_days: 7", "remind_every_days: 0", "remind_every_days (line", id="reminders without end"),
    pytest.param("{form: CBC, items: [ANC, PLT, HB]}", "{form: CBB}", "checks.dose_labs.forms[0] (line", id="no form"),
    pytest.param("{form: CBC, items: [ANC, PLT, HB]}", "{form: CBC, items: [ANX]}", "form CBC has no item ANX", id="no item"),
    pytest.param("{form: MDT, items: [MDT_DECISION]}", "{form: RECIST}", "is a imaging event", id="a form that is an event"),
    pytest.param("    item: ALIVE\n", "    item: DEAD\n", "form SURVIVAL has no item DEAD", id="no such sign"),
    pytest.param("{item: ypt, one_of", "{item: ypx, one_of", "form PATHLOCAL has no item ypx", id="no condition"),
    pytest.param("within_days: 7, of: cycle.1", "within_days: 7, of: cycle.9", "cycle 9; there are 6", id="no such cycle"),
    pytest.param("within_days: 7, of: cycle.1", "of: cycle.1", "give within_days too", id="of nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_a_reference_that_leads_nowhere_is_refused(old: str, new: str, says: str) -> None:
    """The message says where it stands and what is not there."""
    assert old in TEXT
    with pytest.raises(StudyError) as error:
        read_study(TEXT.replace(old, new, 1))
    assert says in str(error.value)


def test_a_study_without_checks_makes_none(tmp_path: Path, trial: Trial) -> None:
    """All checks across forms are the study file's to ask for."""
    start, end = TEXT.index("checks:\n"), TEXT.index("recipients:\n")
    plain = read_study(TEXT[:start] + TEXT[end:])
    assert plain.checks.dose_labs is plain.checks.alive is plain.checks.progression_decision is None


@pytest.mark.parametrize(("days", "old"), [(0, False), (3, False), (4, True)])
def test_values_may_be_so_old_at_the_visit_itself(days: int, old: bool) -> None:
    """At day 1 of a cycle a blood count may be three days old, counted from the visit's own day."""
    state = state_of([cycle(2, C2D1), *forms("C2D1", C2D1 - days * DAY)])
    found = {f.query for f in missing_items(state, study(), visit_plans(state, study(), C2D1))}
    assert (f"{SUBJECT}/C2D1/CBC/too-old" in found) is old
    assert f"{SUBJECT}/C2D1/URINE/too-old" not in found
