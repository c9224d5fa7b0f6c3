"""Events of every version that was ever written are read, and stay what they are: id, place, hash, and what was said."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from neotorch.cli import main
from neotorch.domain import upcast as module
from neotorch.domain.events import Contact, canonical
from neotorch.domain.state import fold
from neotorch.domain.upcast import KNOWN, UPCASTERS, UnknownEvent, parse_event
from neotorch.store.anchor import HeadFile
from neotorch.store.chain import GENESIS, Head, Row, link
from neotorch.store.log import EventLog
from neotorch.store.tables import event as table
from tests.replay.frozen import all_frozen
from tests.stories import CASES, read_yaml
from tests.support import START, STUDY_ID, SUBJECT, at, consent

STORED: list[dict[str, Any]] = read_yaml(CASES / "stored_events.yaml")
BODIES = [json.loads(one["stored"]) for one in STORED]


@pytest.mark.parametrize("one", STORED, ids=lambda one: f"{json.loads(one['stored'])['type']}")
def test_a_stored_event_is_read_as_today(one: dict[str, Any]) -> None:
    """Each stored body of each version is the event that the table says, with its id and all that was said."""
    stored = json.loads(one["stored"])
    event = parse_event(stored["type"], canonical(stored).decode())
    wanted = stored if one["today"] == "same" else json.loads(one["today"])
    assert event.model_dump(mode="json") == wanted
    assert (event.id, event.subject) == (stored["id"], stored["subject"])


def test_every_version_of_every_type_has_a_stored_example() -> None:
    """No type or version without a body of it in tests/cases/stored_events.yaml, those that are upcast included."""
    kept = {(body["type"], body["v"]) for body in BODIES}
    assert kept >= {(kind, v) for kind, versions in KNOWN.items() for v in versions} | UPCASTERS.keys()


@pytest.mark.parametrize("frozen", all_frozen(), ids=lambda f: f.version)
def test_every_kept_event_is_read(frozen: Any) -> None:
    """Nothing that a released version wrote is refused or loses its id."""
    for row in frozen.rows():
        event = parse_event(row.type, row.body, f"seq {row.seq}")
        assert (event.id, event.subject, event.occurred.isoformat()) == (row.id, row.subject, row.occurred)


# ── a log that a program of long ago has written ──────────────────────────────────────────────────────────────────

OLD = {
    "type": "phone_call", "v": 1, "id": "old-1", "study": STUDY_ID, "subject": SUBJECT, "occurred": str(START),
    "actor": "site", "how": "tel",
}  # fmt: skip
TODAY = Contact(id="old-1", study=STUDY_ID, subject=SUBJECT, occurred=START, by="phone")


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "type": "contact", "v": 0}


def _from_0(body: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in body.items() if key != "how"}
    return {**rest, "v": 1, "by": {"tel": "phone"}[body["how"]]}


@pytest.fixture
def upcasters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's program: `phone_call` became `contact`, whose first version said `how`."""
    monkeypatch.setitem(module.UPCASTERS, ("phone_call", 1), _renamed)
    monkeypatch.setitem(module.UPCASTERS, ("contact", 0), _from_0)


def written(folder: Path, *bodies: dict[str, Any]) -> EventLog:
    """A log with these bodies, as the program of then wrote them."""
    log = EventLog(f"sqlite:///{folder}/log.db", STUDY_ID, head_file=folder / "head.log")
    log.migrate()
    rows, head, recorded_at = [], Head(0, GENESIS), "2026-01-19T04:00:00.000000Z"
    for seq, body in enumerate(bodies, 1):
        text = canonical(body).decode()
        digest = link(head.hash, seq, recorded_at, text)
        columns = [body[name] for name in ("id", "type", "subject", "occurred")]
        rows.append(Row(STUDY_ID, seq, *columns, recorded_at, text, head.hash, digest))
        head = rows[-1].head
    with log.engine.begin() as connection:
        connection.execute(insert(table), [row._asdict() for row in rows])
    HeadFile(folder / "head.log").write(rows)
    return log


