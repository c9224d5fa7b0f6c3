"""What all figures share: the palette, the type size, and how Matplotlib's drawing becomes SVG that is the same each time.

Matplotlib is imported when the first figure is drawn.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
"""Okabe and Ito (2008), Color Universal Design: told apart with any kind of colour vision."""
GREY, PALE = "#8C8C8C", "#D9D9D9"
RCB_COLOURS = {"RCB-0": BLUE, "RCB-I": SKY, "RCB-II": ORANGE, "RCB-III": VERMILION}
RESPONSE_COLOURS = {"CR": BLUE, "PR": SKY, "SD": ORANGE, "PD": VERMILION, "NE": GREY}
WIDTH_MM = 170
"""The text width of an A4 page with margins of 20 mm."""
MM = 1 / 25.4

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: searched, read aloud, drawn with the reader's own fonts
    "font.family": "DejaVu Sans",  # measured with the font that Matplotlib brings: the same on every machine
    "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "lines.linewidth": 1.2, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "axes.unicode_minus": True, "text.parse_math": False,  # a dollar in a label is a dollar
}  # fmt: skip
FAMILY = "Arial,'Liberation Sans',Helvetica,'Noto Sans CJK SC',sans-serif"
"""Narrower than what is measured with, so nothing runs over. No blanks: WeasyPrint takes them for a part of the name."""
_ONE = threading.Lock()
"""Matplotlib's style is one for the process; two figures at once would mix theirs."""
_FONT = re.compile(r"font-family: [^;\"]*")
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_STYLE = re.compile(r"<style type=\"text/css\">.*?</style>\s*", re.DOTALL)
_IDS = re.compile(r"(\bid=\"|url\(#|href=\"#)")


@dataclass(frozen=True)
class Drawn:
    """A figure, or the sentence that says why there is none."""

    key: str
    """Its anchor in the page; unique."""
    title: str
    method: str
    """What was computed how, in which set, at which level, with how many patients."""
    alt: str = ""
    """What is to be seen, in words."""
    svg: str = ""
    instead: str = ""
    """Why nothing is drawn."""


def nothing(key: str, title: str, why: str) -> Drawn:
    """Return a figure that is not drawn, with the reason."""
    return Drawn(key, title, "", instead=why)


def draw(
    key: str,
    alt: str,
    height_mm: float,
    paint: Callable[[Figure], None],
    *,
    layout: Literal["constrained"] | None = "constrained",
) -> str:
    """Return what `paint` puts on a figure of this size as an SVG element whose ids begin with `key`."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out = io.StringIO()
    style: Any = STYLE | {"svg.hashsalt": key}
    with _ONE, mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn with the reader's font all the same
        figure = Figure(figsize=(WIDTH_MM * MM, height_mm * MM), layout=layout)
        FigureCanvasSVG(figure)
        paint(figure)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _tidy(out.getvalue(), key, alt)


def _tidy(svg: str, key: str, alt: str) -> str:
    """Return the element alone: ids of its own, no metadata, no style that would reach the page, said in words."""
    body = svg[svg.index("<svg") :].rstrip()
    body = _STYLE.sub("", _METADATA.sub("", body))
    body = _IDS.sub(rf"\g<1>{key}-", _FONT.sub(f"font-family: {FAMILY}", body))
    head, rest = body.split(">", 1)
    head += f' role="img" aria-labelledby="{key}-alt" style="stroke-linejoin:round;stroke-linecap:butt"'
    return f'{head}>\n <title id="{key}-alt">{escape(alt)}</title>{rest}'


def month_ticks(last: float) -> list[int]:
    """Return the marks of an axis in months, so far apart that there are at most eleven, and none beyond `last`."""
    step = next(s for s in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if last / s <= 10)
    return [step * n for n in range(int(last / step) + 1)]


def per_cent(axes: Axes, axis: str = "y") -> None:
    """Label an axis of shares from 0 to 1 in per cent."""
    from matplotlib.ticker import PercentFormatter

    found = axes.yaxis if axis == "y" else axes.xaxis
    found.set_major_formatter(PercentFormatter(1.0, symbol=""))


def legend_above(axes: Axes, handles: list[Any] | None = None, **options: Any) -> None:
    """Put the legend over the axes in one line, where it covers nothing."""
    found = handles if handles is not None else axes.get_legend_handles_labels()[0]
    if found:
        plain: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": min(len(found), 6), "borderaxespad": 0.2,
                 "handlelength": 1.2, "columnspacing": 1.4}  # fmt: skip
        axes.legend(handles=found, **plain | options)
