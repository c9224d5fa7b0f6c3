"""From a notice to the words that a person reads.

Only the fields of `FIELDS` can enter a message, each checked for its kind: codes match their pattern, dates are dates,
words are one line of bounded length. So neither a name in the place of a subject code nor a line break in the place
of a header gets through; what is not listed is refused, not left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from neotorch.domain.dates import parse_date, parse_instant
from neotorch.domain.errors import NeotorchError
from neotorch.domain.events import SUBJECT_CODE

if TYPE_CHECKING:
    from jinja2 import Environment

Kind = Literal[
    "reminder", "query", "endpoint", "safety", "incident", "deviation", "important_deviation", "test", "moved", "digest",
    "boundary", "head",
]  # fmt: skip
Language = Literal["en", "zh"]
WORDS_MAX = 300
SUBJECT_MAX = 200
LIST_MAX = 40
LINES_MAX = 200

_SUBJECT_CODE = re.compile(SUBJECT_CODE)
_CODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}$")
_RULE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.:/#@+-]{0,159}$")
_EN_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EN_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZH_DAYS = "一二三四五六日"


class NoticeError(NeotorchError):
    """A notice's data cannot be put into words."""


@dataclass(frozen=True)
class Notice:
    """One notice for one role. `key` is its identity: a receiver who sees it twice has a repeat.

    `data` holds fields of `FIELDS` only. Text fields take a string, or a mapping {"en": …, "zh": …}.
    """

    key: str
    kind: Kind
    role: str
    language: Language
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """A worded notice; `subject` is one line."""

    subject: str
    text: str
    page: Mapping[str, Any] = field(repr=False)
    """What the templates lay out."""

    @cached_property
    def html(self) -> str:
        """The same as a page, for channels that take one."""
        return _templates().get_template("notice.html").render(self.page)


# ── what may stand in a notice ────────────────────────────────────────────────────────────────────────────────────


def one_line(value: object, limit: int = WORDS_MAX) -> str:
    """Return the text as one line without control or invisible characters, cut at `limit` with an ellipsis."""
    text = str(value)
    if not text.isprintable():
        text = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _words(value: object, language: Language) -> str:
    if isinstance(value, Mapping):
        value = value.get(language)
    if not isinstance(value, str) or not (line := one_line(value)):
        raise ValueError("must be text, or {en: text, zh: text}")
    return line


def _matching(pattern: re.Pattern[str], example: str) -> Callable[[object, Language], str]:
    def check(value: object, _language: Language) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"must be a code such as {example}")
        return value

    return check


def _one_of(*codes: str) -> Callable[[object, Language], str]:
    def check(value: object, _language: Language) -> str:
        if value not in codes:
            raise ValueError(f"must be one of {', '.join(codes)}")
        return str(value)

    return check


def _day(value: object, _language: Language) -> date:
    return parse_date(value)


def _instant(value: object, _language: Language) -> datetime:
    return parse_instant(value)


def _flag(value: object, _language: Language) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - all checks report by ValueError
    return value


def _days(value: object, _language: Language) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a number of days")  # noqa: TRY004 - see above
    return value


def _texts(value: object, language: Language, most: int = LIST_MAX) -> tuple[str, ...]:
    if isinstance(value, str | Mapping) or not isinstance(value, list | tuple):
        raise ValueError("must be a list of texts")  # noqa: TRY004 - see above
    more = (f"… +{len(value) - most}",) if len(value) > most else ()
    return tuple(_words(v, language) for v in value[:most]) + more


def _lines(value: object, language: Language) -> tuple[str, ...]:
    return _texts(value, language, LINES_MAX)


def _changes(value: object, language: Language) -> tuple[dict[str, str], ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(c, Mapping) and "field" in c for c in value):
        raise ValueError("must be a list of {subject, field, old, new}")
    return tuple(_change(c, language) for c in value)


def _change(change: Mapping[str, Any], language: Language) -> dict[str, str]:
    checks = {"subject": _subject, "field": _words, "old": _words, "new": _words}
    return {name: check(change[name], language) for name, check in checks.items() if change.get(name) is not None}


_subject = _matching(_SUBJECT_CODE, "NT-007")
_code = _matching(_CODE, "C2D1")
_rule = _matching(_RULE, "visit.window")

FIELDS: Mapping[str, Callable[[Any, Language], object]] = {
    "subject": _subject, "visit": _code, "visit_label": _words, "study": _words,
    "rung": _one_of("ahead", "opens", "closing", "overdue"),
    "state": _one_of("raised", "asked", "reminder", "escalated", "answered", "closed", "crossed", "withdrawn"),
    "age_days": _days, "query": _rule,
    "what": _words, "due": _texts, "items": _texts, "changes": _changes, "channel": _code,
    "opens": _day, "target": _day, "closes": _day, "until": _day, "occurred": _day, "moved_from": _day,
    "why": _words, "anchor": _words, "anchor_day": _day, "offset_days": _days, "window_before": _days,
    "window_after": _days, "rule": _rule, "where": _words, "possible_repeat": _flag, "sent_at": _instant,
    "lines": _lines, "count": _days, "deviation": _code, "asks": _code, "problem": _code, "form": _words, "drug": _words,
    "held_on": _day, "anchor_drug": _words, "explain": _words,
    "boundary": _rule, "deadline": _words, "report": _one_of("soon", "late"),
}  # fmt: skip
"""What a notice may say, each with its check. `anchor` and its neighbours word the reason in the reader's language;
`why` adds to it or stands alone. `query` is the key of a question that a person asked, to read it by; its words are
not sent. `age_days` is how long a query has been open. `opens`/`target`/`closes` are the window, `until` another
deadline. `where` is a URL or a command, `deviation` a kind of deviation with the `drug` it is about. `asks` is a kind
of query, on a `form` due at a visit `held_on` a day, or because of a `problem`. `explain` is the key of the matter,
for readers whose language the details of the reason are not in, `boundary` that of a look at a monitoring boundary;
`anchor_drug` the drug that the anchor is the last dose of. `report` says how a safety report stands that is owed by
`deadline`, the site's local time."""


