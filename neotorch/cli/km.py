"""`neotorch km`: Kaplan-Meier for a table of times and events."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from neotorch.cli.output import out, print_json, read_input, table
from neotorch.cli.rcb import show_faults
from neotorch.cli.tables import Column, read_table
from neotorch.domain.errors import BadInput
from neotorch.domain.statistics import KaplanMeier, follow_up, kaplan_meier
from neotorch.intake import MAX_BYTES

COLUMNS = (Column("time", required=True), Column("event", high=1, whole=True, required=True))


def command(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    interval: Literal["log-log", "log"] = "log-log",
    level: float = 0.95,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Print the survival table, the median and the median follow-up of a CSV with columns time and event (1 or 0).

    Parameters
    ----------
    file: str
        The CSV file; - reads standard input.
    interval: Literal["log-log", "log"]
        Type of the confidence interval; R's default is log.
    level: float
        Confidence level.
    json: bool
        Print as JSON.
    """
    if not 0.5 <= level < 1:
        raise BadInput(f"{level} is not a confidence level", "--level", "Give one from 0.5 to below 1, such as 0.95.")
    data, name = read_input(file, MAX_BYTES)
    _, numbers, faults = read_table(data, name, COLUMNS)
    if faults:
        show_faults(name, faults, json=json)
        return 2
    times = [float(n["time"] or 0) for n in numbers]
    events = [bool(n["event"]) for n in numbers]
    curve = kaplan_meier(times, events, level=level, interval=interval)
    reverse = follow_up(times, events, level=level, interval=interval)
    _print(curve, reverse, json=json)
    return 0


def _print(curve: KaplanMeier, reverse: KaplanMeier, *, json: bool) -> None:
    if json:
        print_json({
            "n": curve.n, "events": curve.events, "interval": curve.interval, "level": curve.level,
            "median": curve.median, "median_follow_up": reverse.median, "table": [vars(p) for p in curve.points],
        })  # fmt: skip
        return
    rows = [
        (f"{p.time:g}", p.n_risk, p.n_event, p.n_censor, *map(_number, (p.survival, p.std_err, p.lower, p.upper)))
        for p in curve.points
    ]
    header = ("time", "at risk", "events", "censored", "survival", "std. error", "lower", "upper")
    table(
        f"Kaplan-Meier, n {curve.n}, {curve.events} events, {100 * curve.level:g} % {curve.interval} interval",
        header,
        rows,
    )
    for what, values in (("median", curve.median), ("median follow-up (reverse Kaplan-Meier)", reverse.median)):
        value, lower, upper = ("not reached" if v is None else f"{v:g}" for v in values)
        out.print(f"{what}: {value} ({lower} - {upper})", highlight=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
