"""What must hold for any numbers: RCB, exact intervals, Kaplan-Meier."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neotorch.domain.rcb import RcbInputs, classify, rcb
from neotorch.domain.statistics import KaplanMeier, clopper_pearson, cohen_kappa, exact_test, follow_up, kaplan_meier

MANY = settings(deadline=None, max_examples=80)  # the machine's speed is no property

SIZE = st.floats(0.1, 200)
SHARE = st.floats(0, 100)
NODES = st.integers(0, 40)
CLASSES = ("RCB-0", "RCB-I", "RCB-II", "RCB-III")


@st.composite
def tumours(draw: st.DrawFn) -> RcbInputs:
    """Six numbers that do not contradict each other."""
    nodes = draw(NODES)
    return RcbInputs(draw(SIZE), draw(SIZE), draw(SHARE), draw(SHARE), nodes, draw(SIZE) if nodes else 0.0)


def index(inputs: RcbInputs) -> float:
    """The index of numbers that have one."""
    result = rcb(inputs)
    assert result.index is not None
    return result.index


@MANY
@given(tumours(), st.sampled_from(["d1_mm", "d2_mm", "cellularity_pct", "largest_met_mm"]), st.data())
def test_rcb_does_not_fall_when_there_is_more_cancer(inputs: RcbInputs, name: str, data: st.DataObject) -> None:
    """A larger bed, more cancer in it or a larger metastasis never gives a smaller index."""
    assume(name != "largest_met_mm" or inputs.nodes_positive)
    value = getattr(inputs, name)
    more = data.draw(st.floats(value, 100 if name == "cellularity_pct" else 500))
    changed: dict[str, Any] = {name: more}
    assert index(replace(inputs, **changed)) >= index(inputs)


@MANY
@given(tumours(), st.integers(1, 20))
def test_rcb_does_not_fall_with_more_nodes(inputs: RcbInputs, extra: int) -> None:
    """More positive nodes never give a smaller index."""
    assume(inputs.nodes_positive)
    assert index(replace(inputs, nodes_positive=(inputs.nodes_positive or 0) + extra)) >= index(inputs)


@MANY
@given(tumours(), st.data())
def test_rcb_does_not_rise_with_the_in_situ_share(inputs: RcbInputs, data: st.DataObject) -> None:
    """The more of the cancer is in situ, the smaller the index."""
    more = data.draw(st.floats(inputs.in_situ_pct or 0, 100))
    assert index(replace(inputs, in_situ_pct=more)) <= index(inputs)


@MANY
@given(tumours())
def test_rcb_ignores_which_dimension_is_first(inputs: RcbInputs) -> None:
    """The order of the two dimensions does not matter."""
    assert index(replace(inputs, d1_mm=inputs.d2_mm, d2_mm=inputs.d1_mm)) == index(inputs)


@MANY
@given(tumours())
def test_rcb_0_is_exactly_no_invasive_cancer(inputs: RcbInputs) -> None:
    """RCB-0 means no invasive cancer in the breast and no positive node, and nothing else does."""
    clear = not inputs.cellularity_pct or inputs.in_situ_pct == 100
    assume(clear or (1 - (inputs.in_situ_pct or 0) / 100) * (inputs.cellularity_pct or 0) > 1e-9)
    assert (rcb(inputs).rcb_class == "RCB-0") == (clear and inputs.nodes_positive == 0)


@MANY
@given(st.floats(0, 6), st.floats(0, 6))
def test_rcb_classes_are_in_the_order_of_the_index(one: float, other: float) -> None:
    """A higher index is never a lower class."""
    low, high = sorted((one, other))
    assert CLASSES.index(classify(low)) <= CLASSES.index(classify(high))


@MANY
@given(
    st.builds(
        RcbInputs,
        *[st.one_of(st.none(), st.floats(), st.just(0.0))] * 4,
        st.none() | st.integers(),
        st.none() | st.floats(),
    )
)
def test_rcb_of_any_numbers_is_an_index_or_a_reason(inputs: RcbInputs) -> None:
    """Whatever the numbers, there is a finite index with a class or neither with a reason, and never an exception."""
    result = rcb(inputs)
    assert result.reason
    assert (result.index is None) == (result.rcb_class is None)
    assert result.index is None or 0 <= result.index < float("inf")


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    """Responders and patients."""
    n = draw(st.integers(1, 700))
    return draw(st.integers(0, n)), n


LEVEL = st.floats(0.5, 0.999)


@MANY
@given(counts(), LEVEL)
def test_interval_contains_the_estimate(xn: tuple[int, int], level: float) -> None:
    """The exact interval lies in 0 to 1 and contains the estimate."""
    found = clopper_pearson(*xn, level=level)
    assert 0 <= found.lower <= found.estimate <= found.upper <= 1


@MANY
@given(counts(), LEVEL, LEVEL)
def test_interval_widens_with_the_level(xn: tuple[int, int], one: float, other: float) -> None:
    """A higher level never gives a narrower interval."""
    narrow, wide = (clopper_pearson(*xn, level=v) for v in sorted((one, other)))
    assert wide.lower <= narrow.lower + 1e-12
    assert narrow.upper <= wide.upper + 1e-12


@MANY
@given(counts(), LEVEL)
def test_interval_of_the_others_is_its_mirror(xn: tuple[int, int], level: float) -> None:
    """Non-responders have the mirrored interval."""
    x, n = xn
    found, mirror = clopper_pearson(x, n, level=level), clopper_pearson(n - x, n, level=level)
    assert [found.lower, found.upper] == pytest.approx([1 - mirror.upper, 1 - mirror.lower], abs=1e-9)


@MANY
@given(counts())
def test_lower_limit_is_where_the_one_sided_test_turns(xn: tuple[int, int]) -> None:
    """The lower 95 % limit is the proportion against which the one-sided p value is 2.5 %."""
    x, n = xn
    assume(x > 0)
    assert exact_test(x, n, clopper_pearson(x, n).lower) == pytest.approx(0.025, abs=1e-6)


@st.composite
def survival(draw: st.DrawFn, *, censoring: bool = True) -> tuple[list[float], list[bool]]:
    """Times with many ties, and events."""
    rows = draw(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=60))
    return [float(t) for t, _ in rows], [e or not censoring for _, e in rows]


def product_limit(times: list[float], events: list[bool], at: float) -> Fraction:
    """The textbook's product, in exact fractions."""
    left = Fraction(1)
    for time in sorted({t for t, e in zip(times, events, strict=True) if e and t <= at}):
        risk = sum(t >= time for t in times)
        left *= Fraction(risk - sum(e and t == time for t, e in zip(times, events, strict=True)), risk)
    return left


