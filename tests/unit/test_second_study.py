"""A second study, DECRESCENDO: another country, zone, rhythm and language, and nothing of the first trial in the code."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import neotorch
from neotorch.cli import main
from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour
from neotorch.domain.sourced import Sourced, Words
from neotorch.domain.state import fold
from neotorch.domain.study import Study
from neotorch.domain.study_file import StudyError, read_study
from neotorch.domain.workdays import is_working_day
from neotorch.rules.schedule import VisitPlan, visit_plans
from neotorch.settings import Settings, load_study
from tests.support import CLEAN, Trial, learnt, value_of, visits

FILE = Path(neotorch.__file__).parent / "studies" / "decrescendo" / "1.0.yaml"
TEXT = FILE.read_text(encoding="utf-8")
SUBJECT = "DEC-AU01-001"
ZONE = "Australia/Lord_Howe"
START = date(2026, 8, 25)
"""First dose of the journey; surgery follows in December, on the other side of the clock change of 4 October."""
DAY = timedelta(1)


@cache
def second() -> Study:
    """The second study file."""
    return load_study(Settings(study="decrescendo"))


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parts(of: object) -> Iterator[object]:
    """A part of a study file and all below it."""
    yield of
    if hasattr(type(of), "model_fields"):
        for name in type(of).model_fields:  # type: ignore[attr-defined]
            yield from parts(getattr(of, name))
    elif isinstance(of, dict | list):
        for inner in of.values() if isinstance(of, dict) else of:
            yield from parts(inner)


def test_every_value_has_a_source() -> None:
    """Every value says where it is from, and what the registry states is told from what was assumed."""
    sourced = [p for p in parts(second()) if isinstance(p, Sourced)]
    assert len(sourced) > 50
    assert all(len(p.source) > 3 for p in sourced)
    stated = [p for p in sourced if not p.assumption]
    assert stated, "the registry entry states something"
    assert all("NCT04675827" in p.source for p in stated)


def test_it_shares_no_code_with_the_first_study() -> None:
    """So that whatever works for both cannot know the codes of either."""
    first, other = load_study(Settings()), second()
    for name in ("visits", "drugs", "sites"):
        assert not {x.code for x in getattr(first, name)} & {x.code for x in getattr(other, name)}, name
    assert not filled_in(first) & filled_in(other)
    assert first.reminders.quiet != other.reminders.quiet
    assert {s.time_zone for s in other.sites} == {ZONE, "Europe/Brussels"}


def filled_in(of: Study) -> set[str]:
    """Codes of the forms and items that a site fills in; the items of the others are the fields of our events."""
    forms = [f for f in of.forms if f.event is None]
    return {f.code for f in forms} | {i for f in forms for i in f.items}


def test_it_uses_what_the_first_does_not() -> None:
    """Anchor lists, visits as anchors, two wash-outs, extra cycles with a code of their own, English alone."""
    study = second()
    assert any(len(t.anchors) > 1 for v in study.visits for t in v.timing)
    assert any(a.startswith("visit.") for v in study.visits for a in v.anchors)
    assert any(len(v.not_before) > 1 for v in study.visits)
    extra = [study.cycle_visit(n) for n in (5, 6, 7)]
    assert [v.code if v else None for v in extra] == ["T5W1", "T6W1", None]
    assert all(s.languages == ["en"] for s in study.sites)


BROKEN = [
    pytest.param(
        "languages: [en]", "languages: [en, zh]", "has no zh, and site AU01 reads zh", id="a label is missing"
    ),
    pytest.param('code: "T{n}W1"', 'code: "T5W1"', "cycles.extra.code", id="all extra cycles of one code"),
    pytest.param("code: M06", "code: T5W1", "extra cycle 5 would be called T5W1", id="the code of a visit there is"),
    pytest.param("visit.T2W3", "visit.T2W9", "the visit 'T2W9', which is not under visits", id="no such visit"),
    pytest.param("last_dose.PH-FDC", "last_dose.PH", "the drug 'PH', which is not under drugs", id="no such drug"),
]


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_what_is_wrong_with_ones_own_trial_is_said(old: str, new: str, says: str) -> None:
    """A copy that was changed half-way is refused with the place."""
    assert old in TEXT
    with pytest.raises(StudyError) as error:
        read_study(TEXT.replace(old, new, 1))
    assert says in str(error.value)


def test_a_label_without_chinese_is_the_english_one() -> None:
    """Whoever has a channel in Chinese for a study in English reads its labels in English."""
    assert Words(en="surgery").in_("zh") == Words(en="surgery").in_("en") == "surgery"
    assert Words(en="surgery", zh="手术").in_("zh") == "手术"


# ── a whole journey ───────────────────────────────────────────────────────────────────────────────────────────────────


def told(kind: str, on: date, name: str, **fields: Any) -> ev.AnyFact:
    """A fact of the second study."""
    body = {
        "type": kind,
        "id": f"{SUBJECT}.{name}",
        "study": "decrescendo",
        "subject": SUBJECT,
        "occurred": on,
        **fields,
    }
    return ev.FACT.validate_python(body)


def answers(code: str, on: date) -> list[ev.AnyFact]:
    """All that is due at a visit, answered."""
    study, found = second(), list[ev.AnyFact]()
    for due in study.visit_by_code[code].due:
        form = study.form_by_code[due.form]
        name = f"{code}.{form.code}"
        if form.event is None:
            items = {i: value_of(form, i) for i in form.items} | {k: v for k, v in USUAL.items() if k in form.items}
            found.append(told("form_received", on, name, visit=code, form=form.code, items=items))
        elif form.event == "imaging":
            read = {"response": "BASELINE", "sum_mm": 20} if code == "BASE" else {"response": "PR", "sum_mm": 10}
            found.append(told("imaging", on, name, visit=code, modality=["US"], **read))
        elif form.event == "disease_assessment":
            found.append(told("disease_assessment", on, name, visit=code, status="free"))
    return found


USUAL = {"NEUT": 3.5, "PLTS": 220, "HGB": 125, "ALAT": 25, "TBIL": 12, "EF": 64, "NEURO_GRADE": 0, "PAC_MGM2": 80}


def entered(on: date) -> list[ev.AnyFact]:
    """Eligible and enrolled, with all of screening."""
    return [
        told("eligibility", on, "eligible", eligible=True),
        told("enrolment", on, "enrolled", planned_start=START),
        *answers("BASE", on),
    ]


def day_one(number: int, on: date) -> list[ev.AnyFact]:
    """Both drugs on day 1 of a cycle, and its forms."""
    drugs = [{"drug": "paclitaxel", "dose": 80}, {"drug": "PH-FDC"}]
    return [told("cycle_given", on, f"cycle{number}", cycle=number, drugs=drugs), *answers(f"T{number}W1", on)]


def noon(on: date) -> datetime:
    """Noon of a day on Lord Howe Island."""
    return at_hour(on, 12, ZONE)


class Journey:
    """One patient in the second study, told day by day; every visit is held on the day that the engine asks for."""

    def __init__(self, folder: Path) -> None:
        self.trial = Trial(folder, noon(START - 20 * DAY), study="decrescendo")

    def tell(self, on: date, *facts: ev.AnyFact) -> None:
        """Let the time pass to noon of a day and record."""
        if self.trial.engine.subjects():
            self.trial.sleep_until(noon(on), SUBJECT)
        self.trial.now = max(self.trial.now, noon(on))
        self.trial.tell(*facts)
        self.trial.wake(SUBJECT)

    def plan(self, code: str) -> VisitPlan:
        """A visit as it stands."""
        found = visits(self.trial, SUBJECT)[code]
        assert isinstance(found, VisitPlan)
        return found

    def attend(self, code: str) -> date:
        """Hold a visit on its target day."""
        window = self.plan(code).window
        assert window, f"{code} has no window yet"
        cycle = second().visit_by_code[code].cycle
        self.tell(window.target, *(day_one(cycle, window.target) if cycle else answers(code, window.target)))
        return window.target

    def _next(self) -> str | None:
        """The visit that is the next to be held, None after the last."""
        coming = [p for p in visits(self.trial, SUBJECT).values() if p.window and not p.held_on]
        return min(coming, key=lambda p: p.window.target).code if coming else None

    def live(self) -> None:
        """From consent to three years after surgery."""
        self.tell(START - 20 * DAY, told("consent", START - 20 * DAY, "consent", site="AU01", icf_version="1.0"))
        self.tell(START - 6 * DAY, *entered(START - 6 * DAY))
        self.tell(START, *day_one(1, START))
        while (code := self._next()) != "OPER":
            self.attend(code)
        window = self.plan("OPER").window
        assert window
        self.operated = window.target
        cut = {"breast": "breast_conserving", "axilla": "sentinel", "margin": "clear"}
        self.tell(self.operated, told("surgery", self.operated, "operation", **cut))
        self.tell(self.operated + 9 * DAY, told("pathology", self.operated + 9 * DAY, "report", **CLEAN))
        while code := self._next():
            self.attend(code)
        self.trial.sleep_until(self.trial.now + 40 * DAY, SUBJECT)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The whole journey."""
    journey = Journey(tmp_path_factory.mktemp("second"))
    journey.live()
    return journey


