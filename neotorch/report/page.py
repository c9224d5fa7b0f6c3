"""The report as one HTML page that needs nothing else: figures inside, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from neotorch.report import groups, tables
from neotorch.report.content import Content
from neotorch.report.figures.boundaries import boundary
from neotorch.report.figures.canvas import Drawn
from neotorch.report.figures.curves import landmarks, survival
from neotorch.report.figures.flow import flow
from neotorch.report.figures.forest import sensitivity
from neotorch.report.figures.past import past
from neotorch.report.figures.response import rcb_classes, rcb_index, waterfall
from neotorch.report.figures.swimmer import swimmer
from neotorch.report.tables import Table
from neotorch.rules.endpoints import percent

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class Item:
    """A figure or a table with its number."""

    label: str
    """Figure 3, Table 2."""
    figure: Drawn | None = None
    table: Table | None = None


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    key: str
    title: str
    words: tuple[str, ...]
    items: tuple[Item, ...]


def render(content: Content) -> str:
    """Return the page; the same content gives the same bytes."""
    page = {
        "study": content.study, "provenance": content.provenance, "note": content.study.endpoints.alpha_split,
        "summary": tuple(_summary(content)), "sections": sections(content),
    }  # fmt: skip
    return templates().get_template("report.html").render(page)


@cache
def templates() -> Environment:
    """Return the pages' templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("neotorch"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip


def _summary(content: Content) -> Iterator[str]:
    """Yield the headline figures in words."""
    analysis, names = content.analysis, tables.endpoint_names(content.study)
    counts = analysis.result.counts
    yield (
        f"By {content.provenance.cut}, {counts['screened']} patients were screened, {counts['enrolled']} enrolled, "
        f"{counts['dosed']} had received a first dose, {counts['operated']} were operated, and the pathology of "
        f"{counts['assessed']} could be assessed."
    )
    if not counts["dosed"]:
        yield "There is no result yet: nobody has received a first dose."
        return
    for p in analysis.result.proportions:
        if p.set_name == "full":
            name = names[p.name].removesuffix(", primary")
            pending = f", {p.pending} pending" if p.pending else ""
            yield f"{name}, full analysis set: {p.responders} of {p.n}, {percent(p.interval)}{pending}."
    yield f"Event-free survival (map {content.study.endpoints.efs.primary_map}): {landmarks(analysis.result.landmarks)}."


def sections(content: Content) -> tuple[Section, ...]:
    """Return the report's sections; figures and tables are numbered through."""
    count = _Numbers()
    return tuple(
        Section(key, title, words, tuple(count.item(x) for x in items))
        for key, title, words, items in _sections(content)
        if items or words
    )


class _Numbers:
    def __init__(self) -> None:
        self._figures = self._tables = 0

    def item(self, found: Drawn | Table) -> Item:
        if isinstance(found, Table):
            self._tables += 1
            return Item(f"Table {self._tables}", table=found)
        self._figures += 1
        return Item(f"Figure {self._figures}", figure=found)


Part = tuple[str, str, tuple[str, ...], tuple[Drawn | Table, ...]]


def _sections(content: Content) -> Iterator[Part]:
    analysis, study = content.analysis, content.study
    curves = {c.analysis.code: c for c in analysis.curves}
    yield "patients", "Patients", (), (flow(analysis.result),)
    yield "endpoints", "Pathological response", (), (
        tables.proportions(analysis, study), rcb_classes(analysis.result), rcb_index(analysis.result),
    )  # fmt: skip
    yield "response", "Tumour response", (), (waterfall(analysis), tables.responses(analysis))
    yield "course", "Course of each patient", (), swimmer(analysis)
    yield "survival", "Survival", (), (
        survival(curves["efs"], "efs-curve", "Event-free survival, primary analysis", "event-free survival"),
        survival(curves["os"], "os-curve", "Overall survival", "overall survival"),
        tables.survivals(analysis), sensitivity(analysis),
    )  # fmt: skip
    yield from _groups(content)
    yield "safety", "Safety and treatment", (), (tables.safety(analysis), tables.intensities(analysis, study))
    yield "conduct", "Data and visits", _conduct(content), (
        tables.queries(content.queries, study), tables.visits(content.visits, study),
    )  # fmt: skip
    yield _history(content)
    yield "definitions", "Definitions", (), (tables.definitions(study, analysis),)


def _groups(content: Content) -> Iterator[Part]:
    """Yield what only some analyses have."""
    analysis, names = content.analysis, tables.endpoint_names(content.study)
    if analysis.subgroups:
        yield "subgroups", "Subgroups", (), tuple(groups.subgroup_forests(analysis.subgroups, analysis.result, names))
    if analysis.monitoring or analysis.designs:
        looks = tuple(boundary(m, names) for m in analysis.monitoring)
        yield "monitoring", "Monitoring", (), (groups.designs(analysis.designs, names), *looks)
    if analysis.agreement:
        yield "agreement", "Local and central read", (), tuple(groups.agreements(analysis.agreement))


def _conduct(content: Content) -> tuple[str, ...]:
    at = content.operations.isoformat(sep=" ", timespec="minutes")
    return (f"Queries and visits as they were known and stood at {at}.",)


def _history(content: Content) -> Part:
    if content.provenance.site:
        words = "Headline figures are recorded of the whole trial, not of a site; there is no history to show here."
        return "history", "History of the headline figures", (words,), ()
    names = tables.endpoint_names(content.study)
    efs = {f"efs.day{days}": f"EFS, day {days}" for days in content.study.endpoints.efs.landmarks_days}
    shares = {f"{n}.{s}": f"{names[n].removesuffix(', primary')}, {s} set"
              for n in ("pcr", "rcb01") for s in ("full", "evaluable")}  # fmt: skip
    return (
        "history", "History of the headline figures", (),
        (past(content.moments, shares), tables.changes(content.moments, shares | efs)),
    )  # fmt: skip
