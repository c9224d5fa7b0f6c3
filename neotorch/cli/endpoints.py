"""`neotorch endpoints`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BaseModel

from neotorch.cli import endpoint_tables as tables
from neotorch.cli.output import cut_option, instant_option, out, print_json
from neotorch.domain import events as ev
from neotorch.domain.errors import BadInput
from neotorch.domain.statistics import KaplanMeier
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.provenance import Provenance, provenance
from neotorch.rules.endpoints import ANNOUNCED, Moment, PatientEndpoints, TrialResult, history
from neotorch.rules.endpoints.analysis import Curve, PatientAnalysis, TrialAnalysis

Flag = Annotated[bool, Parameter(negative="")]
Names = Annotated[list[str], Parameter(consume_multiple=True, negative="")]


def endpoints(
    *, cut: str | None = None, as_of: str | None = None, subgroups: Flag = False, survival: Flag = False,
    monitoring: Flag = False, history: Names | None = None, json: Flag = False,
) -> int:  # fmt: skip
    """Show pCR, the share of low RCB classes and event-free survival with sets, intervals, methods and provenance.

    Parameters
    ----------
    cut: str
        Clinical data cut: only facts dated up to this day.
    as_of: str
        Only what was known at this date or time.
    subgroups: bool
        The shares by groups of patients at baseline instead.
    survival: bool
        All time-to-event analyses side by side instead: every map, the sensitivity analyses, OS, disease-free interval.
    monitoring: bool
        Planned tests and monitoring rules instead, with every look since the first patient.
    history: list[str]
        Every recorded change of a value instead, such as pcr.full, or a patient's, as SUBJECT/pcr; without a name, of the trial's figures.
    json: bool
        Print all of it as JSON, with every patient's values and reasons.
    """
    analysis, study, origin, rows = _asked(cut, as_of)
    moments = _history(rows, history, analysis.result) if history is not None else None
    if json:
        found = everything(analysis, study) | {"provenance": dict(origin.rows())}
        print_json(found if moments is None else found | {"history": plain(moments)})
        return 0
    parts: list[tuple[object, Callable[[], None]]] = [
        (moments is not None, lambda: tables.show_history(moments or ())),
        (survival, lambda: tables.show_survival(analysis, study)),
        (subgroups, lambda: tables.show_subgroups(analysis.subgroups, study)),
        (monitoring, lambda: tables.show_looks(analysis, study)),
    ]
    wanted = [part for on, part in parts if on]
    for part in wanted or [lambda: tables.show_all(analysis, study)]:
        part()
    if wanted:
        tables.say(study.endpoints.alpha_split)
    out.print(origin.line, style="dim", highlight=False, markup=False, soft_wrap=True)
    return 0


def _asked(cut: str | None, as_of: str | None) -> tuple[TrialAnalysis, Study, Provenance, Sequence[ev.Recorded]]:
    """Return the analysis at one position of the log, the study file of then, where both come from, and the log."""
    engine = Engine.open()
    at = instant_option(as_of, "--as-of", engine.study.sites[0].time_zone)
    rows = engine.log.read(known_at=at)
    head = rows[-1] if rows else None
    seq = head.seq if head else 0
    analysis = engine.analysis(cut=cut_option(cut), as_of=at, until_seq=seq)
    study = engine.versions(as_of=at, until_seq=seq).trial
    return analysis, study, provenance(study, head, cut=analysis.result.cut, as_of=at), rows


def show(result: TrialResult, engine: Engine) -> None:
    """Print the headline tables."""
    tables.show_headline(result, engine.study)


def _history(rows: Sequence[ev.Recorded], names: Sequence[str], result: TrialResult) -> tuple[Moment, ...]:
    """Return the changes recorded for cuts up to that of the result; BadInput for a name that no value ever had."""
    told = [r for r in rows if isinstance(r.event, ev.EndpointsRecalculated) and r.event.occurred <= result.cut]
    ever = {f"{c.subject}/{c.field}" if c.subject else c.field for r in told for c in _changes(r)}
    ever |= {*result.trial_values(), *(f"{p.subject}/{name}" for p in result.patients for name in ANNOUNCED)}
    unknown = next((n for n in names if n not in ever), None)
    if unknown is not None:
        trial = ", ".join(sorted(n for n in ever if "/" not in n))
        whose = result.patients[0].subject if result.patients else "SUBJECT"
        todo = f"Name one of {trial}, or a patient's, as {whose}/{ANNOUNCED[0]}."
        raise BadInput(f"no value is called {unknown!r}", "--history", todo)
    return history(told, *names)


def _changes(row: ev.Recorded) -> Sequence[ev.EndpointChange]:
    return row.event.changes if isinstance(row.event, ev.EndpointsRecalculated) else ()


# ── as plain values ─────────────────────────────────────────────────────────────────────────────────────────────────


def everything(analysis: TrialAnalysis, study: Study) -> dict[str, Any]:
    """Return a whole analysis as plain values."""
    full = {p.subject: p for p in analysis.patients}
    patients = [_patient(p) | _whole(full.get(p.subject)) for p in analysis.result.patients]
    names = ("definitions", "responses", "objective", "conserved", "intensities", "toxicities", "subgroups", "designs")
    return (
        as_dict(analysis.result, study)
        | {"survival": [_curve(c) for c in analysis.curves]}
        | {name: plain(getattr(analysis, name)) for name in names}
        | {"monitoring": [plain(m) | {"next_look": plain(m.next_look)} for m in analysis.monitoring]}
        | {"note": study.endpoints.alpha_split, "remarks": tables.remarks(analysis.result), "patients": patients}
    )


def as_dict(result: TrialResult, study: Study) -> dict[str, Any]:
    """Return the headline figures as plain values."""
    efs = study.endpoints.efs
    landmarks = [{"day": day} | tables.limits(at) for day, at in result.landmarks]
    return {
        "cut": result.cut, "study_version": result.study_version,
        "counts": dict(result.counts), "losses": dict(result.losses),
        "proportions": [
            {"endpoint": p.name, "set": p.set_name, "x": p.responders, "n": p.n, "pending": p.pending}
            | tables.limits(p.interval)
            | {"method": "clopper-pearson", "p0": p.p0, "p_value": p.p_value}
            for p in result.proportions
        ],
        "rcb_classes": dict(result.rcb_classes),
        "efs": {"map": efs.primary_map, "interval": "log-log", "level": efs.level, "landmarks": landmarks},
    }  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value of the rules as what JSON knows."""
    match value:
        case KaplanMeier():
            kept = {n: getattr(value, n) for n in ("n", "events", "level", "interval")}
            return kept | {"median": list(value.median), "points": [plain(p) for p in value.points]}
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case _ if is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        case _:
            return value


