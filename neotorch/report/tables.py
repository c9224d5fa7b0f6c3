"""The tables of a report, as rows of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from neotorch.domain.statistics import Interval
from neotorch.domain.study import Study
from neotorch.domain.time_to_event import DAYS_PER_MONTH
from neotorch.rules.compliance import SiteVisits
from neotorch.rules.endpoints import Proportion
from neotorch.rules.endpoints.analysis import PatientAnalysis, TrialAnalysis
from neotorch.rules.endpoints.history import Moment
from neotorch.rules.endpoints.patient import DEFINITIONS
from neotorch.rules.endpoints.toxicity import emergent
from neotorch.rules.metrics import SiteQueries
from neotorch.rules.queries import BUCKETS

GRADES = (1, 2, 3, 4, 5)
NEWEST = 15
"""So many changes of headline figures are listed; the earlier ones are in the log."""


@dataclass(frozen=True)
class Table:
    """A table; the first `words` columns are text, the others figures."""

    key: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    method: str
    words: int = 1
    instead: str = ""
    """Why there are no rows."""


# ── response ──────────────────────────────────────────────────────────────────────────────────────────────────────


def proportions(analysis: TrialAnalysis, study: Study) -> Table:
    """Return every endpoint that is a share of patients."""
    level = f"{100 * study.endpoints.pcr.level:g} % interval"
    names = endpoint_names(study)
    found = (*analysis.result.proportions, *analysis.definitions, analysis.objective, analysis.conserved)
    rows = tuple(_share(p, names.get(p.name, p.name)) for p in found)
    frame = study.endpoints.pcr.frame_days
    method = (
        "Clopper-Pearson (exact) intervals; one-sided exact binomial p against a share of at most p0, where the design names "
        "one. Full: everybody with a first dose; within the time frame of "
        f"{frame} days from it a patient without final pathology is pending and not in n, after it, and on progression that "
        "precludes surgery, death or withdrawal before surgery, a non-responder. Evaluable: operated, with an assessable "
        "specimen. Intervals and p are not adjusted for two endpoints."
    )
    head = ("endpoint", "set", "x/n", "%", level, "p0", "p", "pending")
    none = "" if analysis.patients else "Nobody has received a first dose by the cut."
    return Table("endpoints-table", "Endpoints that are a share of patients", head, rows, method, 2, none)


def endpoint_names(study: Study) -> dict[str, str]:
    """Return how the endpoints are called that are a share of patients."""
    ends = study.endpoints
    named = {"pcr": f"pCR ({ends.pcr.definition}), primary", "rcb01": f"{ends.rcb01.name}, primary"}
    return named | {code: f"pCR ({definition})" for code, definition in DEFINITIONS}


def _share(p: Proportion, name: str) -> tuple[str, ...]:
    estimate, limits = ("-", "-") if p.interval is None else (f"{100 * p.interval.estimate:.1f}", span(p.interval))
    null = "" if p.p0 is None else f"{p.p0:g}"
    return name, p.set_name, f"{p.responders}/{p.n}", estimate, limits, null, p_text(p.p_value), str(p.pending)


def span(interval: Interval | None) -> str:
    """Return the limits in per cent; survival that has come down to 0 has none."""
    return "-" if interval is None or interval.upper == 0 else f"{100 * interval.lower:.1f}-{100 * interval.upper:.1f}"


def p_text(p: float | None) -> str:
    """Return a p value as papers print it."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.995 else "> 0.99"


def responses(analysis: TrialAnalysis) -> Table:
    """Return the best overall responses."""
    n = len(analysis.patients)
    order = [r for r in ("CR", "PR", "SD", "PD", "NE", "none") if analysis.responses.get(r)]
    words = {"none": "not assessed yet", "NE": "NE (not evaluable)"}
    rows = tuple((words.get(r, r), str(analysis.responses[r]), f"{100 * analysis.responses[r] / n:.1f}") for r in order)
    method = f"RECIST 1.1, unconfirmed, first dose to surgery or the first PD; full analysis set, n = {n}."
    none = "" if rows else "Nobody has received a first dose by the cut."
    return Table("responses-table", "Best overall response", ("response", "patients", "%"), rows, method, 1, none)


# ── survival ──────────────────────────────────────────────────────────────────────────────────────────────────────