@pytest.mark.usefixtures("upcasters")
def test_an_old_event_keeps_id_place_and_hash(tmp_path: Path) -> None:
    """It is read in today's form; the chain is over the body as it was stored, so nothing in it changes."""
    log = written(tmp_path, consent(START).model_dump(mode="json"), OLD)
    assert log.verify() == []
    row = log.read()[1]
    assert row.event == TODAY
    assert (row.seq, row.hash, log.get("old-1")) == (2, log.head().hash, row)
    assert '"how":"tel"' in written_body(log, 2)
    log.append([Contact(id="new", study=STUDY_ID, subject=SUBJECT, occurred=START)], now=at(START) + timedelta(1))
    assert log.verify() == []


def written_body(log: EventLog, seq: int) -> str:
    """The body as it stands in the table."""
    with log.engine.connect() as connection:
        return str(connection.execute(table.select().where(table.c.seq == seq)).one().body)


@pytest.mark.usefixtures("upcasters")
def test_an_old_event_told_again_is_a_duplicate(tmp_path: Path) -> None:
    """The digest is that of today's form, so a source system that repeats itself, in today's words, changes nothing."""
    log = written(tmp_path, consent(START).model_dump(mode="json"), OLD)
    assert log.append_new([TODAY], now=at(START)) == []
    assert log.head().seq == 2


@pytest.mark.usefixtures("upcasters")
def test_an_old_event_can_be_corrected(tmp_path: Path) -> None:
    """Corrections and retractions name it by its id as ever."""
    log = written(tmp_path, consent(START).model_dump(mode="json"), OLD)
    better = Contact(
        id="new", study=STUDY_ID, subject=SUBJECT, occurred=START, corrects="old-1", reason="x", by="visit"
    )
    log.append([better], now=at(START))
    state = fold(log.read(SUBJECT), SUBJECT)
    assert state.superseded == {"old-1": "new"}
    assert [f.id for f in state.facts] == [f"{SUBJECT}.consent", "new"]


@pytest.mark.usefixtures("upcasters")
def test_an_old_event_that_was_changed_is_found(tmp_path: Path) -> None:
    """A column that contradicts the stored body is told, also where its type has another name today."""
    log = written(tmp_path, OLD)
    log.close()
    other = written(tmp_path / "other", OLD | {"type": "contact", "v": 0})
    with other.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER event_no_update")
        connection.execute(table.update().values(type="phone_call"))
    assert [p.kind for p in other.verify() if p.seq] == ["columns"]
    other.close()


FUTURE = TODAY.model_dump(mode="json") | {"v": 7}
ALIEN = TODAY.model_dump(mode="json") | {"type": "teleport"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (FUTURE, "event type 'contact' version 7 cannot be read (this program knows versions (1,))"),
        (ALIEN, "no such type"),
    ],
)
def test_what_a_newer_program_wrote_is_refused_with_what_to_do(
    body: dict[str, Any],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Reading stops with the place and the remedy, `verify` and the command line say the same, and nothing is changed."""
    log = written(tmp_path, consent(START).model_dump(mode="json"), body)
    with pytest.raises(UnknownEvent) as refused:
        log.read()
    for part in (words, f"log of {STUDY_ID}, seq 2", "Use the program version that wrote it, or a newer one."):
        assert part in str(refused.value)
    (problem,) = log.verify()
    assert (problem.seq, problem.kind) == (2, "columns")
    assert words in problem.words
    head = log.head()
    log.close()
    monkeypatch.setenv("NEOTORCH_DATA_DIR", str(tmp_path))
    for command, code in (("worklist", 2), ("verify", 1)):
        monkeypatch.setattr(sys, "argv", ["neotorch", command])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert end.value.code == code, said
        assert "Traceback" not in said.err + said.out
    assert log.head() == head
    log.close()
