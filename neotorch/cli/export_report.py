"""`neotorch export report`."""

from __future__ import annotations

from pathlib import Path

from neotorch.cli.output import cut_option, err, instant_option
from neotorch.cli.output import out as console
from neotorch.cli.views import known_site
from neotorch.engine import Engine
from neotorch.files import remove, write


def report(*, out: Path, cut: str | None = None, as_of: str | None = None, site: str | None = None) -> int:
    """Write the report of the trial: report.html, one page that needs nothing else, and report.pdf of it.

    Exit code 1 if there is no PDF because the machine lacks what it takes; the page is written all the same.

    Parameters
    ----------
    out: Path
        The folder to write to; made if it is not there.
    cut: str
        Clinical data cut: only facts dated up to this day; today if not given.
    as_of: str
        Only what was known at this date or time.
    site: str
        Only this site's patients.
    """
    from neotorch.report.content import gather
    from neotorch.report.page import render
    from neotorch.report.pdf import NoPdf, pdf

    engine = Engine.open()
    known_site(engine, site)
    at = instant_option(as_of, "--as-of", engine.study.sites[0].time_zone)
    with err.status("working out and drawing"):
        content = gather(engine, cut=cut_option(cut), as_of=at, site=site)
        page = render(content)
    remove(out / "report.pdf")  # an earlier one: it must not lie beside this page if there is no PDF of it
    write(out / "report.html", page.encode())
    console.print(f"{out / 'report.html'}", highlight=False, soft_wrap=True)
    try:
        with err.status("setting pages"):
            data = pdf(page, content.provenance.head_at)
    except NoPdf as reason:
        err.print(str(reason), highlight=False, markup=False, soft_wrap=True)
        return 1
    write(out / "report.pdf", data)
    console.print(f"{out / 'report.pdf'}", highlight=False, soft_wrap=True)
    return 0
