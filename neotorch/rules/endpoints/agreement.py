"""How far the local and the central read agree over the trial: cross table, raw agreement, Cohen's kappa.

A pair is one breast with a final local and a final central report that both have a class (or a pCR) and do not contradict
themselves: the newest ones, before any adjudication. Weights of the RCB class are linear, its categories being ordered
(Cicchetti and Allison, Am J EEG Technol 1971;11:101-9); pCR has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from neotorch.domain.rcb import RcbClass
from neotorch.domain.state import PatientState
from neotorch.domain.statistics import Interval, clopper_pearson, cohen_kappa
from neotorch.domain.study import Study
from neotorch.rules.reads import Side, answer, awaits_adjudication, sides

Pair = tuple[str, str]
"""What the local and what the central read says."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of the two reads in one thing."""

    what: Literal["rcb_class", "pcr"]
    categories: tuple[str, ...]
    table: Mapping[Pair, int]
    """(local, central) -> breasts; every pair of categories."""
    agreeing: int
    n: int
    """Breasts with both reads."""
    raw: Interval | None
    """Share that agrees, Clopper-Pearson; None without a pair."""
    kappa: Interval | None
    """None where it is not defined: no pair, or everybody in one category for both."""
    not_compared: int
    """Breasts with any report and not both reads, or a read without a class or answer."""
    adjudicated: int
    """Breasts with a final adjudication, whatever it was about."""
    awaited: int
    """Breasts whose reads differ in what has to be adjudicated and were not."""

    def __str__(self) -> str:
        return f"{self.agreeing}/{self.n}"


CATEGORIES: dict[Literal["rcb_class", "pcr"], tuple[str, ...]] = {
    "rcb_class": get_args(RcbClass), "pcr": ("yes", "no"),
}  # fmt: skip


def agreements(states: Iterable[PatientState], study: Study, cut: date) -> tuple[Agreement, ...]:
    """Return the agreement in RCB class and in pCR (the study's definition) at a cut; of any patients."""
    found = [side for state in states for side in sides(state, cut)]
    return tuple(_agreement(what, found, study) for what in CATEGORIES)


def _agreement(what: Literal["rcb_class", "pcr"], found: list[Side], study: Study) -> Agreement:
    ends = study.endpoints
    level = ends.rcb01.level if what == "rcb_class" else ends.pcr.level
    pairs = [pair for side in found if (pair := _pair(side, what, study))]
    table, names = Counter(pairs), CATEGORIES[what]
    agreeing, n = sum(table[name, name] for name in names), len(pairs)
    return Agreement(
        what, names, {(row, column): table[row, column] for row in names for column in names}, agreeing, n,
        raw=clopper_pearson(agreeing, n, level=level) if n else None,
        kappa=cohen_kappa(pairs, level=level, weights="linear" if what == "rcb_class" else None, categories=names),
        not_compared=len(found) - n, adjudicated=sum("adjudication" in s.final for s in found),
        awaited=sum(awaits_adjudication(s, ends) for s in found),
    )  # fmt: skip


def _pair(side: Side, what: str, study: Study) -> Pair | None:
    if side.doubled:
        return None
    said = [answer(side.final[r], what, study.endpoints) if r in side.final else None for r in ("local", "central")]
    return (said[0], said[1]) if said[0] and said[1] else None
