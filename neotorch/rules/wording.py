"""What a notice says besides dates: codes with their titles in every language, for the templates to put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from neotorch.domain import events as ev
from neotorch.domain.analysis_plan import Toxicity
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


def boundary_words(event: ev.BoundaryCrossed | ev.BoundaryWithdrawn, study: Study) -> dict[str, str]:
    """Return what a monitoring rule saw at a look: counts, and no patient."""
    en, zh = _monitored(event.rule, study)
    what = {"futility": ("futility", "无效性"), "toxicity": ("toxicity", "毒性")}[event.kind]
    if isinstance(event, ev.BoundaryWithdrawn):
        return {
            "en": f"{what[0]}, {en}, look at {event.n} patients", "zh": f"{what[1]}，{zh}，{event.n} 例可评价时的检视",
        }  # fmt: skip
    more = event.kind == "toxicity"
    return {
        "en": f"{what[0]}, {en}: {event.x} of {event.n} evaluable patients (stops at {event.stop_at} or "
        f"{'more' if more else 'fewer'})",
        "zh": f"{what[1]}，{zh}：可评价 {event.n} 例中 {event.x} 例（界值：{'不少于' if more else '不多于'} {event.stop_at} 例）",
    }


def _monitored(code: str, study: Study) -> tuple[str, str]:
    """Return what a rule looks at in English and Chinese; its code where the study has it no more."""
    rule = study.endpoints.monitoring.by_code.get(code)
    if isinstance(rule, Toxicity):
        en = "immune-related " * rule.immune_related + "related " * rule.related
        zh = "免疫相关" * rule.immune_related + "与研究药物相关的" * rule.related
        return f"{en}adverse events of grade {rule.grade} or more", f"{rule.grade}级及以上{zh}不良事件"
    if rule is None:
        return code, code
    low = study.endpoints.rcb01.name
    return ("pCR", "pCR") if rule.endpoint == "pcr" else (low, low.replace(" or ", "或"))


def drug_title(code: str, study: Study) -> dict[str, str] | None:
    """Return a drug's title; None for what is no drug."""
    drug = study.drug_by_code.get(code)
    return drug.label.model_dump() if drug else None