def test_a_journey_from_consent_to_the_last_follow_up(lived: Journey) -> None:
    """Every visit is held in its window, nothing is open in the end, and the endpoints say what happened."""
    state, due = lived.trial.engine.duties(SUBJECT)
    assert {p.code: p.status for p in due.plans if p.status != "held"} == {}
    assert [p.code for p in due.plans if not p.in_window] == []
    assert due.complete
    assert state.deviations == {}
    assert lived.trial.engine.plan(SUBJECT).title == f"{SUBJECT} · ended: follow-up complete"
    assert lived.trial.open_queries(SUBJECT) == set()
    assert lived.trial.engine.worklist() == []
    values = lived.trial.engine.patient_endpoints(state, lived.trial.engine.today("AU01"))
    assert (values.pcr.answer, values.rcb01.answer, values.efs.status) == ("yes", "yes", "censored")
    assert values.efs.on == lived.operated + 1095 * DAY


def test_the_days_of_the_journey(lived: Journey) -> None:
    """Weekly doses on days 8 and 15 of each cycle, surgery from the last of them, adjuvant doses from the first of them."""
    held = {code: plan.held_on for code, plan in visits(lived.trial, SUBJECT).items()}
    for number in range(1, 5):
        for week in (1, 2, 3):
            assert held[f"T{number}W{week}"] == START + (21 * (number - 1) + 7 * (week - 1)) * DAY
    assert held["OPER"] == held["T4W3"] + 21 * DAY == lived.operated
    assert held["ADJ01"] == held["SPEC"] + 14 * DAY
    assert held["ADJ13"] == held["ADJ01"] + 252 * DAY
    assert held["M36"] == lived.operated + 1095 * DAY