def survivals(analysis: TrialAnalysis) -> Table:
    """Return every time-to-event analysis with its landmarks, median and follow-up."""
    days = [d for d, _ in analysis.curves[0].landmarks] if analysis.curves else []
    head = (
        "analysis",
        "n",
        "events",
        *(f"{d / DAYS_PER_MONTH:.0f} months, %" for d in days),
        "median, months",
        "follow-up",
    )
    rows = []
    for c in analysis.curves:
        if c.km is None:
            continue
        marks = [f"{100 * at.estimate:.1f} ({span(at)})" if at else "not reached" for _, at in c.landmarks]
        back = c.follow_up.median[0] if c.follow_up else None
        rows.append((c.analysis.label, str(c.km.n), str(c.km.events), *marks, _median(c.km.median), _months(back)))
    level = next((c.km.level for c in analysis.curves if c.km), 0.95)
    method = (
        f"Kaplan-Meier with pointwise {100 * level:g} % log-log intervals; medians with limits by Brookmeyer and Crowley; "
        f"follow-up: median by reverse Kaplan-Meier, in months of {DAYS_PER_MONTH} days. NR: not reached; NE: not "
        "estimable; a landmark is not reached where the last patient was followed for less."
    )
    none = "" if rows else "Nobody has received a first dose by the cut."
    return Table("survival-table", "Time-to-event endpoints", head, tuple(rows), method, 1, none)


def _median(found: tuple[float | None, float | None, float | None]) -> str:
    return f"{_months(found[0], 'NR')} ({_months(found[1], 'NE')}-{_months(found[2], 'NE')})"


def _months(days: float | None, none: str = "-") -> str:
    return none if days is None else f"{days / DAYS_PER_MONTH:.1f}"


# ── safety ────────────────────────────────────────────────────────────────────────────────────────────────────────


def safety(analysis: TrialAnalysis) -> Table:
    """Return the adverse events by term and grade."""
    n = len(analysis.patients)
    rows = [_grades(t.term.replace("_", " "), t.by_grade, t.serious, n) for t in analysis.toxicities]
    if rows:
        rows.insert(0, _any_term(analysis.patients, analysis, n))
    head = ("term", *(f"grade {g}" for g in GRADES), "any grade", "grade ≥ 3", "serious")
    method = (
        "Patients by their worst grade per term, CTCAE v5.0, onset on or after the first dose, whatever the cause; safety "
        f"set, n = {n}. In brackets per cent of n."
    )
    none = (
        "No adverse event with onset after the first dose is recorded by the cut."
        if n
        else "Nobody has received a first dose."
    )
    return Table("safety-table", "Adverse events", head, tuple(rows), method, 1, "" if rows else none)


def _any_term(patients: Sequence[PatientAnalysis], analysis: TrialAnalysis, n: int) -> tuple[str, ...]:
    worst: dict[int, int] = {}
    for p in patients:
        grades = [int(v.number) for v in p.values if v.code.startswith("ae.") and v.number is not None]
        if grades:
            worst[max(grades)] = worst.get(max(grades), 0) + 1
    serious = sum(any(e.serious for e in emergent(p.state, analysis.result.cut)) for p in patients)
    return _grades("any term", worst, serious, n)


def _grades(term: str, by_grade: Mapping[int, int], serious: int, n: int) -> tuple[str, ...]:
    severe = sum(k for g, k in by_grade.items() if g >= 3)
    return (
        term, *(str(by_grade.get(g, 0)) for g in GRADES), _counted(sum(by_grade.values()), n), _counted(severe, n),
        _counted(serious, n),
    )  # fmt: skip


def _counted(count: int, n: int) -> str:
    return f"{count} ({100 * count / n:.0f})" if n else str(count)


def intensities(analysis: TrialAnalysis, study: Study) -> Table:
    """Return the relative dose intensity of each drug."""
    rows = tuple(
        (study.drug_by_code[i.drug].label.en, str(i.n), _one(i.median), f"{_one(i.lower_quartile)}-{_one(i.upper_quartile)}",
         _counted(i.below_85, i.n))
        for i in analysis.intensities if i.n
    )  # fmt: skip
    method = (
        "Relative dose intensity in per cent, (dose given / planned) / (time taken / planned) over the planned course, after "
        "Hryniuk and Bush 1984; patients whose course is over."
    )
    none = "" if rows else "Nobody's course is over by the cut."
    head = ("drug", "patients", "median", "quartiles", "below 85 %, patients (%)")
    return Table("intensity-table", "Relative dose intensity", head, rows, method, 1, none)


