"""RECIST 1.1 for the sum of target lesion diameters (Eisenhauer et al., Eur J Cancer 2009;45:228-47, sections 4.3-4.4).

    PD  >= 20 % over the nadir and >= 5 mm, or a new lesion, or anything seen again after a complete disappearance
    CR  all target lesions gone: sum 0 (a sum of lymph nodes under 10 mm each is not 0: see `contradiction`)
    PR  >= 30 % under the baseline
    SD  none of these

The nadir is the smallest sum so far, the baseline included. A reported response also rests on non-target lesions, which
the sum does not show, so only what no non-target lesion could explain is a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from neotorch.domain import events as ev

Response = Literal["CR", "PR", "SD", "PD", "NE"]
GROWTH_MM, GROWTH_PCT, SHRINKAGE_PCT = 5.0, 20.0, 30.0
NODES_MM = 20.0
"""Two target nodes, the most of one organ, are normal under 10 mm each: below this sum a CR may be true."""
TOLERANCE = 1e-9
"""63 mm of 90 mm is a fall by 30 %, whatever binary fractions make of it."""


@dataclass(frozen=True)
class Assessment:
    """What the sums of one timepoint say. Sums in mm, changes in per cent; None where there is nothing to compare."""

    on: date
    response: Response
    sum_mm: float | None
    baseline_mm: float | None
    nadir_mm: float | None
    """The smallest sum before this one."""
    reason: str
    event_id: str = ""

    @property
    def from_baseline_pct(self) -> float | None:
        """Change from the baseline, negative for shrinkage."""
        return percent_change(self.sum_mm, self.baseline_mm)

    @property
    def from_nadir_pct(self) -> float | None:
        """Change from the nadir."""
        return percent_change(self.sum_mm, self.nadir_mm)


def percent_change(found_mm: float | None, reference_mm: float | None) -> float | None:
    """Return the change in per cent of the reference; None without one, or where it is 0."""
    if found_mm is None or not reference_mm:
        return None
    return 100 * (found_mm - reference_mm) / reference_mm


def nadir(sums_mm: Iterable[float]) -> float | None:
    """Return the smallest sum, None of none."""
    return min(sums_mm, default=None)


def progressed(nadir_mm: float, found_mm: float) -> bool:
    """Return whether a sum is progressive disease against the nadir."""
    growth = found_mm - nadir_mm
    if nadir_mm == 0:
        return found_mm > 0
    return growth + TOLERANCE >= GROWTH_MM and 100 * growth + TOLERANCE >= GROWTH_PCT * nadir_mm


def derive(
    baseline_mm: float | None, nadir_mm: float | None, found_mm: float | None, *, new_lesion: bool = False
) -> Response:
    """Return the response of a timepoint; NE where there is no sum, or nothing to hold it against."""
    if new_lesion:
        return "PD"
    if found_mm is None:
        return "NE"
    if nadir_mm is not None and progressed(nadir_mm, found_mm):
        return "PD"
    if baseline_mm is None:
        return "NE"
    if found_mm == 0:
        return "CR"
    return "PR" if found_mm <= (1 - SHRINKAGE_PCT / 100) * baseline_mm + TOLERANCE else "SD"


def assessments(scans: Sequence[ev.Imaging], first_dose: date | None) -> tuple[Assessment, ...]:
    """Return what the sums say at each timepoint after the baseline, in order of dates.

    The baseline is the last BASELINE imaging with a sum up to the first dose, else the first with a sum at all.
    """
    measured = [s for s in scans if s.response == "BASELINE" and s.sum_mm is not None]
    before = [s for s in measured if first_dose is None or s.occurred <= first_dose]
    base = before[-1] if before else measured[0] if measured else None
    later = [s for s in scans if base is None or (s.occurred > base.occurred)]
    found = []
    for scan in later:
        sums = [s.sum_mm for s in later if s.occurred < scan.occurred and s.sum_mm is not None]
        found.append(_assess(scan, base.sum_mm if base else None, sums))
    return tuple(found)


def _assess(scan: ev.Imaging, baseline_mm: float | None, earlier_mm: list[float]) -> Assessment:
    lowest = nadir([*earlier_mm, *([] if baseline_mm is None else [baseline_mm])])
    response = derive(baseline_mm, lowest, scan.sum_mm, new_lesion=scan.new_lesion)
    parts = ["new lesion"] if scan.new_lesion else []
    if scan.sum_mm is not None:
        parts.append(f"sum {scan.sum_mm:g} mm")
        parts += [
            f"{word} {mm:g} mm" + (f" ({change:+.1f} %)" if (change := percent_change(scan.sum_mm, mm)) is not None else "")
            for word, mm in (("baseline", baseline_mm), ("nadir", lowest))
            if mm is not None
        ]  # fmt: skip
    words = ", ".join(parts) or "no sum"
    return Assessment(
        scan.occurred, response, scan.sum_mm, baseline_mm, lowest, f"{response} by RECIST 1.1: {words}", scan.id
    )


def contradiction(reported: str, derived: Response, sum_mm: float | None) -> bool:
    """Return whether no state of the non-target lesions lets the reported response stand beside the sums.

    Without a sum to derive from (NE) nothing can be said. A reported PD may rest on non-target lesions alone, so whether
    it stands is for the caller to ask elsewhere; here it contradicts, as the sums do not show it.
    """
    if derived == "NE":
        return False
    if derived == "PD" or reported == "PD":
        return reported != derived
    if reported == "NE":
        return False
    allowed = {"CR": {"CR", "PR"}, "PR": {"PR"}, "SD": {"SD"}}[derived]
    nodes = reported == "CR" and sum_mm is not None and sum_mm < NODES_MM
    return reported not in allowed and not nodes
