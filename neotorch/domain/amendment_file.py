"""An amendment as a file: a study file that says only what it changes. Merged here with the version that it amends.

Mappings are merged key by key (an explicit null takes a key away, as in RFC 7396), lists of things with a `code` thing by
thing; anything else takes the place of what was there. `remove` names what goes, `after` says behind which visit a new one
comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CODED = ("sites", "drugs", "forms", "visits")
"""Lists of a study file whose entries are known by their `code`."""


def amended(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of the amended study file; ValueError where the change does not fit, with its path.

    `base`: the content that is amended, as plain values, left as it is.
    """
    if change.get("id", base["id"]) != base["id"]:
        raise ValueError(f"id: {change['id']!r} is another study than {base['id']!r}; leave it out")
    wanted = dict(change)
    removed = wanted.pop("remove", None) or {}
    found = {k: v for k, v in base.items() if k != "amendment"} | {"amendment": wanted.pop("amendment")}
    for name, codes in _removals(removed):
        found[name] = _without(name, found.get(name, []), codes)
    for name, value in wanted.items():
        found[name] = _coded(name, found.get(name, []), value) if name in CODED else _merged(found.get(name), value)
    return found


def _removals(removed: Any) -> Sequence[tuple[str, list[str]]]:
    plain = isinstance(removed, dict) and all(isinstance(codes, list) for codes in removed.values())
    if not plain or not all(isinstance(code, str) for codes in removed.values() for code in codes):
        raise ValueError(f"remove: name what goes, list by list, such as {{visits: [CODE]}}; found {removed!r}")
    unknown = next((name for name in removed if name not in CODED), None)
    if unknown:
        raise ValueError(f"remove.{unknown}: only {', '.join(CODED)} can lose entries; change other parts in place")
    return list(removed.items())


def _without(name: str, entries: Sequence[dict[str, Any]], codes: Sequence[str]) -> list[dict[str, Any]]:
    known = {e["code"] for e in entries}
    absent = next((c for c in codes if c not in known), None)
    if absent:
        raise ValueError(f"remove.{name}: {absent!r} is not there; it has {', '.join(sorted(known))}")
    return [e for e in entries if e["code"] not in codes]


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        both = old | {k: _merged(old.get(k), v) for k, v in new.items()}
        return {k: v for k, v in both.items() if not (k in old and k in new and new[k] is None)}
    return new


def _coded(name: str, entries: Sequence[dict[str, Any]], changes: Any) -> list[dict[str, Any]]:
    if not isinstance(changes, list) or not all(
        isinstance(c, dict) and isinstance(c.get("code"), str) for c in changes
    ):
        raise ValueError(f"{name}: a list whose entries each have a `code`")
    named = [c["code"] for c in changes]
    twice = next((code for code in named if named.count(code) > 1), None)
    if twice:
        raise ValueError(f"{name}[{twice}]: it stands there twice; put both into one")
    found = list(entries)
    for change in changes:
        new = {k: v for k, v in change.items() if k != "after"}
        codes = [e["code"] for e in found]
        where = f"{name}[{change['code']}]"
        if change["code"] in codes and "after" in change:
            raise ValueError(f"{where}.after: it is there already and keeps its place; leave `after` out")
        if change["code"] in codes:
            place = codes.index(change["code"])
            found[place] = _merged(found[place], new)
        else:
            found.insert(_place(name, where, change, codes), new)
    return found


def _place(name: str, where: str, change: Mapping[str, Any], codes: Sequence[str]) -> int:
    """Where a new entry goes: visits have an order, and the last of them ends the journey."""
    after = change.get("after")
    if after is None and name != "visits":
        return len(codes)
    if after not in codes:
        said = f"{after!r} is no visit" if after else "a new visit needs it"
        raise ValueError(f"{where}.after: {said}; name the visit that it comes behind, one of {', '.join(codes)}")
    return codes.index(after) + 1
