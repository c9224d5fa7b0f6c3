"""Subgroups, designs and the agreement of two reads: figures and tables of what the analysis has of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neotorch.domain.statistics import Interval
from neotorch.report.figures.canvas import Drawn, nothing
from neotorch.report.figures.forest import Row, forest
from neotorch.report.tables import Table, p_text, span
from neotorch.rules.endpoints import Proportion, TrialResult
from neotorch.rules.endpoints.agreement import Agreement
from neotorch.rules.endpoints.designs import DesignStatus
from neotorch.rules.endpoints.subgroups import SubgroupResult

SET = "full"
READS = {"rcb_class": "RCB class", "pcr": "pCR"}


def subgroup_forests(found: Sequence[SubgroupResult], result: TrialResult, names: dict[str, str]) -> Iterator[Drawn]:
    """Yield a forest plot of the subgroups for each endpoint that is a share."""
    for overall in (p for p in result.proportions if p.set_name == SET):
        name = names[overall.name].removesuffix(", primary")
        key, title = f"subgroups-{overall.name}", f"Subgroups: {name}"
        if not overall.interval:
            yield nothing(key, title, f"Nobody has a result of {name} by the cut.")
            continue
        rows = [_row("all patients", overall), *(r for one in found for r in _group_rows(one, overall.name))]
        alt = f"Forest plot of {name} in {sum(bool(r.interval) for r in rows) - 1} subgroups"
        svg = forest(key, alt, rows, ("group at baseline", "x/n", f"{name} (%)"), overall.interval.estimate)
        method = (
            f"Clopper-Pearson {100 * overall.interval.level:g} % intervals; full analysis set, without patients pending; groups "
            "by the last value up to the first dose. Dashed: all patients. Nothing is tested between groups, and nothing is "
            "adjusted for their number."
        )
        yield Drawn(key, title, method, alt, svg)


def _group_rows(one: SubgroupResult, endpoint: str) -> Iterator[Row]:
    yield Row(one.subgroup.label.en)
    for group in one.groups:
        share = next(p for p in group.proportions if (p.name, p.set_name) == (endpoint, SET))
        yield _row(group.name, share)


def _row(label: str, share: Proportion) -> Row:
    return Row(label, f"{share.responders}/{share.n}", share.interval, "" if share.n else "no patient with a result")


def designs(found: Sequence[DesignStatus], names: dict[str, str]) -> Table:
    """Return where the planned test of each endpoint stands."""
    rows = tuple(
        (
            names[d.endpoint].removesuffix(", primary"), d.method, f"{d.design.p0:g} / {d.design.p1:g}", f"{d.x}/{d.n}",
            str(d.planned), str(d.reject_at), p_text(d.p_value), d.standing + (", for certain" if d.certain else ""),
        )
        for d in found
    )  # fmt: skip
    head = ("endpoint", "design", "p0 / p1", "x/n", "planned", "rejects at", "p", "standing")
    method = (
        "Patients in the order in which they became evaluable; those beyond the plan are not counted. One-sided exact p of "
        "the patients so far, of a two-stage design that of its own course. For certain: those to come cannot change it."
    )
    return Table(
        "designs-table", "Planned tests", head, rows, method, 2, "" if rows else "The study file plans no test."
    )


def agreements(found: Sequence[Agreement]) -> Iterator[Table]:
    """Yield how far the local and the central read agree, and a cross table of each thing that both say."""
    rows = tuple(
        (READS[a.what], str(a.n), str(a.agreeing), _share(a.raw), _kappa(a.kappa), str(a.not_compared), str(a.adjudicated),
         str(a.awaited))
        for a in found
    )  # fmt: skip
    head = ("read", "breasts compared", "agree", "%", "kappa", "not compared", "adjudicated", "to adjudicate")
    method = (
        "Final local against final central report of one breast, before adjudication; Clopper-Pearson interval; Cohen's kappa, "
        "with linear weights for the RCB class."
    )
    yield Table("agreement-table", "Agreement of local and central read", head, rows, method)
    for a in found:
        cross = tuple((f"local {r}", *(str(a.table[r, c]) for c in a.categories)) for r in a.categories)
        none = "" if a.n else "No breast has both a final local and a final central report that can be compared."
        yield Table(f"agreement-{a.what.replace('_', '-')}", f"{READS[a.what]}, local by central read",
                    ("", *(f"central {c}" for c in a.categories)), cross if a.n else (), f"Breasts; n = {a.n}.", 1, none)  # fmt: skip


def _share(found: Interval | None) -> str:
    return "-" if found is None else f"{100 * found.estimate:.1f} ({span(found)})"


def _kappa(found: Interval | None) -> str:
    return "not defined" if found is None else f"{found.estimate:.2f} ({found.lower:.2f}-{found.upper:.2f})"
