"""The swimmer plot: each patient's time on study from the first dose, and what happened on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import TYPE_CHECKING, Any

from neotorch.domain.time_to_event import DAYS_PER_MONTH
from neotorch.report.figures.canvas import (
    BLUE,
    GREEN,
    PALE,
    SKY,
    VERMILION,
    YELLOW,
    Drawn,
    draw,
    legend_above,
    month_ticks,
    nothing,
)
from neotorch.rules.endpoints.analysis import PatientAnalysis, TrialAnalysis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEY, TITLE = "swimmer", "Time on study"
LANES = 54
"""Patients on one sheet; more go on further sheets, which a page of paper holds."""
LANE_MM = 3.6


@dataclass(frozen=True)
class Lane:
    """One patient; times in months from the first dose."""

    subject: str
    end: float
    """Death, or the last sign of life."""
    followed: bool
    treated: float
    """The last cycle's day 1."""
    cycles: tuple[float, ...]
    surgery: float | None
    pathology: float | None
    pcr: str
    relapses: tuple[float, ...]
    death: float | None


def lane(patient: PatientAnalysis, cut: date) -> Lane:
    """Return what is drawn of one patient with a first dose, from the facts dated up to `cut`."""
    state = patient.state
    start = state.first_dose or cut

    def months(on: date) -> float:
        return (on - start).days / DAYS_PER_MONTH

    def first(on: date | None) -> float | None:
        return months(on) if on and on <= cut else None

    os = next(t for a, t in patient.times if a.code == "os")
    cycles = tuple(months(c.occurred) for _, c in sorted(state.cycles.items()) if c.occurred <= cut)
    relapses = [f.occurred for f in (*state.progressions, *state.recurrences) if f.occurred <= cut]
    reported = next((v.on for v in patient.values if v.code == "rcb"), None)  # the day of the report that counts
    left = state.withdrawal if state.withdrawal and state.withdrawal.scope == "study" else state.lost
    death = first(state.death.occurred if state.death else None)
    return Lane(
        subject=patient.subject, end=max([months(os.on or start), *cycles]),
        followed=death is None and not (left and left.occurred <= cut), treated=max(cycles, default=0.0), cycles=cycles,
        surgery=first(state.surgery.occurred if state.surgery else None),
        pathology=first(reported),
        pcr=patient.member.endpoints.pcr.answer, relapses=tuple(months(d) for d in sorted(relapses)), death=death,
    )  # fmt: skip


def swimmer(analysis: TrialAnalysis) -> tuple[Drawn, ...]:
    """Draw all patients, the longest on study first, on as many sheets as it takes."""
    lanes = sorted((lane(p, analysis.result.cut) for p in analysis.patients), key=lambda x: (-x.end, x.subject))
    if not lanes:
        return (nothing(KEY, TITLE, "Nobody has received a first dose by the cut."),)
    size = ceil(len(lanes) / ceil(len(lanes) / LANES))  # the last sheet is not left with one
    sheets = [lanes[n : n + size] for n in range(0, len(lanes), size)]
    furthest = lanes[0].end
    return tuple(_sheet(n, sheet, len(sheets), len(lanes), furthest) for n, sheet in enumerate(sheets, 1))


def _sheet(number: int, lanes: Sequence[Lane], of: int, patients: int, furthest: float) -> Drawn:
    key = KEY if number == 1 else f"{KEY}-{number}"
    title = TITLE if of == 1 else f"{TITLE} (sheet {number} of {of})"
    alt = (
        f"Swimmer plot of {len(lanes)} patients from {lanes[0].subject} ({lanes[0].end:.1f} months) to "
        f"{lanes[-1].subject} ({lanes[-1].end:.1f} months)"
    )
    svg = draw(key, alt, 32 + LANE_MM * max(len(lanes), 3), lambda f: _paint(f, lanes, furthest))
    method = (
        f"From the first dose to death or the last sign of life, in months of {DAYS_PER_MONTH} days; full analysis set, "
        f"n = {patients}" + (f", of them {len(lanes)} here. " if of > 1 else ". ")
        + "The arrow: alive, neither withdrawn nor lost to follow-up."
    )  # fmt: skip
    return Drawn(key, title, method, alt, svg)


def _paint(figure: Figure, lanes: Sequence[Lane], furthest: float) -> None:
    axes = figure.subplots()
    rows = range(len(lanes))
    axes.barh(rows, [x.end for x in lanes], height=0.66, color=PALE)
    axes.barh(rows, [x.treated for x in lanes], height=0.66, color=SKY)
    for kind, style in MARKS.items():
        found = [(at, row) for row, x in enumerate(lanes) for at in _marks(x, kind)]
        axes.plot([at for at, _ in found], [row for _, row in found], ls="none", **style)
    reach = max(6.0, furthest * 1.04)
    for row, x in enumerate(lanes):
        if x.followed:
            axes.plot([x.end + reach * 0.008], [row], ls="none", **ARROW)
    axes.set_xticks(month_ticks(reach))
    axes.set(xlim=(0, reach), ylim=(max(len(lanes), 3) - 0.3, -0.7), xlabel="months from the first dose")
    axes.set_yticks(rows, [x.subject for x in lanes], fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    legend_above(axes, _legend(), ncols=3)


MARKS: dict[str, dict[str, Any]] = {
    "cycles": {"marker": "|", "ms": 4, "mew": 0.7, "color": BLUE},
    "surgery": {"marker": "D", "ms": 3.4, "mfc": "white", "mec": "black", "mew": 0.7},
    "pcr": {"marker": "o", "ms": 4, "mfc": GREEN, "mec": "black", "mew": 0.5},
    "residual": {"marker": "o", "ms": 4, "mfc": YELLOW, "mec": "black", "mew": 0.5},
    "relapses": {"marker": "X", "ms": 5, "mfc": VERMILION, "mec": "black", "mew": 0.4},
    "death": {"marker": "s", "ms": 4, "mfc": "black", "mec": "black", "mew": 0.5},
}
ARROW: dict[str, Any] = {"marker": ">", "ms": 3.2, "color": "black", "mew": 0, "clip_on": False}
WORDS = {
    "cycles": "day 1 of a cycle", "surgery": "surgery", "pcr": "pathology: pCR", "residual": "pathology: no pCR or open",
    "relapses": "progression or recurrence", "death": "death",
}  # fmt: skip


def _marks(x: Lane, kind: str) -> tuple[float, ...]:
    match kind:
        case "cycles":
            return x.cycles
        case "surgery":
            return () if x.surgery is None else (x.surgery,)
        case "pcr" | "residual":
            return () if x.pathology is None or (x.pcr == "yes") != (kind == "pcr") else (x.pathology,)
        case "relapses":
            return x.relapses
        case _:
            return () if x.death is None else (x.death,)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars = [Patch(color=SKY, label="on treatment"), Patch(color=PALE, label="after it")]
    marks = [Line2D([], [], ls="none", label=WORDS[kind], **style) for kind, style in MARKS.items()]
    return [*bars, *marks, Line2D([], [], ls="none", label="still followed", **ARROW)]
