"""Statistics of publication grade: pure functions whose results carry the name of the method that made them.

NumPy and SciPy are imported where they are first used: what needs no statistics starts without them.
"""

from __future__ import annotations

from neotorch.domain.statistics.design import Simon, SingleStage, TwoStage, operating, simon, single_stage
from neotorch.domain.statistics.monitoring import (
    FutilityBoundary,
    Posterior,
    PredictiveProbability,
    ToxicityBoundary,
    futility_boundary,
    posterior,
    predictive_probability,
    toxicity_boundary,
)
from neotorch.domain.statistics.proportion import Interval, clopper_pearson, cohen_kappa, exact_test
from neotorch.domain.statistics.survival import KaplanMeier, Point, RiskRow, follow_up, kaplan_meier

__all__ = [
    "FutilityBoundary",
    "Interval",
    "KaplanMeier",
    "Point",
    "Posterior",
    "PredictiveProbability",
    "RiskRow",
    "Simon",
    "SingleStage",
    "ToxicityBoundary",
    "TwoStage",
    "clopper_pearson",
    "cohen_kappa",
    "exact_test",
    "follow_up",
    "futility_boundary",
    "kaplan_meier",
    "operating",
    "posterior",
    "predictive_probability",
    "simon",
    "single_stage",
    "toxicity_boundary",
]
