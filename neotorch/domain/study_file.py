"""Reads a study file: YAML in, a valid Study out, or every problem with its path and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from neotorch.domain.amendment_file import amended
from neotorch.domain.errors import NeotorchError
from neotorch.domain.misfit import MisfitError, Place
from neotorch.domain.study import Study


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: path and line (0: none), the value with what is wrong about it, and the way out."""

    path: str
    line: int
    what: str
    todo: str = ""

    def __str__(self) -> str:
        at = f"{self.path} (line {self.line}): " if self.line else f"{self.path}: " if self.path else ""
        return f"{at}{self.what}" + (f"; {self.todo}" if self.todo else "")


class StudyError(NeotorchError):
    """The study file is not usable."""

    def __init__(self, what: str, where: str = "", todo: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(what, where, todo)
        self.problems = tuple(problems) or (Problem("", 0, what, todo),)


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C reads a study file ten times as fast; some builds of PyYAML come without it."""


def read_study(text: str, name: str = "study file", older: Callable[[str], Study] | None = None) -> Study:
    """Parse and validate a study file's text. StudyError lists every problem with its path and line.

    `older` gives the version that an amendment amends; it may raise StudyError.
    """
    try:
        _not_too_much(text)
        loader = _LOADER(text)
        node = loader.get_single_node()
        _weigh(node, {})
        twins = [] if node is None else list(_twins(node))
        data: Any = None if node is None or twins else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else "the file"
        raise StudyError(
            f"not readable as YAML: {getattr(error, 'problem', None) or error}",
            f"{name}, {line}",
            "mend the YAML there",
        ) from None
    if twins:
        said = [f"{key} stands there twice (line {line})" for key, line in twins]
        raise StudyError("\n".join(said), name, "keep one of each: nobody could tell which counts")
    if not isinstance(data, dict):
        raise StudyError("not a mapping of settings", name, "start from neotorch/studies/neotorch-breast03/1.0.yaml")
    whole = _amended(data, name, older) if "amendment" in data else data
    try:
        return Study.model_validate(whole)
    except ValidationError as error:
        tree = yaml.compose(text, Loader=_LOADER)
        problems = [
            Problem(_path(place, whole), _line(tree, place, whole), what, todo)
            for e in error.errors() for place, what, todo in _said(e)
        ]  # fmt: skip
        todo = "mend these lines; a study file is used whole or not at all"
        raise StudyError("\n".join(map(str, problems)), name, todo, problems) from None


def _amended(data: dict[str, Any], name: str, older: Callable[[str], Study] | None) -> dict[str, Any]:
    """Return the amended version's content; `data` says what changes."""
    said = data["amendment"]
    amends = said.get("amends") if isinstance(said, dict) else None
    if not isinstance(amends, str):
        raise StudyError("amendment.amends is missing", name, 'name the version that is amended, such as amends: "1.0"')
    if number(amends) >= number(str(data.get("version"))):
        raise StudyError(
            f"amendment.amends {amends} is not before version {data.get('version')}", name, "raise `version`"
        )
    if older is None:
        raise StudyError(f"amends version {amends}, which is not at hand", name, "keep both files in one folder")
    try:
        return amended(older(amends).definition, data)
    except ValueError as error:
        raise StudyError(str(error), name, f"see docs/amendments.md; {amends} stays as it is") from None


MOST_CHARACTERS, MOST_PARTS, DEEPEST = 1_000_000, 200_000, 40
"""A study file is a few hundred lines; what is beyond these would only keep the machine busy."""


def _not_too_much(text: str) -> None:
    """YAMLError for what would take the parser for ever."""
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"more than {MOST_CHARACTERS} characters")
    depth = 0
    for sign in text:
        depth += (sign in "[{") - (sign in "]}")
        if depth > 2 * DEEPEST:
            raise yaml.YAMLError("brackets are nested too deeply")


def _weigh(node: Any, known: dict[int, int], depth: int = 0) -> int:
    """Return how many parts a node has once its aliases are written out; YAMLError where they are too many or endless."""
    if depth > DEEPEST:
        raise yaml.YAMLError("nested too deeply, or an alias that holds itself")
    if id(node) not in known:
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a key that is no plain word")
            parts = [value for _, value in node.value]
        known[id(node)] = 1 + sum(_weigh(part, known, depth + 1) for part in parts)
    if known[id(node)] > MOST_PARTS:
        raise yaml.YAMLError("aliases that grow without end")
    return known[id(node)]


def number(version: str) -> tuple[int, ...]:
    """Return a version as what it is ordered by: 1.10 comes after 1.9. What is no version comes last."""
    parts = version.split(".")
    return tuple(int(p) for p in parts) if all(p.isdecimal() and len(p) < 9 for p in parts) else (10**9,)


def _twins(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the keys that stand twice in one mapping, with their lines; YAML itself takes the last without a word."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield str(key.value), key.start_mark.line + 1
            seen.add(key.value)
            yield from _twins(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twins(value)


def _said(error: Any) -> Iterator[tuple[Place, str, str]]:
    """Yield place, fault and way out of each thing that one of pydantic's errors stands for."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, MisfitError):
        yield from (((*error["loc"], *m.where), m.what, m.todo) for m in cause.found)
    else:
        yield error["loc"], _words(error), ""


def _words(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return "no such setting; check the spelling"
    if error["type"] == "missing":
        return "is missing"
    return f"{message} (found {error['input']!r})" if not isinstance(error["input"], dict | list) else message


def path_in(study: Study, place: Place) -> str:
    """Return a place in a study as people write it."""
    return _path(place, study)


def _path(place: Place, whole: Any) -> str:
    """Return the place as people write it; entries that have a code go by it, as in `visits[C2D1].due[0]`."""
    text = ""
    for part in place:
        whole = _into(whole, part)
        code = _into(whole, "code") if isinstance(part, int) else None
        text += f"[{code or part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "the file as a whole"


def _into(value: Any, part: int | str) -> Any:
    """Return what stands at a place in a study or in plain values; None where nothing does."""
    try:
        found: Any = value[part] if isinstance(value, dict | list) else getattr(value, str(part), None)  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return None
    return found


def _line(node: Any, loc: Place, whole: Any) -> int:
    """Return the line of the file at which a place, or what is left of it in an amendment, stands."""
    line: int = node.start_mark.line + 1
    for part in loc:
        whole = _into(whole, part)
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            entry = _entry(node, part, whole)
            if entry is None:
                return line
            line, node = entry.start_mark.line + 1, entry
    return line


def _entry(node: Any, number: int, whole: Any) -> Any:
    """Return a list's entry: the one with the same code, else the one with the same number."""
    code = whole.get("code") if isinstance(whole, dict) else None
    for entry in node.value if code else ():
        if isinstance(entry, yaml.MappingNode) and any(k.value == "code" and v.value == code for k, v in entry.value):
            return entry
    return node.value[number] if number < len(node.value) and not code else None
