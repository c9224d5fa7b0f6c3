"""What doctor finds, and what it tells people to do."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neotorch.cli import doctor_checks as doctor
from neotorch.notify import ChannelCheck

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def test_a_sound_machine_passes(tmp_path: Path) -> None:
    """Where the tests run nothing is amiss, and what is well needs no advice."""
    checks = list(doctor.machine(tmp_path / "data", ["Europe/Berlin"], [doctor.port_free("127.0.0.1", 0)], NOW))
    names = {c.name for c in checks}
    assert {
        "python",
        "package apprise",
        "data folder",
        "disk space",
        "sqlite",
        "clock",
        "time zone Europe/Berlin",
    } <= names
    assert not [c for c in checks if c.ok and c.todo]
    assert not [c for c in checks if not c.ok and not c.name.startswith("package")]


@pytest.mark.parametrize(("version", "ok"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_python_bounds(version: tuple[int, int], ok: bool) -> None:
    """A Python outside the locked range is refused with the range."""
    check = doctor.python_version(version)
    assert check.ok == ok
    assert ok or "3.11 to 3.13" in check.todo


def test_a_package_outside_its_bounds_or_absent_is_named() -> None:
    """The advice is the very command that mends it."""
    old = doctor._package("pytest", ">=999", lambda *_a, **_k: False)
    gone = doctor._package("no-such-package-here", ">=1", lambda *_a, **_k: True)
    assert (old.ok, old.todo) == (False, "pip install 'pytest>=999'")
    assert (gone.ok, gone.detail) == (False, "is not installed")
    assert not next(doctor.packages("no-such-package-here")).ok


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in the folder's place is found by both checks that need the folder."""
    (tmp_path / "data").write_text("in the way")
    for check in (doctor.data_folder(tmp_path / "data"), doctor.sqlite(tmp_path / "data")):
        assert not check.ok
        assert str(tmp_path / "data") in check.detail
        assert "NEOTORCH_DA" in check.todo


def test_checks_leave_nothing_behind(tmp_path: Path) -> None:
    """Looking does not change the data folder."""
    list(doctor.machine(tmp_path, [], [], NOW))
    assert list(tmp_path.iterdir()) == []


def test_old_sqlite_full_disk_unset_clock_unknown_zone(tmp_path: Path) -> None:
    """Each fault of the machine has its remedy."""
    faults = [
        doctor.sqlite(tmp_path, (3, 34, 1)),
        doctor.disk_space(tmp_path / "not" / "yet", 1 << 60),
        doctor.clock(datetime(1970, 1, 1, tzinfo=UTC)),
        doctor.time_zone("Mars/Olympus"),
        doctor.time_zone("../../etc/passwd"),
    ]
    assert not [f for f in faults if f.ok or not f.todo]


def test_a_port_in_use_is_found() -> None:
    """A port that somebody holds is named, with the setting that changes it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        check = doctor.port_free("127.0.0.1", port)
        assert (check.ok, check.name) == (False, f"port {port}")
        assert "NEOTORCH_PREFECT_PORT" in check.todo
    assert doctor.port_free("127.0.0.1", port).ok


def test_channels_and_listeners(tmp_path: Path) -> None:
    """A channel's own words reach the table, and a role without channel is told where its notices are."""
    bad = doctor.channel(ChannelCheck("ward", False, "connection refused", "start it"))
    assert (bad.name, bad.ok, bad.detail, bad.todo) == ("channel ward", False, "connection refused", "start it")
    check = doctor.listeners([("operator", "H")], tmp_path)
    assert check.ok
    assert f"no channel for operator at H: see the folder {tmp_path}" in check.detail
