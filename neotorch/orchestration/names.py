"""Names and business keys that flows, deployments and runs go by."""

from __future__ import annotations

JOURNEY = "patient-journey"
RECALCULATION = "recalculate-endpoints"
RECONCILIATION = "reconcile"
PUTTING_BY = "put-by"
TELLER = "tell-operators"


def journey_key(study: str, subject: str) -> str:
    """Return the idempotency key of a patient's one run."""
    return f"{study}/{subject}"


def recalculation_key(study: str, position: int) -> str:
    """Return the idempotency key of the recalculation that takes in the log up to `position`."""
    return f"{study}/endpoints/{position}"


def artifact_key(subject: str) -> str:
    """Return the key of a patient's artifact (lower case letters, digits and dashes only)."""
    return f"journey-{subject.lower()}"
