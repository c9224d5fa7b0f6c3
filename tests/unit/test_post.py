"""The post: digests, a cap per person and day, deputies, and far more notices than usual; sent to a real web receiver."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neotorch.cli import main
from neotorch.domain import events as ev
from neotorch.domain.workdays import days_off_beside
from neotorch.foresight import hold_back, waiting
from neotorch.receivers import Post, WebReceiver
from neotorch.rules.post import Measure, deputies, flood, next_digest
from tests.support import START, STUDY_ID, SUBJECT, ZONE, Trial, at, cycle, fact, forms, screened, study

DAY = timedelta(1)
OTHER = "NT-002"


def told(kind: str, on: date, **fields: Any) -> ev.AnyTrialFact:
    """A fact about the trial or its people."""
    body = {"type": kind, "id": f"{kind}-{on}", "study": STUDY_ID, "occurred": on}
    return ev.TRIAL_FACT.validate_python(body | fields)


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    """Where all notices go."""
    with WebReceiver() as receiver:
        yield receiver


def two_patients(folder: Path, web: WebReceiver, *channels: dict[str, Any], **settings: Any) -> Trial:
    """Two patients at C1D1 on the same day; each channel has a path of its own."""
    named = [{"language": "en", "url": web.url(f"/{c['name']}")} | c for c in channels]
    trial = Trial(folder, now=at(START), channels=named, **settings)
    for subject in (SUBJECT, OTHER):
        trial.tell(*screened(subject=subject), cycle(1, START, subject), *forms("C1D1", START, subject))
        trial.wake(subject)
    web.received.clear()
    return trial


def live_until(trial: Trial, then: datetime) -> None:
    """Let time pass: every journey wakes when it wanted to, and every ten minutes the trial's own post is seen to."""
    wakes = {s: trial.engine.plan(s).until or then for s in trial.engine.subjects()}
    while trial.now < then:
        trial.now = min([trial.now + timedelta(minutes=10), then, *(w for w in wakes.values() if w > trial.now)])
        for subject, wake in wakes.items():
            if wake <= trial.now:
                trial.wake(subject)
                wakes[subject] = trial.plan.until or then
        for step in trial.engine.trial_plan():
            trial.engine.perform_now(None, step)


def came(web: WebReceiver, path: str) -> list[Post]:
    """What a channel got."""
    return [p for p in web.received if p.path == f"/{path}"]


def morning(trial: Trial) -> datetime:
    """The instant of the first reminder: C1D8 opens on a Saturday, so on the Friday before at eight."""
    del trial
    return at(START + 4 * DAY, "08:00")


# ── digests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_mail_a_day_with_all_that_waits(tmp_path: Path, web: WebReceiver) -> None:
    """Both patients' reminders come in one digest at nine, none by itself, none twice, and none the day after."""
    trial = two_patients(tmp_path, web, {"name": "crc", "role": "coordinator", "digest": True})
    trial.now = morning(trial) - timedelta(hours=1)
    live_until(trial, at(START + 4 * DAY, "08:59"))
    assert came(web, "crc") == []
    live_until(trial, at(START + 5 * DAY, "23:00"))
    (digest,) = came(web, "crc")
    assert digest.key == f"digest/crc/{START + 4 * DAY}/coordinator/crc"
    assert digest.body["title"] == "2 open matters of the day"
    for subject in (SUBJECT, OTHER):
        assert f"{subject}: C1D8 window opens" in digest.body["message"]
        assert trial.sent(subject)["C1D8/opens/2026-01-26"].astimezone(ZONE).hour == 9


def test_what_must_never_be_lost_does_not_wait_for_a_digest(tmp_path: Path, web: WebReceiver) -> None:
    """A death is told at once to an investigator who otherwise wants one mail a day."""
    trial = two_patients(tmp_path, web, {"name": "pi", "role": "investigator", "digest": True})
    trial.tell(fact("death", START, id="d"))
    trial.wake()
    assert [p.key for p in came(web, "pi")] == ["d/told/investigator/pi"]


def test_a_digest_that_failed_is_tried_again(tmp_path: Path, web: WebReceiver) -> None:
    """The receiver is down at nine: the digest comes when it is back, with everything in it, once."""
    trial = two_patients(tmp_path, web, {"name": "crc", "role": "coordinator", "digest": True})
    web.fail_with = 503
    trial.now = morning(trial)
    live_until(trial, at(START + 4 * DAY, "09:30"))
    assert came(web, "crc") == []
    assert {o.subject for o in trial.engine.worklist() if o.status == "undelivered"} == {SUBJECT, OTHER}
    web.fail_with = None
    live_until(trial, at(START + 4 * DAY, "20:00"))
    (digest,) = came(web, "crc")
    assert digest.body["title"] == "2 open matters of the day"
    assert not [o for o in trial.engine.worklist() if o.status == "undelivered"]


