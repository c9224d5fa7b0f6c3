"""The tumour on imaging, and what RECIST 1.1 calls it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from neotorch.domain.rcb import RcbClass
from neotorch.domain.recist import Response, derive

SHRINKS = {"RCB-0": (0.65, 1.0), "RCB-I": (0.5, 0.85), "RCB-II": (0.2, 0.6), "RCB-III": (-0.1, 0.35)}
"""Share by which the sum of diameters falls over the whole treatment."""


@dataclass
class Tumour:
    """Sum of target lesion diameters in mm over time."""

    baseline_mm: float
    shrinks: float
    nadir_mm: float

    @classmethod
    def draw(cls, rng: Random, rcb_class: RcbClass) -> Tumour:
        """Return a tumour that will respond as its specimen will show."""
        baseline = float(rng.randint(22, 68))
        return cls(baseline, rng.uniform(*SHRINKS[rcb_class]), baseline)

    def measure(self, rng: Random, part: float) -> tuple[float, Response]:
        """Return sum and response after `part` (0 to 1) of the treatment."""
        true = self.baseline_mm * (1 - self.shrinks * part)
        return self._read(max(0.0, float(round(true + rng.gauss(0, 1.2)))))

    def grown(self, rng: Random) -> tuple[float, Response]:
        """Return sum and response at a progression: at least 20 % and 5 mm over the nadir."""
        return self._read(float(round(self.nadir_mm * rng.uniform(1.3, 1.6) + 6)))

    def _read(self, found_mm: float) -> tuple[float, Response]:
        if self.nadir_mm == 0:
            found_mm = 0.0  # gone; what comes back is a recurrence of its own
        response = derive(self.baseline_mm, self.nadir_mm, found_mm)
        self.nadir_mm = min(self.nadir_mm, found_mm)
        return found_mm, response
