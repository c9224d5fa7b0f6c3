"""What must hold for any numbers: RCB, exact intervals, Kaplan-Meier."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neotorch.domain.rcb import RcbInputs, classify, rcb
from neotorch.domain.statistics import clopper_pearson, exact_test, follow_up, kaplan_meier

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
