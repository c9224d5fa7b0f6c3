"""Kaplan-Meier curves with interval band, censor ticks and the numbers at risk below (Morris et al., BMJ Open 2019;9:e030215)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neotorch.domain.statistics import Interval, KaplanMeier
from neotorch.domain.time_to_event import DAYS_PER_MONTH
from neotorch.report.figures.canvas import BLUE, Drawn, draw, month_ticks, nothing, per_cent
from neotorch.rules.endpoints import percent
from neotorch.rules.endpoints.analysis import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def survival(curve: Curve, key: str, title: str, short: str) -> Drawn:
    """Draw one time-to-event analysis; `short` labels the axis, as in `event-free survival`."""
    if curve.km is None:
        return nothing(key, title, f"Nobody's time has begun: no {curve.analysis.starts} by the cut.")
    told = f"{short}: {curve.km.events} events among {curve.km.n} patients; {landmarks(curve.landmarks)}"
    method = f"From {curve.analysis.starts}. Definition: {curve.analysis.rule.rstrip('.')}."
    svg = curve_svg(curve.km, key, short, told)
    return Drawn(key, title, f"{_method(curve.km)} {method}", told, svg)


def curve_svg(km: KaplanMeier, key: str, short: str, told: str) -> str:
    """Return a Kaplan-Meier estimate drawn, with `told` as what it says in words."""
    return draw(key, f"Kaplan-Meier curve of {told}", 92, lambda f: _paint(f, km, short))


def _method(km: KaplanMeier) -> str:
    none = " No event has occurred, so the curve stays at 100 % and has no band." if not km.events else ""
    return (
        f"Kaplan-Meier; band: pointwise {100 * km.level:g} % interval, {km.interval} (Greenwood); ticks: censored. "
        f"Months of {DAYS_PER_MONTH} days; full analysis set, n = {km.n}, {km.events} events.{none}"
    )


def landmarks(marks: Sequence[tuple[int, Interval | None]]) -> str:
    """Return the landmark estimates in one line."""
    found = [f"at {days / DAYS_PER_MONTH:.0f} months " + (percent(at) if at else "not reached") for days, at in marks]
    return ", ".join(found)


def _paint(figure: Figure, km: KaplanMeier, short: str) -> None:
    above, below = figure.subplots(2, height_ratios=(1, 0.17), sharex=True)
    x = [0.0, *(p.time / DAYS_PER_MONTH for p in km.points)]
    y = [1.0, *(p.survival for p in km.points)]
    low, high = _band(km)
    if km.events:
        above.fill_between(x, low, high, step="post", color=BLUE, alpha=0.18, linewidth=0)
    above.step(x, y, where="post", color=BLUE, lw=1.4)
    censored = [(p.time / DAYS_PER_MONTH, p.survival) for p in km.points if p.n_censor]
    above.plot([t for t, _ in censored], [s for _, s in censored], ls="none", marker="|", ms=6, mew=0.8, color="black")
    ticks = month_ticks(max(x[-1], 6.0))
    above.set(ylim=(0, 1.03), xlim=(0, max(ticks[-1], 1.01 * x[-1])), ylabel=f"{short} (%)", xticks=ticks)
    above.tick_params(labelbottom=True)
    above.set_xlabel("months")
    per_cent(above)
    _risk_table(below, km, ticks)


def _band(km: KaplanMeier) -> tuple[list[float], list[float]]:
    """Return the limits from time 0 on; where nobody is left there are none, and the band ends."""
    nan = float("nan")
    return (
        [1.0, *(nan if p.lower is None else p.lower for p in km.points)],
        [1.0, *(nan if p.upper is None else p.upper for p in km.points)],
    )


def _risk_table(axes: Axes, km: KaplanMeier, ticks: Sequence[int]) -> None:
    """Write at risk, events and censored until then under the axis; each column adds up to n."""
    axes.axis("off")
    axes.set_ylim(0, 3)
    rows = km.risk_table([t * DAYS_PER_MONTH for t in ticks])
    for label, name, at in (("at risk", "n_risk", 2.5), ("events", "n_event", 1.5), ("censored", "n_censor", 0.5)):
        axes.text(-0.035, at, label, ha="right", va="center", transform=axes.get_yaxis_transform(), fontsize=7.5)
        for tick, row in zip(ticks, rows, strict=True):
            axes.text(tick, at, str(getattr(row, name)), ha="center", va="center", fontsize=7.5)
