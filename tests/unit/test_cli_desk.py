"""`neotorch book`, `waive`, `seen`, `snooze`: a coordinator's words become facts, or are refused in words."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import neotorch
from neotorch.cli import main
from neotorch.engine import Engine
from neotorch.settings import Settings
from tests.support import SUBJECT, cycle, screened

Run = Callable[..., tuple[int, str, str]]
TODAY = datetime.now(UTC).date()
START = TODAY - timedelta(4)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A log with a patient four days after C1D1."""
    found = Engine.open(Settings(data_dir=tmp_path))
    assert {a.outcome for a in found.record([*screened(START), cycle(1, START)])} == {"recorded"}
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on that log in this process; returns exit code, stdout, stderr."""
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(tmp_path))

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["neotorch", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


def test_an_appointment_and_its_change(engine: Engine, run: Run) -> None:
    """The first booking needs no reason inside the window; the second corrects the first and needs one."""
    first, second = START + timedelta(8), START + timedelta(9)
    assert run("book", SUBJECT, "C1D8", str(first), "--actor", "crc01")[0] == 0
    assert engine.state(SUBJECT).booked["C1D8"].appointment == first
    code, _, err = run("book", SUBJECT, "C1D8", str(second))
    assert code == 2
    assert "reason" in err
    assert run("book", SUBJECT, "C1D8", str(second), "--reason", "patient asked")[0] == 0
    booking = engine.state(SUBJECT).booked["C1D8"]
    assert booking.appointment == second
    assert booking.corrects


def test_waived_seen_and_put_off(engine: Engine, run: Run) -> None:
    """Each is in the log with who said it and why."""
    day = str(TODAY + timedelta(3))
    assert run("waive", SUBJECT, "C1D15", "--reason", "ward closed", "--actor", "crc01")[0] == 0
    assert run("seen", f"{SUBJECT}/C1D8", "--actor", "crc01")[0] == 0
    code, out, _ = run("snooze", f"{SUBJECT}/C1D8", "--until", day, "--reason", "called on Friday", "--json")
    assert code == 0
    assert json.loads(out)["recorded"][0]["outcome"] == "recorded"
    state = engine.state(SUBJECT)
    assert state.waived["C1D15"].actor == "crc01"
    assert state.seen[f"{SUBJECT}/C1D8"].actor == "crc01"
    assert str(state.snoozed[f"{SUBJECT}/C1D8"].until) == day


WRONG: list[Any] = [
    (("book", SUBJECT, "C1D8", "tomorrow"), "not a date"),
    (("book", SUBJECT, "C9D9", str(TODAY)), "not a visit"),
    (("book", "NT-999", "C1D8", str(TODAY)), "not known"),
    (("waive", SUBJECT, "C1D8"), "reason"),
    (("seen", "quatsch"), "subject"),
    (("seen", f"{SUBJECT}/quatsch"), "no open matter"),
    (("snooze", f"{SUBJECT}/C1D8", "--until", str(TODAY), "--reason", "x"), "no day to put it off"),
]


@pytest.mark.parametrize(("words", "says"), WRONG, ids=[" ".join(w)[:40] for w, _ in WRONG])
def test_what_cannot_be_is_refused_in_words(words: tuple[str, ...], says: str, engine: Engine, run: Run) -> None:
    """Exit code 2, what is wrong, no traceback, and nothing in the log."""
    head = engine.head()
    code, out, err = run(*words)
    assert code == 2
    assert says in " ".join((out + err).split())
    assert "Traceback" not in err
    assert engine.head() == head


EXAMPLE = str(Path(neotorch.__file__).parent / "studies" / "neotorch-breast03" / "1.1.yaml")


def test_an_amendment_is_shown_then_brought_into_force_then_consented_to(engine: Engine, run: Run) -> None:
    """What would change is shown first and nothing is written; one command applies it; the patient moves on re-consent."""
    head = engine.head()
    code, out, _ = run("simulate", "--amendment", EXAMPLE)
    assert (code, engine.head()) == (0, head)
    assert "1 of 1 patients under way would see a change" in out
    shown = json.loads(run("simulate", "--amendment", EXAMPLE, "--json")[1])
    assert {(c["what"], c["name"]) for c in shown["changes"]} >= {("visit", "CARD6"), ("reminder", "C1D8")}
    assert run("amend", EXAMPLE, "--site", "S01")[0] == 0
    assert [r.event.type for r in engine.log.read(after=head)] == ["protocol_amended", "amendment_activated"]
    assert run("reconsent", SUBJECT, "1.1")[0] == 0
    assert engine.study_of(engine.state(SUBJECT)).version == "1.1"
    assert "SHA-256" in run("explain", "protocol/1.1")[1]


BAD_AMENDMENTS = [
    (("amend", "nofile.yaml", "--site", "S01"), "no such file"),
    (("amend", EXAMPLE, "--site", "S77"), "no site of version 1.1"),
    (("amend", EXAMPLE, "--site", "S01", "--since", "2099-01-01"), "in the future"),
    (("amend", EXAMPLE.replace("1.1.yaml", "1.0.yaml"), "--site", "S01"), "no amendment"),
    (("reconsent", SUBJECT, "1.1"), "not in force at S01"),
    (("simulate", "--amendment", EXAMPLE, "--site", "S77"), "no site"),
    (("simulate", "--site", "S01"), "goes with --amendment"),
]


@pytest.mark.parametrize(("words", "says"), BAD_AMENDMENTS, ids=[" ".join(w).split("/")[-1] for w, _ in BAD_AMENDMENTS])
def test_an_amendment_that_cannot_be_applied(engine: Engine, run: Run, words: tuple[str, ...], says: str) -> None:
    """Refused in words with exit code 2, and nothing is written."""
    head = engine.head()
    code, out, err = run(*words)
    assert code == 2, out
    assert says in " ".join(err.split())
    assert engine.head() == head


def test_what_was_adopted_stays_as_it_is(engine: Engine, run: Run, tmp_path: Path) -> None:
    """Another content under the same version is refused; an amendment of what is not the newest version too."""
    assert run("amend", EXAMPLE, "--site", "S01")[0] == 0
    text = Path(EXAMPLE).read_text(encoding="utf-8")
    other = tmp_path / "other.yaml"
    for change, says in (
        (("offset_days: 182", "offset_days: 183"), "other content"),
        (('"1.1"', '"1.2"'), "not the newest"),
    ):
        other.write_text(text.replace(*change), encoding="utf-8")
        code, _, err = run("amend", str(other), "--site", "S01")
        assert code == 2
        assert says in " ".join(err.split())
    assert engine.versions().newest.version == "1.1"
