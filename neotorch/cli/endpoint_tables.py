"""The trial's figures as tables for the console."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from neotorch.cli.output import out, table
from neotorch.domain.statistics import Interval, KaplanMeier
from neotorch.domain.study import Study
from neotorch.domain.time_to_event import DAYS_PER_MONTH
from neotorch.rules.endpoints import Moment, Proportion, TrialResult, percent
from neotorch.rules.endpoints.analysis import Curve, TrialAnalysis
from neotorch.rules.endpoints.designs import DesignStatus
from neotorch.rules.endpoints.monitoring import Look, Monitor
from neotorch.rules.endpoints.subgroups import SubgroupResult

MANY = 4
"""Events that moved a figure, named in a table; the rest are counted."""


def show_all(analysis: TrialAnalysis, study: Study) -> None:
    """Print the headline figures, where the planned tests stand, and each monitoring rule in a line."""
    show_headline(analysis.result, study)
    show_designs(analysis.designs, study)
    show_monitoring(analysis.monitoring)


def show_headline(result: TrialResult, study: Study) -> None:
    """Print sets, proportions, classes and landmarks."""
    ends = study.endpoints
    level = f"{100 * ends.pcr.level:.0f} %"
    rows = [
        (_name(p.name, study), p.set_name, f"{p.responders}/{p.n}", percent(p.interval), p.pending, _p(p))
        for p in result.proportions
    ]
    header = ("endpoint", "set", "x/n", f"{level} Clopper-Pearson", "pending", "one-sided exact p")
    title = f"Pathology endpoints, cut {result.cut}, study version {result.study_version}"
    table(title, header, rows, caption=ends.alpha_split)
    say("RCB classes: " + " · ".join(f"{k} {v}" for k, v in result.rcb_classes.items()))
    marks = [(f"day {days}", percent(at) if at else "not reached") for days, at in result.landmarks]
    counts = " · ".join(f"{k} {v}" for k, v in result.counts.items())
    losses = " · ".join(f"{k} {v}" for k, v in result.losses.items())
    title = f"Event-free survival, map {ends.efs.primary_map}, Kaplan-Meier, log-log interval"
    table(title, ("at", f"{100 * ends.efs.level:.0f} % interval"), marks)
    for line in (counts, losses, *remarks(result)):
        say(line)


def remarks(result: TrialResult) -> list[str]:
    """Return what has to be said where figures are missing."""
    dosed = [p for p in result.patients if p.in_full_set]
    if not result.patients:
        return ["No patient is recorded."]
    if not dosed:
        return [f"Nobody received a first dose by the cut {result.cut}: there is no figure yet."]
    found = []
    if not result.counts["operated"]:
        found.append("Nobody is operated yet.")
    if result.efs and not result.efs.events:
        found.append("No event yet: survival is 100 %, its interval has no width, and there is no median.")
    if result.efs and result.efs.events == result.efs.n:
        found.append("Every patient has had an event: survival comes down to 0 %, where it has no interval.")
    return found


def show_designs(designs: Sequence[DesignStatus], study: Study) -> None:
    """Print where each planned test stands."""
    rows = [
        (_name(d.endpoint, study), f"p0 {d.design.p0:g}, p1 {d.design.p1:g}, alpha {d.design.alpha:g}, power {d.design.power:g}",
         d.method, str(d)) for d in designs
    ]  # fmt: skip
    if rows:
        table(
            "Designs, patients in the order in which they became evaluable",
            ("endpoint", "null", "test", "so far"),
            rows,
        )


def show_monitoring(monitoring: Sequence[Monitor]) -> None:
    """Print how each monitoring rule stands and when it is looked at next."""
    rows = []
    for m in monitoring:
        last = m.looks[-1] if m.looks else None
        ahead = m.next_look
        likely = [
            f"{words} {value:.3f}"
            for words, value in (("P(share > p0)", last and last.posterior), ("P(success)", last and last.predictive))
            if value is not None
        ]
        rows.append((
            m.code, f"{last.x}/{last.n} on {last.on}" if last else "nobody evaluable",
            ", ".join(f"{look.x}/{look.n} on {look.on}" for look in m.crossed) or ("no" if m.boundary else "-"),
            f"{m.stops(ahead[1])} of {ahead[0]}" if ahead else "none to come" if m.boundary else "-", ", ".join(likely), m.parameters,
        ))  # fmt: skip
    if rows:
        header = ("rule", "last look", "crossed", "next look", "likely", "parameters")
        table("Monitoring, looked at on the day each patient became evaluable", header, rows,
              caption="neotorch explain boundary/RULE/PATIENTS says what a look rests on")  # fmt: skip


def show_looks(analysis: TrialAnalysis, study: Study) -> None:
    """Print planned tests, monitoring rules, and every look of each rule."""
    show_designs(analysis.designs, study)
    show_monitoring(analysis.monitoring)
    for m in analysis.monitoring:
        told = [_look(m, look) for look in m.looks]
        names = [n for n in LOOK if any(one[n] for one in told)]
        rows = [[one[n] for n in names] for one in told]
        table(f"{m.code}: {m.method}", names, rows, caption=f"{m.parameters}. {m.rule.source}")


LOOK = ("patients", "on", "evaluable since then", "so far", "boundary", "crossed", "P(share > p0)", "P(success)")


def _look(m: Monitor, look: Look) -> dict[str, str]:
    likely = ("" if p is None else f"{p:.4f}" for p in (look.posterior, look.predictive))
    stops = "" if look.stop_at is None else m.stops(look.stop_at)
    row = (str(look.n), str(look.on), look.subject, str(look.x), stops, "crossed" if look.crossed else "", *likely)
    return dict(zip(LOOK, row, strict=True))


def show_subgroups(found: Iterable[SubgroupResult], study: Study) -> None:
    """Print each subgroup's shares."""
    for one in found:
        rows = [
            (
                group.name,
                len(group.patients),
                *(f"{p.responders}/{p.n} {percent(p.interval)}" for p in group.proportions),
            )
            for group in one.groups
        ]
        first = next((g.proportions for g in one.groups), ())
        names = [f"{_name(p.name, study)}, {p.set_name}" for p in first]
        table(f"{one.subgroup.label.en} at baseline", ("group", "patients", *names), rows,
              caption=f"{one.subgroup.source} Exact intervals; nothing is tested between groups.")  # fmt: skip


