"""List the licence of every package that the lock brings, and check that run-time dependencies may be used with ours.

python -m tools.licences            writes docs/licences.md from the packages installed here
python -m tools.licences --check    only says what is wrong; exit code 1 if anything is
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
LOCK = ROOT / "requirements.lock"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)

ALLOWED = (
    "MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "Python-2.0", "MPL", "Mozilla Public", "Zlib",
    "Unlicense", "CC0", "0BSD", "HPND", "CNRI", "Zope", "ZPL", "LGPL", "Lesser General Public", "Artistic",
)  # fmt: skip
"""Words of licences that let a program that is only linked to keep its own: permissive ones and weak copyleft."""
REFUSED = re.compile(
    r"(?<!L)(?<!Lesser )\b(?:A?GPL|SSPL|BUSL)\b|Affero|(?<!Lesser )General Public License|Commons Clause"
)
REVIEWED: dict[str, str] = {}
"""Package -> licence as read in its files, where its metadata does not name one."""


@dataclass(frozen=True)
class Package:
    """One pinned package. `licence` empty: its metadata name none; None: it is not installed here."""

    name: str
    version: str
    marker: str
    licence: str | None
    runtime: bool


def pins(text: str) -> dict[str, tuple[str, str]]:
    """Return canonical name -> (version, marker) of a lock."""
    return {canonicalize_name(m[1]): (m[2], (m[3] or "").strip()) for m in PIN.finditer(text)}


def runtime(root: str = "neotorch") -> set[str]:
    """Return the canonical names of all that the installed package needs at run time, itself left out."""
    found: set[str] = set()
    todo = [(root, frozenset[str]())]
    while todo:
        name, extras = todo.pop()
        for line in _requires(name):
            need = Requirement(line)
            if need.marker and not any(need.marker.evaluate({"extra": e}) for e in (extras or {""})):
                continue
            key = canonicalize_name(need.name)
            if key not in found:
                found.add(key)
                todo.append((key, frozenset(need.extras)))
    return found


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def licence(name: str) -> str | None:
    """Return what a package's metadata say of its licence, in a few words; empty if nothing, None if it is not here."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    if name in REVIEWED:
        return REVIEWED[name]
    if expression := about.get("License-Expression"):
        return str(expression)
    classes = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    if named := [c for c in classes if c != "OSI Approved"]:
        return "; ".join(dict.fromkeys(named))
    text = (about.get("License") or "").strip()
    return text.splitlines()[0][:80] if text else ""


def packages() -> list[Package]:
    """Return every package of the lock, by name."""
    needed = runtime()
    return [
        Package(name, version, marker, licence(name), name in needed)
        for name, (version, marker) in sorted(pins(LOCK.read_text("utf-8")).items())
    ]


def faults(found: Iterable[Package]) -> Iterator[str]:
    """Yield what is wrong with the licences of run-time dependencies."""
    for one in found:
        if not one.runtime or one.licence is None:
            continue
        if not one.licence:
            yield f"{one.name}: its metadata name no licence; read it and add it to REVIEWED in tools/licences.py"
        elif REFUSED.search(one.licence) and not any(word in one.licence for word in ALLOWED):
            yield f"{one.name}: {one.licence} is not allowed at run time"
        elif not any(word.lower() in one.licence.lower() for word in ALLOWED):
            yield f"{one.name}: nobody has said whether {one.licence!r} is allowed (ALLOWED in tools/licences.py)"


def page(found: Iterable[Package]) -> str:
    """Return the list as Markdown. Versions stand in the lock alone, so that an upgrade changes the list only where it must."""
    lines = [
        "# Licences",
        "",
        "Every package of `requirements.lock` with its licence, as its own metadata say. `make licences` writes this page; what is",
        "needed at run time may have a permissive licence or one of weak copyleft (`tools/licences.py`). Where a package is offered",
        "under several, one of those is enough.",
        "",
        "| package | licence | needed |",
        "| --- | --- | --- |",
    ]
    for one in found:
        when = f" ({one.marker})" if one.marker else ""
        said = "not installed where this was written" if one.licence is None else one.licence or "none named"
        need = "at run time" if one.runtime else "to develop" if one.licence is not None else "there only"
        lines.append(f"| {one.name}{when} | {said.replace('|', '/')} | {need} |")
    return "\n".join(lines) + "\n"


def listed(text: str) -> set[str]:
    """Return the names of the packages that a page lists."""
    return {m[1] for m in re.finditer(r"^\| ([a-z0-9-]+)", text, re.MULTILINE) if m[1] not in ("package", "---")}


def problems() -> list[str]:
    """Return what is wrong: licences that are not allowed, and a page that is not that of the lock."""
    found = packages()
    there, told = {p.name for p in found}, listed(PAGE.read_text("utf-8")) if PAGE.exists() else set()
    wrong = list(faults(found))
    if told != there:
        wrong.append(f"docs/licences.md is not that of the lock ({', '.join(sorted(told ^ there))}): make licences")
    return wrong


def main(arguments: list[str]) -> int:
    """Write the page unless asked to check only; 1 if anything is wrong."""
    if arguments != ["--check"]:
        PAGE.write_text(page(packages()), encoding="utf-8")
    wrong = problems()
    print(
        "\n".join(wrong) if wrong else f"{len(packages())} packages, {sum(p.runtime for p in packages())} at run time"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