def test_a_digest_with_a_visit_that_was_held_meanwhile(tmp_path: Path, web: WebReceiver) -> None:
    """What goes into a digest is worked out when it is sent: the visit held at half past eight is not in it."""
    trial = two_patients(tmp_path, web, {"name": "crc", "role": "coordinator", "digest": True})
    trial.now = at(START + 4 * DAY, "08:30")
    for subject in (SUBJECT, OTHER):
        trial.wake(subject)
    trial.tell(*forms("C1D8", START + 4 * DAY, OTHER))
    live_until(trial, at(START + 4 * DAY, "10:00"))
    (digest,) = came(web, "crc")
    assert digest.body["title"] == "1 open matter of the day"
    assert OTHER not in digest.body["message"]


def test_a_cap_and_the_rest_in_the_digest(tmp_path: Path, web: WebReceiver) -> None:
    """One a day by itself; the second patient's reminder follows at nine in the digest, and nothing is sent twice."""
    trial = two_patients(tmp_path, web, {"name": "crc", "role": "coordinator", "most_per_day": 1})
    trial.now = morning(trial) - timedelta(hours=1)
    live_until(trial, at(START + 4 * DAY, "23:00"))
    first, second = came(web, "crc")
    assert first.key.endswith("/C1D8/opens/2026-01-26/coordinator/crc")
    assert second.key.startswith("digest/crc/")
    assert second.body["title"] == "1 open matter of the day"
    assert len([s for s in (SUBJECT, OTHER) if "C1D8/opens/2026-01-26" in trial.sent(s)]) == 2


NEXT = [
    ("07:00", False, 0, 9),
    ("08:59", False, 0, 9),
    ("09:00", False, 1, 9),
    ("09:01", False, 1, 9),
    ("07:00", True, 1, 9),
]


@pytest.mark.parametrize(("clock", "sent", "days", "hour"), NEXT)
def test_when_the_next_digest_goes(clock: str, sent: bool, days: int, hour: int) -> None:
    """At the digest hour of today, or of tomorrow once it has come."""
    found = next_digest(START, 9, "Asia/Shanghai", at(START, clock), sent_today=sent)
    assert found == at(START + days * DAY, f"{hour:02}:00")


def test_what_no_digest_took_goes_out_by_itself(tmp_path: Path, web: WebReceiver) -> None:
    """Nobody saw to the trial's own post that morning: a journey that waited for the digest looks again, and sends."""
    trial = two_patients(tmp_path, web, {"name": "crc", "role": "coordinator", "most_per_day": 1})
    for subject in (SUBJECT, OTHER):
        trial.now = morning(trial) - timedelta(hours=1)
        trial.sleep_until(at(START + 4 * DAY, "08:30"), subject)
    assert len(came(web, "crc")) == 1
    trial.sleep_until(at(START + 5 * DAY, "23:00"), OTHER)
    assert len(came(web, "crc")) == 2


def test_a_digest_has_the_hour_of_the_first_site(tmp_path: Path) -> None:
    """It goes out once for all sites; a journey in another zone waits for that hour, and not for its own."""
    body = study().definition
    body["sites"].append(body["sites"][0] | {"code": "S02", "time_zone": "America/New_York"})
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(body), encoding="utf-8")
    url = {"name": "crc", "role": "coordinator", "url": "json://127.0.0.1:9/", "digest": True}
    trial = Trial(tmp_path, now=at(START, "21:00"), channels=[url], study_file=file)
    assert trial.engine.audience_at("S02", trial.now).digests == {"crc": at(START + DAY, "09:00")}


# ── deputies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deputy_gets_the_notices_while_somebody_is_away(tmp_path: Path, web: WebReceiver) -> None:
    """From the first day to the last, both included; then they come to the one who is back, and nothing comes twice."""
    people = ({"name": "crc", "role": "coordinator"}, {"name": "nurse", "role": "operator"})
    trial = two_patients(tmp_path, web, *people)
    trial.now = at(START + 3 * DAY)
    away = told("absence", START + 4 * DAY, channel="crc", deputy="nurse", until=START + 8 * DAY)
    assert [a.outcome for a in trial.engine.record([away])] == ["recorded"]
    live_until(trial, at(START + 8 * DAY, "23:00"))
    assert {p.key.split("/")[2] for p in came(web, "nurse")} == {"opens", "closing"}
    assert came(web, "crc") == []
    live_until(trial, at(START + 10 * DAY, "23:00"))
    assert {p.key.split("/")[2] for p in came(web, "crc")} == {"overdue"}


