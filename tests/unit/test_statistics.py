"""Proportions and survival curves against published figures and R's output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import lifelines.datasets
import pytest
import yaml
from scipy.stats import binomtest

from neotorch.domain.statistics import KaplanMeier, RiskRow, clopper_pearson, exact_test, follow_up, kaplan_meier
from neotorch.rules.endpoints import percent

FOLDER = Path(__file__).parents[1] / "cases"
PROPORTIONS: dict[str, list[dict[str, Any]]] = yaml.safe_load((FOLDER / "proportions.yaml").read_text(encoding="utf-8"))
SURVIVAL: dict[str, list[dict[str, Any]]] = yaml.safe_load((FOLDER / "survival.yaml").read_text(encoding="utf-8"))
CURVES = SURVIVAL["curves"]
PRINTED = 6e-4
"""R prints three digits."""


def parse(text: Any) -> tuple[list[float], list[bool]]:
    """Times and events of `9 13 13+`."""
    cells = str(text).split()
    return [float(c.rstrip("+")) for c in cells], [not c.endswith("+") for c in cells]


def curve(case: dict[str, Any]) -> KaplanMeier:
    """The estimate of a case."""
    return kaplan_meier(*parse(case["times"]), interval=case["interval"])


@pytest.mark.parametrize("case", PROPORTIONS["published"], ids=lambda c: c["why"])
def test_published_intervals(case: dict[str, Any]) -> None:
    """The exact interval prints as the publication prints it, at the publication's level."""
    found = clopper_pearson(case["x"], case["n"], level=case["level"])
    estimate, lower, upper = case["per_cent"]
    assert percent(found) == f"{estimate} % ({lower}-{upper})"
    assert (found.level, found.method) == (case["level"], "clopper-pearson")


@pytest.mark.parametrize("case", PROPORTIONS["exact"], ids=lambda c: c["why"])
def test_extremes(case: dict[str, Any]) -> None:
    """Nobody and everybody have an interval with one limit at the end of the scale."""
    found = clopper_pearson(case["x"], case["n"], level=case["level"])
    assert [found.lower, found.upper] == pytest.approx(case["limits"], abs=5e-9)
    assert found.lower <= found.estimate <= found.upper


@pytest.mark.parametrize("case", PROPORTIONS["refused"], ids=lambda c: f"{c['x']} of {c['n']}")
def test_what_is_no_proportion_is_refused(case: dict[str, Any]) -> None:
    """Numbers that are no proportion are refused by name."""
    with pytest.raises(ValueError, match=f"{case['x']} of {case['n']} is not a proportion"):
        clopper_pearson(case["x"], case["n"])


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_is_a_share(level: float) -> None:
    """A level in per cent is refused by name."""
    with pytest.raises(ValueError, match=f"{level} is not a confidence level"):
        clopper_pearson(1, 4, level=level)


