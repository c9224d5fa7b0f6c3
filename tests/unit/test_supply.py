"""What comes with the program is known and may be used, and the files for operators are what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import START, Trial, at
from tools import audit, licences
from tools.docs_check import ROOT, anchors

UNITS = ROOT / "deployments" / "systemd"


def test_the_list_of_licences_is_that_of_the_lock_and_all_are_allowed() -> None:
    """Every pinned package is listed, and none that is needed at run time has a licence that is not allowed."""
    assert licences.problems() == []


@pytest.mark.parametrize(
    ("licence", "problem"),
    [
        ("MIT", None), ("Apache-2.0 AND BSD-3-Clause", None), ("LGPL-3.0-only", None), ("GPLv2+; LGPLv2+; MPL 1.1", None),
        ("GPL-3.0-or-later", "not allowed"), ("GNU Affero General Public License v3", "not allowed"), ("SSPL-1.0", "not allowed"),
        ("Proprietary", "nobody has said"), ("", "name no licence"),
    ],
)  # fmt: skip
def test_a_licence_that_is_not_allowed_is_named(licence: str, problem: str | None) -> None:
    """Copyleft, proprietary and unknown licences are no licences for what is needed at run time; to develop, they may be."""
    found = list(licences.faults([licences.Package("x", "1", "", licence, runtime=True)]))
    assert len(found) == (problem is not None)
    assert not problem or (problem in found[0] and found[0].startswith("x: "))
    assert not list(licences.faults([licences.Package("x", "1", "", licence, runtime=False)]))


def test_a_package_that_is_not_listed_is_named() -> None:
    """The page is read as it is written, whatever package comes or goes."""
    lock = "a-b==1.0 \\\n    --hash=sha256:00\nc==2 ; python_version < '3.12' \\\n"
    assert licences.pins(lock) == {"a-b": ("1.0", ""), "c": ("2", "python_version < '3.12'")}
    made = licences.page(
        [licences.Package("a-b", "1.0", "", "MIT", True), licences.Package("c", "2", "x", None, False)]
    )
    assert licences.listed(made) == {"a-b", "c"}


def test_an_audit_fails_on_a_finding_and_not_without_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A known vulnerability is named with the version that mends it; where nothing can be asked, that is said in a line."""
    vuln = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"]}
    report = json.dumps(
        {"dependencies": [{"name": "x", "version": "2.0", "vulns": [vuln]}, {"name": "y", "version": "1", "vulns": []}]}
    )
    monkeypatch.setattr(audit, "ask", lambda: (report, ""))
    assert audit.main() == 1
    assert capsys.readouterr().out == "x 2.0: PYSEC-1, mended in 2.1\n"
    monkeypatch.setattr(audit, "ACCEPTED", {"CVE-1": "not reachable"})
    assert audit.main() == 0
    monkeypatch.setattr(audit, "ask", lambda: ("", "no network"))
    assert audit.main() == 0
    assert "not audited" in capsys.readouterr().out


def test_every_alert_asks_for_a_metric_that_there_is_and_names_its_page() -> None:
    """Each rule's metric exists in the program, and its runbook heading in docs/operating.md."""
    rules = yaml.safe_load((ROOT / "deployments" / "prometheus-rules.yaml").read_text("utf-8"))["groups"][0]["rules"]
    code = "".join(p.read_text("utf-8") for p in (ROOT / "neotorch" / "observe").glob("*.py"))
    headings = anchors((ROOT / "docs" / "operating.md").read_text("utf-8"))
    assert len({r["alert"] for r in rules}) == len(rules) > 8
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"].removeprefix("#") in headings, rule["alert"]
        for name in re.findall(r"neotorch_\w+", rule["expr"]):
            assert f'"{name.removesuffix("_total")}"' in code, name
    if tool := shutil.which("promtool"):
        subprocess.run([tool, "check", "rules", ROOT / "deployments" / "prometheus-rules.yaml"], check=True)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_the_units_are_sound_and_hardened(tmp_path: Path) -> None:
    """Systemd finds nothing wrong with them, and rates what the service may do as small."""
    for unit in UNITS.iterdir():
        (tmp_path / unit.name).write_text(unit.read_text("utf-8").replace("/opt/neotorch/bin/neotorch", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *tmp_path.iterdir()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "neotorch" in line]) == (0, [])
    check = ["systemd-analyze", "security", "--offline=true", "--threshold=25", tmp_path / "neotorch.service"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "unrecognized option" in done.stderr, done.stdout[-300:]


def test_every_setting_in_the_documents_is_one(tmp_path: Path) -> None:
    """A variable that a page names is a setting of the program, and every setting is named on a page."""
    from neotorch.settings import Settings

    known = {f"NEOTORCH_{name.upper()}" for name in Settings.model_fields}
    text = "".join(p.read_text("utf-8") for p in (ROOT / "docs").glob("*.md")) + (ROOT / "README.md").read_text("utf-8")
    named = set(re.findall(r"NEOTORCH_[A-Z_]+[A-Z]", text))
    of_the_tests = {"NEOTORCH_SEEDS", "NEOTORCH_PROVE", "NEOTORCH_PROOFS"}
    assert named - known - of_the_tests == set()
    assert known - named - {"NEOTORCH_CHANNELS"} == set()


def test_importing_the_record_command_needs_none_of_this() -> None:
    """Watching costs the recorder nothing: it imports neither metrics nor Prefect."""
    code = "import sys, neotorch.cli.record; sys.exit('prometheus_client' in sys.modules or 'prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_doctor_names_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """An event from the future is no event of the future: the clock is wrong, and doctor says by how much."""
    from neotorch.cli.doctor_checks import clock

    trial = Trial(tmp_path, at(START))
    assert clock(trial.now, trial.now).ok
    wrong = clock(trial.now, at(START, "12:05"))
    assert not wrong.ok and "300 s before the newest event" in wrong.detail and "operating.md" in wrong.todo
