"""Estimates with their intervals one under the other: sensitivity analyses, subgroups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neotorch.domain.statistics import Interval
from neotorch.domain.time_to_event import DAYS_PER_MONTH
from neotorch.report.figures.canvas import BLUE, GREY, Drawn, draw, nothing, per_cent
from neotorch.rules.endpoints.analysis import TrialAnalysis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_MM = 6.2


@dataclass(frozen=True)
class Row:
    """One line. Without `counts` it is a heading; without an interval `instead` says why."""

    label: str
    counts: str = ""
    interval: Interval | None = None
    instead: str = ""


def forest(key: str, alt: str, rows: Sequence[Row], heads: tuple[str, str, str], reference: float | None = None) -> str:
    """Return the plot; `heads` are over label, counts and axis; `reference` is a share marked by a dashed line."""
    return draw(key, alt, 17 + ROW_MM * len(rows), lambda f: _paint(f, rows, heads, reference))


def _paint(figure: Figure, rows: Sequence[Row], heads: tuple[str, str, str], reference: float | None) -> None:
    from matplotlib.ticker import MaxNLocator

    table, axes, figures = figure.subplots(1, 3, width_ratios=(2.3, 1.1, 0.66), sharey=True)
    axes.set_ylim(len(rows) - 0.4, -1.0)
    for side in (table, figures):
        side.axis("off")
    table.text(0, -0.85, heads[0], weight="bold", va="center")
    table.text(0.98, -0.85, heads[1], weight="bold", va="center", ha="right")
    figures.text(0, -0.85, "% (interval)", weight="bold", va="center")
    for y, row in enumerate(rows):
        head = not row.counts
        table.text(0 if head or not any(not r.counts for r in rows) else 0.05, y, row.label, va="center",
                   weight="bold" if head else "normal")  # fmt: skip
        table.text(0.98, y, row.counts, va="center", ha="right")
        if row.interval:
            at = row.interval
            axes.plot([at.lower, at.upper], [y, y], color="black", lw=0.9)
            axes.plot([at.estimate], [y], "s", ms=4.5, color=BLUE)
            text = f"{100 * at.estimate:.1f} ({100 * at.lower:.1f}-{100 * at.upper:.1f})"
            figures.text(0, y, text, va="center")
        elif row.instead:
            axes.text(0.5, y, row.instead, va="center", ha="center", color=GREY, style="italic")
    if reference is not None:
        axes.axvline(reference, color="black", lw=0.6, ls=(0, (4, 3)))
    axes.set(xlim=(0, 1), xlabel=heads[2])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelleft=False)
    per_cent(axes, "x")


def sensitivity(analysis: TrialAnalysis) -> Drawn:
    """Draw event-free survival at the last landmark under every map and every sensitivity analysis."""
    key, title = "efs-sensitivity", "Event-free survival: all definitions side by side"
    curves = [c for c in analysis.curves if c.analysis.code.split(".")[0] == "efs"]
    if not curves or all(c.km is None for c in curves):
        return nothing(key, title, "Nobody has received a first dose by the cut, so no analysis has begun.")
    days = curves[0].landmarks[-1][0] if curves[0].landmarks else None
    if days is None:
        return nothing(key, title, "The study file names no landmark at which analyses could be compared.")
    rows = []
    for c in curves:
        at = dict(c.landmarks)[days]
        events = f"{c.km.events}/{c.km.n}" if c.km else "-"
        label = c.analysis.label.removeprefix("EFS, ") if c is not curves[0] else "primary analysis"
        rows.append(Row(_short(label), events, at, "" if at else "not reached"))
    months = f"{days / DAYS_PER_MONTH:.0f} months"
    level = next(c.km.level for c in curves if c.km)
    alt = f"Event-free survival at {months} by {len(rows)} analyses: " + "; ".join(
        f"{r.label} {100 * r.interval.estimate:.1f} per cent" if r.interval else f"{r.label} {r.instead}" for r in rows
    )
    svg = forest(key, alt, rows, ("analysis", "events/n", f"event-free at {months} (%)"))
    method = (
        f"Kaplan-Meier estimate at day {days} with pointwise {100 * level:g} % log-log interval; full analysis set. Not "
        "reached: the last patient was followed for less. The definitions are listed at the end."
    )
    return Drawn(key, title, method, alt, svg)


def _short(label: str) -> str:
    return label if len(label) <= 60 else label[:58].rstrip() + " …"
