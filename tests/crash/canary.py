"""What must not get out: secrets and identifiers that would be known anywhere, and a search through every byte for them."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet

SECRETS = {
    "password of the mail server": "kestrel-Mail-77#x",
    "password of a web receiver": "kestrel-Web-88",
    "token of a web receiver": "kestrelTok99Zz",
    "password of the database": "kestrel-Data-66",
    "password of the Prefect server": "kestrel-Prefect-55",
}
"""What it is -> the secret, as it stands in a setting."""
IDENTIFIERS = {
    "name": "Jinsique Wang",
    "name in Chinese": "王金丝雀",
    "birth date": "1957-03-14",
    "birth date, compact": "19570314",
    "telephone": "13800138957",
    "hospital number": "MRN-90210-JSQ",
    "identity card": "110101195703142225",
}
"""What it is -> what a careless person may write into a text."""
CARELESS = ", ".join(IDENTIFIERS.values())


def spellings(words: str) -> set[bytes]:
    """The words as files may hold them: plain, UTF-16, in JSON, in an address, in base64 at each of its offsets."""
    plain = words.encode()
    found = {plain, words.encode("utf-16-le"), quote(words).encode(), quote(words, safe="").encode()}
    found |= {json.dumps(words)[1:-1].encode(), plain.hex().encode()}
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + plain)
        found.add(coded[(0, 2, 3)[offset] : len(coded) - 4])
    return found


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file's bytes, and what is inside where they are coded: mails, parquet, PDF, deflated streams."""
    raw = path.read_bytes()
    yield str(path), raw
    if path.suffix == ".eml":
        parts = message_from_bytes(raw, policy=policy.default).walk()
        yield f"{path} (decoded)", b"\n".join(p.get_payload(decode=True) or b"" for p in parts)
    elif path.suffix == ".parquet":
        yield f"{path} (decoded)", str(pyarrow.parquet.read_table(path).to_pylist()).encode()
    elif path.suffix == ".pdf":
        yield from _pdf(path, raw)


def _pdf(path: Path, raw: bytes) -> Iterator[tuple[str, bytes]]:
    tool = shutil.which("pdftotext")
    assert tool, "pdftotext is needed: install Debian's poppler-utils"
    yield f"{path} (text)", subprocess.run([tool, path, "-"], capture_output=True, check=True).stdout
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", raw, re.DOTALL):
        try:
            yield f"{path} (stream)", zlib.decompress(stream)
        except zlib.error:
            continue


class Search:
    """Looks for needles, and counts what it looked through."""

    def __init__(self) -> None:
        self.places, self.size = 0, 0
        self.found: list[str] = []
        """`what in where`, for each find."""

    def through(self, needles: dict[str, str], where: str, content: bytes) -> None:
        """Look for all needles in some bytes."""
        self.places, self.size = self.places + 1, self.size + len(content)
        for what, words in needles.items():
            for spelling in spellings(words):
                if (at := content.find(spelling)) >= 0:
                    around = content[max(at - 90, 0) : at + len(spelling) + 30]
                    self.found.append(f"{what} in {where}: {around!r}")

    def files(self, needles: dict[str, str], folder: Path, besides: Iterable[str] = ()) -> None:
        """Look through every file below a folder, and at its name, but for those whose names begin with `besides`."""
        for path in sorted(folder.rglob("*")):
            self.through(needles, f"name of {path}", str(path.relative_to(folder)).encode())
            if path.is_file() and not path.name.startswith(tuple(besides)):
                for where, content in contents(path):
                    self.through(needles, where, content)
