"""Check the documents: every command is described, what they name exists, links inside the project lead somewhere.

A link to a test names the function (`test_x.py#test_y`) or the story (`stories/z.yaml#its-words`), and that exists.

python tools/docs_check.py [FOLDER]     prints each problem as `file:line: what`; exit code 1 if there are any
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]

LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
FENCE = re.compile(r"^\s*(```|~~~)")
COMMAND = re.compile(r"(?:^|[`\s/$])neotorch ([a-z]+)\b")
TARGET = re.compile(r"(?:^|[`\s$])make ([a-z][a-z-]*)\b")
CODE = re.compile(r"`([^`]+)`")
TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
STORY = re.compile(r"^ *- (?:story|case|name): (.+)$", re.MULTILINE)


def documents(root: Path) -> list[Path]:
    """The README and all of docs/."""
    return [path for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))) if path.exists()]


def anchors(text: str) -> set[str]:
    """The heading anchors that a forge makes: lower case, blanks to hyphens, punctuation dropped, repeats numbered."""
    made: list[str] = []
    for line in prose(text).splitlines():
        if match := HEADING.match(line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
            again = sum(1 for known in made if re.fullmatch(re.escape(slug) + r"(-\d+)?", known))
            made.append(f"{slug}-{again}" if again else slug)
    return set(made)


def prose(text: str) -> str:
    """The text with fenced code blanked out, lines kept."""
    kept, fenced = [], False
    for line in text.splitlines():
        fence = bool(FENCE.match(line))
        kept.append("" if fenced or fence else line)
        fenced ^= fence
    return "\n".join(kept)


def code(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of fenced lines and of inline code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif fenced:
            yield number, line
        else:
            for match in CODE.finditer(line):
                yield number, match[1]


def dead_links(path: Path, root: Path) -> Iterator[str]:
    """Links and pictures inside the project that lead nowhere."""
    for number, line in enumerate(prose(path.read_text("utf-8")).splitlines(), 1):
        for match in LINK.finditer(line):
            target, _, anchor = unquote(match[1]).partition("#")
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue  # an address outside
            aim = (path.parent / target).resolve() if target else path
            where = f"{path.relative_to(root)}:{number}: "
            if not aim.is_relative_to(root.resolve()):
                yield f"{where}{match[1]} leads out of the project"
            elif not aim.exists():
                yield f"{where}{match[1]} does not exist"
            elif anchor and aim.suffix == ".md" and anchor not in anchors(aim.read_text("utf-8")):
                yield f"{where}{match[1]}: no such heading in {aim.name}"
            elif aim.is_relative_to((root / "tests").resolve()) and aim.is_file():
                yield from (f"{where}{match[1]}: {what}" for what in no_test(aim, anchor))


def slug(words: str) -> str:
    """The words as they stand in a link: lower case, punctuation dropped, blanks to hyphens."""
    return re.sub(r"-+", "-", re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-"))


def no_test(file: Path, name: str) -> Iterator[str]:
    """What is wrong with a link to a test: it names a test function, or a story or case of a table."""
    text = file.read_text("utf-8")
    if file.suffix == ".py":
        known = set(TEST.findall(text))
    elif file.suffix in (".yaml", ".yml"):
        known = {slug(words.strip(" '\"")) for words in STORY.findall(text)}
    else:
        return
    if not name:
        yield "names no test; add #test_... or #the-words-of-the-story"
    elif name not in known:
        yield f"no such test or story in {file.name}"


def unknown_names(path: Path, root: Path, commands: set[str], targets: set[str]) -> Iterator[str]:
    """Commands and make targets in code that do not exist."""
    for number, line in code(path.read_text("utf-8")):
        where = f"{path.relative_to(root)}:{number}: "
        yield from (f"{where}no command `neotorch {name}`" for name in COMMAND.findall(line) if name not in commands)
        yield from (f"{where}no target `make {name}`" for name in TARGET.findall(line) if name not in targets)


def problems(root: Path, commands: set[str]) -> list[str]:
    """All problems of the documents below `root`, for a program with these commands."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    pages = documents(root)
    told = {name for page in pages for _, line in code(page.read_text("utf-8")) for name in COMMAND.findall(line)}
    found = [f"README.md:1: `neotorch {name}` is described nowhere" for name in sorted(commands - told)]
    for page in pages:
        found += [*dead_links(page, root), *unknown_names(page, root, commands, targets)]
    return found


def main() -> int:
    """Print the problems of this project's documents; 1 if there are any."""
    from neotorch.cli import COMMANDS

    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    found = problems(root, set(COMMANDS))
    print("\n".join(found) if found else f"{len(documents(root))} documents: nothing wrong")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
