"""Monitoring: what was seen after each evaluable patient, against the boundary that was set before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from neotorch.report.figures.canvas import BLUE, GREY, ORANGE, PALE, VERMILION, Drawn, draw, legend_above, nothing
from neotorch.rules.endpoints.monitoring import Look, Monitor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {"futility": "Futility", "toxicity": "Toxicity", "prediction": "Predictive probability of success"}


def boundary(monitor: Monitor, names: Mapping[str, str]) -> Drawn:
    """Draw one monitoring rule: the counts after each patient and the boundary, or the probabilities of a prediction."""
    measured = names.get(monitor.measures, "").removesuffix(", primary")
    title = f"{TITLES[monitor.kind]}: {measured}" if measured else TITLES[monitor.kind]
    key = f"monitoring-{monitor.code.replace('.', '-')}"
    looks, method = (
        monitor.looks,
        f"{monitor.method}; {monitor.parameters}. n = {len(monitor.looks)} evaluable patients",
    )
    if not looks:
        return nothing(key, title, f"Nobody is evaluable by the cut for this rule: {monitor.parameters}.")
    if monitor.kind == "prediction":
        last = looks[-1]
        known = "none" if last.predictive is None else f"{last.predictive:.3f}"
        alt = f"Predictive probability after each of {len(looks)} patients, last {known}"
        said = ", in the order in which they became evaluable. It ends with the planned number of patients."
        return Drawn(key, title, method + said, alt, draw(key, alt, 66, lambda f: _probabilities(f, looks)))
    crossed = ", ".join(f"patient {look.n} on {look.on}" for look in monitor.crossed)
    alt = f"{looks[-1].x} of {looks[-1].n}; " + (
        f"boundary crossed at {crossed}" if crossed else "boundary never crossed"
    )
    svg = draw(key, alt, 70, lambda f: _counts(f, monitor))
    return Drawn(
        key, title, f"{method}, in the order in which they became evaluable. {alt[0].upper()}{alt[1:]}.", alt, svg
    )


def _counts(figure: Figure, monitor: Monitor) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    looks = monitor.looks
    planned = [(n, at) for n, at in monitor.boundary if at is not None]
    end = max([looks[-1].n, *(n for n, _ in monitor.boundary)])
    top = max([looks[-1].x, *(at for _, at in planned)]) + 2
    _region(axes, planned, top, above=monitor.kind == "toxicity")
    axes.step([0, *(k.n for k in looks)], [0, *(k.x for k in looks)], where="post", color=BLUE, label="observed")
    axes.plot([k.n for k in looks], [k.x for k in looks], "o", ms=2.4, color=BLUE)
    over = [k for k in looks if k.crossed]
    if over:
        axes.plot([k.n for k in over], [k.x for k in over], "X", ms=6.5, mfc=VERMILION, mec="black", mew=0.5, ls="none",
                  label="boundary crossed")  # fmt: skip
    what = "patients with the toxicity" if monitor.kind == "toxicity" else "responders"
    axes.set(xlim=(0, end + 1), ylim=(-0.4, top), xlabel="evaluable patients", ylabel=what)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes)


def _region(axes: Axes, planned: Sequence[tuple[int, int]], top: float, *, above: bool) -> None:
    """Show where the trial stops: bars of the counts that stop, at each planned look."""
    n = [at for at, _ in planned]
    if above:
        axes.bar(n, [top - k + 0.5 for _, k in planned], bottom=[k - 0.5 for _, k in planned], width=1.0, color=PALE,
                 label="stops here")  # fmt: skip
    else:
        axes.bar(n, [k + 0.9 for _, k in planned], bottom=-0.4, width=0.8, color=PALE, label="stops here")


def _probabilities(figure: Figure, looks: Sequence[Look]) -> None:
    axes = figure.subplots()
    ahead = [(k.n, k.predictive) for k in looks if k.predictive is not None]
    above = [(k.n, k.posterior) for k in looks if k.posterior is not None]
    axes.plot(
        [n for n, _ in ahead], [p for _, p in ahead], "o-", ms=2.6, color=BLUE, label="predictive: the test succeeds"
    )
    axes.plot([n for n, _ in above], [p for _, p in above], "s-", ms=2.4, color=ORANGE, lw=0.9,
              label="posterior: share above p0")  # fmt: skip
    for mark in (0.05, 0.95):
        axes.axhline(mark, color=GREY, lw=0.5, ls=(0, (4, 3)))
    axes.set(ylim=(-0.02, 1.02), xlim=(0, looks[-1].n + 1), xlabel="evaluable patients", ylabel="probability")
    legend_above(axes)
