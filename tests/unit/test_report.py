"""The report: what stands in it is what the analysis says, it comes out the same each time, and it never stands empty."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from neotorch.domain.state import fold
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.report import groups, tables
from neotorch.report.content import Content, gather
from neotorch.report.figures.boundaries import boundary
from neotorch.report.figures.canvas import Drawn, draw, month_ticks
from neotorch.report.figures.curves import survival
from neotorch.report.figures.flow import boxes, flow
from neotorch.report.figures.forest import sensitivity
from neotorch.report.figures.response import NAMED, rcb_classes, rcb_index, waterfall
from neotorch.report.figures.swimmer import LANES, swimmer
from neotorch.report.page import render, sections
from neotorch.report.pdf import pdf
from neotorch.report.pictures import MOST_BYTES, pictures
from neotorch.rules.endpoints.analysis import TrialAnalysis, analyse
from neotorch.settings import Settings
from neotorch.simulation import simulate
from tests.support import START, Trial, at, consent, course, day, fact, learnt, pathology, screened, study, surgery

CUT = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a reader finds: tables by key, ids, links, text, and whatever would be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.scopes: list[str | None] = []
        self.words: list[str] = []
        self._table, self._cell = "", False
        self.feed(html)

    @property
    def text(self) -> str:
        """All words in one line."""
        return re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [v for k, v in attrs if k == "id" and v]
        self.links += [v for k, v in attrs if k in ("href", "xlink:href") and v and v.startswith("#")]
        self.fetched += [
            v for k, v in attrs if k in ("src", "href", "xlink:href") and v and not v.startswith(("#", "data:"))
        ]
        if tag == "table" and (key := found.get("aria-labelledby")):
            self._table = key.removesuffix("-title")
            self.tables[self._table] = []
        if tag == "tr" and self._table:
            self.tables[self._table].append([])
        if tag == "th":
            self.scopes.append(found.get("scope"))
        if tag in ("td", "th") and self._table:
            self.tables[self._table][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        """Take note of its end."""
        if tag in ("td", "th"):
            self._cell = False
        if tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        """Take note of words."""
        self.words.append(data)
        if self._cell:
            self.tables[self._table][-1][-1] += data


@cache
def simulated(patients: int) -> TrialAnalysis:
    """The analysis of a synthetic trial."""
    facts = [d.fact for d in simulate(study(), patients=patients, seed=7, until=CUT)]
    rows = learnt(facts)
    by_subject: dict[str, list] = {}
    for row in rows:
        by_subject.setdefault(row.event.subject, []).append(row)
    return analyse((fold(found, s) for s, found in by_subject.items()), study(), CUT)


def few(folder: Path, *facts: object, now: datetime = NOW) -> Content:
    """What the report of a small trial is made of."""
    trial = Trial(folder, now=now)
    if facts:
        trial.tell(*facts)  # type: ignore[arg-type]
    return gather(trial.engine, cut=CUT)


def figures(analysis: TrialAnalysis) -> Iterator[Drawn]:
    """Every figure that is made of an analysis."""
    yield from (flow(analysis.result), rcb_classes(analysis.result), rcb_index(analysis.result), waterfall(analysis))
    yield from (*swimmer(analysis), sensitivity(analysis))
    yield from (survival(c, f"curve-{n}", c.analysis.label, "survival") for n, c in enumerate(analysis.curves))


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """A synthetic trial of 24 patients, recorded in one go, woken, its figures recorded."""
    trial = Trial(tmp_path_factory.mktemp("report"), now=NOW)
    trial.tell(*(d.fact for d in simulate(study(), patients=24, seed=7, until=CUT)))
    asking = (s for s in trial.engine.subjects() if trial.engine.duties(s)[1].to_raise)
    trial.wake(next(asking))
    trial.engine.recalculate("event")
    return gather(trial.engine, cut=CUT)


@pytest.fixture(scope="module")
def page(content: Content) -> Page:
    """Its page."""
    return Page(render(content))


# ── what stands in it ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_shares_are_those_of_the_analysis(content: Content, page: Page) -> None:
    """Every share of the analysis is a row: set, x/n, estimate, limits and who is pending."""
    _, *rows = page.tables["endpoints-table"]
    analysis = content.analysis
    wanted = (*analysis.result.proportions, *analysis.definitions, analysis.objective, analysis.conserved)
    assert len(rows) == len(wanted)
    for row, p in zip(rows, wanted, strict=True):
        assert p.interval
        limits = f"{100 * p.interval.lower:.1f}-{100 * p.interval.upper:.1f}"
        assert row[1:5] == [p.set_name, f"{p.responders}/{p.n}", f"{100 * p.interval.estimate:.1f}", limits]
        assert row[7] == str(p.pending)


def test_the_survival_table_is_that_of_the_analysis(content: Content, page: Page) -> None:
    """Every time-to-event analysis is a row with patients, events and its estimate at each landmark."""
    head, *rows = page.tables["survival-table"]
    assert [r[0] for r in rows] == [c.analysis.label for c in content.analysis.curves]
    assert len(head) == 5 + len(content.study.endpoints.efs.landmarks_days)
    for row, curve in zip(rows, content.analysis.curves, strict=True):
        assert curve.km
        assert row[1:3] == [str(curve.km.n), str(curve.km.events)]
        for cell, (_, mark) in zip(row[3:], curve.landmarks, strict=False):
            assert cell.startswith(f"{100 * mark.estimate:.1f} (" if mark else "not reached")


def test_the_safety_table_counts_each_patient_once_per_term(content: Content, page: Page) -> None:
    """Grades of a term add up to its patients, and the first row says how many had any term at all."""
    _, anything, *rows = page.tables["safety-table"]
    assert [r[0] for r in rows] == [t.term.replace("_", " ") for t in content.analysis.toxicities]
    for row in (anything, *rows):
        assert sum(int(c) for c in row[1:6]) == int(row[6].split()[0])
        assert sum(int(c) for c in row[3:6]) == int(row[7].split()[0])
    with_any = [p for p in content.analysis.patients if any(v.code.startswith("ae.") for v in p.values)]
    assert anything[6].startswith(f"{len(with_any)} (")


def test_every_figure_and_table_has_method_and_provenance(content: Content, page: Page) -> None:
    """Each is numbered, says its method, and carries study, cut, log head and program."""
    items = [i for s in sections(content) for i in s.items]
    line = content.provenance.line
    assert page.text.count(line) == len(items) >= 18
    assert all((i.figure or i.table).method for i in items)  # type: ignore[union-attr]
    assert str(CUT) in line and f"{content.provenance.head_seq}:{content.provenance.head_hash[:16]}" in line
    assert content.provenance.definition in page.text
    assert {"Table 1", "Figure 1"} < {i.label for i in items}


def test_two_primary_endpoints_without_a_split_of_alpha_are_said_first(content: Content) -> None:
    """The sentence stands above every number of the result."""
    html = render(content)
    note = html.index("no split of alpha")
    assert note < html.index("full analysis set:") < html.index("<main>")


def test_the_page_needs_nothing_else(content: Content, page: Page) -> None:
    """Nothing is fetched, no script runs, ids are unique, every link inside leads somewhere."""
    assert page.fetched == []
    assert "script" not in page.tags
    assert "url(http" not in render(content)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_it_can_be_read_aloud(page: Page) -> None:
    """Every figure says in words what is to be seen, every header cell what it is the header of."""
    assert page.tags.count("svg") == page.tags.count("title") - 1  # one is the page's
    assert set(page.scopes) == {"row", "col"}


def test_queries_visits_and_history_are_there(content: Content, page: Page) -> None:
    """Queries and compliance per site, and what was recorded of the headline figures with what moved it."""
    (query,) = content.queries
    assert query.raised > 0
    assert page.tables["queries-table"][1][:3] == ["S01 Lead centre 牵头中心", str(query.raised), str(query.open)]
    (visit,) = content.visits
    assert visit.due == visit.in_window + visit.outside + visit.not_held > 100
    assert page.tables["visits-table"][1][-1] == f"{100 * visit.in_window / visit.due:.1f}"
    assert {r[3] for r in page.tables["changes-table"][1:]} <= {m.new or "-" for m in content.moments}


def test_patients_appear_by_subject_code_only(content: Content, page: Page) -> None:
    """Every patient with a first dose is in the swimmer plot, and nobody else."""
    inside = set(re.findall(r"NT-\d+", "".join(d.svg for d in swimmer(content.analysis))))
    assert inside == {p.subject for p in content.analysis.patients}
    assert inside <= set(re.findall(r"NT-\d+", page.text))


def test_the_boxes_of_the_flow_add_up() -> None:
    """Who is in one box and not in the next is beside the arrow, each once."""
    found = boxes(
        {"screened": 20, "enrolled": 16, "dosed": 14, "operated": 9, "assessed": 8},
        {"not dosed: screen failure": 3, "not dosed": 3, "not operated: died": 1, "not operated: not yet": 4,
         "not assessed: not evaluable": 1},
    )  # fmt: skip
    for box, after in pairwise(found):
        assert box.count - after.count == sum(n for _, n in box.losses)
    assert found[0].losses == (("screen failure", 3), ("not yet, or left before", 1))


# ── the same each time ────────────────────────────────────────────────────────────────────────────────────────────


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Page and PDF of one log are the same whatever order sets have, whenever they are made."""
    trial = Trial(tmp_path / "data", now=NOW)
    trial.tell(*(d.fact for d in simulate(study(), patients=5, seed=3, until=CUT)))
    trial.engine.recalculate("event")
    made = [exported(tmp_path, seed) for seed in ("1", "2")]
    assert made[0] == made[1]
    assert all(len(data) > 10_000 for data in made[0])