CHAINS: list[Any] = [
    pytest.param({"a": "b"}, {"a": "b"}, id="one deputy"),
    pytest.param({"a": "b", "b": "c"}, {"a": "c", "b": "c"}, id="the deputy is away too"),
    pytest.param({"a": "b", "b": "a"}, {"a": "a", "b": "b"}, id="all are away: it stays with whom it is for"),
]


@pytest.mark.parametrize(("away", "found"), CHAINS)
def test_deputies_of_deputies(away: dict[str, str], found: dict[str, str]) -> None:
    """Whoever is away hands on; a circle ends where it began."""
    facts = [told("absence", START, channel=c, deputy=d, until=START, id=c) for c, d in away.items()]
    assert deputies(facts, START) == found
    assert deputies(facts, START - DAY) == deputies(facts, START + DAY) == {}


BAD: list[Any] = [
    ({"channel": "nobody", "deputy": "nurse", "until": START}, "channel", "no channel is called"),
    ({"channel": "crc", "deputy": "nobody", "until": START}, "deputy", "no channel is called"),
    ({"channel": "crc", "deputy": "crc", "until": START}, "deputy", "stand in for themselves"),
    ({"channel": "crc", "deputy": "nurse", "until": START - DAY}, "until", "does not follow"),
    ({"channel": "crc", "deputy": "nurse", "until": START, "corrects": "x", "reason": "y"}, "corrects", "in force"),
    ({"channel": "crc", "deputy": "nurse", "until": START, "corrects": "x"}, "reason", "needs a reason"),
    ({"channel": "crc", "deputy": "nurse", "until": START, "study": "other"}, "study", "not the study"),
    ({"channel": "crc", "deputy": "nurse", "until": START, "id": "engine:x"}, "id", "the engine's own"),
]


@pytest.mark.parametrize(("fields", "field", "says"), BAD, ids=[b[2] for b in BAD])
def test_an_absence_that_cannot_be(
    fields: dict[str, Any], field: str, says: str, tmp_path: Path, web: WebReceiver
) -> None:
    """Refused with the field, what is wrong, and what to do."""
    trial = two_patients(tmp_path, web, {"name": "crc", "role": "coordinator"}, {"name": "nurse", "role": "operator"})
    (found,) = trial.engine.record([told("absence", START, **fields)])
    assert found.outcome == "refused"
    assert any(r.field == field and says in r.what and r.todo for r in found.refusals)


def test_an_absence_is_ended_early_by_correcting_it(tmp_path: Path, web: WebReceiver) -> None:
    """Back sooner than thought: the corrected absence counts, the first stays in the log."""
    trial = two_patients(tmp_path, web, {"name": "crc", "role": "coordinator"}, {"name": "nurse", "role": "operator"})
    away = told("absence", START, id="a1", channel="crc", deputy="nurse", until=START + 20 * DAY)
    back = told("absence", START, id="a2", channel="crc", deputy="nurse", until=START, corrects="a1", reason="is back")
    assert [a.outcome for a in trial.engine.record([away, away])] == ["recorded", "duplicate"]
    assert trial.engine.record([back])[0].outcome == "recorded"
    trial.now = at(START + DAY)
    assert trial.engine.post.audience("S01").channels["coordinator"] == ["crc"]


# ── far more than usual ───────────────────────────────────────────────────────────────────────────────────────────


def days(*counts: int) -> dict[date, int]:
    """So many notices on each of the last days, the last one being START."""
    return {START - (len(counts) - 1 - n) * DAY: count for n, count in enumerate(counts)}


FLOODS: list[Any] = [
    pytest.param(days(10, 10, 10, 10, 10, 51), True, id="more than five times the usual"),
    pytest.param(days(10, 10, 10, 10, 10, 50), False, id="just five times the usual"),
    pytest.param(days(10, 10, 10, 10, 51), False, id="four days do not say what is usual"),
    pytest.param(days(1, 1, 1, 1, 1, 49), False, id="so few are never too many"),
    pytest.param(days(10, 10, 10, 10, 10, 51, 3), True, id="yesterday, and nobody has looked yet"),
]