def test_reminders_come_at_nine_on_the_island_before_and_after_each_clock_change(lived: Journey) -> None:
    """Summer time begins on 4 October 2026 and ends on 4 April 2027, by half an hour each; it is nine o'clock throughout."""
    sent = {key: at.astimezone(ZoneInfo(ZONE)) for key, at in lived.trial.sent(SUBJECT).items()}
    coming = {k: at for k, at in sent.items() if re.search(r"/(ahead|day-before|fortnight|opens)/", k)}
    later = {k.partition("/")[0] for k, at in coming.items() if (at.hour, at.minute) != (9, 0)}
    assert later == {"BASE", "SPEC", "ADJ01"}, "at nine, but for windows that a fact told at noon opens that day"
    assert {at.time().isoformat() for k, at in coming.items() if k.partition("/")[0] in later} <= {
        "09:00:00",
        "12:00:00",
    }
    first_year = {at.date(): at.utcoffset() for at in coming.values() if at.date() < date(2027, 8, 1)}
    for begins, before, after in (
        (date(2026, 10, 4), timedelta(hours=10.5), timedelta(hours=11)),
        (date(2027, 4, 4), timedelta(hours=11), timedelta(hours=10.5)),
    ):
        assert before in {o for d, o in first_year.items() if begins - 60 * DAY < d < begins}
        assert after in {o for d, o in first_year.items() if begins <= d < begins + 90 * DAY}


def test_reminders_come_on_working_days_of_the_site(lived: Journey) -> None:
    """Not on Christmas, nor on a day that the site closes; on the public holiday that it works they do."""
    site = second().site("AU01")
    sent = {k: at.astimezone(ZoneInfo(ZONE)).date() for k, at in lived.trial.sent(SUBJECT).items()}
    for key, day in sent.items():
        if re.search(r"/(ahead|day-before|fortnight|opens)/", key):
            assert is_working_day(day, site), (key, day)
    assert is_working_day(date(2026, 10, 5), site)
    assert not is_working_day(date(2026, 12, 24), site)


