"""Kaplan-Meier against lifelines and scikit-survival, on every data set those packages ship."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import lifelines
import lifelines.datasets
import numpy as np
import pandas as pd
import pytest
import yaml
from lifelines.utils import median_survival_times

from neotorch.domain.statistics import KaplanMeier, follow_up, kaplan_meier

try:  # its solver has no wheel for Python 3.13
    import sksurv.datasets
    from sksurv.nonparametric import kaplan_meier_estimator
except ImportError:
    kaplan_meier_estimator = None

TABLE: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "survival_datasets.yaml").read_text(encoding="utf-8")
)
PEERS: dict[str, ModuleType] = {"lifelines": lifelines.datasets}
if kaplan_meier_estimator:
    PEERS["scikit-survival"] = sksurv.datasets
SETS = [(peer, name) for peer in PEERS for name, entry in TABLE[peer].items() if "left_out" not in entry]
EQUAL = {"abs": 1e-9, "rel": 0, "nan_ok": True}
FEW = 6
"""A column with no more values than this makes groups, each with a curve of its own."""

Rows = tuple[list[float], list[bool]]


@cache
def load(peer: str, name: str) -> pd.DataFrame:
    """A data set with the columns `_time` and `_event` beside its own."""
    entry = TABLE[peer][name]
    loader = getattr(PEERS[peer], name.split(maxsplit=1)[0])
    time, event = entry["columns"]
    if peer == "lifelines":
        frame = loader().reset_index(drop=True)
        outcome = frame
    else:
        frame, outcome = loader(**{k: entry[k] for k in ("endpoint",) if k in entry})
        frame = frame.reset_index(drop=True)
    frame = frame.assign(
        _time=outcome[time].astype(float), _event=np.isin(outcome[event], entry.get("event_codes", [1]))
    )
    if "last_of" in entry:
        frame = frame.sort_values("_time", kind="stable").groupby(entry["last_of"]).tail(1)
    if "first_of" in entry:
        frame = frame.sort_values("_time", kind="stable").groupby(entry["first_of"]).head(1)
    return frame.assign(_time=frame._time.max() - frame._time) if entry.get("mirror") else frame


def curves(peer: str, name: str) -> Iterator[Rows]:
    """All patients, then each group of each column that has only a few values."""
    frame = load(peer, name)
    groups = [frame]
    for column in frame.columns.drop(["_time", "_event"]):
        if 2 <= frame[column].nunique() <= FEW:
            groups += [group for _, group in frame.groupby(column, observed=True)]
    for group in groups:
        yield group._time.tolist(), group._event.tolist()


def fitted(rows: Rows) -> lifelines.KaplanMeierFitter:
    """The estimate by lifelines."""
    return lifelines.KaplanMeierFitter().fit(*rows)


def inside(found: KaplanMeier) -> list[bool]:
    """Where there is a limit to compare: survival is neither 1 nor 0, where ours are 1 and none."""
    return [0 < p.survival < 1 for p in found.points]


def flat_at_half(found: KaplanMeier) -> list[float]:
    """The documented tie: from when to when the curve is exactly one half, or nothing."""
    at = [i for i, p in enumerate(found.points) if abs(p.survival - 0.5) < 1e-9]
    return [p.time for p in found.points[at[0] : at[-1] + 2]] if at else []


@pytest.mark.parametrize("peer", PEERS)
def test_no_data_set_is_left_out(peer: str) -> None:
    """The table names every loader the package has, so a new release with a new data set is noticed."""
    loaders = {name for name in dir(PEERS[peer]) if name.startswith("load_")}
    assert {name.split()[0] for name in TABLE[peer]} == loaders


@pytest.mark.parametrize(("peer", "name"), SETS)
@pytest.mark.parametrize("estimate", [kaplan_meier, follow_up])
def test_equal_to_lifelines(peer: str, name: str, estimate: Any) -> None:
    """Survival and log-log limits at every time are lifelines', forward and reversed, whole and by group."""
    for times, events in curves(peer, name):
        found = estimate(times, events)
        theirs = fitted((times, events) if estimate is kaplan_meier else (times, [not e for e in events]))
        at = [p.time for p in found.points]
        assert [p.survival for p in found.points] == pytest.approx(list(theirs.survival_function_at_times(at)), **EQUAL)
        limits = theirs.confidence_interval_.loc[at].to_numpy()[inside(found)]
        ours = [(p.lower, p.upper) for p, here in zip(found.points, inside(found), strict=True) if here]
        assert np.array(ours).reshape(-1, 2) == pytest.approx(limits, **EQUAL)
        assert [p.n_risk for p in found.points] == theirs.event_table.at_risk.loc[at].tolist()


@pytest.mark.skipif(not kaplan_meier_estimator, reason="scikit-survival cannot be had for this Python")
@pytest.mark.parametrize(("peer", "name"), SETS)
@pytest.mark.parametrize("estimate", [kaplan_meier, follow_up])
def test_equal_to_scikit_survival(peer: str, name: str, estimate: Any) -> None:
    """Survival and log-log limits at every time are scikit-survival's, forward and reversed, whole and by group."""
    for times, events in curves(peer, name):
        found = estimate(times, events)
        happened = np.array(events) == (estimate is kaplan_meier)
        at, survival, limits = kaplan_meier_estimator(happened, times, conf_type="log-log")
        assert [p.time for p in found.points] == list(at)
        assert [p.survival for p in found.points] == pytest.approx(list(survival), **EQUAL)
        here = inside(found)
        assert [p.lower for p, h in zip(found.points, here, strict=True) if h] == pytest.approx(
            list(limits[0, here]), **EQUAL
        )
        assert [p.upper for p, h in zip(found.points, here, strict=True) if h] == pytest.approx(
            list(limits[1, here]), **EQUAL
        )


@pytest.mark.parametrize(("peer", "name"), SETS)
@pytest.mark.parametrize("estimate", [kaplan_meier, follow_up])
def test_median_is_that_of_lifelines_where_r_has_the_same(peer: str, name: str, estimate: Any) -> None:
    """Median and limits are lifelines', but for two things where ours are R's.

    A flat at exactly one half gives its midpoint. And where survival comes down to 0 it has no limits (R: NA, lifelines:
    0), so a limit that has not crossed one half by then is not reached.
    """
    for times, events in curves(peer, name):
        found = estimate(times, events)
        theirs = fitted((times, events) if estimate is kaplan_meier else (times, [not e for e in events]))
        limits = median_survival_times(theirs.confidence_interval_).to_numpy().ravel()
        median, *ours = (np.inf if v is None else v for v in found.median)
        for our, their in zip(ours, limits, strict=True):
            if found.points[-1].survival == 0 and our == np.inf:
                assert their == found.points[-1].time
            else:
                assert our == pytest.approx(their, **EQUAL)
        flat = flat_at_half(found)
        if flat and found.points[-1].survival < 0.5 - 1e-9:
            assert median == (flat[0] + flat[-1]) / 2
        else:
            assert median == pytest.approx(flat[0] if flat else theirs.median_survival_time_, **EQUAL)


def test_the_tie_is_among_the_data_sets() -> None:
    """Control patients of the g3 trial: the curve is one half from 32 to 34 months, R prints 33."""
    frame = load("lifelines", "load_g3")
    control = frame[(frame.group == "Control") & (frame.histology == "Grade3")]
    found = kaplan_meier(control._time.tolist(), control._event.tolist())
    assert flat_at_half(found) == [32, 34]
    assert found.median[0] == 33
    assert fitted((control._time.tolist(), control._event.tolist())).median_survival_time_ in (32, 34)