def checked(notice: Notice) -> dict[str, Any]:
    """Return the notice's fields after their checks; NoticeError names the field that cannot be taken."""
    fields: dict[str, Any] = {"possible_repeat": False}
    for name, value in notice.data.items():
        where = f"notice {one_line(notice.key, 80)}, field {one_line(name, 40)}"
        if name not in FIELDS:
            raise NoticeError("may not stand in a notice", where, "leave it out, or add it to FIELDS with its check")
        if value is None:
            continue
        try:
            fields[name] = FIELDS[name](value, notice.language)
        except ValueError as error:
            # the value itself is not repeated: what does not fit may be a name
            said = str(error) if str(error).startswith("must") else "is not a date or time of the agreed form"
            raise NoticeError(said, where, "correct the data that the notice is made from") from None
    return fields


# ── wording ───────────────────────────────────────────────────────────────────────────────────────────────────────


def day(value: date, language: Language) -> str:
    """Return the date as people write it: Wed 4 Mar 2026, or 2026年3月4日（周三）."""
    if language == "zh":
        return f"{value.year}年{value.month}月{value.day}日（周{_ZH_DAYS[value.weekday()]}）"
    return f"{_EN_DAYS[value.weekday()]} {value.day} {_EN_MONTHS[value.month - 1]} {value.year}"


def render(notice: Notice) -> Message:
    """Word the notice in its language; NoticeError if a field is missing, unknown or not of its kind."""
    from jinja2 import UndefinedError

    if notice.kind not in get_args(Kind) or notice.language not in get_args(Language):
        raise NoticeError(
            f"no words for kind {one_line(notice.kind, 40)} in language {one_line(notice.language, 10)}",
            f"notice {one_line(notice.key, 80)}", f"kinds are {', '.join(get_args(Kind))}; languages en, zh",
        )  # fmt: skip
    fields = checked(notice)
    reference = one_line(notice.key, WORDS_MAX)
    templates = _templates()
    scope = {"n": fields, "kind": notice.kind, "day": lambda value: day(value, notice.language)}
    words: Any = templates.get_template(f"{notice.language}.txt").make_module(scope)
    try:
        subject = one_line(words.subject(), SUBJECT_MAX)
        page = {
            "language": "zh-CN" if notice.language == "zh" else "en",
            "subject": subject,
            "paragraphs": _paragraphs(words, fields, notice.kind),
            "rows": _rows(words, fields, notice.language, reference),
            "colon": words.labels["colon"],
        }
    except UndefinedError as error:
        missing = re.search(r"attribute '(\w+)'", str(error))
        where = f"notice {one_line(notice.key, 80)} of kind {notice.kind}"
        raise NoticeError(
            f"the field {missing[1] if missing else '?'} is missing", where, "give it with the notice's data"
        ) from None
    text = templates.get_template("notice.txt").render(page)
    return Message(subject, text.strip() + "\n", page)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("neotorch"), autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        auto_reload=False,
    )  # fmt: skip


def _paragraphs(words: Any, fields: Mapping[str, Any], kind: Kind) -> list[str]:
    said = [words.repeat()] if fields["possible_repeat"] else []
    said.append(words.lead())
    if "moved_from" in fields and kind == "reminder":
        said.append(words.moved())
    said += fields.get("lines", ())
    changes = fields.get("changes", ())
    said += [words.change(c) for c in changes[:LIST_MAX]]
    if len(changes) > LIST_MAX:
        said.append(words.more(len(changes) - LIST_MAX))
    return [one_line(paragraph, 2 * WORDS_MAX) for paragraph in said]


def _rows(words: Any, fields: Mapping[str, Any], language: Language, reference: str) -> list[tuple[str, str]]:
    labels: Mapping[str, str] = words.labels
    values: dict[str, object] = dict(fields)
    values["visit"] = words.visit_row() if "visit" in fields else None
    if "opens" in fields and "closes" in fields:
        values["window"] = day(fields["opens"], language) + labels["to"] + day(fields["closes"], language)
    because = [words.because()] if "anchor" in fields else []
    reasons = [*because, fields.get("why", ""), words.reason().strip()]
    values["why"] = labels["comma"].join(str(r) for r in reasons if r)
    values["until"] = fields.get("until") or (None if "deviation" in fields else fields.get("closes"))
    values["reference"] = reference
    order = ("subject", "visit", "target", "window", "due", "items", "occurred", "why", "until", "where", "study")
    return [
        (labels[name], _say(values[name], labels["comma"], language))
        for name in (*order, "reference")
        if values.get(name)
    ]


def _say(value: object, comma: str, language: Language) -> str:
    match value:
        case date():
            return day(value, language)
        case tuple():
            return comma.join(str(v) for v in value)
        case _:
            return one_line(value, 2 * WORDS_MAX)
