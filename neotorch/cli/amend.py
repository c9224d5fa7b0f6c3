"""`neotorch amend`, `neotorch reconsent`, and what `neotorch simulate --amendment` shows before either."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.progress import Progress

from neotorch.cli.desk import Flag, tell
from neotorch.cli.output import err, out, print_json, table
from neotorch.cli.views import known_site
from neotorch.domain.errors import BadInput
from neotorch.domain.study import Study
from neotorch.domain.study_file import StudyError, read_study
from neotorch.engine import Engine
from neotorch.preview import Preview, preview
from neotorch.rules.preview import What
from neotorch.settings import read_text

HEADINGS: dict[What, str] = {
    "visit": "Visits", "reminder": "Reminders to come", "query": "Queries", "deviation": "Deviations",
    "endpoint": "Endpoints",
}  # fmt: skip


def amend(file: Path, /, *, site: str, since: str = "", actor: str = "site", json: Flag = False) -> int:
    """Bring an amendment into force at a site: new patients are entered under it, others move on re-consent.

    Parameters
    ----------
    file: Path
        A study file that says what it amends; `neotorch simulate --amendment FILE` shows first what it would change.
    site: str
        Where it was approved. Other sites keep the version they have until it is activated there.
    since: str
        The day of its approval there, YYYY-MM-DD; today if not given.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    engine = Engine.open()
    study = read_amendment(engine, file)
    occurred = {"occurred": since or str(engine.today(site))}
    version = {"version": study.version}
    adoption: dict[str, Any] = {
        "type": "protocol_amended", "id": f"protocol/{study.version}", "amends": engine.versions().newest.version,
        "definition": study.definition,
    }  # fmt: skip
    activation = {"type": "amendment_activated", "site": site}
    known = engine.versions().adopted.get(study.version)
    rows = [activation] if known else [adoption, activation]
    return tell(engine, [row | version | occurred for row in rows], "", actor, json=json)


def reconsent(
    subject: str, version: str, /, *, declined: Flag = False, since: str = "", actor: str = "site", json: Flag = False
) -> int:
    """Record that a patient was asked to consent to an amended protocol: they move to it, or stay.

    Parameters
    ----------
    subject: str
        Subject code, such as NT-007.
    version: str
        The version that is in force at the patient's site now.
    declined: bool
        The patient did not agree and stays on the version they are on.
    since: str
        The day of the answer, YYYY-MM-DD; today if not given.
    actor: str
        Who says so: a user code, never a name.
    json: bool
        Print the result as JSON.
    """
    body = {"type": "reconsent", "subject": subject, "version": version, "agreed": not declined}
    return tell(Engine.open(), [body | ({"occurred": since} if since else {})], "", actor, json=json)


def show(file: Path, site: str | None, *, json: bool) -> int:
    """Show what an amendment would change, for whom, if it came into force today and all moved to it."""
    engine = Engine.open()
    study = read_amendment(engine, file)
    known_site(engine, site)
    sites = [site] if site else [s.code for s in study.sites]
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("looking at each patient", total=None)
        found = preview(engine, study, sites, lambda n, total: bar.update(task, completed=n, total=total))
    if json:
        print_json(_as_dict(found))
    else:
        _tables(found)
    return 0


def read_amendment(engine: Engine, file: Path) -> Study:
    """Read an amendment of the newest version in the log, or one that is in the log already; StudyError if it is neither."""
    versions = engine.versions()

    def older(name: str) -> Study:
        found = versions.version(name)
        if found is None:
            known = ", ".join([versions.base.version, *versions.adopted])
            raise StudyError(f"amends {name}, which this trial does not know", file.name, f"it knows {known}")
        return found

    if not file.is_file():
        raise BadInput("no such file", str(file), "Name the amendment's study file.")
    study = read_study(read_text(file), file.name, older)
    if study.amendment is None:
        raise StudyError("no amendment: it does not say what it amends", file.name, "see docs/amendments.md")
    known = versions.adopted.get(study.version)
    if known and known.definition != study.definition:
        todo = "what was adopted stays as it is; give the change the next version"
        raise StudyError(f"version {study.version} was adopted with other content", file.name, todo)
    if not known and study.amendment.amends != versions.newest.version:
        todo = f"amend {versions.newest.version}"
        raise StudyError(f"amends {study.amendment.amends}, which is not the newest version", file.name, todo)
    return study


def _amends(found: Preview) -> str:
    return found.amendment.amendment.amends if found.amendment.amendment else ""


def _as_dict(found: Preview) -> dict[str, Any]:
    return {
        "version": found.amendment.version, "amends": _amends(found), "sites": list(found.sites),
        "day": found.day, "patients": found.looked_at, "touched": found.touched, "ended": found.ended,
        "changes": [vars(c) for c in found.changes],
    }  # fmt: skip


def _tables(found: Preview) -> None:
    for what, heading in HEADINGS.items():
        rows = [(c.subject or "trial", c.name, c.before, c.after) for c in found.changes if c.what == what]
        if rows:
            table(heading, ("for", "what", f"version {_amends(found)}", found.amendment.version), rows)
    counts = Counter(c.what for c in found.changes)
    said = ", ".join(f"{HEADINGS[w].lower()} {counts[w]}" for w in HEADINGS)
    out.print(
        f"{found.amendment.version} in place of {_amends(found)} at {', '.join(found.sites)} from {found.day}: "
        f"{found.touched} of {found.looked_at} patients under way would see a change ({said}); "
        f"{found.ended} whose journey is over stay as they are. Nothing has been changed.",
        markup=False, highlight=False,
    )  # fmt: skip