@MANY
@given(survival())
def test_kaplan_meier_is_the_product_limit(rows: tuple[list[float], list[bool]]) -> None:
    """Survival at each time is the textbook's product, and at risk, events and censored add up."""
    found = kaplan_meier(*rows)
    for point in found.points:
        assert point.survival == pytest.approx(float(product_limit(*rows, point.time)), abs=1e-12)
        assert point.n_risk == sum(t >= point.time for t in rows[0]) == found.at_risk(point.time)
    assert sum(p.n_event + p.n_censor for p in found.points) == found.n == len(rows[0])
    assert sum(p.n_event for p in found.points) == found.events == sum(rows[1])


@MANY
@given(survival(censoring=False))
def test_without_censoring_it_is_one_minus_the_distribution(rows: tuple[list[float], list[bool]]) -> None:
    """Where every patient had an event, survival is the share of patients whose time is later."""
    times = rows[0]
    for point in kaplan_meier(*rows).points:
        assert point.survival == pytest.approx(sum(t > point.time for t in times) / len(times), abs=1e-12)


@MANY
@given(survival(), st.randoms(use_true_random=False))
def test_order_of_patients_does_not_matter(rows: tuple[list[float], list[bool]], random: Any) -> None:
    """Any order of the patients gives the same curve to the last digit."""
    shuffled = list(zip(*rows, strict=True))
    random.shuffle(shuffled)
    times, events = [t for t, _ in shuffled], [e for _, e in shuffled]
    assert kaplan_meier(times, events) == kaplan_meier(*rows)
    assert follow_up(times, events) == follow_up(*rows)


