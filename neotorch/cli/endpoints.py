"""`neotorch endpoints`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from cyclopts import Parameter

from neotorch import __version__
from neotorch.cli.output import instant_option, out, print_json, table
from neotorch.domain.dates import parse_date
from neotorch.domain.errors import BadInput
from neotorch.engine import Engine
from neotorch.rules.endpoints import TrialResult

NAMES = {"pcr": "pCR (ypT0/Tis ypN0)", "rcb01": "RCB 0-1"}


def endpoints(*, cut: str | None = None, as_of: str | None = None, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show pCR, RCB 0-1 and event-free survival with sets, intervals, methods and provenance.

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
    rows = []
    for p in result.proportions:
        i = p.interval
        estimate = f"{100 * i.estimate:.1f} % ({100 * i.lower:.1f}-{100 * i.upper:.1f})" if i else "none"
        rows.append((NAMES[p.name], p.set_name, f"{p.responders}/{p.n}", estimate, p.pending))
    level = f"{100 * engine.study.endpoints.pcr.level:.0f} %"
    table(f"Primary endpoints, cut {result.cut}", ("endpoint", "set", "x/n", f"{level} Clopper-Pearson", "pending"), rows, caption=engine.study.endpoints.alpha_split)
    rcb = " · ".join(f"{name} {n}" for name, n in result.rcb_classes.items())
    out.print(f"RCB classes: {rcb}", highlight=False)
    rows = []
    for days, at in result.landmarks:
        value = f"{100 * at.estimate:.1f} % ({100 * at.lower:.1f}-{100 * at.upper:.1f})" if at else "not reached"
        rows.append((f"day {days}", value))
    counts = " · ".join(f"{k} {v}" for k, v in result.counts.items())
    table("Event-free survival, registry map, Kaplan-Meier, log-log interval", ("at", f"{100 * engine.study.endpoints.efs.level:.0f} % interval"), rows, caption=counts)


def as_dict(result: TrialResult, engine: Engine) -> dict[str, Any]:
    """Return the result as plain values."""
    return {
        "cut": result.cut,
        "counts": dict(result.counts),
        "proportions": [
            {"endpoint": p.name, "set": p.set_name, "x": p.responders, "n": p.n, "pending": p.pending,
             "estimate": p.interval and p.interval.estimate, "lower": p.interval and p.interval.lower,
             "upper": p.interval and p.interval.upper, "method": "clopper-pearson", "level": engine.study.endpoints.pcr.level}
            for p in result.proportions
        ],
        "rcb_classes": dict(result.rcb_classes),
        "efs": {
            "map": engine.study.endpoints.efs.primary_map, "interval": "log-log", "level": engine.study.endpoints.efs.level,
            "landmarks": [{"day": d, "estimate": a and a.estimate, "lower": a and a.lower, "upper": a and a.upper} for d, a in result.landmarks],
        },
        "note": engine.study.endpoints.alpha_split,
        "patients": [
            {"subject": p.subject, "first_dose": p.first_dose, "pcr": p.pcr.answer, "pcr_why": p.pcr.reason,
             "pcr_events": p.pcr.event_ids, "rcb_index": p.rcb and p.rcb.index, "rcb_class": p.rcb and p.rcb.rcb_class,
             "rcb_why": p.rcb and p.rcb.reason, "rcb01": p.rcb01.answer, "efs_status": p.efs.status, "efs_days": p.efs.days,
             "efs_why": p.efs.reason, "efs_events": p.efs.event_ids}
            for p in result.patients
        ],
    }  # fmt: skip


def _provenance(engine: Engine, result: TrialResult) -> dict[str, str]:
    head = engine.log.head()
    return {"log head": f"{head.seq}:{head.hash[:16]}", "study version": result.study_version, "code version": __version__}


def _date(text: str | None) -> date | None:
    try:
        return parse_date(text) if text is not None else None
    except ValueError as error:
        raise BadInput(str(error), "--cut", "") from None
