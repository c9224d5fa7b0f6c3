"""Response figures: RCB classes as a bar, the RCB index and the change of tumour size patient by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neotorch.domain.rcb import UPPER_I, UPPER_II
from neotorch.report.figures.canvas import (
    GREY,
    RCB_COLOURS,
    RESPONSE_COLOURS,
    Drawn,
    draw,
    legend_above,
    nothing,
    per_cent,
)
from neotorch.rules.endpoints import PatientEndpoints, TrialResult
from neotorch.rules.endpoints.analysis import TrialAnalysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 60
"""Up to so many patients each bar has its subject code under it."""


def rcb_classes(result: TrialResult) -> Drawn:
    """Draw the RCB classes as one bar of shares, and a second one of the evaluable set."""
    key, title = "rcb-classes", "Residual cancer burden: classes"
    full = [p for p in result.patients if p.in_full_set]
    rows = [
        (name, {c: sum(_rcb_class(p) == c for p in patients) for c in RCB_COLOURS})
        for name, patients in (("with a class", full), ("evaluable set", [p for p in full if p.evaluable]))
    ]
    n = sum(rows[0][1].values())
    if not n:
        return nothing(key, title, "No patient has an RCB class by the cut: nobody has a final report that gives one.")
    if rows[0][1] == rows[1][1]:
        rows = [("evaluable set", rows[0][1])]
    told = ", ".join(f"{c} {k} of {n}" for c, k in rows[0][1].items())
    svg = draw(key, f"Stacked bar of RCB classes: {told}", 20 + 11 * len(rows), lambda f: _paint_classes(f, rows))
    open_ = len(full) - n
    method = (
        f"RCB class by Symmans 2007 from the reference report; n = {n} of {len(full)} in the full analysis set, "
        f"{open_} without a class (no final report, or not evaluable). Shares are of patients with a class."
    )
    return Drawn(key, title, method, told, svg)


def _paint_classes(figure: Figure, rows: Sequence[tuple[str, dict[str, int]]]) -> None:
    axes = figure.subplots()
    for y, (_, counts) in enumerate(rows):
        total, left = sum(counts.values()), 0.0
        for name, count in counts.items():
            share = count / total if total else 0.0
            axes.barh(
                y,
                share,
                left=left,
                height=0.62,
                color=RCB_COLOURS[name],
                edgecolor="white",
                label=name if not y else None,
            )
            if share:
                dark = name in ("RCB-0", "RCB-III")
                words = f"{count} ({100 * share:.0f} %)" if share > 0.09 else f"{count}"
                axes.text(left + share / 2, y, words, ha="center", va="center", color="white" if dark else "black")
            left += share
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="share of patients (%)", yticks=range(len(rows)))
    axes.set_yticklabels([f"{name}\nn = {sum(c.values())}".replace("\n", ", ") for name, c in rows])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    per_cent(axes, "x")
    legend_above(axes)


@dataclass(frozen=True)
class _Bar:
    subject: str
    height: float
    group: str


def _rcb_class(patient: PatientEndpoints) -> str:
    return (patient.rcb.rcb_class or "") if patient.rcb else ""


def rcb_index(result: TrialResult) -> Drawn:
    """Draw the RCB index of each patient, the highest first."""
    key, title = "rcb-index", "Residual cancer burden: index by patient"
    full = [p for p in result.patients if p.in_full_set]
    bars = [
        _Bar(p.subject, p.rcb.index, p.rcb.rcb_class) for p in full
        if p.rcb and p.rcb.index is not None and p.rcb.rcb_class
    ]  # fmt: skip
    if not bars:
        return nothing(key, title, "No patient has an RCB index by the cut.")
    bars.sort(key=lambda b: (-b.height, b.subject))
    alt = f"Bars of the RCB index of {len(bars)} patients, from {bars[0].height:.3f} down to {bars[-1].height:.3f}"
    svg = draw(key, alt, 72, lambda f: _paint_index(f, bars))
    method = (
        f"RCB index of the reference report (Symmans 2007), unrounded; class limits {UPPER_I} and {UPPER_II} dashed; "
        f"n = {len(bars)} of {len(full)} in the full analysis set. An index of 0 is marked by a dot."
    )
    return Drawn(key, title, method, alt, svg)


def _paint_index(figure: Figure, bars: Sequence[_Bar]) -> None:
    axes = figure.subplots()
    _bars(axes, bars, RCB_COLOURS)
    zero = [n for n, b in enumerate(bars) if b.height == 0]
    axes.plot(zero, [0] * len(zero), "o", ms=3, color=RCB_COLOURS["RCB-0"], clip_on=False)
    for limit in (UPPER_I, UPPER_II):
        axes.axhline(limit, color="black", lw=0.6, ls=(0, (4, 3)))
    axes.set(ylabel="RCB index", ylim=(0, max(4.0, 1.05 * bars[0].height)))
    _subjects(axes, bars)
    legend_above(axes, _keys(bars, RCB_COLOURS))


def waterfall(analysis: TrialAnalysis) -> Drawn:
    """Draw the best change of the sum of diameters of each patient, the largest growth first."""
    key, title = "waterfall", "Best change of tumour size before surgery"
    bars = [
        _Bar(p.subject, p.best.change_pct, p.best.response or "NE")
        for p in analysis.patients
        if p.best.change_pct is not None
    ]
    if not bars:
        why = "No patient has a sum of diameters at baseline and after the first dose by the cut."
        return nothing(key, title, why)
    bars.sort(key=lambda b: (-b.height, b.subject))
    alt = (
        f"Waterfall of {len(bars)} patients, from {bars[0].height:+.1f} to {bars[-1].height:+.1f} per cent of baseline"
    )
    svg = draw(key, alt, 78, lambda f: _paint_waterfall(f, bars))
    method = (
        f"Deepest change of the sum of diameters from baseline, first dose to surgery; colour: best overall response by "
        f"RECIST 1.1, unconfirmed. Dashed: +20 % and -30 %. n = {len(bars)} of {len(analysis.patients)} in the full analysis "
        f"set, {len(analysis.patients) - len(bars)} without a measured change. PD is judged against the nadir or by a new "
        "lesion, so a bar of PD may point down."
    )
    return Drawn(key, title, method, alt, svg)


def _paint_waterfall(figure: Figure, bars: Sequence[_Bar]) -> None:
    axes = figure.subplots()
    _bars(axes, bars, RESPONSE_COLOURS)
    zero = [n for n, b in enumerate(bars) if abs(b.height) < 0.5]
    axes.plot(zero, [0] * len(zero), "o", ms=2.5, color="black", clip_on=False)
    axes.axhline(0, color="black", lw=0.6)
    for limit in (20, -30):
        axes.axhline(limit, color="black", lw=0.6, ls=(0, (4, 3)))
    axes.set(ylabel="change from baseline (%)", ylim=(-104, max(30.0, min(104, 1.1 * bars[0].height))))
    for n, bar in enumerate(bars):
        if bar.height > 104:  # the axis ends there: said in figures
            axes.text(n, 104, f"{bar.height:+.0f}", ha="center", va="bottom", fontsize=6)
    _subjects(axes, bars)
    legend_above(axes, _keys(bars, RESPONSE_COLOURS))


def _bars(axes: Axes, bars: Sequence[_Bar], colours: dict[str, str]) -> None:
    tints = [colours.get(b.group, GREY) for b in bars]
    width = 0.82 if len(bars) <= 120 else 1.0  # many bars stand side by side: gaps of a hair would flicker
    axes.bar(range(len(bars)), [b.height for b in bars], width=width, color=tints)
    least = 14  # a lone bar is not as broad as the page
    axes.set_xlim(-0.7, max(len(bars), least) - 0.3)


def _subjects(axes: Axes, bars: Sequence[_Bar]) -> None:
    """Name the patients under the axis where there is room."""
    axes.spines["bottom"].set_visible(False)
    if len(bars) <= NAMED:
        axes.set_xticks(range(len(bars)), [b.subject for b in bars], rotation=90, fontsize=6.5)
        axes.tick_params(axis="x", length=0)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(bars)} patients, each a bar")


def _keys(bars: Sequence[_Bar], colours: dict[str, str]) -> list[Any]:
    from matplotlib.patches import Patch

    counts = {name: sum(b.group == name for b in bars) for name in colours}
    return [Patch(color=tint, label=f"{name} ({counts[name]})") for name, tint in colours.items() if counts[name]]
