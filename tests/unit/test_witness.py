"""Heads that others keep: exports and notices carry the head of the log, and `neotorch verify` holds it against the log."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from neotorch.domain.errors import BadInput
from neotorch.store.chain import Head, Row
from neotorch.witness import Kept, read_head, read_notice, sign, told, wrong_with
from tests.store.attacks import put, rechained, saying
from tests.support import START, STUDY_ID, Trial, at, course, screened
from tests.unit.test_cli import Run, lines, run  # noqa: F401 - a fixture

HEAD = re.compile(r"\b(\d+):([0-9a-f]{16,64})\b")


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """One screened patient; the head is told every night, signed."""
    found = Trial(
        tmp_path / "data", now=at(START), quiet_hours=False, head_notice=True, head_key=SecretStr("only the operators")
    )
    found.tell(*screened())
    return found


def stored(trial: Trial) -> list[Row]:
    """All rows."""
    with trial.engine.log.engine.connect() as connection:
        return [Row(*row) for row in connection.execute(text("SELECT * FROM event ORDER BY seq"))]


def rewrite(trial: Trial, seq: int) -> None:
    """Change an event, recompute all that follows, and the head file with it: nothing on this machine contradicts it."""
    rows = stored(trial)
    rows[seq - 1] = saying(rows[seq - 1], actor="somebody.else")
    rows = rechained(rows, seq)
    put(trial.engine.log, rows, seq)
    heads = trial.engine.settings.head_file
    heads.write_text("".join(f"{row.seq} {row.hash} {row.recorded_at}\n" for row in rows))


def mail(trial: Trial) -> Path:
    """The notice of the head, as it came."""
    for step in trial.engine.trial_plan():
        trial.engine.perform_now(None, step)
    (found,) = [f for f in trial.engine.settings.outbox.rglob("*.eml") if "head" in f.name]
    return found


def test_a_head_that_was_told_is_found_missing_after_everything_was_rewritten(trial: Trial) -> None:
    """Who holds database and head file can make `verify` say that all is well; the mail of the night before says otherwise."""
    assert told(trial.engine)
    assert not told(trial.engine), "once a day"
    file = mail(trial)
    kept = read_notice(file.read_bytes(), file.name)
    assert wrong_with(trial.engine, kept) is None
    rewrite(trial, 3)
    assert trial.engine.log.verify() == []
    assert "written anew" in str(wrong_with(trial.engine, kept))


def test_a_forged_notice_is_told_from_a_true_one(trial: Trial) -> None:
    """Without the key nobody can make a notice that fits the log as it was rewritten."""
    rewrite(trial, 3)
    head = trial.engine.log.head()
    forged = Kept(head.seq, head.hash, sign("guessed", STUDY_ID, head))
    assert "not signed with the key" in str(wrong_with(trial.engine, forged))
    true = sign("only the operators", STUDY_ID, head)
    assert wrong_with(trial.engine, Kept(head.seq, head.hash, true)) is None
    assert true != sign("only the operators", "other", head) != sign("only the operators", STUDY_ID, Head(1, head.hash))


def test_the_key_is_nowhere_in_the_notice(trial: Trial) -> None:
    """The key signs and is not shown: neither in the mail nor in the log nor in the settings' words."""
    told(trial.engine)
    assert b"only the operators" not in mail(trial).read_bytes()
    assert "only the operators" not in repr(trial.engine.settings)
    assert all("only the operators" not in row.body for row in stored(trial))


def test_nothing_is_told_of_an_empty_log(tmp_path: Path) -> None:
    """There is no head to keep."""
    assert not told(Trial(tmp_path, now=at(START)).engine)


def test_without_a_key_the_head_is_told_unsigned(tmp_path: Path) -> None:
    """The notice says so itself, and is held against the log all the same."""
    trial = Trial(tmp_path, now=at(START), head_notice=True)
    trial.tell(*screened())
    told(trial.engine)
    file = mail(trial)
    kept = read_notice(file.read_bytes(), file.name)
    assert kept.signature is None
    assert wrong_with(trial.engine, kept) is None


@pytest.mark.parametrize("text", ["", "812", "812:xyz", "812:9f2c", ":9f2c41d0a7b3e655", "812 9f2c41d0a7b3e655"])
def test_what_is_no_head_is_refused(text: str) -> None:
    """A slip of the keyboard is not taken for a head that is missing."""
    with pytest.raises(BadInput, match="812:9f2c41d0a7b3e655"):
        read_head(text)
    with pytest.raises(BadInput, match="tells no head"):
        read_notice(text.encode(), "x.eml")


JSON: dict[str, Callable[[dict[str, object]], object]] = {
    "worklist": lambda said: said["head"],
    "queries": lambda said: said["head"],
    "patient NT-001": lambda said: said["head"],
    "endpoints": lambda said: said["provenance"]["Log head"],  # type: ignore[index]
}


def test_every_export_carries_a_head_that_verify_takes(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """Report, datasets and JSON: the head printed on each is one that the log holds, and that it holds no more once rewritten."""
    file = tmp_path / "events.jsonl"
    file.write_text(lines(*screened(START), *course(2, START)))
    assert run("record", str(file))[0] == 0
    heads = {}
    for words, where in JSON.items():
        heads[words] = str(where(json.loads(run(*words.split(), "--json")[1])))
    run("export", "report", "--out", str(tmp_path / "out"))
    run("export", "adam", "--out", str(tmp_path / "out"))
    for name in ("report.html", "define.xml", "adsl.json"):
        found = HEAD.search((tmp_path / "out" / name).read_text(encoding="utf-8"))
        assert found, name
        heads[name] = found[0]
    words = [word for head in heads.values() for word in ("--head", head)]
    code, said, _ = run("verify", *words)
    assert (code, said.count("holds")) == (0, len(heads))
    trial = Trial(tmp_path / "data")
    rewrite(trial, 5)
    trial.engine.log.close()
    assert run("verify")[0] == 0
    code, said, _ = run("verify", "--json", *words)
    assert code == 1
    assert len(json.loads(said)["problems"]) == len(heads)
    assert run("verify", "--head", "1:nonsense")[0] == 2


def test_a_backup_carries_a_head_too(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """The first line of a backup says the head that it ends with."""
    file = tmp_path / "events.jsonl"
    file.write_text(lines(*screened(START)))
    run("record", str(file))
    run("backup", "--out", str(tmp_path / "kept"))
    (made,) = (tmp_path / "kept").glob("*.log.gz")
    about = json.loads(gzip.decompress(made.read_bytes()).splitlines()[0])
    assert run("verify", "--head", f"{about['events']}:{about['head']}")[0] == 0
