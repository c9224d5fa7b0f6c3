"""Reads a study file: YAML in, a valid Study out, or every problem with its path and line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from neotorch.domain.errors import NeotorchError
from neotorch.domain.study import Study


class StudyError(NeotorchError):
    """The study file is not usable."""


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C reads a study file ten times as fast; some builds of PyYAML come without it."""


def read_study(text: str, name: str = "study file") -> Study:
    """Parse and validate a study file's text. StudyError lists every problem with its path and line."""
    try:
        loader = _LOADER(text)
        node = loader.get_single_node()
        twins = [] if node is None else list(_twins(node))
        data: Any = None if node is None or twins else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else "the file"
        raise StudyError(
            f"not readable as YAML: {getattr(error, 'problem', error)}", f"{name}, {line}", "mend the YAML there"
        ) from None
    if twins:
        said = [f"{key} stands there twice (line {line})" for key, line in twins]
        raise StudyError("\n".join(said), name, "keep one of each: nobody could tell which counts")
    if not isinstance(data, dict):
        raise StudyError("not a mapping of settings", name, "start from neotorch/studies/neotorch-breast03/1.0.yaml")
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        tree = yaml.compose(text, Loader=_LOADER)
        problems = [f"{_path(e['loc'])} (line {_line(tree, e['loc'])}): {_words(e)}" for e in error.errors()]
        raise StudyError(
            "\n".join(problems), name, "mend these lines; a study file is used whole or not at all"
        ) from None


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


def _words(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return "no such setting; check the spelling"
    if error["type"] == "missing":
        return "is missing"
    return f"{message} (found {error['input']!r})" if not isinstance(error["input"], dict | list) else message


def _path(loc: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.lstrip(".") or "the file as a whole"


def _line(node: Any, loc: tuple[int | str, ...]) -> int:
    line: int = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
