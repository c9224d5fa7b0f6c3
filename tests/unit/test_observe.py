"""Metrics and health: what they say is what is so, and nothing that names a patient."""

from __future__ import annotations

import json
import socket
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from neotorch.domain.errors import NeotorchError
from neotorch.observe import marks
from neotorch.observe.gauges import Figures, Load, page
from neotorch.observe.health import Cached, Sign
from neotorch.observe.serve import Watch
from neotorch.observe.tally import Tally, stuck
from neotorch.receivers import WebReceiver
from neotorch.settings import ChannelSettings
from tests.support import START, SUBJECT, Trial, at, fact, screened

DAY = timedelta(1)


def values(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name, label values) -> value of everything on a page of metrics, read by Prometheus's own parser."""
    families = text_string_to_metric_families(text.decode())
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def told_by(trial: Trial, tally: Tally, load: Load | None = None) -> dict[tuple[str, tuple[str, ...]], float]:
    """What a scrape shows now."""
    engine = trial.engine
    found = stuck(engine, tally.read(engine))
    figures = Figures(trial.now, engine.settings.data_dir, True, 1, tally, found, load or Load())
    return values(page(lambda: figures)())


def with_death(folder: Path, receiver: WebReceiver) -> Trial:
    """A patient who has died, which the investigator is to be told by web."""
    channel = {"name": "web", "role": "investigator", "url": receiver.url("/x")}
    trial = Trial(folder, at(START + DAY), channels=[ChannelSettings.model_validate(channel)], quiet_hours=False)
    trial.tell(*screened(START - 20 * DAY), fact("death", START, cause="other"))
    return trial


def test_a_notice_that_does_not_get_through_is_counted_until_it_does(tmp_path: Path) -> None:
    """Its age grows from the first attempt on; once it went out, nothing is unsent and both attempts are counted."""
    with WebReceiver() as receiver:
        trial, tally = with_death(tmp_path, receiver), Tally()
        receiver.fail_with = 503
        trial.wake()
        trial.now += timedelta(minutes=30)
        shown = told_by(trial, tally)
        assert shown["neotorch_notices_unsent", ()] == 1
        assert shown["neotorch_oldest_unsent_notice_age_seconds", ()] == 1800
        assert shown["neotorch_notices_total", ("web", "retry")] == 1
        receiver.fail_with = None
        trial.wake()
        shown = told_by(trial, tally)
    assert shown["neotorch_notices_unsent", ()] == shown["neotorch_oldest_unsent_notice_age_seconds", ()] == 0
    assert shown["neotorch_notices_total", ("web", "sent")] == 1
    assert shown["neotorch_effects_total", ("notice", "retry")] == 1


def test_the_counts_of_a_log_read_bit_by_bit_are_those_of_all_of_it(tmp_path: Path) -> None:
    """A scrape reads only what is new, and a process that starts later shows the same."""
    with WebReceiver() as receiver:
        trial, bit_by_bit = with_death(tmp_path, receiver), Tally()
        bit_by_bit.read(trial.engine)
        trial.wake()
        bit_by_bit.read(trial.engine)
    whole = Tally().read(trial.engine)
    assert whole == bit_by_bit
    assert whole.position == trial.engine.head() == sum(whole.events.values())


def test_no_metric_names_a_patient(tmp_path: Path) -> None:
    """Neither name nor label nor value of any metric holds a subject code or an event's id."""
    with WebReceiver() as receiver:
        trial = with_death(tmp_path, receiver)
        trial.wake()
        tally = Tally().read(trial.engine)
        figures = Figures(trial.now, tmp_path, True, 1, tally, stuck(trial.engine, tally))
        text = page(lambda: figures)().decode()
    assert SUBJECT not in text
    assert "consent" in text, "it does name types of events"


def test_a_page_without_a_log_still_says_what_is_known(tmp_path: Path) -> None:
    """When the log cannot be read the page says so, and how long ago the last backup was."""
    marks.done(tmp_path, "backup", datetime(2026, 3, 4, tzinfo=UTC))
    shown = values(page(lambda: Figures(datetime(2026, 3, 5, tzinfo=UTC), tmp_path, ready=False))())
    assert shown["neotorch_log_readable", ()] == shown["neotorch_ready", ()] == 0
    assert shown["neotorch_last_success_time_seconds", ("backup",)] == datetime(2026, 3, 4, tzinfo=UTC).timestamp()
    assert ("neotorch_log_position", ()) not in shown


def test_a_note_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    """An unreadable note of a success is no success, and one that cannot be written ends nothing."""
    assert marks.last(tmp_path, "backup") is None
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / "backup").write_text("yesterday")
    assert marks.last(tmp_path, "backup") is None
    marks.done(tmp_path / "last" / "backup", "backup", datetime(2026, 3, 4, tzinfo=UTC))


def ask(address: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_readiness() -> None:
    """/health says that the process lives; /ready gives every sign, with 503 as soon as one is not well."""
    signs = [Sign("log", True, "7 events"), Sign("prefect", True, "answers")]
    with Watch("127.0.0.1", 0, lambda: signs, lambda: b"x 1\n") as watch:
        assert ask(f"{watch.address}/health") == (200, '{"alive": true}')
        status, text = ask(f"{watch.address}/ready")
        assert (status, json.loads(text)["ready"]) == (200, True)
        signs[1] = Sign("prefect", False, "does not answer", "start it")
        status, text = ask(f"{watch.address}/ready")
        assert (status, json.loads(text)["ready"]) == (503, False)
        assert json.loads(text)["checks"][1] == {
            "name": "prefect", "ok": False, "detail": "does not answer", "todo": "start it"
        }  # fmt: skip
        assert ask(f"{watch.address}/metrics") == (200, "x 1\n")
        assert ask(f"{watch.address}/else")[0] == 404
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{watch.address}/health", timeout=2)


def test_a_port_in_use_is_an_error_of_the_start() -> None:
    """Whoever opens the pages hears at once that the port is taken."""
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        Watch("127.0.0.1", other.getsockname()[1], list, bytes)


def test_an_answer_stands_for_a_while() -> None:
    """However often it is asked for, a costly answer is worked out once in its time."""
    made: list[int] = []
    cached = Cached(lambda: made.append(1) or len(made), 60)
    assert [cached(), cached()] == [1, 1]
    fresh = Cached(lambda: made.append(1) or len(made), -1)
    assert [fresh(), fresh()] == [2, 3]


def test_a_log_that_takes_no_writing_is_found_without_writing(tmp_path: Path) -> None:
    """Locked by another process, or read-only: said in words within seconds; and a look leaves nothing behind."""
    trial = Trial(tmp_path, at(START))
    trial.tell(*screened())
    log, head = trial.engine.log, trial.engine.head()
    log.probe()
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        assert other.execute("SELECT count(*) FROM journey").fetchone() == (0,)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NeotorchError, match="locked"):
            log.probe()
        other.rollback()
    log.probe()
    assert trial.engine.head() == head
