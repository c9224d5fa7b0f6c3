"""Reading stored events of older schema versions.

An event is stored for ever in the version it was written in. When a type gets a new version, the function that turns
the old body into the new one is registered here, next to a frozen example in the tests; the log itself is not touched.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

from pydantic import ValidationError

from neotorch.domain.errors import NeotorchError
from neotorch.domain.events import EVENT, AnyLogged

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the body of one (type, v) and returns that of a later one, with its `type` and `v` set."""

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(type, v) as stored -> how to move on from there. Empty as long as every type is at its first version."""

KNOWN: dict[str, tuple[int, ...]] = {
    model.model_fields["type"].default: get_args(model.model_fields["v"].annotation) for model in get_args(AnyLogged)
}
"""Type -> the versions that can be read without an upcaster."""


class UnknownEvent(NeotorchError):  # noqa: N818 - a condition, not a fault
    """A stored event that this version of the program cannot read."""


def upcast(body: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Bring a stored body to the current version of its type; UnknownEvent says which type and version stood where."""
    met = set()
    while (key := (str(body.get("type")), body.get("v", 1))) in UPCASTERS and key not in met:
        met.add(key)
        body = UPCASTERS[key](body)
    kind, version = key
    if version not in KNOWN.get(kind, ()):
        knows = f"versions {KNOWN[kind]}" if kind in KNOWN else "no such type"
        raise UnknownEvent(
            f"event type {kind!r} version {version!r} cannot be read (this program knows {knows})",
            where,
            "Use the program version that wrote it, or a newer one.",
        )
    return body


def parse_event(kind: str, text: str, where: str = "") -> AnyLogged:
    """Read one event from its stored JSON text; UnknownEvent if it cannot be, with `where` and the reason."""
    try:
        if not any(stored == kind for stored, _ in UPCASTERS):
            return EVENT.validate_json(text)
    except ValidationError:
        pass  # the slow way below tells an unknown version from a broken body
    try:
        body = json.loads(text)
        return EVENT.validate_json(json.dumps(upcast(body, where)))
    except (ValidationError, ValueError, AttributeError) as error:
        raise UnknownEvent(
            f"the stored body is not a valid event: {_first(error)}", where, "Run `neotorch verify`."
        ) from None


def _first(error: Exception) -> str:
    """The first complaint, without the value it is about: it may be free text."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
