"""Ordinary values for the items of forms. Means and spreads are rounded clinical experience, not data."""

from __future__ import annotations

from random import Random

from neotorch.domain.study import Item

SPREAD: dict[str, tuple[float, float, int]] = {
    "AGE_YEARS": (50, 9, 0), "ER_PCT": (80, 15, 0), "PR_PCT": (55, 28, 0), "KI67_PCT": (30, 14, 0),
    "PDL1_CPS": (4, 5, 0), "SBP": (126, 13, 0), "DBP": (79, 9, 0), "ANC": (3.4, 1.2, 2), "PLT": (215, 55, 0),
    "HB": (116, 11, 0), "ALT": (27, 14, 0), "AST": (26, 11, 0), "BILI": (10, 3.5, 1), "CREAT": (62, 10, 0),
    "INR": (1.0, 0.08, 2), "APTT": (29, 3, 1), "TSH": (2.4, 1.3, 2), "FT3": (4.7, 0.6, 2), "FT4": (15.5, 2.2, 1),
    "CORT": (360, 90, 0), "TROP": (6, 3, 1), "CK": (85, 35, 0), "QTCF": (418, 17, 0), "LVEF_PCT": (64, 4, 0),
    "PILLS_LEFT": (0.4, 0.9, 0), "COMPLICATION": (0.2, 0.6, 0), "ECOG": (0.2, 0.5, 0),
}  # fmt: skip
"""Item -> mean, standard deviation, digits after the point."""
SHARES: dict[str, tuple[float, ...]] = {
    "MENOPAUSE": (0.55, 0.45), "HER2": (0.35, 0.45, 0.2), "PROT": (0.8, 0.1, 0.07, 0.03, 0, 0),
    "CT": (0.12, 0.6, 0.22, 0.06), "CN": (0.35, 0.45, 0.15, 0.05), "MDT_DECISION": (1, 0, 0),
}  # fmt: skip
"""Choice item -> share of each choice in the study file's order; else the first choice is the ordinary one."""


def value(rng: Random, name: str, item: Item) -> bool | int | float | str:
    """Return a plausible answer to an item, within the study file's limits."""
    match item.kind:
        case "boolean":
            return True
        case "choice":
            shares = SHARES.get(name, ())
            return rng.choices(item.choices, shares)[0] if len(shares) == len(item.choices) else item.choices[0]
        case "number" | "integer":
            return _number(rng, name, item)
        case _:
            return "as planned"


def _number(rng: Random, name: str, item: Item) -> int | float:
    low, high = item.low or 0.0, item.high if item.high is not None else 100.0
    mean, spread, digits = SPREAD.get(name, ((low + high) / 2, (high - low) / 12, 1))
    drawn = max(low, min(high, rng.gauss(mean, spread)))
    return round(drawn) if item.kind == "integer" or digits == 0 else round(drawn, digits)
