"""A backup holds the whole log, on either database; what it brings back is that log, or nothing."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neotorch.domain.errors import BadInput
from neotorch.store import archive
from neotorch.store.archive import Restored
from neotorch.store.chain import Head
from neotorch.store.log import EventLog, LogBroken
from tests import proofs
from tests.store.conftest import Open
from tests.store.stories import EXAMPLES, STUDY, at, contact, example
from tests.store.test_tampering import edit_time, without_triggers
from tests.support import study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def filled(log: EventLog) -> EventLog:
    """Every type of event there is, and 2,000 others."""
    log.append([example(kind) for kind in EXAMPLES], now=at(0))
    for number in range(20):
        log.append([contact(100 * number + n, reason='阴性 \u2028 "quoted"') for n in range(100)], now=at(number))
    return log


def empty(folder: Path, name: str = "other", study_id: str = STUDY) -> EventLog:
    """An empty log in SQLite, with a head file of its own."""
    log = EventLog(f"sqlite:///{folder}/{name}/log.db", study_id, head_file=folder / name / "head.txt")
    log.migrate()
    return log


def restored(log: EventLog, path: Path) -> Restored:
    """What restoring into a log comes to."""
    with archive.opened(path) as found:
        return archive.restore(log, found, now=at(1000))


def test_a_backup_restored_is_the_same_log(filled: EventLog, tmp_path: Path) -> None:
    """Same head, same rows to the byte, from either database; and its own backup has the same bytes again."""
    path = archive.write(filled, study(), tmp_path)
    other = empty(tmp_path)
    assert restored(other, path).head == filled.head()
    assert list(other.rows(10**6)) == list(filled.rows(10**6))
    assert other.verify() == []
    again = archive.write(other, study(), tmp_path / "again")
    assert (again.name, again.read_bytes()) == (path.name, path.read_bytes())
    other.append([contact(90_000)], now=at(2000))
    assert other.verify() == []


def test_a_backup_goes_back_into_its_own_kind_of_database(
    filled: EventLog, open_log: Open, url: str, tmp_path: Path
) -> None:
    """What came from Postgres goes into Postgres, and from SQLite into SQLite; other studies in it are left alone."""
    path = archive.write(filled, study(), tmp_path)
    with without_triggers(filled) as connection:
        connection.exec_driver_sql("DELETE FROM event")
    log = open_log(url=url, head_file=tmp_path / "new" / "head.txt")
    assert restored(log, path) == Restored(log.head(), 0)
    assert log.verify() == []


def test_an_empty_log_has_a_backup_too(log: EventLog, tmp_path: Path) -> None:
    """On the first night nothing has been recorded, and nothing goes wrong."""
    path = archive.write(log, study(), tmp_path)
    assert restored(empty(tmp_path), path).head.seq == 0


def test_what_comes_while_it_is_written_is_not_in_it(filled: EventLog, tmp_path: Path) -> None:
    """A backup ends at the head that it began with, whole."""
    about = archive.manifest(filled, study())
    filled.append([contact(90_000)], now=at(2000))
    with (tmp_path / "file").open("wb") as file:
        archive._write(file, about, filled)
    assert restored(empty(tmp_path), tmp_path / "file").head == about.head


def test_no_backup_is_made_of_a_broken_log(filled: EventLog, tmp_path: Path) -> None:
    """The night's backup does not put a broken log in the place of a whole one."""
    with without_triggers(filled) as connection:
        edit_time(connection)
    with pytest.raises(LogBroken, match="seq"):
        archive.write(filled, study(), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_log_that_holds_events_is_left_alone(filled: EventLog, tmp_path: Path) -> None:
    """A restoration never adds to what is there, nor replaces it."""
    path = archive.write(filled, study(), tmp_path)
    before = filled.head()
    with pytest.raises(BadInput, match="holds events already"):
        restored(filled, path)
    assert filled.head() == before
    assert filled.verify() == []


def test_another_study_s_backup_is_refused(filled: EventLog, tmp_path: Path) -> None:
    """Its name is said, and what to set."""
    path = archive.write(filled, study(), tmp_path)
    with pytest.raises(BadInput, match=f"NEOTORCH_STUDY={STUDY}"):
        restored(empty(tmp_path, study_id="S2"), path)


def test_an_older_backup_says_what_is_lost_and_verify_goes_on_saying_so(
    filled: EventLog, open_log: Open, tmp_path: Path
) -> None:
    """The head file shows that events came after the backup; the restored log is whole again, and its gap stays on record."""
    path = archive.write(filled, study(), tmp_path)
    end = filled.head().seq
    filled.append([contact(90_000 + n) for n in range(7)], now=at(2000))
    with without_triggers(filled) as connection:
        connection.exec_driver_sql("DELETE FROM event")
    log = open_log()
    found = restored(log, path)
    assert (found.head.seq, found.noted, found.lost) == (end, end + 7, 7)
    assert log.verify() == []
    (line,) = map(str, log.restorations())
    assert f"events {end + 1} to {end + 7}" in line
    log.append([contact(95_000)], now=at(3000))
    assert log.verify() == []
    with without_triggers(log) as connection:
        connection.exec_driver_sql(f"DELETE FROM event WHERE seq > {end - 5}")
    assert log.verify()[0].kind == "tail", "a cut is still found after a restoration"


def test_a_backup_of_another_history_is_refused(filled: EventLog, open_log: Open, tmp_path: Path) -> None:
    """A whole chain that is not the one whose heads were noted does not get in."""
    forged = empty(tmp_path)
    forged.append([contact(n, reason="other") for n in range(50)], now=at(5))
    path = archive.write(forged, study(), tmp_path)
    filled.append([contact(99_000)], now=at(2000))
    with without_triggers(filled) as connection:
        connection.exec_driver_sql("DELETE FROM event")
    log = open_log()
    with pytest.raises(BadInput, match="head file"):
        restored(log, path)
    assert log.head().seq == 0


def damaged(raw: bytes, seed: int) -> bytes:
    """An archive cut off, with a byte changed, a line left out, doubled or moved, or the text of an event edited."""
    dice = random.Random(seed)
    lines = gzip.decompress(raw).splitlines(keepends=True)
    at_line = dice.randrange(1, len(lines) - 1)
    match seed % 7:
        case 0:
            return raw[: dice.randrange(len(raw))]
        case 1:
            place = dice.randrange(12, len(raw))
            return raw[:place] + bytes([raw[place] ^ (1 << dice.randrange(8))]) + raw[place + 1 :]
        case 2:
            del lines[at_line]
        case 3:
            lines.insert(at_line, lines[at_line])
        case 4:
            del lines[at_line:]
        case 5:
            lines[at_line], lines[at_line + 1] = lines[at_line + 1], lines[at_line]
        case _:
            place = dice.randrange(66, len(lines[at_line]) - 1)
            line = lines[at_line]
            lines[at_line] = line[:place] + (b"x" if line[place : place + 1] != b"x" else b"y") + line[place + 1 :]
    return gzip.compress(b"".join(lines))


def test_a_damaged_archive_brings_nothing(log: EventLog, tmp_path: Path) -> None:
    """Wherever it is cut, changed or rearranged: refused with what is wrong, and the log stays empty."""
    for number in range(30):
        log.append([contact(number, reason=f"event {number}")], now=at(number))
    raw = archive.write(log, study(), tmp_path).read_bytes()
    target, file, trials = empty(tmp_path), tmp_path / "damaged", proofs.rounds(short=70, long=2000)
    whole, log_head, said = 0, log.head(), set[str]()
    for seed in range(trials):
        file.write_bytes(damaged(raw, seed))
        try:
            assert restored(target, file).head == log_head  # a bit that gzip does not use, say
            whole += 1
        except BadInput as refusal:
            said.add(refusal.what.split(" ")[0])
        else:
            target = empty(tmp_path, f"other{whole}")
            continue
        assert target.head().seq == 0
    assert whole <= trials // 50
    assert said >= {"is", "event", "ends"}
    proofs.count("damaged-archive", trials, harmless=whole)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([b"not JSON\n"], "no archive of a log"),
        ([b"[]\n"], "no archive of a log"),
        ([b'{"neotorch":"log archive"}\n'], "no archive of a log"),
        ([], "no archive of a log"),
    ],
)
def test_what_is_no_archive_is_refused(lines: list[bytes], says: str, tmp_path: Path) -> None:
    """A file of something else is told from a backup."""
    file = tmp_path / "file"
    file.write_bytes(gzip.compress(b"".join(lines)))
    with pytest.raises(BadInput, match=says):
        restored(empty(tmp_path), file)
    with pytest.raises(BadInput, match="cannot be read"):
        restored(empty(tmp_path), tmp_path / "nowhere")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BadInput, match="no archive at all"):
        restored(empty(tmp_path), tmp_path / "text")


