"""The study file: complete, sourced, and refused with path and line when something in it cannot be so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import neotorch
from neotorch.domain.study import Study
from neotorch.domain.study_file import StudyError, read_study
from neotorch.settings import Settings, SettingsError, load_settings, load_study
from tests.support import study

TEXT = (Path(neotorch.__file__).parent / "studies" / "neotorch-breast03" / "1.0.yaml").read_text(encoding="utf-8")

SCHEDULE = {
    "SCR": ("screening", 27, 0), "C1D1": ("treatment", 0, 0), "C1D8": ("treatment", 2, 2), "C1D15": ("treatment", 2, 2),
    "C2D1": ("treatment", 3, 3), "IMG1": ("treatment", 7, 0), "C3D1": ("treatment", 3, 3), "C4D1": ("treatment", 3, 3),
    "IMG2": ("treatment", 7, 0), "C5D1": ("treatment", 3, 3), "C6D1": ("treatment", 3, 3), "PREOP": ("surgery", 7, 7),
    "SURG": ("surgery", 7, 14), "PATH": ("surgery", 14, 7), "CENTRAL": ("follow_up", 28, 17),
    "POD30": ("follow_up", 7, 7), "SFU30": ("follow_up", 7, 7), "SFU90": ("follow_up", 7, 7),
    **{f"FU{n}": ("follow_up", 14, 14) for n in range(1, 9)}, "FU9": ("follow_up", 28, 28),
    "FU10": ("follow_up", 28, 28), "EFS36": ("follow_up", 28, 28),
}  # fmt: skip


def test_the_schedule_of_activities_is_complete() -> None:
    """Every visit from screening to the landmark, with its window, in order."""
    found = {v.code: (v.phase, v.timing[0].window_days_before, v.timing[0].window_days_after) for v in study().visits}
    assert found == SCHEDULE
    assert list(found) == list(SCHEDULE)


def test_every_value_has_a_source_and_says_whether_it_is_an_assumption() -> None:
    """Nothing may be printed as a trial fact that the registry entry does not state."""
    sourced = [*study().sites, *study().drugs, study().cycles, *study().forms, *study().visits, study().reminders,
               study().queries, study().recipients, study().deviations, study().endpoints.pcr, study().endpoints.rcb01,
               study().endpoints.efs, *study().endpoints.efs.maps]  # fmt: skip
    assert all(s.source and s.assumption in (True, False) for s in sourced)
    stated = [s for s in sourced if not s.assumption]
    assert stated == [study().endpoints.efs.primary], "only the definition of event-free survival is the registry's"


def test_the_last_cycle_has_no_anlotinib() -> None:
    """So that the wash-out ends before surgery."""
    assert study().drug_by_code["anlotinib"].cycles == [1, 2, 3, 4, 5]
    assert study().cycles.count == 6


def test_every_label_is_there_in_both_languages() -> None:
    """A notice in Chinese must not fall back to English half-way."""
    labels = [v.label for v in study().visits] + [f.label for f in study().forms]
    labels += [i.label for f in study().forms for i in f.items.values()]
    assert all(label.en and label.zh for label in labels)


BROKEN: list[Any] = [
    pytest.param("hour: 8", "hour: 24", "reminders.hour (line", id="an hour that does not exist"),
    pytest.param("hour: 8", "hour: eight", "reminders.hour (line", id="an hour in words"),
    pytest.param("hour: 8", "hours: 8", "no such setting", id="a misspelt setting"),
    pytest.param("hour: 8", "", "reminders.hour", id="a setting left out"),
    pytest.param("time_zone: Asia/Shanghai", "time_zone: Asia/Peking", "not a time zone", id="no such zone"),
    pytest.param(
        "anchor: surgery, offset_days: 14", "anchor: op, offset_days: 14", "not an anchor", id="no such anchor"
    ),
    pytest.param("anchor: cycle.5", "anchor: cycle.9", "there are 6", id="an anchor on a cycle that does not exist"),
    pytest.param("last_dose.anlotinib", "last_dose.aspirin", "not under drugs", id="an anchor on a drug not given"),
    pytest.param("due: [WOUND]", "due: [WOUNDS]", "not under forms", id="a form that does not exist"),
    pytest.param("CARDIAC, items: [TROP]}", "CARDIAC, items: [TROPO]}", "no item TROPO", id="no such item"),
    pytest.param("safety: [investigator]", "safety: [surgeon]", "not under roles", id="a role nobody has"),
    pytest.param("primary_map: registry", "primary_map: other", "no map has that name", id="a map that does not exist"),
    pytest.param("code: POD30", "code: SFU30", "stands there twice", id="two visits of one code"),
    pytest.param("clock_drug: chemotherapy", "clock_drug: radiation", "clock_drug", id="a clock drug not given"),
    pytest.param("window_days_before: 28", "window_days_before: -1", "days_before (line", id="a negative window"),
    pytest.param("death: event", "death: maybe", "findings.death", id="a finding that is neither event nor not"),
    pytest.param("level: 0.95", "level: 95", "level (line", id="a level in per cent"),
    pytest.param('version: "1.0"', "version: one", "version (line", id="a version that is none"),
    pytest.param("valid_from: 2024-01-01", "valid_from: 2024", "not a date", id="a year for a date"),
    pytest.param("id: neotorch-breast03", "id: [", "not readable as YAML", id="not YAML"),
    pytest.param('subject_pattern: "NT-[0-9]{3,4}"', 'subject_pattern: "NT-[0-9"', "subject_pattern", id="no pattern"),
    pytest.param("  count: 6\n", "  count: 6\n  count: 4\n", "count stands there twice", id="a setting given twice"),
    pytest.param("    safety: [investigator]\n", "", "tell.safety", id="nobody named for safety"),
    pytest.param(
        "C1D1: {counts: false}",
        "C1D0: {counts: false}",
        "deviations.out_of_window.visits.C1D0 (line",
        id="a deviation at no visit",
    ),
    pytest.param(
        "routine_forms: [BIOPSY]",
        "routine_forms: [BIOPSIES]",
        "'BIOPSIES', which is not under forms",
        id="a deviation's form",
    ),
    pytest.param(
        "dose_level: {grade: important}",
        "dose_level: {grade: major}",
        "deviations.dose_level.grade (line",
        id="no such grade",
    ),
    pytest.param("max_delay_days: 21", "max_delay_days: -1", "max_delay_days (line", id="a delay of less than nothing"),
    pytest.param(
        "important_from_days_early: 8",
        "important_from_days_early: 0",
        "important_from_days_early (line",
        id="important inside the window",
    ),
    pytest.param("  sae_late:", "  sae_slow:", "no such setting", id="no such kind of deviation"),
]


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_a_broken_study_file_is_refused_with_path_and_line(old: str, new: str, says: str) -> None:
    """The message names the setting, its line and what is wrong with it, so that it can be mended."""
    assert old in TEXT
    with pytest.raises(StudyError) as error:
        read_study(TEXT.replace(old, new), "1.1.yaml")
    assert says in str(error.value)
    assert error.value.where.startswith("1.1.yaml")
    assert error.value.todo


def test_a_file_that_knows_nothing_of_deviations_stays_valid() -> None:
    """Grades have defaults, and whoever is told of queries and of safety is told of deviations."""
    start, end = TEXT.index("deviations:   #"), TEXT.index("endpoints:\n  alpha_split")
    older = (TEXT[:start] + TEXT[end:]).replace("    deviation: [coordinator]\n", "")
    older = older.replace("    important_deviation: [coordinator, investigator]\n", "")
    found = read_study(older)
    assert found.recipients.tell["deviation"] == ["coordinator"]
    assert found.recipients.tell["important_deviation"] == ["coordinator", "investigator"]
    assert found.deviations.wash_out.grade == "important"
    assert found.deviations.assumption


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Two mistakes, two lines, each with its own."""
    broken = TEXT.replace("hour: 8", "hour: 99").replace("count: 6", "count: 66")
    with pytest.raises(StudyError) as error:
        read_study(broken)
    lines = broken.splitlines()
    for wrong in ("hour: 99", "count: 66"):
        number = next(n for n, line in enumerate(lines, 1) if wrong in line)
        assert f"(line {number})" in str(error.value)