def _one(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


# ── conduct ───────────────────────────────────────────────────────────────────────────────────────────────────────


def queries(found: Iterable[SiteQueries], study: Study) -> Table:
    """Return the queries of each site: how old the open ones are, and how fast they are answered."""
    rows = tuple(
        (site_name(study, q.site), str(q.raised), str(q.open), *(str(q.by_age[b]) for b in BUCKETS), str(q.answered_open),
         _days(q.days_to_answer), _days(q.days_to_close), "-" if q.reopened is None else f"{100 * q.reopened:.0f} %")
        for q in found
    )  # fmt: skip
    head = ("site", "raised", "open", *(f"open {b} d" for b in BUCKETS), "of them answered", "days to answer", "days to close",
            "opened again")  # fmt: skip
    method = "Age since a query was (last) raised, in local calendar days; days to answer and to close are medians."
    return Table("queries-table", "Queries", head, rows, method)


def visits(found: Iterable[SiteVisits], study: Study) -> Table:
    """Return the visit compliance of each site."""
    rows = tuple(
        (site_name(study, v.site), str(v.patients), str(v.due), str(v.in_window), str(v.outside), str(v.not_held),
         str(v.waived), "-" if v.share is None else f"{100 * v.share:.1f}")
        for v in found
    )  # fmt: skip
    head = ("site", "patients", "visits due", "in window", "out of window", "not held", "waived", "compliance, %")
    method = (
        "Due: held, or the window has closed; compliance: in window of those due. Waived visits, and those that the journey "
        "does not reach, are not due."
    )
    return Table("visits-table", "Visit compliance", head, rows, method)


def site_name(study: Study, code: str) -> str:
    """Return code and name of a site, in both languages where they differ."""
    name = study.site(code).name
    return f"{code} {name.en}" + (f" {name.zh}" if name.zh != name.en else "")


def _days(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def changes(moments: Sequence[Moment], names: Mapping[str, str]) -> Table:
    """Return the newest changes of the headline figures and what moved them."""
    rows = tuple(
        (f"{m.recorded_at:%Y-%m-%d %H:%M}", names.get(m.field, m.field), m.old or "-", m.new or "-", _moved(m.moved_by))
        for m in reversed(moments[-NEWEST:])
    )
    earlier = f" {len(moments) - NEWEST} earlier changes are in the log." if len(moments) > NEWEST else ""
    method = (
        "As recorded by the recalculations, the newest first, in UTC. Moved by: events recorded since the result before that "
        f"bear on the patients whose values changed.{earlier}"
    )
    none = "" if rows else "No figure has been recorded by the cut."
    return Table("changes-table", "Changes of the headline figures", ("recorded", "figure", "was", "is", "moved by"), rows,
                 method, 5, none)  # fmt: skip


def _moved(ids: Sequence[str]) -> str:
    return ", ".join(ids[-2:]) + (f" and {len(ids) - 2} more" if len(ids) > 2 else "")


def definitions(study: Study, analysis: TrialAnalysis) -> Table:
    """Return what each endpoint means, where that is from, and whether the registry entry states it."""
    method = "From the study file. Assumption: the registry entry does not state it; a proposed default."
    head = ("what", "definition", "source", "in the registry")
    return Table("definitions-table", "Definitions", head, tuple(_definitions(study, analysis)), method, 4)


def _definitions(study: Study, analysis: TrialAnalysis) -> Iterator[tuple[str, ...]]:
    ends = study.endpoints
    for name, part, text in (
        ("pCR", ends.pcr, f"{ends.pcr.definition}, within {ends.pcr.frame_days} days of the first dose"),
        (ends.rcb01.name, ends.rcb01, f"RCB class, within {ends.rcb01.frame_days} days of the first dose"),
    ):
        yield name, text, part.source, _stated(part.assumption)
        if part.design:
            d = part.design
            aim = f"{d.kind}, p0 {d.p0:g}, p1 {d.p1:g}, one-sided alpha {d.alpha:g}, power {d.power:g}"
            yield f"{name}: design", aim, d.source, _stated(d.assumption)
    maps = [*ends.efs.maps, *([ends.dfi] if ends.dfi else [])]
    for m in maps:
        counted = [f.replace("_", " ") for f, role in m.findings.items() if role == "event"]
        yield f"map {m.name} {m.version}", "events: " + ", ".join(counted), m.source, _stated(m.assumption)
    for c in analysis.curves:
        if c.analysis.sensitivity:
            yield (
                c.analysis.label,
                c.analysis.rule.rpartition("; ")[2],
                "sensitivity analysis of the primary map",
                "assumption",
            )


def _stated(assumption: bool) -> str:
    return "assumption" if assumption else "yes"