@pytest.mark.parametrize(("sent", "held"), FLOODS)
def test_what_is_far_more_than_usual(sent: dict[date, int], held: bool) -> None:
    """More than five times the median day, at least fifty, and held until somebody has let it go."""
    assert (flood(sent, [], START, Measure(5, 50)) is not None) is held
    assert flood(sent, [told("notices_released", START, reason="x")], START, Measure(5, 50)) is None


HOLIDAYS: list[Any] = [
    pytest.param(date(2024, 9, 30), 5, id="the Monday before National Day week, seven days off"),
    pytest.param(date(2024, 10, 8), 5, id="the first day after it"),
    pytest.param(date(2024, 9, 27), 0, id="a Friday, the Saturday off and the Sunday worked in exchange"),
    pytest.param(date(2024, 9, 20), 0, id="a Friday"),
    pytest.param(date(2024, 9, 18), 1, id="a Wednesday after three days off"),
]


@pytest.mark.parametrize(("day", "more"), HOLIDAYS)
def test_a_day_next_to_days_off_may_bring_what_they_would_have(day: date, more: int) -> None:
    """Each day off beyond a weekend adds a usual day, at a site that keeps China's calendar."""
    assert days_off_beside(day, study().sites[0]) == more
    sent = {day - n * DAY: 10 for n in range(1, 8)}
    measure = Measure(5, 50, lambda d: days_off_beside(d, study().sites[0]))
    assert flood({**sent, day: 10 * (5 + more)}, [], day, measure) is None
    found = flood({**sent, day: 10 * (5 + more) + 1}, [], day, measure)
    assert found
    assert (f"{more} days off" in found.what) is bool(more)


def test_a_flood_is_held_said_and_let_go(tmp_path: Path, web: WebReceiver) -> None:
    """The third notice of a day is far more than the usual one: held, on the worklist, told to the operator, let go."""
    people = ({"name": "crc", "role": "coordinator"}, {"name": "ops", "role": "operator"})
    trial = two_patients(tmp_path, web, *people, flood_factor=2, flood_floor=3)
    for n in range(6):
        trial.now = at(START - (6 - n) * DAY)
        claim = {"key": f"old{n}", "attempt": 1, "role": "coordinator", "channel": "crc"}
        body = {"study": STUDY_ID, "subject": SUBJECT, "occurred": trial.now.date()}
        sent = {"type": "notice_sent", "id": f"engine:old{n}", "at": trial.now}
        trial.engine.log.append([ev.EVENT.validate_python(sent | body | claim)], now=at(START))
    trial.now = at(START + 4 * DAY)
    third = "NT-003"
    trial.tell(*screened(subject=third), cycle(1, START, third), *forms("C1D1", START, third))
    for subject in (SUBJECT, OTHER, third):
        trial.wake(subject)
    assert len(came(web, "crc")) == 3
    late = "NT-004"
    trial.tell(*screened(subject=late), cycle(1, START, late), *forms("C1D1", START, late))
    trial.wake(late)
    live_until(trial, at(START + 4 * DAY, "12:30"))
    assert len(came(web, "crc")) == 3
    (line,) = [o for o in trial.engine.worklist() if o.key == "trial/flood"]
    assert "neotorch release" in line.why
    assert any("flood-of-notices" in p.body["title"] for p in came(web, "ops"))
    trial.tell(fact("death", START + 4 * DAY, late, id="d"))
    trial.wake(late)
    assert (tmp_path / "outbox").exists(), "a death is told at once, here into the outbox folder"
    released = told("notices_released", START + 4 * DAY, reason="three patients began on one day")
    assert trial.engine.record([released])[0].outcome == "recorded"
    assert not [o for o in trial.engine.worklist() if o.key == "trial/flood"]
    trial.tell(fact("retraction", START + 4 * DAY, late, id="r", retracts="d", reason="another patient"))
    trial.wake(late)
    assert any(late in p.key for p in came(web, "crc"))


def usual_days(trial: Trial, count: int) -> None:
    """So many notices a day in the six days before START."""
    for n in range(6 * count):
        when = at(START - (1 + n % 6) * DAY)
        body = {"study": STUDY_ID, "subject": SUBJECT, "occurred": when.date(), "key": f"old{n}", "attempt": 1}
        sent = {"type": "notice_sent", "id": f"engine:old{n}", "at": when, "role": "coordinator", "channel": "crc"}
        trial.engine.log.append([ev.EVENT.validate_python(body | sent)], now=at(START))


