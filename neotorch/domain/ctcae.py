"""Grades of a measured value by CTCAE v5.0 (NCI, 27 November 2017), with the baseline rule.

Only what a number can show is graded: a grade that asks for symptoms or treatment (e.g. anaemia G4, death G5) is for an
investigator to give. Limits are compared as decimals, as written, so 3 x ULN of 41.3 is 123.9. Ranges that leave a gap
between whole numbers (QTc 480-481, LVEF 39-40) are closed towards the higher grade.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Literal, get_args

Quantity = Literal["ANC", "PLT", "HB", "ALT", "AST", "BILI", "SBP", "DBP", "QTCF", "LVEF"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class Scale:
    """How one quantity is graded: CTCAE's term, the unit of the value, and the grades' fixed limits."""

    term: str
    unit: str
    test: Literal["<", "<=", ">", ">="]
    limits: tuple[tuple[int, str], ...]
    """(grade, limit), or multiples of a reference where `of` is set."""
    of: Literal["", "uln"] = ""
    lln: bool = False
    """Grade 1 is below the laboratory's lower limit of normal."""
    abnormal: tuple[str, str] = (">", "1")
    """Grade 1 where the baseline was above ULN: test and multiple of the baseline; the other grades share multiples."""


SCALES: dict[Quantity, Scale] = {
    "ANC": Scale("Neutrophil count decreased", "10^9/L", "<", ((2, "1.5"), (3, "1.0"), (4, "0.5")), lln=True),
    "PLT": Scale("Platelet count decreased", "10^9/L", "<", ((2, "75"), (3, "50"), (4, "25")), lln=True),
    "HB": Scale("Anemia", "g/L", "<", ((2, "100"), (3, "80")), lln=True),
    "ALT": Scale(
        "Alanine aminotransferase increased", "U/L", ">", ((1, "1"), (2, "3"), (3, "5"), (4, "20")), "uln",
        abnormal=(">=", "1.5"),
    ),
    "AST": Scale(
        "Aspartate aminotransferase increased", "U/L", ">", ((1, "1"), (2, "3"), (3, "5"), (4, "20")), "uln",
        abnormal=(">=", "1.5"),
    ),
    "BILI": Scale(
        "Blood bilirubin increased", "umol/L", ">", ((1, "1"), (2, "1.5"), (3, "3"), (4, "10")), "uln"
    ),
    "SBP": Scale("Hypertension", "mmHg", ">=", ((1, "120"), (2, "140"), (3, "160"))),
    "DBP": Scale("Hypertension", "mmHg", ">=", ((1, "80"), (2, "90"), (3, "100"))),
    "QTCF": Scale("Electrocardiogram QT corrected interval prolonged", "ms", ">", ((2, "480"), (3, "500"))),
    "LVEF": Scale("Ejection fraction decreased", "%", "<", ((3, "40"), (4, "20"))),
}  # fmt: skip
TESTS: dict[str, Callable[[Decimal, Decimal], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True)
class Normal:
    """A laboratory's normal range in the quantity's unit, inclusive; None: not stated."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Baseline:
    """The last value before treatment, in the quantity's unit, and the event that says it."""

    value: float
    on: date
    event_id: str


@dataclass(frozen=True)
class Graded:
    """A value's grade: 0-4 from a number (5, death, never is), None where what it needs is not known."""

    quantity: Quantity
    value: float
    grade: int | None
    why: str
    event_ids: tuple[str, ...] = ()

    @property
    def term(self) -> str:
        """CTCAE's term."""
        return SCALES[self.quantity].term

    def __str__(self) -> str:
        given = "not gradable" if self.grade is None else f"grade {self.grade}"
        return f"CTCAE v5 {self.term}, {given}: {self.why}"


@dataclass(frozen=True)
class _Step:
    """One limit: beyond it the value has at least this grade."""

    grade: int
    test: str
    limit: Decimal
    words: str
    by_baseline: bool = False

    def holds(self, value: Decimal) -> bool:
        return TESTS[self.test](value, self.limit)


@lru_cache(maxsize=4096)  # the same values are judged at every look at a patient
def grade_of(
    quantity: Quantity, value: float, normal: Normal | None = None, baseline: Baseline | None = None
) -> Graded:
    """Return the CTCAE v5 grade of `value`, in the unit of SCALES, with the words why.

    ALT, AST and bilirubin count in multiples of ULN, or of the baseline where that was above ULN. LVEF counts by its
    value or by its drop from the baseline in percentage points, QTcF by its value or by its rise from the baseline;
    the worse decides. Without a baseline only the value counts.
    """
    number = exact(value)
    if not number.is_finite() or number < 0:
        raise ValueError(f"{quantity} of {value} cannot be graded; give a finite value of at least 0")
    normal = normal or Normal()
    steps = list(_steps(quantity, normal, baseline))
    held = max((s for s in steps if s.holds(number)), key=lambda s: s.grade, default=None)
    said = f"{quantity} {plain(number)} {SCALES[quantity].unit}"
    if held:
        ids = (baseline.event_id,) if baseline and held.by_baseline else ()
        return Graded(quantity, value, held.grade, f"{said} is {held.test} {held.words}", ids)
    if absent := _absent(quantity, normal):
        return Graded(quantity, value, None, f"{said}: {absent} is not stated for this laboratory")
    first = min(steps, key=lambda s: s.grade)
    ids = (baseline.event_id,) if baseline and any(s.by_baseline for s in steps) else ()
    return Graded(quantity, value, 0, f"{said} is not {first.test} {first.words}", ids)


def _steps(quantity: Quantity, normal: Normal, baseline: Baseline | None) -> Iterator[_Step]:
    scale = SCALES[quantity]
    if scale.of == "uln":
        yield from _multiples(scale, normal, baseline)
        return
    for grade, limit in scale.limits:
        yield _Step(grade, scale.test, Decimal(limit), f"{limit} {scale.unit}")
    if scale.lln and normal.low is not None:
        yield _Step(1, "<", exact(normal.low), f"LLN of {normal.low:g} {scale.unit}")
    if quantity == "QTCF":
        yield _Step(1, ">=", Decimal(450), "450 ms")
    if quantity == "LVEF":
        yield _Step(2, "<=", Decimal(50), "50 %")
    if baseline:
        yield from _changes(quantity, baseline)


def _multiples(scale: Scale, normal: Normal, baseline: Baseline | None) -> Iterator[_Step]:
    """Yield multiples of ULN, or of the baseline if that was abnormal."""
    if normal.high is None:
        return
    high = exact(normal.high)
    before = exact(baseline.value) if baseline else high
    if baseline is None or before <= high:
        known = f"baseline of {baseline.on} normal" if baseline else "no baseline, taken as normal"
        for grade, times in scale.limits:
            words = f"{times} x ULN of {normal.high:g} {scale.unit} ({known})"
            yield _Step(grade, scale.test, Decimal(times) * high, words, by_baseline=baseline is not None)
        return
    for grade, times in scale.limits:
        test, factor = scale.abnormal if grade == 1 else (scale.test, times)
        words = f"{factor} x baseline of {baseline.value:g} {scale.unit} on {baseline.on}, above ULN of {normal.high:g}"
        yield _Step(grade, test, Decimal(factor) * before, words, by_baseline=True)


def _changes(quantity: Quantity, baseline: Baseline) -> Iterator[_Step]:
    """Yield the limits by change from the baseline."""
    before = exact(baseline.value)
    if quantity == "QTCF":
        words = f"60 ms above the baseline of {baseline.value:g} ms on {baseline.on}"
        yield _Step(3, ">", before + 60, words, by_baseline=True)
    if quantity == "LVEF":
        for grade, drop in ((2, 10), (3, 20)):
            words = f"baseline of {baseline.value:g} % on {baseline.on} less {drop} points"
            yield _Step(grade, "<=", before - drop, words, by_baseline=True)


def _absent(quantity: Quantity, normal: Normal) -> str:
    """Return which limit of normal would be needed and is not known, '' if none."""
    scale = SCALES[quantity]
    if scale.of == "uln" and normal.high is None:
        return "ULN"
    return "LLN" if scale.lln and normal.low is None else ""


def exact(value: float) -> Decimal:
    """Return the number as it was written, not its nearest binary fraction."""
    return Decimal(str(value))


def plain(value: Decimal) -> str:
    """Return the number in digits, without an exponent or trailing zeros."""
    return f"{value.normalize():f}"