def test_a_newer_format_is_told(log: EventLog, tmp_path: Path) -> None:
    """An older program says that a newer one is needed."""
    log.append([contact(1)], now=at(0))
    path = archive.write(log, study(), tmp_path)
    text = gzip.decompress(path.read_bytes()).replace(b'"format":1', b'"format":2', 1)
    path.write_bytes(gzip.compress(text))
    with pytest.raises(BadInput, match="is of format 2, this program reads 1"):
        restored(empty(tmp_path), path)


@pytest.mark.parametrize(
    ("point", "job"),
    [("backup-row:500", "backup"), ("backup-written-not-renamed", "backup"),
     ("restore-rows", "restore"), ("restore-rows:2", "restore"), ("restored-not-committed", "restore")],
)  # fmt: skip
def test_killed_in_the_middle_nothing_looks_whole(filled: EventLog, tmp_path: Path, point: str, job: str) -> None:
    """Kill -9 at any point: no file by the name of a backup, no event in the log; done again, it is done."""
    trials = proofs.rounds(short=1, long=25)
    source = empty(tmp_path, "source")
    restored(source, archive.write(filled, study(), tmp_path / "made"))
    for number in range(trials):
        folder = tmp_path / f"killed-{number}"
        command = [sys.executable, "-m", "tests.store.backing", job, str(tmp_path), str(folder)]
        killed = subprocess.run(command, cwd=ROOT, env={**os.environ, "NEOTORCH_CRASH_AT": point}, check=False)
        assert killed.returncode == -9
        assert list(folder.glob("*.gz")) == []
        again = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)
        assert again.returncode == 0
        if job == "backup":
            assert restored(empty(folder), next(folder.glob("*.gz"))).head == filled.head()
        else:
            log = EventLog(f"sqlite:///{folder}/log.db", STUDY, head_file=folder / "head.txt")
            assert (log.head(), log.verify()) == (filled.head(), [])
            log.close()
    proofs.count("killed-backup", trials)


def test_the_definition_in_force_is_in_it(log: EventLog, tmp_path: Path) -> None:
    """Results can be reproduced from a backup alone: it holds the study file that its first figures came from."""
    path = archive.write(log, study(), tmp_path)
    with archive.opened(path) as found:
        assert found.manifest.definition == study().definition
        assert replace(found.manifest, head=Head(0, "")).study_version == study().version
