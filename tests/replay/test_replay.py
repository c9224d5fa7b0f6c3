"""The replay gate: what a released version recorded means today what it meant then, unless CHANGELOG.md says otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from neotorch import __version__
from neotorch.domain.events import ENGINE_ID
from neotorch.domain.upcast import KNOWN
from neotorch.store.chain import check_rows
from neotorch.store.errors import LogBroken
from tests.proofs import count
from tests.replay.frozen import Difference, Frozen, Replay, all_frozen, differences, judged, lines, named
from tools.freeze import zipped

CHANGELOG = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
TODO = (
    "If it is meant: say so in CHANGELOG.md, `* Replay of {version}: `SUBJECT/FIELD/...` (* and ? as in a shell): because ...`. "
    "If not: mend the code. A version that was never released may be frozen anew (tools/freeze.py)."
)
frozen_ones = pytest.mark.parametrize("frozen", all_frozen(), ids=lambda f: f.version)


@frozen_ones
def test_what_was_recorded_means_what_it_meant(frozen: Frozen, tmp_path: Path) -> None:
    """States, obligations, plans and endpoints of a kept log are those of the version that wrote it, or CHANGELOG.md says so."""
    now = dict(Replay(frozen, tmp_path).looks())
    found = differences(frozen.expected(), now)
    unnamed, stale = judged(found, named(CHANGELOG, frozen.version))
    said = "\n".join(map(str, unnamed[:40]))
    assert not unnamed, (
        f"{len(unnamed)} differences from {frozen.version}\n{said}\n{TODO.format(version=frozen.version)}"
    )
    assert not stale, f"CHANGELOG.md names what does not differ from {frozen.version}: {', '.join(stale)}; remove it"
    events = len(frozen.rows())
    count("replay", trials=events, looks=len(now), patients=max(len(look) for look in now.values()) - 2)


@frozen_ones
def test_a_kept_log_is_as_it_was_written(frozen: Frozen) -> None:
    """Each body, link and hash is the one of then: nobody mended a kept log in passing."""
    rows = frozen.rows()
    head = list(check_rows(rows))[-1]
    assert [found for found in check_rows(rows) if not isinstance(found, type(head))] == []
    assert list(frozen.expected().values())[-1]["head"] == f"{rows[-1].seq}:{rows[-1].hash}"


def test_this_version_is_kept_and_has_every_type() -> None:
    """No version without its log, and in the log of this version is every type of event that it knows."""
    newest = all_frozen()[-1]
    assert newest.version == __version__, "run `make freeze` and commit tests/cases/frozen"
    rows = newest.rows()
    assert {row.type for row in rows} == set(KNOWN)
    bodies = [json.loads(row.body) for row in rows]
    assert any(body.get("corrects") for body in bodies)
    assert any(body["type"] == "retraction" and not body["id"].startswith(ENGINE_ID) for body in bodies)
    assert {(b["read"]) for b in bodies if b["type"] == "pathology"} == {"local", "central", "adjudication"}


def test_the_looks_see_work_to_do() -> None:
    """At the looks journeys have steps before them, and the worklist has lines of several kinds."""
    looks = list(all_frozen()[-1].expected().values())
    patients = [about for look in looks for name, about in look.items() if name not in ("head", "trial")]
    assert sum(bool(p["steps"]) for p in patients) >= len(looks) - 1
    kinds = {line.rpartition("(")[2].rstrip(")") for p in patients for line in p["worklist"]}
    assert kinds >= {"visit", "query", "deviation", "safety"}
    assert {p["phase"] for p in patients} >= {"treatment", "surgery", "follow_up", "dead", "withdrawn"}
    assert {version for look in looks for version in look["trial"]["versions"].values()} == {"1.0", "1.1"}


def test_another_rule_is_told_with_patient_field_before_and_after(tmp_path: Path) -> None:
    """The gate is not blind: with a window of one visit a day wider the very patients and fields are named."""
    kept = all_frozen()[-1]
    copy = Frozen(tmp_path / kept.version)
    shutil.copytree(kept.folder, copy.folder)
    definition = json.loads((copy.folder / "study.json").read_text(encoding="utf-8"))
    visit = next(v for v in definition["visits"] if v["code"] == "C1D8")
    visit["timing"][0]["window_days_after"] += 1
    (copy.folder / "study.json").write_text(json.dumps(definition), encoding="utf-8")
    found = differences(kept.expected(), dict(Replay(copy, tmp_path / "data").looks()))
    first = next(d for d in found if d.where == "NT-001/visits/C1D8")
    assert first.before and first.after and first.before != first.after
    assert f"NT-001 at {first.at}: visits/C1D8: was {first.before!r}, is {first.after!r}" == str(first)
    unnamed, stale = judged(found, ["NT-*/visits/C1D8"])
    assert not stale
    assert not [d for d in unnamed if "/visits/C1D8" in d.where]


def test_a_changed_event_is_not_replayed(tmp_path: Path) -> None:
    """A kept log that somebody changed fails before anything is compared."""
    kept = all_frozen()[-1]
    copy = Frozen(tmp_path / kept.version)
    shutil.copytree(kept.folder, copy.folder)
    rows = kept.rows()
    rows[4] = rows[4]._replace(body=rows[4].body.replace('"actor":"', '"actor":"x'))
    (copy.folder / "log.jsonl.gz").write_bytes(zipped("".join(lines(rows))))
    with pytest.raises(LogBroken, match="seq 5"):
        next(Replay(copy, tmp_path / "data").looks())


ONE = Difference("9, 2026", "NT-001/visits/C1D8", "a", "b")
OTHER = Difference("9, 2026", "NT-002/next", "a", None)


@pytest.mark.parametrize(
    ("entries", "unnamed", "stale"),
    [
        ("", [ONE, OTHER], []),
        ("* Replay of 0.1.0: `NT-*/visits/C1D8`: a day wider.\n* Replay of 0.1.0: `*/next`: later.\n", [], []),
        ("* Replay of 0.1.0: `*`: everything.\n* Replay of 0.1.0: `*/pcr`: another rule.\n", [], ["*/pcr"]),
        ("* Replay of 0.2.0: `*`: everything.\n", [ONE, OTHER], []),
        ("* Replay of 0.1.0: `*`\n", [ONE, OTHER], []),
    ],
)
def test_the_changelog_names_what_may_differ(entries: str, unnamed: list[Difference], stale: list[str]) -> None:
    """An entry stands for its version and its pattern, gives a reason, and is told where nothing differs (any more)."""
    text = f"# Changelog\n\n## 0.2.0\n\n{entries}* Other words.\n"
    assert judged([ONE, OTHER], named(text, "0.1.0")) == (unnamed, stale)