def test_a_study_file_that_is_no_mapping() -> None:
    """A list or an empty file is refused in words."""
    for text in ("", "- a\n- b", "42"):
        with pytest.raises(StudyError, match="not a mapping"):
            read_study(text)


def test_an_unknown_study_version_is_named(tmp_path: Path) -> None:
    """Asking for a version that is not there says which, and how to choose one."""
    with pytest.raises(StudyError, match=r"version 9\.9") as error:
        load_study(Settings(data_dir=tmp_path, study_version="9.9"))
    assert "NEOTORCH_STUDY_VERSION" in error.value.todo


def test_a_study_file_of_ones_own(tmp_path: Path) -> None:
    """A site's copy with other numbers is used as it stands."""
    own = tmp_path / "own.yaml"
    own.write_text(TEXT.replace("raise_after_days: 3", "raise_after_days: 5"), encoding="utf-8")
    found = load_study(Settings(data_dir=tmp_path, study_file=own))
    assert isinstance(found, Study)
    assert found.queries.raise_after_days == 5


def test_settings_that_are_wrong_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong variable or a broken neotorch.toml is told in words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEOTORCH_PREFECT_PORT", "many")
    with pytest.raises(SettingsError, match="prefect_port"):
        load_settings()
    monkeypatch.delenv("NEOTORCH_PREFECT_PORT")
    (tmp_path / "neotorch.toml").write_text("study = [", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"neotorch\.toml"):
        load_settings()