@pytest.mark.parametrize("n", [1, 2, 5, 30, 45, 235, 700])
def test_exact_intervals_and_tests_are_scipys(n: int) -> None:
    """Limits and p values are those of SciPy's own exact test, which is slower and less exact."""
    for x in range(0, n + 1, max(1, n // 12)):
        theirs = binomtest(x, n, 0.15, alternative="greater")
        limits = binomtest(x, n).proportion_ci(0.9, method="exact")
        ours = clopper_pearson(x, n, level=0.9)
        assert [ours.lower, ours.upper] == pytest.approx([limits.low, limits.high], abs=1e-11)
        assert exact_test(x, n, 0.15) == pytest.approx(theirs.pvalue, rel=1e-11)


@pytest.mark.parametrize("case", PROPORTIONS["one_sided_p"], ids=lambda c: c["why"])
def test_exact_binomial_p_value(case: dict[str, Any]) -> None:
    """The one-sided exact p value is that of R's binom.test."""
    tolerance = case.get("tolerance", 1e-12)
    assert exact_test(case["x"], case["n"], case["p0"]) == pytest.approx(case["p"], abs=tolerance)


@pytest.mark.parametrize("case", [c for c in CURVES if "points" in c], ids=lambda c: c["name"])
def test_survival_table(case: dict[str, Any]) -> None:
    """At risk, events, survival and Greenwood's standard error of each time are those that R prints."""
    found = {p.time: p for p in curve(case).points}
    assert set(found) == set(case["points"])
    for time, (risk, events, survival, error) in case["points"].items():
        point = found[time]
        assert (point.n_risk, point.n_event) == (risk, events)
        assert [point.survival, point.std_err] == pytest.approx([survival, error], abs=PRINTED)


@pytest.mark.parametrize("case", [c for c in CURVES if "at" in c], ids=lambda c: c["name"])
def test_survival_at_a_time(case: dict[str, Any]) -> None:
    """Survival and limits at a time are those of the curve's interval type, which is named beside them."""
    for time, expected in case["at"].items():
        found = curve(case).at(time)
        assert found is not None
        assert [found.estimate, found.lower, found.upper] == pytest.approx(expected, abs=PRINTED)
        assert found.method == case["interval"]


@pytest.mark.parametrize("case", [c for c in CURVES if "beyond" in c], ids=lambda c: c["name"])
def test_no_estimate_beyond_the_last_observation(case: dict[str, Any]) -> None:
    """Where nobody was watched any more there is no figure, rather than the last one carried on."""
    assert [curve(case).at(time) for time in case["beyond"]] == [None] * len(case["beyond"])


@pytest.mark.parametrize("case", [c for c in CURVES if "median" in c], ids=lambda c: c["name"])
def test_median(case: dict[str, Any]) -> None:
    """Median and limits are R's, not reached is None, and a flat at exactly one half gives its midpoint."""
    assert curve(case).median == tuple(case["median"])


@pytest.mark.parametrize("case", [c for c in CURVES if "follow_up" in c], ids=lambda c: c["name"])
def test_median_follow_up_is_reverse_kaplan_meier(case: dict[str, Any]) -> None:
    """Median follow-up takes censoring for the event, in the interval type asked for."""
    reverse = follow_up(*parse(case["times"]), interval=case["interval"])
    assert reverse.median == tuple(case["follow_up"])
    assert reverse.interval == case["interval"]


@pytest.mark.parametrize("case", SURVIVAL["datasets"], ids=lambda c: c["name"])
def test_figures_of_r_for_known_data(case: dict[str, Any]) -> None:
    """Survival with limits, median and median follow-up of well-known data are those that R prints, to its digits."""
    frame = getattr(lifelines.datasets, case["load"])()
    rows = [frame[column].tolist() for column in case["columns"]]
    found = kaplan_meier(*rows, interval=case["interval"])
    for time, expected in case.get("at", {}).items():
        read = found.at(time)
        assert read is not None
        assert [round(v, case["digits"]) for v in (read.estimate, read.lower, read.upper)] == expected
    for time, expected in case.get("survival", {}).items():
        read = found.at(time)
        assert read is not None
        assert round(read.estimate, case["digits"]) == expected
    assert found.median == tuple(case["median"])
    assert "follow_up" not in case or follow_up(*rows, interval=case["interval"]).median == tuple(case["follow_up"])


@pytest.mark.parametrize("case", SURVIVAL["quantiles"], ids=lambda c: c["why"])
def test_quantiles(case: dict[str, Any]) -> None:
    """Any quantile goes by the median's rule, with limits where the pointwise limits cross."""
    found = kaplan_meier(*parse(case["times"]))
    assert {p: found.quantile(p) for p in case["at"]} == {p: tuple(v) for p, v in case["at"].items()}


@pytest.mark.parametrize("p", [0, 1, 50, -0.5])
def test_a_quantile_is_a_share(p: float) -> None:
    """Quantiles are shares between 0 and 1; per cent are refused by name."""
    with pytest.raises(ValueError, match=f"{p} is not a quantile"):
        kaplan_meier([1, 2], [True, False]).quantile(p)


def test_a_time_that_is_no_number_has_no_answer() -> None:
    """Neither survival nor a number at risk is given for a time that is not a number."""
    found = kaplan_meier([1, 2], [True, False])
    for question in (found.at, found.at_risk):
        with pytest.raises(ValueError, match="the time must be a number"):
            question(float("nan"))


@pytest.mark.parametrize("case", SURVIVAL["risk_table"], ids=lambda c: c["why"])
def test_risk_table(case: dict[str, Any]) -> None:
    """The table under a curve has those at risk, with an event and censored before each time."""
    found = kaplan_meier(*parse(case["times"]))
    assert found.risk_table(case["rows"]) == tuple(RiskRow(time, *row) for time, row in case["rows"].items())
    assert found.at_risk(list(case["rows"])) == tuple(row[0] for row in case["rows"].values())


def test_curves_are_equal_when_patients_and_interval_are() -> None:
    """A curve equals another of the same patients, level and interval type, and no other; its columns stay as they are."""
    one = kaplan_meier([1, 2, 3], [True, False, True])
    assert one == kaplan_meier([3, 2, 1], [True, False, True])
    assert hash(one) == hash(kaplan_meier([3, 2, 1], [True, False, True]))
    assert one not in (
        kaplan_meier([1, 2, 3], [True] * 3),
        kaplan_meier([1, 2, 3], [True, False, True], level=0.9),
        None,
    )
    assert kaplan_meier([0.0, 1.5], [True, True]) == kaplan_meier([-0.0, 1.5], [True, True])
    with pytest.raises(ValueError, match="read-only"):
        one.columns.survival[0] = 1


@pytest.mark.parametrize("case", SURVIVAL["at_risk"], ids=lambda c: c["why"])
def test_at_risk(case: dict[str, Any]) -> None:
    """The number at risk is counted just before the time, with those whose time it is."""
    found = kaplan_meier(*parse(case["times"]))
    assert {time: found.at_risk(time) for time in case["at"]} == case["at"]


@pytest.mark.parametrize("case", SURVIVAL["refused"], ids=lambda c: c["why"])
def test_what_is_no_survival_data_is_refused(case: dict[str, Any]) -> None:
    """Data that cannot be survival times are refused in words, forward and reversed."""
    for estimate in (kaplan_meier, follow_up):
        with pytest.raises(ValueError, match=case["says"]):
            estimate(
                case["times"], case["events"], level=case.get("level", 0.95), interval=case.get("interval", "log-log")
            )


def test_importing_the_rules_does_not_wait_for_scipy() -> None:
    """Commands that need no statistics start without importing NumPy or SciPy."""
    code = (
        "import sys, neotorch.rules, neotorch.domain.statistics; sys.exit(bool({'numpy', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
