"""The project's own checks find what they are there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from neotorch.cli import COMMANDS
from tools.docs_check import ROOT, anchors, problems
from tools.lock import LOCK
from tools.lock import problems as lock_problems

README = """# Title

[there](docs/page.md#two-words-pcr) ![picture](docs/img/a.png) [out](https://example.org/x) [self](#title)

```sh
neotorch record file.jsonl
make demo
[not a link](nowhere.md)
```
Call `neotorch verify` often.
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project whose documents are in order."""
    (tmp_path / "docs" / "img").mkdir(parents=True)
    (tmp_path / "docs" / "img" / "a.png").touch()
    (tmp_path / "docs" / "page.md").write_text("# Page\n\n## Two words: pCR!\n\n[back](../README.md)\n")
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "Makefile").write_text("demo: x\n\ttrue\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("def test_one() -> None:\n    def test_inner(): ...\n")
    (tmp_path / "tests" / "a.yaml").write_text("- story: told once, 'twice'\n  why: x\n- case: another\n")
    return tmp_path


def test_documents_in_order_pass(project: Path) -> None:
    """Links, anchors, pictures, commands and targets that exist are no problem."""
    assert problems(project, {"record", "verify"}) == []


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("[x](docs/other.md)", "README.md:12: docs/other.md does not exist"),
        ("[x](docs/page.md#three)", "README.md:12: docs/page.md#three: no such heading in page.md"),
        ("[x](#nothing)", "README.md:12: #nothing: no such heading in README.md"),
        ("![x](docs/img/b.png)", "README.md:12: docs/img/b.png does not exist"),
        ("[x](../elsewhere.md)", "README.md:12: ../elsewhere.md leads out of the project"),
        (
            "[x](tests/test_a.py)",
            "README.md:12: tests/test_a.py: names no test; add #test_... or #the-words-of-the-story",
        ),
        ("[x](tests/test_a.py#test_two)", "README.md:12: tests/test_a.py#test_two: no such test or story in test_a.py"),
        (
            "[x](tests/test_a.py#test_inner)",
            "README.md:12: tests/test_a.py#test_inner: no such test or story in test_a.py",
        ),
        ("[x](tests/a.yaml#told-thrice)", "README.md:12: tests/a.yaml#told-thrice: no such test or story in a.yaml"),
        ("[x](tests/b.yaml#told)", "README.md:12: tests/b.yaml#told does not exist"),
        ("`neotorch recrod x`", "README.md:12: no command `neotorch recrod`"),
        ("`make tset`", "README.md:12: no target `make tset`"),
    ],
)
def test_a_fault_is_named_with_its_line(project: Path, added: str, problem: str) -> None:
    """Each kind of fault is found, once, where it stands."""
    (project / "README.md").write_text(f"{README}\n{added}\n")
    assert problems(project, {"record", "verify"}) == [problem]


def test_links_to_tests_and_stories_that_are_there_pass(project: Path) -> None:
    """By the function's name, and by the words of a story or a case."""
    links = "[a](tests/test_a.py#test_one) [b](tests/a.yaml#told-once-twice) [c](tests/a.yaml#another) [d](tests/)"
    (project / "README.md").write_text(f"{README}\n{links}\n")
    assert problems(project, {"record", "verify"}) == []


def test_a_command_that_nobody_describes_is_found(project: Path) -> None:
    """A new command comes with its words."""
    assert problems(project, {"record", "verify", "km"}) == ["README.md:1: `neotorch km` is described nowhere"]


def test_repeated_headings_are_numbered() -> None:
    """As the forge does it."""
    assert anchors("# A b\n## A b\n## A-b\n```\n# no heading\n```\n") == {"a-b", "a-b-1", "a-b-2"}


def test_the_documents_of_this_project_are_in_order() -> None:
    """Every command is described, and no link is dead."""
    assert problems(ROOT, set(COMMANDS)) == []


def test_the_lock_means_the_same_on_every_machine() -> None:
    """No address, no option and no path stands in it, and it can build the project itself."""
    assert lock_problems(LOCK.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    ["--index-url https://example.org/simple", "a @ file:///tmp/a.whl", "    # via -r /home/x/requirements.in", "-e ."],
)
def test_a_lock_with_an_address_or_a_path_is_refused(line: str) -> None:
    """What only works on one machine is named with its line."""
    assert lock_problems(f"setuptools==80 \\\n    --hash=sha256:00\n{line}\n") == [f"3: {line.strip()}"]
