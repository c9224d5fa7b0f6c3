"""What a notice says besides dates: codes with their titles in every language, for the templates to put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from neotorch.domain.sourced import Words
from neotorch.domain.study import Form, Item, Study

if TYPE_CHECKING:
    from neotorch.rules.missing import Finding

OF_ITEMS = frozenset({"missing", "dose-labs", "manual"})
"""Kinds of finding whose items are those of forms; of the others they name what is wrong."""


def coded(code: str, title: Words) -> dict[str, str]:
    """Return a code with its title beside it, such as `ANC (neutrophils)` and `ANC（中性粒细胞）`; alone if they are the same."""
    marks = {"en": (title.en, f"{code} ({title.en})"), "zh": (title.zh, f"{code}（{title.zh}）")}
    return {language: code if said.casefold() == code.casefold() else both for language, (said, both) in marks.items()}


def visit_title(code: str | None, study: Study) -> dict[str, str] | None:
    """Return the title of a visit, also of one that an extra cycle adds."""
    visit = study.visit_by_code.get(code or "")
    if visit is None:
        extra = (study.cycle_visit(n) for n in range(study.cycles.count + 1, study.cycles_allowed + 1))
        visit = next((v for v in extra if v and v.code == code), None)
    return visit.label.model_dump() if visit else None


def item_titles(items: tuple[str, ...], form: str | None, study: Study) -> list[dict[str, str] | str]:
    """Return items with their titles; where the form is not known, those of the first form that has such an item."""
    return [coded(i, item.label) if (item := _item(i, form, study)) else i for i in items]


def _item(code: str, form: str | None, study: Study) -> Item | None:
    return next((f.items[code] for f in _forms(form, study) if code in f.items), None)


def _forms(first: str | None, study: Study) -> Iterator[Form]:
    if first in study.form_by_code:
        yield study.form_by_code[first]
    yield from study.forms


def finding_words(finding: Finding, study: Study) -> Mapping[str, object]:
    """Return what a query asks, as codes with their titles: its kind, visit, form and items, or the problem's code."""
    found: dict[str, object] = {
        "asks": finding.kind, "visit": finding.visit, "visit_label": visit_title(finding.visit, study),
        "held_on": finding.held_on, "explain": finding.query,
    }  # fmt: skip
    if finding.form in study.form_by_code:
        found["form"] = coded(finding.form, study.form_by_code[finding.form].label)
    if finding.kind in OF_ITEMS:
        found["items"] = item_titles(finding.items, finding.form, study)
    elif finding.kind not in ("too-old", "booking") and finding.items:
        found["problem"] = finding.items[0]
    return found


def drug_title(code: str, study: Study) -> dict[str, str] | None:
    """Return a drug's title; None for what is no drug."""
    drug = study.drug_by_code.get(code)
    return drug.label.model_dump() if drug else None