@MANY
@given(survival(), st.sampled_from(["log-log", "log"]), LEVEL)
def test_survival_never_rises_and_lies_between_its_limits(
    rows: tuple[list[float], list[bool]], interval: str, level: float
) -> None:
    """The curve never rises, its limits lie in 0 to 1 around it, and the median lies between its own."""
    found = kaplan_meier(*rows, interval=interval, level=level)
    assert all(a.survival >= b.survival for a, b in pairwise(found.points))
    for p in found.points:
        assert 0 <= (p.lower or 0) <= p.survival <= (1 if p.upper is None else p.upper) <= 1
        assert (p.lower is None) == (p.upper is None) == (p.survival == 0)
    median, lower, upper = found.median
    assert median is None or (lower or 0) <= median <= (float("inf") if upper is None else upper)


@MANY
@given(survival(), st.integers(0, 40))
def test_reading_the_curve_at_any_time(rows: tuple[list[float], list[bool]], time: int) -> None:
    """Between two times the curve keeps its value, and beyond the last observation there is none unless it is 0."""
    found = kaplan_meier(*rows)
    read = found.at(time + 0.5)
    if read is None:
        assert time + 0.5 > max(rows[0])
        assert found.points[-1].survival > 0
    else:
        assert read.estimate == pytest.approx(float(product_limit(*rows, time + 0.5)), abs=1e-12)


@MANY
@given(survival(), st.integers(0, 45))
def test_a_censored_patient_more_never_lowers_the_curve(rows: tuple[list[float], list[bool]], time: int) -> None:
    """A censored patient more never raises the estimated share with an event, at any time.

    Survival up to the day of censoring rises or stays, as one more was at risk at each event; after it the curve keeps
    its steps, as each later step is taken from the same patients. So no quantile comes sooner either. A curve that had
    come down to 0 no longer does where the patient was watched that long, and is then not known beyond.
    """
    before, after = kaplan_meier(*rows), kaplan_meier([*rows[0], float(time)], [*rows[1], False])
    for at in [n / 2 for n in range(92)]:
        old, new = before.at(at), after.at(at)
        if new is None:
            assert old is None or old.estimate == 0
        else:
            assert old is None or new.estimate >= old.estimate - 1e-12
    late = [p for p in after.points if p.time > time and p.n_event]
    old_points = {p.time: p for p in before.points}
    assert all((p.n_risk, p.n_event) == (old_points[p.time].n_risk, old_points[p.time].n_event) for p in late)
    for share in (0.25, 0.5, 0.75):
        old_time, new_time = before.quantile(share)[0], after.quantile(share)[0]
        assert new_time is None or (old_time is not None and new_time >= old_time)


@MANY
@given(survival(), st.data())
def test_an_event_in_the_place_of_censoring_never_raises_the_curve(
    rows: tuple[list[float], list[bool]], data: st.DataObject
) -> None:
    """Where one who was censored turns out to have had the event that day, survival falls or stays at every time."""
    times, events = rows
    assume(not all(events))
    changed = data.draw(st.sampled_from([i for i, e in enumerate(events) if not e]))
    before, after = kaplan_meier(*rows), kaplan_meier(times, [e or i == changed for i, e in enumerate(events)])
    assert all(b.survival <= a.survival + 1e-12 for a, b in zip(before.points, after.points, strict=True))


@MANY
@given(survival(), st.data())
def test_longer_watched_without_an_event_never_lowers_the_curve(
    rows: tuple[list[float], list[bool]], data: st.DataObject
) -> None:
    """Where one who was censored is seen again later without an event, survival rises or stays at every time."""
    times, events = rows
    assume(not all(events))
    changed = data.draw(st.sampled_from([i for i, e in enumerate(events) if not e]))
    later = times[changed] + data.draw(st.integers(0, 20))
    before, after = (
        kaplan_meier(*rows),
        kaplan_meier([later if i == changed else t for i, t in enumerate(times)], events),
    )
    for point in before.points:
        read = after.at(point.time)
        assert read is None or read.estimate >= point.survival - 1e-12


