"""How the headline figures came to be what they are, over the time at which they were recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, cast

from neotorch.report.figures.canvas import BLUE, GREEN, ORANGE, VERMILION, Drawn, draw, legend_above, nothing
from neotorch.rules.endpoints.history import Moment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEY, TITLE = "history-figure", "The shares over time"
SHARE = re.compile(r"([\d.]+) %")
COLOURS = (BLUE, ORANGE, GREEN, VERMILION)


def past(moments: Sequence[Moment], names: Mapping[str, str]) -> Drawn:
    """Draw every recorded value of the shares in `names` (field -> label) as a step line."""
    lines = {label: _line(moments, name) for name, label in names.items()}
    lines = {label: found for label, found in lines.items() if found}
    if not lines:
        return nothing(KEY, TITLE, "No share has been recorded by the cut.")
    told = "; ".join(f"{label}: {len(found)} values, now {found[-1][1]:.1f} %" for label, found in lines.items())
    svg = draw(KEY, f"Recorded values over time: {told}", 74, lambda f: _paint(f, lines))
    method = (
        "Every value that a recalculation recorded, at the instant at which it was recorded (UTC); a recalculation follows "
        "each event that bears on an endpoint, and each night."
    )
    return Drawn(KEY, TITLE, method, told, svg)


def _line(moments: Sequence[Moment], name: str) -> list[tuple[datetime, float]]:
    found = [(m.recorded_at, SHARE.search(m.new or "")) for m in moments if m.field == name]
    return [(at, float(share[1])) for at, share in found if share]


def _paint(figure: Figure, lines: Mapping[str, list[tuple[datetime, float]]]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    axes, number = figure.subplots(), cast("Callable[[datetime], float]", date2num)
    last = max(at for found in lines.values() for at, _ in found)
    for (label, found), colour in zip(lines.items(), COLOURS, strict=False):
        x, y = [number(at) for at, _ in found], [share for _, share in found]
        axes.step([*x, number(last)], [*y, y[-1]], where="post", color=colour, label=label, lw=1.1)
        if len(found) == 1:
            axes.plot(x, y, "o", ms=3.5, color=colour)
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set(ylim=(0, 102), ylabel="%")
    legend_above(axes, ncols=2)
