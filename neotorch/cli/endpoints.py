"""`neotorch endpoints`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from cyclopts import Parameter

from neotorch import __version__
from neotorch.cli.output import instant_option, out, print_json, table
from neotorch.domain.dates import parse_date
from neotorch.domain.errors import BadInput
from neotorch.domain.statistics import Interval
from neotorch.engine import Engine
from neotorch.rules.endpoints import PatientEndpoints, TrialResult, percent


def endpoints(
    *, cut: str | None = None, as_of: str | None = None, json: Annotated[bool, Parameter(negative="")] = False
) -> int:
    """Show pCR, the share of low RCB classes and event-free survival with sets, intervals, methods and provenance.

    Parameters
    ----------
    cut: str
        Clinical data cut: only facts dated up to this day.
    as_of: str
        Only what was known at this date or time.
    json: bool
        Print as JSON, with every patient's values and reasons.
    """
    engine = Engine.open()
    at = instant_option(as_of, "--as-of", engine.study.sites[0].time_zone)
    result = engine.endpoints(cut=_date(cut), as_of=at)
    provenance = _provenance(engine, result)
    if json:
        print_json(as_dict(result, engine) | {"provenance": provenance})
        return 0
    show(result, engine)
    out.print(" · ".join(f"{k} {v}" for k, v in provenance.items()), style="dim", highlight=False)
    return 0


def show(result: TrialResult, engine: Engine) -> None:
    """Print the endpoint tables."""
    endpoints = engine.study.endpoints
    level = f"{100 * endpoints.pcr.level:.0f} %"
    names = {"pcr": f"pCR ({endpoints.pcr.definition})", "rcb01": endpoints.rcb01.name}
    rows = [
        (names[p.name], p.set_name, f"{p.responders}/{p.n}", percent(p.interval), p.pending) for p in result.proportions
    ]
    header = ("endpoint", "set", "x/n", f"{level} Clopper-Pearson", "pending")
    table(f"Pathology endpoints, cut {result.cut}", header, rows, caption=endpoints.alpha_split)
    out.print("RCB classes: " + " · ".join(f"{k} {v}" for k, v in result.rcb_classes.items()), highlight=False)
    marks = [(f"day {days}", percent(at) if at else "not reached") for days, at in result.landmarks]
    counts = " · ".join(f"{k} {v}" for k, v in result.counts.items())
    title = f"Event-free survival, map {endpoints.efs.primary_map}, Kaplan-Meier, log-log interval"
    table(title, ("at", f"{100 * endpoints.efs.level:.0f} % interval"), marks, caption=counts)


def as_dict(result: TrialResult, engine: Engine) -> dict[str, Any]:
    """Return the result as plain values."""
    efs = engine.study.endpoints.efs
    landmarks = [{"day": day} | _limits(at) for day, at in result.landmarks]
    return {
        "cut": result.cut,
        "counts": dict(result.counts),
        "proportions": [
            {"endpoint": p.name, "set": p.set_name, "x": p.responders, "n": p.n, "pending": p.pending}
            | _limits(p.interval)
            | {"method": "clopper-pearson"}
            for p in result.proportions
        ],
        "rcb_classes": dict(result.rcb_classes),
        "efs": {"map": efs.primary_map, "interval": "log-log", "level": efs.level, "landmarks": landmarks},
        "note": engine.study.endpoints.alpha_split,
        "patients": [_patient(p) for p in result.patients],
    }


def _limits(interval: Interval | None) -> dict[str, float | None]:
    names = ("estimate", "lower", "upper", "level")
    return {n: getattr(interval, n) if interval else None for n in names}


def _patient(p: PatientEndpoints) -> dict[str, Any]:
    rcb = {"rcb_index": p.rcb.index, "rcb_class": p.rcb.rcb_class, "rcb_why": p.rcb.reason} if p.rcb else {}
    pcr = {"pcr": p.pcr.answer, "pcr_why": p.pcr.reason, "pcr_events": p.pcr.event_ids, "rcb01": p.rcb01.answer}
    efs = {"status": p.efs.status, "days": p.efs.days, "why": p.efs.reason, "events": p.efs.event_ids}
    return {"subject": p.subject, "first_dose": p.first_dose, **pcr, **rcb, **{f"efs_{k}": v for k, v in efs.items()}}


def _provenance(engine: Engine, result: TrialResult) -> dict[str, str]:
    head = engine.log.head()
    return {
        "log head": f"{head.seq}:{head.hash[:16]}",
        "study version": result.study_version,
        "code version": __version__,
    }


def _date(text: str | None) -> date | None:
    try:
        return parse_date(text) if text is not None else None
    except ValueError as error:
        raise BadInput(str(error), "--cut", "") from None