def show_survival(analysis: TrialAnalysis, study: Study) -> None:
    """Print all time-to-event analyses side by side."""
    marks = [f"day {d}" for d in study.endpoints.efs.landmarks_days]
    rows = [_curve(c) for c in analysis.curves]
    level = f"{100 * study.endpoints.efs.level:.0f} %"
    header = ("analysis", "n", "events", "median, months", *marks, "follow-up, months")
    caption = f"Kaplan-Meier, {level} log-log intervals; follow-up: median by reverse Kaplan-Meier; a month is {DAYS_PER_MONTH} days"
    table(f"Time to event, cut {analysis.result.cut}", header, rows, caption=caption)
    table("Definitions", ("analysis", "rule"), [(c.analysis.code, c.analysis.rule) for c in analysis.curves])


def _curve(curve: Curve) -> tuple[object, ...]:
    label = f"{curve.analysis.code} ({curve.analysis.label})"
    if curve.km is None:
        return (label, 0, 0, "no patient", *("no patient" for _ in curve.landmarks), "no patient")
    marks = (percent(at) if at else "not reached" for _, at in curve.landmarks)
    followed = _months(curve.follow_up) if curve.follow_up else "no patient"
    return (label, curve.km.n, curve.km.events, _months(curve.km), *marks, followed)


def _months(km: KaplanMeier) -> str:
    middle, *limits = (None if v is None else f"{v / DAYS_PER_MONTH:.1f}" for v in km.median)
    low, high = (v or "not reached" for v in limits)
    return (
        f"{middle} ({low} to {high})"
        if middle
        else "not reached"
        if (low, high) == ("not reached",) * 2
        else f"not reached ({low} to {high})"
    )


def show_history(moments: Sequence[Moment]) -> None:
    """Print every recorded change, the oldest first."""
    rows = [
        (f"{m.recorded_at:%Y-%m-%dT%H:%M:%SZ}", m.field, m.old or "-", m.new or "-", _moved(m), m.trigger, m.log_seq)
        for m in moments
    ]
    if not rows:
        say("No change of these values is recorded yet: a recalculation records them, after an event and every night.")
        return
    table("History of recorded values", ("recorded", "value", "was", "is", "moved by", "trigger", "log"), rows)


def _moved(moment: Moment) -> str:
    if not moment.moved_by:
        return "time" if moment.old else "first result"
    more = len(moment.moved_by) - MANY
    return ", ".join(moment.moved_by[:MANY]) + (f" +{more}" if more > 0 else "")


def limits(interval: Interval | None) -> dict[str, float | None]:
    """Return an interval as plain values; survival that has come down to 0 has no limits."""
    found = {n: getattr(interval, n) if interval else None for n in ("estimate", "lower", "upper", "level")}
    return found | ({"lower": None, "upper": None} if interval and interval.upper == 0 else {})


def say(line: str) -> None:
    """Print one line of plain text."""
    out.print(line, highlight=False, markup=False)


def _name(figure: str, study: Study) -> str:
    return f"pCR ({study.endpoints.pcr.definition})" if figure == "pcr" else study.endpoints.rcb01.name


def _p(p: Proportion) -> str:
    return "-" if p.p_value is None else f"{p.p_value:.4f} (p0 {p.p0:g})"