@MANY
@given(survival(), st.integers(2, 4))
def test_everybody_twice_is_the_same_curve(rows: tuple[list[float], list[bool]], fold: int) -> None:
    """Ties: where every patient is there several times, the curve is the same and its error smaller by the root."""
    once, often = kaplan_meier(*rows), kaplan_meier(rows[0] * fold, rows[1] * fold)
    for a, b in zip(once.points, often.points, strict=True):
        assert b.survival == pytest.approx(a.survival, abs=1e-12)
        assert b.std_err == pytest.approx(a.std_err / fold**0.5, abs=1e-12)
        assert (b.n_risk, b.n_event, b.n_censor) == (fold * a.n_risk, fold * a.n_event, fold * a.n_censor)


@MANY
@given(survival(), st.sampled_from([1 / 7, 0.5, 30.4375, 1e6, 1e12]))
def test_the_unit_of_time_does_not_matter(rows: tuple[list[float], list[bool]], unit: float) -> None:
    """Whole days, which are counted, and any other numbers, which are sorted, give one and the same curve."""
    days, scaled = kaplan_meier(*rows), kaplan_meier([t * unit for t in rows[0]], rows[1])

    def columns(found: KaplanMeier) -> list[Any]:
        return [(p.n_risk, p.n_event, p.n_censor, p.survival, p.std_err, p.lower, p.upper) for p in found.points]

    assert columns(days) == columns(scaled)
    assert [p.time for p in scaled.points] == [p.time * unit for p in days.points]


@MANY
@given(survival())
def test_nobody_with_an_event(rows: tuple[list[float], list[bool]]) -> None:
    """All censored: the curve stays at 1 as far as anybody was watched, and no quantile is reached."""
    times = rows[0]
    found = kaplan_meier(times, [False] * len(times))
    assert {(p.survival, p.std_err, p.lower, p.upper) for p in found.points} == {(1, 0, 1, 1)}
    assert found.quantile(0.01) == (None, None, None)
    assert found.at(max(times) + 1) is None


@MANY
@given(survival(censoring=False), st.integers(1, 99))
def test_without_censoring_quantiles_are_the_usual_ones(rows: tuple[list[float], list[bool]], per_cent: int) -> None:
    """Where every patient had an event, a quantile is that of the times: the middle where it falls between two of them."""
    times = sorted(rows[0])
    place = Fraction(per_cent * len(times), 100)
    lower, upper = times[ceil(place) - 1], times[int(place)]
    expected = (lower + upper) / 2
    assert kaplan_meier(*rows).quantile(per_cent / 100)[0] == expected


@MANY
@given(st.integers(0, 2000), st.booleans(), st.sampled_from(["log-log", "log"]))
def test_one_patient(day: int, event: bool, interval: str) -> None:
    """One patient is the least there can be: 1 until the day, then 0 or no longer known."""
    found = kaplan_meier([day], [event], interval=interval)
    (point,) = found.points
    assert (point.time, point.n_risk, point.n_event, point.n_censor) == (day, 1, event, not event)
    assert (point.survival, point.lower, point.upper) == ((0, None, None) if event else (1, 1, 1))
    assert found.median == (day if event else None, None, None)
    assert (found.at(day + 1) is None) != event
    assert follow_up([day], [not event], interval=interval) == found


@MANY
@given(survival(), st.lists(st.floats(0, 50), max_size=8))
def test_the_table_under_the_curve_adds_up(rows: tuple[list[float], list[bool]], at: list[float]) -> None:
    """At risk, with an event and censored before any time are everybody."""
    found = kaplan_meier(*rows)
    for row in found.risk_table(at):
        assert row.n_risk + row.n_event + row.n_censor == found.n
        assert row.n_event == sum(e and t < row.time for t, e in zip(*rows, strict=True))
    assert found.at_risk(at) == tuple(found.at_risk(time) for time in at)


READINGS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40)


@MANY
@given(READINGS, st.sampled_from([None, "linear", "quadratic"]), LEVEL)
def test_kappa_lies_between_its_limits(read: list[tuple[int, int]], weights: Any, level: float) -> None:
    """Kappa is between -1 and 1 and between its limits, 1 exactly where the readers agree, and the same either way."""
    found = cohen_kappa(read, weights=weights, categories=range(4), level=level)
    swapped = cohen_kappa([(b, a) for a, b in read], weights=weights, categories=range(4), level=level)
    if found is None or swapped is None:
        assert found is swapped
        assert len({c for pair in read for c in pair}) <= 1
        return
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    assert (found.estimate == 1) == all(a == b for a, b in read)
    assert swapped == found
