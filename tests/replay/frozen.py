"""Logs kept from released versions of the program, and what was so and due at some instants of each.

tests/cases/frozen/VERSION/ holds `log.jsonl.gz` (one event a line, with time and hashes), `study.json` (the study file of that
trial), `settings.json` (who listened) and `expected.yaml` (what was so). `python -m tools.freeze` makes a new one.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import insert

from neotorch.domain.events import canonical, digest_of
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.notify import Channel, Notifier
from neotorch.rules.worklist import Obligation
from neotorch.settings import Settings
from neotorch.store.anchor import HeadFile
from neotorch.store.chain import Row, instant_text
from neotorch.store.log import EventLog
from neotorch.store.tables import event as table

FOLDER = Path(__file__).parents[1] / "cases" / "frozen"
LOOKS = {
    0.1: "query_raised", 0.2: "notice_claimed", 0.3: "deviation_found", 0.45: "query_raised", 0.6: "notice_claimed",
    0.75: "deviation_found", 0.9: "query_closed",
}  # fmt: skip
"""Share of the log after which somebody looks -> right before an effect of which type, at its instant: it must be due."""
Plain = dict[str, Any]


@dataclass(frozen=True)
class Frozen:
    """One kept log."""

    folder: Path

    @property
    def version(self) -> str:
        """The version of the program that wrote it."""
        return self.folder.name

    def rows(self) -> list[Row]:
        """Its rows, as they stood in the table."""
        with gzip.open(self.folder / "log.jsonl.gz", "rt", encoding="utf-8") as file:
            return [_row(json.loads(line)) for line in file]

    def study(self) -> Study:
        """The study file that the trial began with."""
        return Study.model_validate(self._json("study.json"))

    def settings(self, folder: Path) -> Settings:
        """The settings of that time, but for the data folder."""
        return Settings.model_validate({"data_dir": folder, **self._json("settings.json")})

    def expected(self) -> Plain:
        """What was so at each look."""
        found: Plain = yaml.load(
            (self.folder / "expected.yaml").read_text(encoding="utf-8"),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
        return found

    def _json(self, name: str) -> Plain:
        found: Plain = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return found


def all_frozen() -> list[Frozen]:
    """Every kept log, oldest version first."""
    folders = [f for f in FOLDER.iterdir() if f.is_dir()]
    return [Frozen(f) for f in sorted(folders, key=lambda f: [int(n) for n in f.name.split(".")])]


def _row(line: Plain) -> Row:
    body = line["event"]
    return Row(
        body["study"], line["seq"], body["id"], body["type"], body["subject"], body["occurred"], line["recorded_at"],
        canonical(body).decode(), line["prev_hash"], line["hash"],
    )  # fmt: skip


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """Rows as they are kept."""
    for row in rows:
        kept = {"seq": row.seq, "recorded_at": row.recorded_at, "event": json.loads(row.body)}
        yield json.dumps(kept | {"prev_hash": row.prev_hash, "hash": row.hash}, ensure_ascii=False) + "\n"


# ── what is so ────────────────────────────────────────────────────────────────────────────────────────────────────


class Replay:
    """A kept log read by the code of today, at one instant after the other."""

    def __init__(self, frozen: Frozen, folder: Path) -> None:
        """`folder` takes the database; it must be empty."""
        self.rows, self._now = frozen.rows(), datetime.min.replace(tzinfo=UTC)
        settings, study = frozen.settings(folder), frozen.study()
        self.log = EventLog(settings.log_url, study.id, head_file=settings.head_file)
        self.log.migrate()
        self._anchor = HeadFile(settings.head_file)
        channels = [Channel(c.name, c.role, c.site, c.url, c.language) for c in settings.channels]
        self.engine = Engine(settings, study, self.log, Notifier(channels, settings.outbox), lambda: self._now)

    def looks(self) -> Iterator[tuple[str, Plain]]:
        """Yield what is so at each look, by its instant."""
        done = 0
        for seq in [*self._before_effects(), len(self.rows)]:
            self._put(self.rows[done:seq])
            at = self.rows[min(seq, len(self.rows) - 1)].recorded_at
            done, self._now = seq, datetime.fromisoformat(at)
            yield f"{seq}, {at}", self._look()
        assert self.log.verify() == [], "the kept log is whole, and every body of it is read"
        self.log.close()

    def _before_effects(self) -> Iterator[int]:
        """Yield the positions of the looks within the log."""
        for share, kind in LOOKS.items():
            last = int(len(self.rows) * share)
            yield max(seq for seq in range(1, last) if self.rows[seq].type == kind)

    def _put(self, rows: Sequence[Row]) -> None:
        if rows:
            with self.log.engine.begin() as connection:
                connection.execute(insert(table), [row._asdict() for row in rows])
            self._anchor.write(rows)

    def _look(self) -> Plain:
        engine = self.engine
        head = self.log.head()
        lines_ = engine.worklist()
        found: Plain = {
            "head": f"{head.seq}:{head.hash}",
            "trial": {
                "versions": {
                    s.code: engine.versions().at_site(s.code, engine.today(s.code)).version for s in engine.study.sites
                },
                "endpoints": engine.endpoints().values(),
                "steps": {s.key: s.name for s in engine.trial_plan()},
                "worklist": _worklist(o for o in lines_ if o.subject not in engine.subjects()),
            },
        }
        for subject in engine.subjects():
            found[subject] = self._patient(subject, [o for o in lines_ if o.subject == subject])
        return found

    def _patient(self, subject: str, open_: Sequence[Obligation]) -> Plain:
        engine = self.engine
        state, due = engine.duties(subject)
        engine.mark_seen(subject, engine.position(state))
        plan = engine.plan(subject)
        return {
            "state": digest_of(_state(state)),
            "facts": len(state.facts),
            "problems": [p.code for p in state.problems],
            "phase": due.phase,
            "title": plan.title,
            "awaiting": plan.awaiting,
            "next": instant_text(plan.until) if plan.until else "never",
            "visits": {p.code: _visit(p) for p in due.plans},
            "queries": {f.query: f.title for f in due.findings},
            "deviations": {d.key: f"{d.grade}: {d.title}" for d in due.deviations},
            "steps": {s.key: s.name for s in plan.steps},
            "worklist": _worklist(open_),
            "values": {v.code: f"{v.text} [{v.status}]" for v in engine.patient_values(subject)},
        }


def _visit(plan: Any) -> str:
    window = plan.window
    when = f", {window.opens} < {window.target} < {window.closes}" if window else ""
    return plan.status + when + (f", held {plan.held_on}" if plan.held_on else "")


def _worklist(open_: Iterable[Obligation]) -> dict[str, str]:
    return {f"{o.key} ({o.kind})": f"{o.status}, since {o.since}, until {o.until}: {o.what}" for o in open_}


def _state(state: PatientState) -> Plain:
    """All that the fold has made of the events. The version of their types is no part of it."""
    return {
        "facts": [{k: v for k, v in f.body.items() if k != "v"} for f in state.facts],
        "superseded": dict(state.superseded),
        "problems": [[p.code, list(p.event_ids)] for p in state.problems],
        "queries": {k: [t.round, t.open, [a.id for a in t.answers]] for k, t in state.queries.items()},
        "deviations": {k: [t.round, t.open, [a.id for a in t.acknowledged]] for k, t in state.deviations.items()},
        "notices": {
            k: [sorted(t.claims), t.sent.id if t.sent else None, sorted(t.failed)] for k, t in state.notices.items()
        },
    }  # fmt: skip


# ── what differs ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Difference:
    """One thing that was otherwise; None: it was or is not there."""

    at: str
    """The look: position and instant."""
    where: str
    """As in `NT-003/visits/C2D1`: what an entry of CHANGELOG.md is held against."""
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """One line for a person."""
        subject, _, rest = self.where.partition("/")
        return f"{subject} at {self.at}: {rest}: was {self.before!r}, is {self.after!r}"


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each single value with its path."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from flat(one, f"{path}/{name}" if path else str(name))
    else:
        yield path, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def differences(before: Mapping[str, Plain], after: Mapping[str, Plain]) -> list[Difference]:
    """What differs between two replays, look by look."""
    found = []
    for at in [*before, *(a for a in after if a not in before)]:
        old, new = dict(flat(before.get(at, {}))), dict(flat(after.get(at, {})))
        for where in [*old, *(w for w in new if w not in old)]:
            found += [Difference(at, where, old.get(where), new.get(where))] if old.get(where) != new.get(where) else []
    return found


NAMED = re.compile(r"^\* Replay of (\d+\.\d+\.\d+): `([^`]+)`: (.+)$", re.MULTILINE)
"""An entry of CHANGELOG.md: `* Replay of 0.1.0: `NT-*/visits/C2D1`: the window is a day wider.`"""


def named(changelog: str, version: str) -> list[str]:
    """The patterns (as of a shell) of what CHANGELOG.md says differs from the version of a kept log."""
    return [pattern for of, pattern, _ in NAMED.findall(changelog) if of == version]


def judged(found: Sequence[Difference], patterns: Sequence[str]) -> tuple[list[Difference], list[str]]:
    """The differences that no entry names, and the entries that name nothing."""
    unnamed = [d for d in found if not any(fnmatchcase(d.where, p) for p in patterns)]
    stale = [p for p in patterns if not any(fnmatchcase(d.where, p) for d in found)]
    return unnamed, stale
