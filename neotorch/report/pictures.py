"""The headline figures as pictures for Prefect's pages, from the headline result alone: nothing is derived anew."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from neotorch.report.figures.curves import curve_svg, landmarks
from neotorch.report.figures.flow import flow
from neotorch.report.figures.response import rcb_classes, rcb_index
from neotorch.rules.endpoints import TrialResult

MOST_BYTES = 200_000
"""A larger picture is not published: Prefect keeps it in its database."""


@dataclass(frozen=True)
class Picture:
    """One picture and what stands beside it."""

    key: str
    words: str
    url: str
    """A data: URL with the SVG; a page shows it without fetching anything."""


def pictures(result: TrialResult) -> tuple[Picture, ...]:
    """Draw flow, RCB classes, RCB index and event-free survival; not what cannot be drawn yet, may not be shown, or is too large."""
    found = (Picture(key, words, _url(svg)) for key, words, svg in _drawn(result))
    return tuple(p for p in found if len(p.url) <= MOST_BYTES)


def _drawn(result: TrialResult) -> Iterator[tuple[str, str, str]]:
    shown = all(p.shown for p in result.patients)  # no patient's value that rests on a blinded read
    for drawn in (flow(result), *((rcb_classes(result), rcb_index(result)) if shown else ())):
        if drawn.svg:
            yield f"endpoints-{drawn.key}", f"{drawn.title}, data cut {result.cut}. {drawn.method}", drawn.svg
    if result.efs:
        told = f"event-free survival: {result.efs.events} events among {result.efs.n} patients; {landmarks(result.landmarks)}"
        svg = curve_svg(result.efs, "efs", "event-free survival", told)
        yield "endpoints-efs", f"Data cut {result.cut}, {told}. Kaplan-Meier, {result.efs.interval} interval.", svg


def _url(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