def test_notices_are_told_to_the_people_of_this_study(lived: Journey) -> None:
    """Reminders go to its nurse, endpoints to its data centre; no role of the first study is heard of."""
    trails = lived.trial.engine.state(SUBJECT).notices.values()
    assert {t.sent.role for t in trails if t.sent} == {"nurse"}
    file = next(lived.trial.engine.notifier.folder.rglob("*.eml"))
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = mail.get_body(("plain",))
    assert body and "DECRESCENDO 1.0" in body.get_content()


def test_an_overdue_weekly_dose_and_what_follows(tmp_path: Path) -> None:
    """A week that was left out is said once and counts as missed; surgery then goes by the last cycle alone."""
    journey = Journey(tmp_path)
    journey.tell(START - 20 * DAY, told("consent", START - 20 * DAY, "consent", site="AU01", icf_version="1.0"))
    journey.tell(START - 6 * DAY, *entered(START - 6 * DAY))
    for number in range(1, 5):
        on = START + 21 * (number - 1) * DAY
        journey.tell(on, *day_one(number, on))
        for week in (2, 3) if number < 4 else (2,):
            journey.attend(f"T{number}W{week}")
    last = START + 63 * DAY
    assert journey.plan("T4W3").status in ("planned", "open")
    journey.trial.sleep_until(noon(last + 40 * DAY), SUBJECT)
    sent = journey.trial.sent(SUBJECT)
    assert [k for k in sent if k.startswith("T4W3/")] == [
        f"T4W3/{r}/{last + 14 * DAY}" for r in ("day-before", "overdue")
    ]
    assert journey.plan("T4W3").status == "missed"
    oper = journey.plan("OPER")
    assert oper.window and oper.window.target == last + 35 * DAY
    assert oper.window.opens == last + 28 * DAY
    assert "14 d after last paclitaxel" in oper.because.detail and "21 d after last PH-FDC" in oper.because.detail


def test_an_extra_cycle(tmp_path: Path) -> None:
    """A fifth cycle while surgery has to wait has the forms of the fourth, and surgery goes by it."""
    journey = Journey(tmp_path)
    journey.tell(START - 20 * DAY, told("consent", START - 20 * DAY, "consent", site="BE01", icf_version="1.0"))
    journey.tell(START - 6 * DAY, *entered(START - 6 * DAY))
    for number in range(1, 5):
        on = START + 21 * (number - 1) * DAY
        journey.tell(on, *day_one(number, on))
    on = START + 84 * DAY
    journey.tell(on, told("cycle_given", on, "cycle5", cycle=5, drugs=[{"drug": "PH-FDC"}]))
    assert journey.plan("T5W1").status == "held"
    assert journey.plan("OPER").because.anchor and journey.plan("OPER").because.anchor.name == "last cycle (C5D1)"
    journey.trial.sleep_until(noon(on + 4 * DAY), SUBJECT)
    assert {q for q in journey.trial.open_queries(SUBJECT) if q.startswith("T5W1/")} == {
        "T5W1/HAEM", "T5W1/LIVER", "T5W1/NEURO",
    }  # fmt: skip


# ── dates and instants ────────────────────────────────────────────────────────────────────────────────────────────────

NINE = [
    # half an hour on Lord Howe Island: the first Sundays of October and April
    ("Australia/Lord_Howe", date(2026, 10, 3), "2026-10-02T22:30"),
    ("Australia/Lord_Howe", date(2026, 10, 4), "2026-10-03T22:00"),
    ("Australia/Lord_Howe", date(2026, 10, 5), "2026-10-04T22:00"),
    ("Australia/Lord_Howe", date(2027, 4, 3), "2027-04-02T22:00"),
    ("Australia/Lord_Howe", date(2027, 4, 4), "2027-04-03T22:30"),
    ("Australia/Lord_Howe", date(2027, 4, 5), "2027-04-04T22:30"),
    # New York: the first Sunday of November, the second of March
    ("America/New_York", date(2026, 10, 31), "2026-10-31T13:00"),
    ("America/New_York", date(2026, 11, 1), "2026-11-01T14:00"),
    ("America/New_York", date(2026, 11, 2), "2026-11-02T14:00"),
    ("America/New_York", date(2027, 3, 13), "2027-03-13T14:00"),
    ("America/New_York", date(2027, 3, 14), "2027-03-14T13:00"),
    ("America/New_York", date(2027, 3, 15), "2027-03-15T13:00"),
    # Brussels: the last Sundays of October and March
    ("Europe/Brussels", date(2026, 10, 24), "2026-10-24T07:00"),
    ("Europe/Brussels", date(2026, 10, 25), "2026-10-25T08:00"),
    ("Europe/Brussels", date(2027, 3, 27), "2027-03-27T08:00"),
    ("Europe/Brussels", date(2027, 3, 28), "2027-03-28T07:00"),
]


