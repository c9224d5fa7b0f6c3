"""The sheet for the wall: what lies ahead of a site day by day, on the day on which no computer works."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from neotorch.report.wall import DAYS, sheet
from neotorch.rules.agenda import Ahead, agenda, by_day
from neotorch.safekeeping import back_up, drill, put_on_paper
from tests.support import START, SUBJECT, Trial, at, cycle, day, fact, screened, surgery

OTHER = "NT-002"


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """One patient in the second cycle and one in screening."""
    found = Trial(tmp_path, at(day(24)))
    found.tell(*screened(START, SUBJECT), cycle(1, day(1)), cycle(2, day(22)))
    return found


def ahead(trial: Trial, first: date, days: int = DAYS) -> list[tuple[str, int]]:
    """What lies ahead of the patient: visit and study day."""
    state, due = trial.engine.duties(SUBJECT)
    return [(a.visit.code, (a.on - START).days + 1) for a in agenda(state, due, first, days)]


def test_the_visits_of_the_next_days_stand_on_their_days(trial: Trial) -> None:
    """The next cycle three weeks on is out of sight of a fortnight, and in sight of three weeks."""
    assert not [v for v, _ in ahead(trial, day(24)) if v == "C3D1"]
    assert ("C3D1", 43) in ahead(trial, day(24), 21)


@pytest.mark.parametrize(
    ("seen_from", "on"), [(29, None), (30, 43), (42, 43), (43, 43), (44, 44), (46, 46), (47, None)]
)
def test_a_window_in_both_its_ends(trial: Trial, seen_from: int, on: int | None) -> None:
    """From the day on which the target comes into the fortnight to the last day of the window, on the day it can be held."""
    trial.now = at(day(seen_from))
    assert [d for v, d in ahead(trial, day(seen_from)) if v == "C3D1"] == ([on] if on else [])


def test_a_held_visit_is_not_ahead(trial: Trial) -> None:
    """What was done early is off the list."""
    trial.now = at(day(42))
    trial.tell(cycle(3, day(42)))
    assert "C3D1" not in [v for v, _ in ahead(trial, day(42))]


def test_every_day_is_there_once_and_every_visit_on_one(trial: Trial) -> None:
    """Empty days are printed too: nobody has to wonder whether a line is lacking."""
    state, due = trial.engine.duties(SUBJECT)
    found = agenda(state, due, day(24), 30)
    days = by_day(found, day(24), 30)
    assert [d for d, _ in days] == [day(24) + timedelta(n) for n in range(30)]
    assert sorted((a for _, some in days for a in some), key=lambda a: a.visit.code) == sorted(
        found, key=lambda a: a.visit.code
    )
    assert all(isinstance(a, Ahead) and a.on == d for d, some in days for a in some)


def test_the_sheet_names_codes_and_forms_and_no_free_text(trial: Trial) -> None:
    """Subject codes, visits in the site's language, windows, forms; a note that somebody typed is not on it."""
    trial.tell(fact("contact", day(24), SUBJECT, reason="told us her phone 13912345678"))
    page = sheet(trial.engine, trial.engine.study.sites[0], 30).html
    for part in (SUBJECT, "C3D1", "CBC", "工作清单", "系统停用时"):
        assert part in page
    assert "13912345678" not in page
    assert '<html lang="zh">' in page


def test_the_log_is_named_as_of(trial: Trial) -> None:
    """A sheet says as of when it is, in the site's zone, and how much of the log is in it."""
    page = sheet(trial.engine, trial.engine.study.sites[0]).html
    assert f"{trial.engine.head()} 条日志记录" in page
    assert str(day(24)) in page


def test_sheets_are_written_and_old_ones_go(trial: Trial, tmp_path: Path) -> None:
    """HTML and PDF for each site; what is older than two weeks is removed, other files are not."""
    folder = tmp_path / "wall"
    folder.mkdir()
    for name in (f"S01-{day(9)}.html", f"S01-{day(10)}.pdf", "notes.txt"):
        (folder / name).touch()
    written = list(put_on_paper(trial.engine, folder))
    assert {p.name for p in written} == {f"S01-{day(24)}.html", f"S01-{day(24)}.pdf"}
    assert written[1].read_bytes().startswith(b"%PDF")
    assert {p.name for p in folder.iterdir()} == {p.name for p in written} | {f"S01-{day(10)}.pdf", "notes.txt"}


def test_backups_are_kept_tried_and_forgotten(trial: Trial, tmp_path: Path) -> None:
    """The newest stay; each is restored once to see that it can be; the one just made is never removed."""
    folder, made = tmp_path / "kept", []
    for n in range(4):
        trial.tell(fact("contact", day(24), SUBJECT, id=f"k{n}"))
        made.append(back_up(trial.engine, folder, 2))
    assert [p.name for p in sorted(folder.iterdir())] == [m.path.name for m in made[2:]]
    assert made[-1].removed == (made[1].path,)
    tried = drill(trial.engine, made[-1])
    assert (tried.head, tried.problems) == (made[-1].head, ())
    again = back_up(trial.engine, folder, 1)
    assert (again.path, again.removed) == (made[-1].path, (made[2].path,))


def test_what_a_killed_backup_left_is_swept_up(trial: Trial, tmp_path: Path) -> None:
    """Yesterday's part goes; one of today may still be written."""
    folder = tmp_path / "kept"
    folder.mkdir()
    old, new = (folder / f".{trial.engine.study.id}-{n}.log.gz.{n}.part" for n in (1, 2))
    for part in (old, new):
        part.touch()
    os.utime(old, (0, 0))
    back_up(trial.engine, folder, 2)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_drill_tells_a_backup_that_is_not_this_log_s(trial: Trial, tmp_path: Path) -> None:
    """A whole archive of another history is a failed drill."""
    other = Trial(tmp_path / "other", at(day(24)))
    other.tell(*screened(START, OTHER), cycle(1, day(1), OTHER), surgery(day(20), OTHER))
    made = back_up(other.engine, tmp_path / "kept", 2)
    tried = drill(trial.engine, made)
    assert "is not the log's" in tried.problems[0]
    assert "FAILED" in tried.words
