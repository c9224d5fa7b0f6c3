"""Codes that look like something that identifies a person: they are refused, as ids and codes leave the log.

Free text (`reason`, `text`, `answer`, items) stays in the log and may say what it must. Ids, keys and codes go into names
of tasks, notices and reports, so nothing in them may lead to a patient. What has the shape of a telephone number, an
identity card, an address or a birth date is found here; a name in an id is not, and `docs/events.md` forbids it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from neotorch.domain import events as ev
from neotorch.rules.desk import Refusal

FREE_TEXT = frozenset({"reason", "text", "answer", "items", "definition"})
BIRTH_YEARS = 16
"""A day in a code that lies so many years before the event is no day of the trial."""

_SHAPES = (
    (re.compile(r"(?<![\dA-Fa-f])\d{17}[\dXx](?![\dA-Fa-f])"), "an identity card's number"),
    (re.compile(r"(?<![\dA-Fa-f])(?:\+?86)?1[3-9]\d{9}(?![\dA-Fa-f])"), "a telephone number"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[A-Za-z]{2,}"), "a mail address"),
)
# bounded by what is no hexadecimal digit: parts of digests are not days
_DAY = re.compile(r"(?<![\dA-Fa-f])(19\d\d|20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?![\dA-Fa-f])")


def identifying(fact: ev.AnyTold) -> Iterator[Refusal]:
    """Yield a refusal for each code that looks like an identifier of a person; what it is is not repeated."""
    todo = "use a code that says nothing of a person"
    for field, value in fact.body.items():
        if field not in FREE_TEXT:
            for words in _strings(value):
                mail = field == "actor"  # many systems know their users by mail address
                if found := looks_like(words, fact.occurred, mail_allowed=mail):
                    yield Refusal(field, f"it looks like {found}", todo)


def looks_like(code: str, occurred: date, *, mail_allowed: bool = False) -> str:
    """Return what of a person's a code looks like; empty if like nothing."""
    for shape, what in _SHAPES:
        if shape.search(code) and not (mail_allowed and "mail" in what):
            return what
    for year, *_ in _DAY.findall(code):
        if occurred.year - int(year) >= BIRTH_YEARS:
            return "a birth date"
    return ""


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
