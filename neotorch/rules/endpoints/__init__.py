"""Endpoints of each patient and of the trial, derived from the facts; every value with its reason and its events."""

from neotorch.rules.endpoints.cohort import Cohort, Member, member
from neotorch.rules.endpoints.history import Moment, history
from neotorch.rules.endpoints.patient import ANNOUNCED, PatientEndpoints, patient_endpoints, patient_values
from neotorch.rules.endpoints.trial import Proportion, TrialResult, percent, trial_result
from neotorch.rules.endpoints.values import Answer, Source, Value, Verdict

__all__ = [
    "ANNOUNCED", "Answer", "Cohort", "Member", "Moment", "PatientEndpoints", "Proportion", "Source", "TrialResult", "Value",
    "Verdict", "history", "member", "patient_endpoints", "patient_values", "percent", "trial_result",
]  # fmt: skip