def exported(folder: Path, seed: str) -> tuple[bytes, bytes]:
    """The page and the PDF that the command writes in a process with this hash seed."""
    out = folder / f"out-{seed}"
    command = [sys.executable, "-c", "from neotorch.cli import main; main()", "export", "report", "--cut", str(CUT)]
    environment = os.environ | {
        "NEOTORCH_DATA_DIR": str(folder / "data"),
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [*command, "--out", str(out)], env=environment, capture_output=True, text=True, check=False, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return (out / "report.html").read_bytes(), (out / "report.pdf").read_bytes()


def test_the_past_comes_out_again(tmp_path: Path) -> None:
    """With the same knowledge and cut the page is the same, whatever has been recorded since."""
    trial = Trial(tmp_path, now=at(day(200)))
    trial.tell(*screened(), *course(6), surgery(day(150)))
    known = trial.now
    before = render(gather(trial.engine, as_of=known))
    trial.now += timedelta(30)
    trial.tell(pathology(day(164)))
    trial.wake()
    assert render(gather(trial.engine, as_of=known)) == before
    assert render(gather(trial.engine)) != before


def test_a_site_alone_is_not_the_trial(tmp_path: Path) -> None:
    """The report of one site says so in its provenance and has no history of the trial's figures."""
    trial = Trial(tmp_path, now=NOW)
    trial.tell(*screened(), *course(2))
    found = gather(trial.engine, cut=CUT, site="S01")
    words = Page(render(found)).text
    assert found.analysis.result.counts["dosed"] == 1
    assert "of site S01 only: not the result of the trial" in words
    assert "there is no history to show here" in words


# ── nothing there yet, little, and a lot ──────────────────────────────────────────────────────────────────────────


def test_a_trial_without_patients_says_so_everywhere(tmp_path: Path) -> None:
    """An empty log gives a page whose figures are sentences, and a PDF of it."""
    found = few(tmp_path)
    drawn = [i.figure for s in sections(found) for i in s.items if i.figure]
    assert drawn
    assert all(not d.svg and d.instead.endswith(".") for d in drawn)
    html = render(found)
    assert "There is no result yet" in html and "the log is empty" in html
    assert pdf(html, None).startswith(b"%PDF")


BEGINNINGS = {
    "nobody dosed": lambda: [consent(START), fact("eligibility", START, eligible=False)],
    "nobody operated": lambda: [*screened(), *course(6)],
    "no report yet": lambda: [*screened(), *course(6), surgery(day(150))],
    "one patient, no event": lambda: [*screened(), *course(6), surgery(day(150)), pathology(day(164))],
    "one patient, died": lambda: [
        *screened(), *course(6), surgery(day(150)), pathology(day(164)), fact("death", day(250), cause="disease"),
    ],
    "dead before the operation": lambda: [*screened(), *course(1), fact("death", day(10), cause="other")],
}  # fmt: skip


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.filterwarnings("error")
def test_a_trial_that_has_just_begun(tmp_path: Path, beginning: str) -> None:
    """Each figure is drawn with something in it, or says in a sentence why it is not; no warning of any library."""
    found = few(tmp_path, *BEGINNINGS[beginning]())
    for item in (i for s in sections(found) for i in s.items):
        if item.figure:
            assert bool(item.figure.svg) != bool(item.figure.instead)
        elif item.table:
            assert item.table.rows or item.table.instead
    text = Page(render(found)).text
    assert "nan" not in text.split() and "None" not in text


@pytest.mark.parametrize("patients", [60, 300])
def test_a_large_trial_stays_readable(patients: int) -> None:
    """Sheets of the swimmer plot hold what a page holds; where bars have no room for codes they are counted instead."""
    analysis = simulated(patients)
    sheets = swimmer(analysis)
    named = [re.findall(r">(NT-\d+)<", s.svg) for s in sheets]
    assert all(0 < len(n) <= LANES for n in named)
    assert sorted(s for n in named for s in n) == [p.subject for p in analysis.patients]
    bars = re.findall(r">(NT-\d+)<", waterfall(analysis).svg)
    assert bool(bars) == (len([p for p in analysis.patients if p.best.change_pct is not None]) <= NAMED)
    assert all(d.svg for d in figures(analysis))


def test_pictures_for_prefect_are_small_and_of_the_headline_result() -> None:
    """Each is a data: URL that Prefect can keep, made from what a recalculation has at hand."""
    found = pictures(simulated(300).result)
    assert [p.key for p in found] == ["endpoints-flow", "endpoints-rcb-classes", "endpoints-rcb-index", "endpoints-efs"]
    assert all(p.url.startswith("data:image/svg+xml;base64,") and len(p.url) <= MOST_BYTES for p in found)
    assert all(re.fullmatch(r"[a-z0-9-]+", p.key) for p in found)


def test_names_in_chinese_and_with_signs_of_html(tmp_path: Path) -> None:
    """A site's name is text: Chinese as it is, a tag as its letters; a dollar in a label is no formula."""
    given = {**study().model_dump(mode="json", exclude_unset=True)}
    given["sites"][0]["name"] = {"en": "<b>A & B</b> 华西", "zh": "四川大学华西医院"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8")
    engine = Engine.open(Settings(data_dir=tmp_path, study_file=tmp_path / "study.yaml"), clock=lambda: NOW)
    html = render(gather(engine, cut=CUT))
    assert "&lt;b&gt;A &amp; B&lt;/b&gt; 华西 四川大学华西医院" in html
    assert "<b>A" not in html
    svg = draw("x", "华西 <b>", 20, lambda f: f.text(0.5, 0.5, "cost $5 or $6 华西") and None)
    assert "cost $5 or $6 华西" in svg and "华西 &lt;b&gt;" in svg


@pytest.mark.parametrize(
    ("last", "ticks"), [(6, [0, 1, 2, 3, 4, 5, 6]), (42, [0, 6, 12, 18, 24, 30, 36, 42]), (0.5, [0])]
)
def test_the_axis_of_months(last: float, ticks: list[int]) -> None:
    """Marks are whole months, at most eleven, none beyond the end."""
    assert month_ticks(last) == ticks


@pytest.mark.parametrize(
    ("p", "text"), [(None, ""), (0.0004, "< 0.001"), (0.0265, "0.026"), (0.5, "0.500"), (0.999, "> 0.99")]
)
def test_p_values_as_papers_print_them(p: float | None, text: str) -> None:
    """Three places, and neither 0.000 nor 1.000."""
    assert tables.p_text(p) == text


# ── the machine ───────────────────────────────────────────────────────────────────────────────────────────────────

WITHOUT_PANGO = """
import cffi
def missing(self, name, flags=0):
    raise OSError(f"cannot load library '{name}'")
cffi.FFI.dlopen = missing
from neotorch.cli import main
main()
"""


def test_without_pango_the_page_is_written_and_the_way_out_is_said(tmp_path: Path) -> None:
    """No traceback: exit code 1, the page, and what is to be installed."""
    command = [sys.executable, "-c", WITHOUT_PANGO, "export", "report", "--out", str(tmp_path / "out")]
    environment = os.environ | {"NEOTORCH_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "apt-get install libpango-1.0-0" in done.stderr and "Traceback" not in done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


def test_importing_the_report_does_not_wait_for_matplotlib() -> None:
    """What draws is imported when something is drawn."""
    code = (
        "import sys, neotorch.report.page, neotorch.report.pictures, neotorch.cli.export; "
        "sys.exit(bool({'matplotlib', 'weasyprint', 'prefect'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_groups_looks_and_planned_tests_are_those_of_the_analysis() -> None:
    """Each subgroup, each monitoring rule with its last count, and each planned test stands in the report."""
    analysis = simulated(60)
    names = tables.endpoint_names(study())
    drawn = [*groups.subgroup_forests(analysis.subgroups, analysis.result, names),
             *(boundary(m, names) for m in analysis.monitoring)]  # fmt: skip
    assert [d.key for d in drawn] == ["subgroups-pcr", "subgroups-rcb01", *(
        f"monitoring-{m.code.replace('.', '-')}" for m in analysis.monitoring
    )]  # fmt: skip
    labels = [g.name for one in analysis.subgroups for g in one.groups]
    assert all(f">{escape(label)}<" in drawn[0].svg for label in labels)
    for monitor, one in zip(analysis.monitoring, drawn[2:], strict=True):
        last = monitor.looks[-1]
        assert (f"{last.x} of {last.n}" if monitor.boundary else f"{last.predictive:.3f}") in one.alt
    found = groups.designs(analysis.designs, names).rows
    assert [(r[3], r[7]) for r in found] == [(f"{d.x}/{d.n}", d.standing) for d in analysis.designs]


def test_a_study_without_landmarks_or_designs(tmp_path: Path) -> None:
    """What the study file does not ask for is left out, and nothing else."""
    plan = study().endpoints
    bare = plan.model_copy(update={
        "efs": plan.efs.model_copy(update={"landmarks_days": []}), "pcr": plan.pcr.model_copy(update={"design": None}), "dfi": None,
    })  # fmt: skip
    other: Study = study().model_copy(update={"endpoints": bare})
    trial = Trial(tmp_path, now=NOW)
    trial.tell(*screened(), *course(6), surgery(day(150)), pathology(day(164)))
    states = [trial.engine.state(s) for s in trial.engine.subjects()]
    analysis = analyse(states, other, CUT)
    assert "names no landmark" in sensitivity(analysis).instead
    assert all(len(r) == len(tables.survivals(analysis).head) for r in tables.survivals(analysis).rows)
    assert tables.proportions(analysis, other).rows[0][5:7] == ("", "")
