"""The analysis plan of a study file: endpoint definitions, design, monitoring, subgroups. Each with its source."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from neotorch.domain.efs import EfsMap
from neotorch.domain.events import Code
from neotorch.domain.sourced import Model, Sourced, Words

Share = Annotated[float, Field(gt=0, lt=1)]
Level = Annotated[float, Field(gt=0.5, lt=1)]
Patients = Annotated[int, Field(ge=1, le=100_000)]
Figure = Literal["pcr", "rcb01"]
"""The endpoints that are a share of patients."""


class Design(Sourced):
    """What a share is tested against: one-sided exact test of share <= `p0`, planned for a share of `p1`."""

    kind: Literal["single-stage", "simon-optimal", "simon-minimax"]
    p0: Share
    p1: Share
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    power: Level

    @model_validator(mode="after")
    def _hope_is_higher(self) -> Self:
        if self.p1 <= self.p0:
            raise ValueError(f"p1 {self.p1:g} is not above p0 {self.p0:g}")
        return self


class PcrDefinition(Sourced):
    """Pathologic complete response."""

    definition: Literal["ypT0/Tis ypN0", "ypT0 ypN0", "ypT0/Tis"]
    level: Level
    interval: Literal["clopper-pearson"]
    frame_days: Annotated[int, Field(ge=1)]
    """Analysis time frame from first dose in days; before its end a patient without pathology is pending."""
    design: Design | None = None


class RcbDefinition(Sourced):
    """Share of patients with a low RCB class, e.g. RCB-0 or RCB-I."""

    classes: Annotated[list[Literal["RCB-0", "RCB-I", "RCB-II", "RCB-III"]], Field(min_length=1)]
    level: Level
    interval: Literal["clopper-pearson"]
    frame_days: Annotated[int, Field(ge=1)]
    design: Design | None = None

    @property
    def name(self) -> str:
        """What it is called, e.g. `RCB-0 or RCB-I`."""
        return " or ".join(self.classes)


class PathologyPath(Sourced):
    """Which of several final reports on one specimen counts, and when they have to be adjudicated.

    A final adjudication counts before all others. Without one the report of `reference_read` counts, also where the other
    read differs and an adjudication is still awaited; with `central` the local one as long as there is no central one.
    """

    reference_read: Literal["local", "central"]
    adjudicate_when: list[Literal["rcb_class", "pcr"]]
    """In what the final local and the final central read of one side must not differ without being adjudicated."""


class EfsDefinition(Sourced):
    """Event-free survival."""

    primary_map: Code
    level: Level
    interval: Literal["log-log"]
    landmarks_days: list[int]
    maps: Annotated[list[EfsMap], Field(min_length=1)]
    missed_assessments: Annotated[int, Field(ge=1, le=10)] = 2
    """So many missed assessments in a row before an event: a sensitivity analysis censors at the last one before."""

    @model_validator(mode="after")
    def _primary_exists(self) -> Self:
        if self.primary_map not in {m.name for m in self.maps}:
            raise ValueError(f"primary_map is {self.primary_map!r}, and no map has that name")
        return self

    @property
    def primary(self) -> EfsMap:
        """The map that the headline figure uses."""
        return next(m for m in self.maps if m.name == self.primary_map)


class Futility(Sourced):
    """Stop for futility when P(share > p0 | data) falls under `threshold` (Thall and Simon 1994, Biometrics 50:337-49)."""

    endpoint: Figure
    prior: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    """Parameters of the Beta prior."""
    p0: Share
    threshold: Share
    looks: Annotated[list[Patients], Field(min_length=1)]
    """Numbers of evaluable patients at which it is looked."""

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: list[int]) -> list[int]:
        if any(b <= a for a, b in pairwise(looks)):
            raise ValueError(f"looks must rise, and they are {looks}")
        return looks

    @property
    def code(self) -> str:
        """What it is called in reasons, notices and the log."""
        return f"futility.{self.endpoint}"


class Toxicity(Sourced):
    """Stop for toxicity by a Pocock-type boundary (Ivanova, Qaqish and Schell 2005, Biometrics 61:540-5)."""

    grade: Annotated[int, Field(ge=1, le=5)]
    """CTCAE grade from which an adverse event counts."""
    immune_related: bool = False
    """Only immune-related ones count."""
    related: bool = False
    """Only those related to a study drug count."""
    theta: Share
    """Toxicity rate that is acceptable."""
    phi: Share
    """Probability of stopping at that rate."""
    patients: Patients
    observed_days: Annotated[int, Field(ge=1)]
    """Days from the first dose after which a patient without such an event counts as free of it; later ones do not count."""

    @property
    def code(self) -> str:
        """What it is called in reasons, notices and the log."""
        marks = (f"toxicity.g{self.grade}", "immune" if self.immune_related else "", "related" if self.related else "")
        return ".".join(m for m in marks if m)


class Prediction(Sourced):
    """Predictive probability that the design's test succeeds with all its patients (Lee and Liu 2008)."""

    endpoint: Figure
    prior: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]

    @property
    def code(self) -> str:
        """What it is called in reasons."""
        return f"prediction.{self.endpoint}"


class Monitoring(Model):
    """What is looked at whenever a patient becomes evaluable."""

    futility: list[Futility] = []
    toxicity: list[Toxicity] = []
    prediction: list[Prediction] = []

    @property
    def by_code(self) -> dict[str, Futility | Toxicity | Prediction]:
        """Each rule by a code made of what it looks at, such as `futility.pcr` or `toxicity.g3.immune`.

        A crossing is recorded under it, so it does not hang on the order in the file; only rules of the same make are
        numbered.
        """
        found: dict[str, Futility | Toxicity | Prediction] = {}
        rules: list[Futility | Toxicity | Prediction] = [*self.futility, *self.toxicity, *self.prediction]
        for rule in rules:
            same = sum(other.code == rule.code for other in found.values())
            found[f"{rule.code}-{same + 1}" if same else rule.code] = rule
        return found


class Subgroup(Sourced):
    """Patients divided by the value of an item at baseline: the last one up to the first dose."""

    code: Code
    label: Words
    form: Code
    item: Code
    cuts: list[float] = []
    """Lower bounds of the second and further groups, rising; for a number."""
    groups: dict[str, list[str]] = {}
    """Name -> the choices in it; for a choice. One that is named nowhere is a group of its own."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.cuts and self.groups:
            raise ValueError("cuts are for a number and groups for a choice; name one of them")
        if any(b <= a for a, b in pairwise(self.cuts)):
            raise ValueError(f"cuts must rise, and they are {self.cuts}")
        return self


class Endpoints(Model):
    """Endpoint definitions."""

    pcr: PcrDefinition
    rcb01: RcbDefinition
    efs: EfsDefinition
    pathology: PathologyPath | None = None
    """Left out: the local read counts unless it was adjudicated, and nothing has to be."""
    dfi: EfsMap | None = None
    """Disease-free interval, from the first operation: which findings end it."""
    monitoring: Monitoring = Monitoring()
    subgroups: list[Subgroup] = []
    alpha_split: str
    """What is said beside two primary endpoints without a stated split of alpha."""

    @property
    def reference_read(self) -> Literal["local", "central"]:
        """The read that counts unless there is an adjudication."""
        return self.pathology.reference_read if self.pathology else "local"

    @model_validator(mode="after")
    def _tested(self) -> Self:
        for n, prediction in enumerate(self.monitoring.prediction):
            if getattr(self, prediction.endpoint).design is None:
                raise ValueError(
                    f"monitoring.prediction.{n}: {prediction.endpoint} has no design whose test could succeed"
                )
        return self
