"""`neotorch simulate`."""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import yaml
from cyclopts import Parameter
from cyclopts.types import NonNegativeInt
from cyclopts.validators import Number

from neotorch.cli.output import err, print_json, table
from neotorch.domain.calendar import local_date
from neotorch.domain.dates import parse_date
from neotorch.domain.errors import BadInput
from neotorch.domain.study import Study
from neotorch.engine import utc_now
from neotorch.settings import load_settings, load_study
from neotorch.simulation import STAGES, STUDY, Dated, stage_of
from neotorch.simulation import simulate as make
from neotorch.simulation.sites import with_sites

MOST = 2000
"""Patients. Their codes have four digits at most."""
MOST_SITES = 50


def simulate(
    *,
    patients: Annotated[int, Parameter(validator=Number(gte=1, lte=MOST))] = 60,
    seed: NonNegativeInt = 15,
    until: str | None = None,
    out: Path | None = None,
    summary: Annotated[bool, Parameter(negative="")] = False,
    sites: Annotated[int | None, Parameter(validator=Number(gte=1, lte=MOST_SITES))] = None,
    amendment: Path | None = None,
    site: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make a synthetic trial's events: JSON Lines that `neotorch record` takes. Same options, same bytes.

    With --amendment: show what an amended study file would change for the patients in the log, and change nothing.

    Parameters
    ----------
    patients: int
        How many patients; with 24 and more, every stage of the trial is populated.
    seed: int
        Another number makes another trial.
    until: str
        The last day (YYYY-MM-DD); yesterday at the site if not given.
    out: Path
        The file to write; standard output if not given.
    summary: bool
        Print numbers per stage and kind of event instead of the events.
    sites: int
        How many sites the patients go to in turn. Where the study file has fewer, copies of its first one are added, and
        a study file with them is put beside --out: the events are recorded under that one.
    amendment: Path
        An amended study file: show which visits, reminders, queries, deviations and endpoints would change for whom.
    site: str
        With --amendment: only for this site's patients.
    json: bool
        With --summary or --amendment: print as JSON.
    """
    if amendment is not None:
        from neotorch.cli.amend import show

        return show(amendment, site, json=json)
    if site is not None:
        raise BadInput("goes with --amendment", "--site", "For a synthetic trial of several sites give --sites.")
    if json and not summary:
        raise BadInput("goes with --summary", "--json", "The events themselves are JSON Lines already.")
    own = played_study()
    study = _at_sites(own, sites) if sites else own
    if len(study.sites) > len(own.sites) and out is None and not summary:
        raise BadInput("needs a file", "--sites", "Add --out: a study file with the further sites is put beside it.")
    today = local_date(utc_now(), study.sites[0].time_zone)
    last = _day(until, today) if until else today - timedelta(days=1)
    with err.status(f"making a trial of {patients} patients"):
        dated = make(study, patients=patients, seed=seed, until=last)
    if out is not None or not summary:
        _write("".join(d.fact.model_dump_json(exclude_none=True) + "\n" for d in dated), out)
    if out is not None and len(study.sites) > len(own.sites):
        file = out.with_name(f"{out.name}.study.yaml")
        _write(yaml.safe_dump(study.definition, allow_unicode=True, sort_keys=False), file)
        said = f"The study file with {len(study.sites)} sites is {file}: set NEOTORCH_STUDY_FILE to it to record them."
        err.print(said, highlight=False, markup=False, soft_wrap=True)
    if summary:
        _summary(dated, study, last, as_json=json)
    elif out is not None:
        err.print(
            f"{len(dated)} events of {patients} patients up to {last} in {out}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return 0


def played_study() -> Study:
    """Return the configured study if it is one that a synthetic trial can be made of; BadInput says if not."""
    study = load_study(load_settings())
    if study.id != STUDY:
        raise BadInput(
            f"a synthetic trial follows the schedule of {STUDY}, and {study.id} is configured", "simulate, demo",
            "Leave NEOTORCH_STUDY and NEOTORCH_STUDY_FILE unset for it; all other commands work with any study.",
        )  # fmt: skip
    return study


def _at_sites(study: Study, count: int) -> Study:
    try:
        return with_sites(study, count)
    except ValueError as error:
        raise BadInput(str(error), "--sites", "Give at least as many.") from None


def _day(text: str, today: date) -> date:
    todo = "Write the last day as YYYY-MM-DD, from 2000-01-01 to today."
    try:
        day = parse_date(text)
    except ValueError as error:
        raise BadInput(str(error), "--until", todo) from None
    if not date(2000, 1, 1) <= day <= today:
        raise BadInput(f"{day} is {'in the future' if day > today else 'too long ago'}", "--until", todo)
    return day


def _write(data: str, path: Path | None) -> None:
    """Write all of it; a file goes by another name until it is whole."""
    if path is None:
        sys.stdout.write(data)
        return
    whole = path.is_file() or not path.exists()  # a pipe or a device has no other name to go by
    part = path.parent / f".{path.name}.{os.getpid()}.part" if whole else path
    try:
        part.write_text(data, encoding="utf-8")
        if whole:
            part.replace(path)
    except OSError as error:
        if whole:
            part.unlink(missing_ok=True)
        raise BadInput(f"cannot be written ({error.strerror})", str(path), "Name another file with --out.") from None


def _summary(dated: Sequence[Dated], study: Study, last: date, *, as_json: bool) -> None:
    by_subject = defaultdict(list)
    for d in dated:
        by_subject[d.fact.subject].append(d.fact)
    stages = Counter(stage_of(facts, study, last) for facts in by_subject.values())
    kinds = Counter(d.fact.type for d in dated)
    if as_json:
        found = {"until": last, "patients": len(by_subject), "events": len(dated)}
        print_json(found | {"stages": {s: stages[s] for s in STAGES}, "types": dict(sorted(kinds.items()))})
        return
    table(f"{len(by_subject)} patients on {last}", ("stage", "patients"), [(s, stages[s]) for s in STAGES])
    table(f"{len(dated)} events", ("type", "events"), [(k.replace("_", " "), n) for k, n in kinds.most_common()])
