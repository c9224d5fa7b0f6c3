"""No code of the first trial stands in the program: its visits, forms, items, drugs, sites and subjects are data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import flows
import neotorch
from tests.support import study

ROOT = Path(neotorch.__file__).parent
FLOWS = Path(flows.__file__ or "").parent
OF_THE_TRIAL = ("studies", "simulation")
"""Folders that are about the first trial: its file, and the synthetic patients who follow its schedule."""

ALLOWED = {
    ("ANC", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("PLT", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("HB", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("ALT", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("AST", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("BILI", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("SBP", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("DBP", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("QTCF", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("LVEF", "domain/ctcae.py"): "CTCAE grades this quantity",
    ("CT", "domain/events.py"): "an imaging modality (DICOM), not the stage cT",
    ("CN", "domain/workdays.py"): "China in an error's example of a calendar, not the stage cN",
    ("CN", "notify/message.py"): "China in the language tag zh-CN, not the stage cN",
    ("RECIST", "domain/efs.py"): "the name of the criteria, in words for a person",
    ("RECIST", "domain/recist.py"): "the name of the criteria, in words for a person",
    ("RECIST", "rules/endpoints/response.py"): "the name of the criteria, in words for a person",
    ("RECIST", "report/figures/response.py"): "the name of the criteria, in words for a person",
    ("RECIST", "report/tables.py"): "the name of the criteria, in words for a person",
    ("C1D1", "rules/missing.py"): "the field's notation for the first dose, in words for a person",
    ("C2D1", "notify/message.py"): "an example of a code, in an error",
    ("NT-", "notify/message.py"): "an example of a subject code, in an error",
    ("neotorch-breast03", "settings.py"): "the study that is taken where none is configured",
    ("neotorch-breast03", "domain/study_file.py"): "a file to start from, in an error",
}
"""(code, file) -> why it may stand there."""


@cache
def codes() -> frozenset[str]:
    """What only the study file may say: codes, and the beginning of subject codes. Of forms told by a fact of ours no items."""
    of = study()
    items = {i for form in of.forms if form.event is None for i in form.items}
    named = [x.code for part in (of.visits, of.forms, of.drugs, of.sites) for x in part]
    return frozenset({of.id, *named, *items, of.subject_pattern.partition("[")[0]})


def program() -> list[tuple[Path, str]]:
    """Every file of the program that is not about the first trial, with its name in its package."""
    every = [(f, f.relative_to(root)) for root in (ROOT, FLOWS) for f in sorted(root.rglob("*"))]
    return [
        (f, n.as_posix()) for f, n in every if f.suffix in (".py", ".txt", ".html") and n.parts[0] not in OF_THE_TRIAL
    ]


def texts(file: Path) -> Iterator[str]:
    """What the program can act on or say: of Python the strings and names, without docstrings and comments."""
    source = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        yield source
        return
    tree = ast.parse(source)
    words = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in words:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def found_in(text: str) -> set[str]:
    """Which of the trial's codes stand in a text as words of their own."""
    words = {*re.findall(r"[A-Za-z0-9_.+-]+", text), *re.findall(r"[A-Za-z0-9_]+", text)}
    return (words & codes()) | {c for c in codes() if c.endswith("-") and c in text}


@pytest.mark.parametrize(("file", "name"), [pytest.param(*p, id=p[1]) for p in program()])
def test_no_code_of_the_first_trial(file: Path, name: str) -> None:
    """A code of the trial in the program would make it this trial's program: take it from the study file."""
    found = {code for text in texts(file) for code in found_in(text)}
    assert {c for c in found if (c, name) not in ALLOWED} == set()


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    """Strings, parts of f-strings and names are looked at, docstrings and comments are not."""
    file = tmp_path / "x.py"
    file.write_text(
        '"""At SURG."""\nx = "PREOP"  # IMG1\ny = f"{x}/CBC"\nANC = x.anlotinib\nz = f"NT-{x}"\n', encoding="utf-8"
    )
    found = {code for text in texts(file) for code in found_in(text)}
    assert found == {"PREOP", "CBC", "ANC", "anlotinib", "NT-"}