@pytest.fixture
def crowd(tmp_path: Path, web: WebReceiver, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """One notice a day is usual, and six patients have one due tomorrow at eight. The command line sees the same trial."""
    channels = [{"name": n, "role": r, "language": "en", "url": web.url(f"/{n}")} for n, r in PEOPLE.items()]
    trial = Trial(tmp_path / "data", now=at(START), channels=channels, flood_factor=5, flood_floor=5, prefect_port=0)
    usual_days(trial, 1)
    for subject in CROWD:
        trial.tell(*screened(subject=subject), cycle(1, START, subject), *forms("C1D1", START, subject))
        trial.wake(subject)
    web.received.clear()
    lines = [
        f"[[channels]]\nname = '{c['name']}'\nrole = '{c['role']}'\nlanguage = 'en'\nurl = '{c['url']}'\n"
        for c in channels
    ]
    (tmp_path / "neotorch.toml").write_text("flood_factor = 5\nflood_floor = 5\nprefect_port = 0\n" + "".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(tmp_path / "data"))
    return trial


PEOPLE = {"crc": "coordinator", "ops": "operator", "pi": "investigator", "cra": "monitor"}
CROWD = [f"NT-{n:03}" for n in range(1, 7)]


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    """What a command of the real command line prints, at the machine's own time."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["neotorch", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), capsys.readouterr().out


def test_far_more_than_usual_is_held_before_the_first_has_gone_out(
    crowd: Trial, web: WebReceiver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six at eight where one a day is usual: none goes out; worklist, doctor and operator say so; a word lets them go."""
    engine = crowd.engine
    crowd.now = at(START + 4 * DAY, "07:30")
    assert (waiting(engine, crowd.now), hold_back(engine)) == (0, None)
    crowd.now = at(START + 4 * DAY, "07:50")
    held = hold_back(engine)
    assert held and held.what.startswith(f"6 notices would go out on {START + 4 * DAY}, usual are 1 a day")
    assert hold_back(engine) is None, "it is said once"
    crowd.now = at(START + 4 * DAY, "08:00")
    for subject in CROWD:
        crowd.wake(subject)
    assert came(web, "crc") == []
    for step in engine.trial_plan():
        engine.perform_now(None, step)
    assert ["flood-of-notices" in p.body["title"] for p in came(web, "ops")] == [True]
    (line,) = [o for o in engine.worklist() if o.key == "trial/flood"]
    assert "6 notices would go out" in line.what and "neotorch release --reason" in line.why
    code, text = said(capsys, monkeypatch, "worklist", "--json")
    assert (code, "trial/flood" in text) == (1, True)
    code, text = said(capsys, monkeypatch, "doctor", "--no-send", "--json")
    (check,) = [c for c in json.loads(text)["checks"] if c["name"] == "held notices"]
    assert (code, check["ok"]) == (1, False)
    assert "6 notices would go out" in check["detail"] and "neotorch release" in check["todo"]
    crowd.tell(fact("death", START + 4 * DAY, CROWD[0], id="d"))
    crowd.wake(CROWD[0])
    assert [p.key for p in came(web, "pi")] == ["d/told/investigator/pi"], "a death waits for nobody"
    code, text = said(capsys, monkeypatch, "release", "--reason", "a new site opened, all six are right")
    assert (code, "recorded" in text) == (0, True)
    for subject in CROWD:
        crowd.wake(subject)
    assert {p.key.split("/")[0] for p in came(web, "crc")} == set(CROWD[1:]), "all but who died"
    assert not [o for o in engine.worklist() if o.key == "trial/flood"]
    code, text = said(capsys, monkeypatch, "doctor", "--no-send", "--json")
    assert [c["ok"] for c in json.loads(text)["checks"] if c["name"] == "held notices"] == [True]


def test_five_times_the_usual_goes_out(crowd: Trial, web: WebReceiver) -> None:
    """Five where one a day is usual is not more than five times as many: nothing is held."""
    crowd.tell(fact("death", START, CROWD[0], id="d"))
    crowd.now = at(START + 4 * DAY, "07:50")
    assert waiting(crowd.engine, at(START + 4 * DAY, "08:00")) == 5
    assert hold_back(crowd.engine) is None
    crowd.now = at(START + 4 * DAY, "08:00")
    for subject in CROWD:
        crowd.wake(subject)
    assert len(came(web, "crc")) == 5


def test_what_a_digest_collects_is_one_mail(crowd: Trial) -> None:
    """Who wants one mail a day is not flooded by what is in it."""
    channels = [c.model_copy(update={"digest": True}) for c in crowd.engine.settings.channels]
    crowd.engine.settings = crowd.engine.settings.model_copy(update={"channels": channels})
    assert waiting(crowd.engine, at(START + 4 * DAY, "08:00")) == 0