def _curve(curve: Curve) -> dict[str, Any]:
    marks = [{"day": day} | tables.limits(at) for day, at in curve.landmarks]
    return {**plain(curve.analysis), "km": plain(curve.km), "follow_up": plain(curve.follow_up), "landmarks": marks}


def _patient(p: PatientEndpoints) -> dict[str, Any]:
    rcb = {"rcb_index": p.rcb.index, "rcb_class": p.rcb.rcb_class, "rcb_why": p.rcb.reason} if p.rcb else {}
    pcr = {"pcr": p.pcr.answer, "pcr_why": p.pcr.reason, "pcr_events": p.pcr.event_ids, "rcb01": p.rcb01.answer}
    efs = {"status": p.efs.status, "days": p.efs.days, "why": p.efs.reason, "events": p.efs.event_ids}
    base = {"subject": p.subject, "first_dose": p.first_dose, "sets": list(p.sets)}
    return {**base, **pcr, **rcb, **{f"efs_{k}": v for k, v in efs.items()}}


def _whole(patient: PatientAnalysis | None) -> dict[str, Any]:
    if patient is None:
        return {}
    kept = ("values", "exposures", "best")
    evaluable = {"place": list(patient.member.place), "evaluable_since": plain(patient.member.evaluable)}
    return {name: plain(getattr(patient, name)) for name in kept} | evaluable