@pytest.mark.parametrize(("zone", "day", "utc"), NINE)
def test_nine_o_clock_at_a_site(zone: str, day: date, utc: str) -> None:
    """The hour of the reminders, on the days about each clock change, in UTC."""
    assert at_hour(day, second().reminders.hour, zone) == datetime.fromisoformat(f"{utc}:00+00:00")


GAPS = [
    # (zone, day, hour, utc): an hour that the clock leaves out, and hours that it has twice
    ("Australia/Lord_Howe", date(2026, 10, 4), 2, "2026-10-03T15:30"),
    ("Australia/Lord_Howe", date(2027, 4, 4), 2, "2027-04-03T15:30"),
    ("America/New_York", date(2027, 3, 14), 2, "2027-03-14T07:00"),
    ("America/New_York", date(2026, 11, 1), 1, "2026-11-01T06:00"),
]


@pytest.mark.parametrize(("zone", "day", "hour", "utc"), GAPS)
def test_an_hour_that_is_not_there_or_there_twice(zone: str, day: date, hour: int, utc: str) -> None:
    """Such an hour is one instant, within the hour of the change, and always the same one."""
    found = at_hour(day, hour, zone)
    assert abs(found - datetime.fromisoformat(f"{utc}:00+00:00")) <= timedelta(hours=1)
    assert found.astimezone(ZoneInfo(zone)).date() == day


FROM_SURGERY = [
    # (surgery, visit, target): one count of days from one anchor, never by months, never chained
    (date(2027, 8, 31), "M06", date(2028, 2, 29)),
    (date(2027, 8, 30), "M06", date(2028, 2, 28)),
    (date(2027, 9, 1), "M06", date(2028, 3, 1)),
    (date(2028, 2, 29), "M12", date(2029, 2, 28)),
    (date(2027, 2, 28), "M12", date(2028, 2, 28)),
    (date(2027, 3, 1), "M12", date(2028, 2, 29)),
    (date(2028, 2, 29), "M36", date(2031, 2, 28)),
    (date(2026, 10, 31), "M06", date(2027, 5, 1)),
    (date(2026, 12, 31), "M12", date(2027, 12, 31)),
    (date(2027, 12, 31), "M12", date(2028, 12, 30)),
]


@pytest.mark.parametrize(("surgery", "code", "target"), FROM_SURGERY)
def test_month_ends_and_29_february_from_one_anchor(surgery: date, code: str, target: date) -> None:
    """A visit lies so many days after its anchor, whatever months and leap days are between."""
    cut = told("surgery", surgery, "operation", breast="mastectomy", axilla="none")
    state = fold(learnt([*[f for n in range(1, 5) for f in day_one(n, surgery - (170 - 21 * n) * DAY)], cut]), SUBJECT)
    plan = next(p for p in visit_plans(state, second(), surgery) if p.code == code)
    assert plan.window and plan.window.target == target
    assert (plan.window.opens, plan.window.closes) == (target - 21 * DAY, target + 21 * DAY)


def test_one_instant_is_two_days_at_two_sites(tmp_path: Path) -> None:
    """At 14:00 UTC it is tomorrow on Lord Howe Island and today in Brussels, and each site goes by its own day."""
    trial = Trial(tmp_path, datetime(2026, 9, 7, 14, tzinfo=UTC), study="decrescendo")
    assert trial.engine.today("AU01") == date(2026, 9, 8)
    assert trial.engine.today("BE01") == date(2026, 9, 7)


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", [("simulate",), ("demo", "--exit", "--data-dir", "rehearsal")])
def test_what_is_made_for_the_first_study_says_so(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A synthetic trial needs the first study's schedule: with another one configured it ends with 2 and says which."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEOTORCH_STUDY", "decrescendo")
    monkeypatch.setattr(sys, "argv", ["neotorch", *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = " ".join(capsys.readouterr().err.split())
    assert end.value.code == 2
    assert "follows the schedule of neotorch-breast03, and decrescendo is configured" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == [], "nothing was made or wiped"
