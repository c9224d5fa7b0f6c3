"""The page on A4, by WeasyPrint, which needs Pango from the system."""

from __future__ import annotations

from contextlib import redirect_stdout
from datetime import datetime
from io import StringIO

from neotorch.domain.errors import NeotorchError

PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
"""Debian's and Ubuntu's names of what WeasyPrint needs."""


class NoPdf(NeotorchError):  # noqa: N818 - a condition of the machine
    """This machine cannot make a PDF."""


def pdf(page: str, made: datetime | None) -> bytes:
    """Return the PDF of a page; `made` is the date it carries. NoPdf says what is to be installed."""
    try:
        with redirect_stdout(StringIO()):  # it prints advice of its own where a library is missing
            import weasyprint
    except OSError as error:  # a library of the system is missing
        todo = (
            f"On Debian or Ubuntu: apt-get install {PACKAGES}; elsewhere install Pango 1.44 or newer. A browser prints the "
            "page to PDF too."
        )
        raise NoPdf(f"WeasyPrint cannot load a library ({str(error).splitlines()[0]})", "PDF", todo) from None
    found = weasyprint.HTML(string=page).render()
    found.metadata.created = found.metadata.modified = made.strftime("%Y-%m-%dT%H:%M:%SZ") if made else None
    data = found.write_pdf(pdf_identifier=b"")
    return data or b""
