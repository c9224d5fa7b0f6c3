"""`neotorch queries`: the query figures of each site."""

from __future__ import annotations

from neotorch.cli.output import print_json, table
from neotorch.cli.views import Json, head_line, instant, known_site
from neotorch.engine import Engine
from neotorch.rules.queries import BUCKETS


def queries(*, site: str | None = None, as_of: str | None = None, json: Json = False) -> int:
    """Show how many queries are open at each site, how old they are, and how fast they are answered and closed.

    Parameters
    ----------
    site: str
        Only this site.
    as_of: str
        A date or a time with zone: the figures as they were then.
    json: bool
        Print the figures as JSON.
    """
    engine = Engine.open()
    known_site(engine, site)
    at = instant(engine, as_of)
    found = engine.queries(as_of=at, site=site)
    when = at or engine.clock()
    if json:
        print_json({"as_of": when.isoformat(), "head": head_line(engine), "sites": [f.as_dict() for f in found]})
        return 0
    header = ("site", "open", *(f"{b} d" for b in BUCKETS), "answered, open", "days to answer", "days to close",
              "opened again", "open by kind")  # fmt: skip
    rows = [
        (f.site, f.open, *(f.by_age[b] for b in BUCKETS), f.answered_open, _days(f.days_to_answer),
         _days(f.days_to_close), "-" if f.reopened is None else f"{f.reopened:.0%}",
         ", ".join(f"{kind} {n}" for kind, n in f.by_kind.items()))
        for f in found
    ]  # fmt: skip
    title = f"Queries {engine.study.short_title}, {when:%Y-%m-%d %H:%M %Z}"
    table(
        title, header, rows, caption="Ages count from the day a query was raised; days to answer and close are medians."
    )
    return 0


def _days(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
