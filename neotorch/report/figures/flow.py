"""The flow of patients through the trial, after the CONSORT 2010 diagram (Schulz et al., BMJ 2010;340:c332)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neotorch.report.figures.canvas import Drawn, draw
from neotorch.rules.endpoints import TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEY, TITLE = "flow", "Flow of patients"
LINE_MM = 4.2
"""Height of a line of text in a box."""


@dataclass(frozen=True)
class Box:
    """A box of the column and the losses on the way to the next one."""

    label: str
    count: int
    lost: str = ""
    losses: tuple[tuple[str, int], ...] = ()

    @property
    def lines(self) -> int:
        """Lines of the side box; 0 without one."""
        return 1 + len(self.losses) if self.losses else 0


def boxes(counts: Mapping[str, int], losses: Mapping[str, int]) -> tuple[Box, ...]:
    """Return the column of boxes; who is in one and not in the next stands between them with the reason."""
    excluded, undosed = _before_dose(counts, losses)
    return (
        Box("Screened (informed consent)", counts["screened"], "Not enrolled", excluded),
        Box("Enrolled", counts["enrolled"], "No first dose", undosed),
        Box("Received a first dose\n(full analysis set, safety set)", counts["dosed"], "Not operated",
            _lost(losses, "not operated")),
        Box("Operated", counts["operated"], "Not assessed", _lost(losses, "not assessed")),
        Box("Pathology assessed\n(evaluable set)", counts["assessed"]),
    )  # fmt: skip


Losses = tuple[tuple[str, int], ...]


def _lost(losses: Mapping[str, int], prefix: str) -> Losses:
    found = [(place.partition(": ")[2], n) for place, n in losses.items() if place.partition(":")[0] == prefix and n]
    return tuple(sorted(found, key=lambda f: (-f[1], f[0])))


def _before_dose(counts: Mapping[str, int], losses: Mapping[str, int]) -> tuple[Losses, Losses]:
    """Divide who had no first dose into not enrolled and enrolled; screen failures are counted as not enrolled first."""
    failed, other = losses.get("not dosed: screen failure", 0), losses.get("not dosed", 0)
    room = max(0, min(failed + other, counts["screened"] - counts["enrolled"]))
    out = min(failed, room)
    excluded = (("screen failure", out), ("not yet, or left before", room - out))
    undosed = (("screen failure", failed - out), ("not yet, or left before", other - (room - out)))
    return tuple(x for x in excluded if x[1]), tuple(x for x in undosed if x[1])


def flow(result: TrialResult) -> Drawn:
    """Draw the flow diagram."""
    if not result.counts["screened"]:
        return nothing_yet()
    found = boxes(result.counts, result.losses)
    told = "; ".join(
        f"{b.label.replace(chr(10), ' ')} {b.count}" + "".join(f", {b.lost.lower()} {w} {n}" for w, n in b.losses)
        for b in found
    )
    height = sum(_height(b) + _gap(b) for b in found) - _gap(found[-1]) + 2
    svg = draw(KEY, f"Flow diagram: {told}", height, lambda f: _paint(f, found, height), layout=None)
    method = (
        f"Counts of patients by what happened up to {result.cut}; who is in one box and not in the next is counted beside "
        "the arrow. Layout after CONSORT 2010."
    )
    return Drawn(KEY, TITLE, method, told, svg)


def nothing_yet() -> Drawn:
    """Return what stands there before the first consent."""
    return Drawn(KEY, TITLE, "", instead="Nobody has given consent by the cut, so there is no flow to draw.")


def _height(box: Box) -> float:
    return LINE_MM * (box.label.count("\n") + 2) + 3


def _gap(box: Box) -> float:
    """Room for the side box below a box."""
    return max(9.0, LINE_MM * box.lines + 8)


def _paint(figure: Figure, found: tuple[Box, ...], height: float) -> None:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 170), ylim=(0, height))
    axes.axis("off")
    top, left, width = height - 1, 18.0, 66.0
    middle = left + width / 2
    for n, box in enumerate(found):
        bottom = top - _height(box)
        _rectangle(axes, left, bottom, width, _height(box), heavy=True)
        for row, text in enumerate((*box.label.split("\n"), f"n = {box.count}")):
            axes.text(middle, top - 1.5 - LINE_MM * (row + 0.5), text, ha="center", va="center")
        if n + 1 < len(found):
            after = bottom - _gap(box)
            axes.annotate("", (middle, after), (middle, bottom), arrowprops=ARROW)
            if box.losses:
                _side(axes, box, middle, (bottom + after) / 2)
        top = bottom - _gap(box)


ARROW = {"arrowstyle": "-|>,head_width=0.16,head_length=0.35", "lw": 0.8, "color": "black", "shrinkA": 0, "shrinkB": 0}


def _side(axes: Axes, box: Box, middle: float, centre: float) -> None:
    """Draw the losses beside the arrow."""
    left, width, height = 98.0, 71.0, LINE_MM * box.lines + 3
    axes.annotate("", (left, centre), (middle, centre), arrowprops=ARROW)
    _rectangle(axes, left, centre - height / 2, width, height, heavy=False)
    total = sum(n for _, n in box.losses)
    lines = [f"{box.lost} (n = {total})", *(f"    {words} (n = {n})" for words, n in box.losses)]
    for row, text in enumerate(lines):
        at = centre + height / 2 - 1.5 - LINE_MM * (row + 0.5)
        axes.text(left + 2.5 + (3 if row else 0), at, text.strip(), ha="left", va="center")


def _rectangle(axes: Axes, x: float, y: float, width: float, height: float, *, heavy: bool) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, height, fill=False, lw=0.9 if heavy else 0.6))
