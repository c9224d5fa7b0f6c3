"""The closed union of everything that can be recorded about a trial.

Facts come from sites; effects are written by the engine. Both are events of one append-only log, because
ICH E6(R3) 4.2.2 asks that workflow actions be recorded as the data are. An event is frozen, strict and forbids
unknown fields. `id` is the identity in the source system: the same id with the same body is a duplicate, the same
id with another body is refused. Names follow CDISC, RECIST 1.1, CTCAE v5 and NeoSTEEP.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    StringConstraints,
    TypeAdapter,
)

from neotorch.domain.dates import parse_date, parse_instant

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}$")]
"""A short code from the study file or a controlled list; no blanks, so no names and no free text."""
EventId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/#@+-]{0,239}$")]
StudyVersion = Annotated[str, StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}$")]
"""Version of a study file, such as 1.1."""
SUBJECT_CODE = r"^[A-Z0-9]{2,8}(-[A-Z0-9]{1,8})?-[0-9]{2,6}$"
"""One or two short groups (study, site) and a running number, as trials number subjects; the study file narrows it."""
SubjectId = Annotated[str, StringConstraints(pattern=SUBJECT_CODE)]
"""A subject code such as NT-007 or 101-04-0012."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
"""Free text. Stays in the log; never put into a notice, run name or artifact."""

IsoDate = Annotated[date, BeforeValidator(parse_date)]
IsoInstant = Annotated[AwareDatetime, BeforeValidator(parse_instant)]


def _finite(value: float) -> float:
    return float(value)


Amount = Annotated[FiniteFloat, Field(ge=0), AfterValidator(_finite)]
"""A measured amount >= 0, finite. Zero is an answer, not a missing value."""
Percent = Annotated[FiniteFloat, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0, le=200)]
Drug = Code
CYCLES_MAX = 12
EXTRA_CYCLES_MAX = 6
CycleNumber = Annotated[int, Field(ge=1, le=CYCLES_MAX + EXTRA_CYCLES_MAX)]
"""How many a study file may plan and allow beyond the plan; how many it does, its `cycles` section says."""


ENGINE_ID = "engine:"
"""Ids of effects begin so, and no fact's may: nothing that is recorded can stand in the engine's way."""


class Model(BaseModel):
    """Frozen, strict, no unknown field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)


class NotAnswered(Model):
    """An item that will not be answered, and why: this is an answer, so it raises no query (CDISC null flavour)."""

    status: Literal["not_done", "unknown", "not_applicable"]
    reason: Text


ItemValue = Union[
    bool,
    Annotated[int, Field(ge=-(10**15), le=10**15)],
    FiniteFloat,
    Annotated[str, StringConstraints(max_length=500)],
    NotAnswered,
]


class Event(Model):
    """What every event carries. `occurred` is the local calendar date at the site on which it happened."""

    type: str
    v: Literal[1] = 1
    """Schema version of the type."""
    id: EventId
    study: Code
    subject: SubjectId | None = None
    """None only for events about the trial as a whole."""
    occurred: IsoDate
    actor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@:-]{1,60}$")] = "site"
    """Who recorded it: a user code or role, never a person's name."""
    reason: Text | None = None
    corrects: EventId | None = None
    """The id of the event that this one replaces; needs `reason` (ICH E6(R3) 4.2.4)."""

    rank: ClassVar[int] = 50
    """Order of kinds that happened on one day: what has to come first clinically has the lower rank."""

    @property
    def body(self) -> dict[str, Any]:
        """The content as plain JSON values; absent optional fields are left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical body: equal bodies, equal digests."""
        return digest_of(self.body)


class Fact(Event):
    """Something that happened to a patient, told by a site."""

    subject: SubjectId


class TrialFact(Event):
    """Something told about the trial as a whole or its people, not about a patient."""

    subject: None = None


class Effect(Event):
    """Something the engine did."""

    actor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@:-]{1,60}$")] = "engine"
    rank: ClassVar[int] = 99


def canonical(value: Any) -> bytes:
    """The one byte form that digests and the hash chain are taken over: sorted keys, no blanks, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """SHA-256 over the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()


# ── entry to the trial ────────────────────────────────────────────────────────────────────────────────────────────


class Consent(Fact):
    """Informed consent signed; the subject exists from here on, at this site."""

    type: Literal["consent"] = "consent"
    site: Code
    icf_version: Code
    rank: ClassVar[int] = 1


class Reconsent(Fact):
    """Asked to consent to an amended protocol: from that day the patient is on `version`, or stays where they were."""

    type: Literal["reconsent"] = "reconsent"
    version: StudyVersion
    agreed: bool = True
    icf_version: Code | None = None
    rank: ClassVar[int] = 2


class Eligibility(Fact):
    """Eligibility decision. `eligible=False` is a screen failure; say which criteria failed."""

    type: Literal["eligibility"] = "eligibility"
    eligible: bool
    failed_criteria: list[Code] = []
    rank: ClassVar[int] = 3


class Enrolment(Fact):
    """Enrolled into the trial."""

    type: Literal["enrolment"] = "enrolment"
    planned_start: IsoDate | None = None
    """Planned date of the first dose, if already agreed."""
    rank: ClassVar[int] = 4


# ── treatment ─────────────────────────────────────────────────────────────────────────────────────────────────────


class DrugGiven(Model):
    """One drug of one cycle, counted from the cycle's day 1."""

    drug: Drug
    status: Literal["given", "reduced", "held"] = "given"
    dose: Amount | None = None
    """In the unit that the study file states for the drug."""
    last_dose: IsoDate | None = None
    """Last day the drug was taken in this cycle, where it is not the planned last day."""


class CycleGiven(Fact):
    """Day 1 of a cycle: `occurred` is the actual day 1, and the following visits hang on it."""

    type: Literal["cycle_given"] = "cycle_given"
    cycle: CycleNumber
    drugs: Annotated[list[DrugGiven], Field(min_length=1)]
    rank: ClassVar[int] = 10


class CycleDelayed(Fact):
    """The next cycle is put off to `until`."""

    type: Literal["cycle_delayed"] = "cycle_delayed"
    cycle: CycleNumber
    until: IsoDate
    cause: Code
    rank: ClassVar[int] = 9


class DoseChanged(Fact):
    """A drug reduced, interrupted, resumed or stopped; of the last day taken where interrupted or stopped."""

    type: Literal["dose_changed"] = "dose_changed"
    drug: Drug
    action: Literal["reduced", "interrupted", "resumed", "stopped"]
    dose: Amount | None = None
    cause: Code
    rank: ClassVar[int] = 12


# ── visits and data ───────────────────────────────────────────────────────────────────────────────────────────────


class VisitHeld(Fact):
    """A visit took place."""

    type: Literal["visit_held"] = "visit_held"
    visit: Code
    rank: ClassVar[int] = 20


class VisitMissed(Fact):
    """The site says that a visit did not and will not take place."""

    type: Literal["visit_missed"] = "visit_missed"
    visit: Code
    cause: Code
    rank: ClassVar[int] = 20


class UnscheduledVisit(Fact):
    """A visit that the schedule does not know; its forms name `visit: UNS`."""

    type: Literal["unscheduled_visit"] = "unscheduled_visit"
    cause: Code
    rank: ClassVar[int] = 20


class FormReceived(Fact):
    """Items collected at a visit. A form may come in parts; a later part adds, a correction replaces."""

    type: Literal["form_received"] = "form_received"
    visit: Code
    form: Code
    items: dict[Code, ItemValue]
    rank: ClassVar[int] = 22


class Imaging(Fact):
    """Imaging read by RECIST 1.1. `sum_mm` is the sum of target lesion diameters in mm."""

    type: Literal["imaging"] = "imaging"
    visit: Code | None = None
    modality: Annotated[list[Literal["US", "MRI", "CT", "MG", "PET"]], Field(min_length=1)]
    sum_mm: Amount | None = None
    new_lesion: bool = False
    response: Literal["BASELINE", "CR", "PR", "SD", "PD", "NE"]
    rank: ClassVar[int] = 24


class AdverseEvent(Fact):
    """An adverse event graded by CTCAE v5. A serious one is to be reported 24 h after `aware`, when the site learnt."""

    type: Literal["adverse_event"] = "adverse_event"
    term: Code
    grade: Annotated[int, Field(ge=1, le=5)]
    serious: bool = False
    immune_related: bool = False
    related_to: list[Drug] = []
    aware: IsoInstant | None = None
    reported: IsoInstant | None = None
    resolved: IsoDate | None = None
    rank: ClassVar[int] = 30


# ── disease ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Progression(Fact):
    """Progression before surgery. `operable=False` precludes surgery; None is not yet decided."""

    type: Literal["progression"] = "progression"
    operable: bool | None
    basis: Literal["imaging", "biopsy", "clinical", "decision"]
    site: Literal["breast", "regional", "distant"] = "breast"
    rank: ClassVar[int] = 40


class Surgery(Fact):
    """Definitive breast surgery. A re-excision is a further surgery event."""

    type: Literal["surgery"] = "surgery"
    breast: Literal["breast_conserving", "mastectomy"]
    axilla: Literal["sentinel", "dissection", "none"]
    margin: Literal["clear", "positive", "unknown"] = "unknown"
    rank: ClassVar[int] = 42


YpT = Literal["ypT0", "ypTis", "ypT1mi", "ypT1a", "ypT1b", "ypT1c", "ypT2", "ypT3", "ypT4", "ypTX"]
YpN = Literal[
    "ypN0", "ypN0(i+)", "ypN1mi", "ypN1a", "ypN1b", "ypN1c", "ypN2a", "ypN2b", "ypN3a", "ypN3b", "ypN3c", "ypNX"
]


class Pathology(Fact):
    """Report on the surgical specimen; `occurred` is the day of the report.

    The six RCB inputs are d1_mm, d2_mm (tumour bed), cellularity_pct, in_situ_pct (a share of the cancer),
    nodes_positive and largest_met_mm (Symmans 2007). A missing one makes RCB not evaluable, never 0.
    """

    type: Literal["pathology"] = "pathology"
    read: Literal["local", "central", "adjudication"] = "local"
    status: Literal["preliminary", "final"] = "final"
    side: Literal["left", "right"] | None = None
    ypt: YpT
    ypn: YpN
    d1_mm: Annotated[Amount, Field(le=500)] | None = None
    d2_mm: Annotated[Amount, Field(le=500)] | None = None
    cellularity_pct: Percent | None = None
    in_situ_pct: Percent | None = None
    nodes_positive: Count | None = None
    nodes_removed: Count | None = None
    largest_met_mm: Annotated[Amount, Field(le=200)] | None = None
    lymphovascular_invasion: bool = False
    bed_found: bool = True
    """False: no tumour bed and no clip found in the specimen; not a pCR until resolved."""
    sentinel_positive_before_therapy: bool = False
    """A positive node removed before therapy: RCB is not calculable and ypN0 cannot give pCR."""
    miller_payne: Annotated[int, Field(ge=1, le=5)] | None = None
    er_pct: Percent | None = None
    pr_pct: Percent | None = None
    her2: Literal["0", "1+", "2+", "3+"] | None = None
    ki67_pct: Percent | None = None
    rank: ClassVar[int] = 44


class Recurrence(Fact):
    """Recurrence after surgery; `occurred` is the first documentation, not the visit."""

    type: Literal["recurrence"] = "recurrence"
    site: Literal["local", "regional", "distant"]
    invasive: bool = True
    basis: Literal["imaging", "biopsy", "clinical"] = "imaging"
    rank: ClassVar[int] = 46


class SecondPrimary(Fact):
    """A new primary cancer."""

    type: Literal["second_primary"] = "second_primary"
    kind: Literal[
        "contralateral_invasive_breast", "non_breast_invasive", "dcis_lcis", "non_melanoma_skin", "cervix_in_situ"
    ]
    rank: ClassVar[int] = 46


class NewTherapy(Fact):
    """New anticancer therapy outside the protocol."""

    type: Literal["new_therapy"] = "new_therapy"
    therapy: Code
    rank: ClassVar[int] = 48


class DiseaseAssessment(Fact):
    """Disease status by examination or imaging. Only an adequate one can censor event-free survival."""

    type: Literal["disease_assessment"] = "disease_assessment"
    status: Literal["free", "disease", "equivocal"]
    adequate: bool = True
    visit: Code | None = None
    rank: ClassVar[int] = 49


# ── end and contact ───────────────────────────────────────────────────────────────────────────────────────────────


class Contact(Fact):
    """Last known to be alive on `occurred`."""

    type: Literal["contact"] = "contact"
    by: Literal["phone", "visit", "record"] = "phone"
    rank: ClassVar[int] = 60


class Death(Fact):
    """Death from any cause."""

    type: Literal["death"] = "death"
    cause: Literal["disease", "treatment", "other", "unknown"] = "unknown"
    rank: ClassVar[int] = 90


class Withdrawal(Fact):
    """Consent withdrawn: from treatment only (follow-up goes on) or from the study (the journey ends)."""

    type: Literal["withdrawal"] = "withdrawal"
    scope: Literal["treatment", "study"]
    rank: ClassVar[int] = 80


class LostToFollowUp(Fact):
    """Declared lost to follow-up; a later contact takes it back."""

    type: Literal["lost_to_follow_up"] = "lost_to_follow_up"
    rank: ClassVar[int] = 70


class QueryAnswered(Fact):
    """A site's answer to a query. The query closes when the data no longer give rise to it."""

    type: Literal["query_answered"] = "query_answered"
    query: EventId
    answer: Text
    rank: ClassVar[int] = 95


class QueryOpened(Fact):
    """A query asked by a person (a monitor, a data manager); `query` is its key. It closes by `query_resolved`."""

    type: Literal["query_opened"] = "query_opened"
    query: EventId
    visit: Code | None = None
    items: list[Code] = []
    text: Text
    rank: ClassVar[int] = 94


class QueryResolved(Fact):
    """Whoever asked is content with the answer. Only for queries asked by a person; others close by the data."""

    type: Literal["query_resolved"] = "query_resolved"
    query: EventId
    rank: ClassVar[int] = 96


# ── what a coordinator says about an open matter ──────────────────────────────────────────────────────────────────


class VisitBooked(Fact):
    """A visit has an appointment, which becomes its target day. Outside its window it needs a `reason`."""

    type: Literal["visit_booked"] = "visit_booked"
    visit: Code
    appointment: IsoDate
    rank: ClassVar[int] = 92


class VisitWaived(Fact):
    """A visit need not take place, with a `reason`: nobody is reminded of it any more."""

    type: Literal["visit_waived"] = "visit_waived"
    visit: Code
    rank: ClassVar[int] = 92


class NoticeSeen(Fact):
    """Somebody has taken note of the matter `key` (a visit or a query): it is not escalated."""

    type: Literal["notice_seen"] = "notice_seen"
    key: EventId
    rank: ClassVar[int] = 97


class Snoozed(Fact):
    """No reminder of the matter `key` until the morning of `until`, with a `reason`."""

    type: Literal["snoozed"] = "snoozed"
    key: EventId
    until: IsoDate
    rank: ClassVar[int] = 97


class DeviationAcknowledged(Fact):
    """The site's word on a deviation: how it came about and what was done about it."""

    type: Literal["deviation_acknowledged"] = "deviation_acknowledged"
    deviation: EventId
    cause: Code
    action: Code
    rank: ClassVar[int] = 97


class Retraction(Fact):
    """Takes an event back altogether, e.g. one recorded for the wrong subject. Needs `reason`."""

    type: Literal["retraction"] = "retraction"
    retracts: EventId
    rank: ClassVar[int] = 0


# ── the trial and its people ──────────────────────────────────────────────────────────────────────────────────────


class Absence(TrialFact):
    """Whoever reads `channel` is away from `occurred` to `until`, both included; `deputy` is the channel to use instead."""

    type: Literal["absence"] = "absence"
    channel: Code
    until: IsoDate
    deputy: Code


class NoticesReleased(TrialFact):
    """Notices that were held because they were far more than usual may go out, with a `reason`."""

    type: Literal["notices_released"] = "notices_released"


class ProtocolAmended(TrialFact):
    """A version of the study file, whole, as it was adopted: what it says can be read from the log for ever."""

    type: Literal["protocol_amended"] = "protocol_amended"
    rank: ClassVar[int] = -2
    version: StudyVersion
    amends: StudyVersion
    definition: dict[str, JsonValue]
    """The study file's content, as plain JSON."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical definition."""
        return digest_of(self.definition)


class AmendmentActivated(TrialFact):
    """From `occurred` on, the day of its approval there, an adopted version is in force at a site."""

    type: Literal["amendment_activated"] = "amendment_activated"
    rank: ClassVar[int] = -1
    version: StudyVersion
    site: Code


class TrialRetraction(TrialFact):
    """Takes back an absence or an activation that was recorded by mistake, as if it had not been. Needs `reason`."""

    type: Literal["trial_retraction"] = "trial_retraction"
    retracts: EventId


# ── effects ───────────────────────────────────────────────────────────────────────────────────────────────────────


class NoticeClaimed(Effect):
    """The engine is about to send one notice to one channel: at most one claim per key and attempt, whoever asks."""

    type: Literal["notice_claimed"] = "notice_claimed"
    key: EventId
    attempt: Annotated[int, Field(ge=1)]
    role: Code
    channel: Code
    part_of: EventId | None = None
    """Key of the digest that it goes out in, if it does not go out by itself."""


class NoticeSent(Effect):
    """The channel took the notice."""

    type: Literal["notice_sent"] = "notice_sent"
    key: EventId
    attempt: Annotated[int, Field(ge=1)]
    role: Code
    channel: Code
    at: IsoInstant
    part_of: EventId | None = None


class NoticeFailed(Effect):
    """The channel did not take it; `retry_at` is None when no further attempt will be made by itself."""

    type: Literal["notice_failed"] = "notice_failed"
    key: EventId
    attempt: Annotated[int, Field(ge=1)]
    role: Code
    channel: Code
    error: Annotated[str, StringConstraints(max_length=300)]
    at: IsoInstant
    retry_at: IsoInstant | None
    in_doubt: bool = False
    """No answer came: it may have arrived all the same."""


class QueryRaised(Effect):
    """A data query. `query` names what it is about and stays the same when it opens again; `round` counts openings."""

    type: Literal["query_raised"] = "query_raised"
    query: EventId
    round: Annotated[int, Field(ge=1)]
    kind: Code
    visit: Code | None = None
    items: list[Code] = []


class QueryClosed(Effect):
    """The data no longer give rise to the query."""

    type: Literal["query_closed"] = "query_closed"
    query: EventId
    round: Annotated[int, Field(ge=1)]


class DeviationFound(Effect):
    """The data show a departure from the protocol (ICH E3 Q&A 7). Key and rounds work as those of a query."""

    type: Literal["deviation_found"] = "deviation_found"
    deviation: EventId
    round: Annotated[int, Field(ge=1)]
    kind: Code
    grade: Literal["minor", "important"]
    visit: Code | None = None


class DeviationWithdrawn(Effect):
    """The data show it no longer, e.g. since a date was corrected."""

    type: Literal["deviation_withdrawn"] = "deviation_withdrawn"
    deviation: EventId
    round: Annotated[int, Field(ge=1)]


class EndpointChange(Model):
    """One value that differs from the last recorded result. `subject` is None for a trial figure."""

    subject: SubjectId | None
    field: Code
    old: str | None
    new: str | None


class EndpointsRecalculated(Effect):
    """A result of the trial that differs from the one before, with the difference."""

    type: Literal["endpoints_recalculated"] = "endpoints_recalculated"
    trigger: Literal["event", "nightly", "rebuild"]
    log_seq: Annotated[int, Field(ge=0)]
    """Log position that the result was computed from."""
    result_digest: str
    """SHA-256 over all values after the change; the values themselves are the sum of the changes so far."""
    changes: list[EndpointChange]
    explained_by: list[EventId] = []


class BoundaryCrossed(Effect):
    """A monitoring boundary was crossed when so many patients were evaluable; `round` counts how often at this look."""

    type: Literal["boundary_crossed"] = "boundary_crossed"
    rule: Code
    kind: Literal["futility", "toxicity"]
    n: Annotated[int, Field(ge=1)]
    """Evaluable patients at the look."""
    x: Annotated[int, Field(ge=0)]
    """Responders, or patients with the toxicity."""
    stop_at: Annotated[int, Field(ge=0)]
    on: IsoDate
    """The day on which the nth patient became evaluable."""
    round: Annotated[int, Field(ge=1)]
    log_seq: Annotated[int, Field(ge=0)]
    """Log position that it was computed from."""


class BoundaryWithdrawn(Effect):
    """The data do not show a crossing any more, e.g. since a report was corrected."""

    type: Literal["boundary_withdrawn"] = "boundary_withdrawn"
    rule: Code
    kind: Literal["futility", "toxicity"]
    n: Annotated[int, Field(ge=1)]
    round: Annotated[int, Field(ge=1)]
    log_seq: Annotated[int, Field(ge=0)]


FLOOD = "flood-of-notices"
"""Kind of the incident with which notices are held for a person."""


LOG_HEAD = "log-head"
"""Kind of what is no incident: the head of the log, told to the operators every night where that is asked for."""


class Incident(Effect):
    """Something that must not happen, told to the operators: e.g. a nightly result that no event explains."""

    type: Literal["incident"] = "incident"
    kind: Code
    detail: Annotated[str, StringConstraints(max_length=500)]


AnyFact = Union[
    Consent, Eligibility, Enrolment, CycleGiven, CycleDelayed, DoseChanged, VisitHeld, VisitMissed, FormReceived,
    Imaging, AdverseEvent, Progression, Surgery, Pathology, Recurrence, SecondPrimary, NewTherapy, DiseaseAssessment,
    Contact, Death, Withdrawal, LostToFollowUp, QueryAnswered, QueryOpened, QueryResolved,
    UnscheduledVisit, VisitBooked, VisitWaived, NoticeSeen, Snoozed, DeviationAcknowledged, Reconsent, Retraction,
]  # fmt: skip
AnyTrialFact = Union[Absence, NoticesReleased, ProtocolAmended, AmendmentActivated, TrialRetraction]
AnyEffect = Union[
    NoticeClaimed, NoticeSent, NoticeFailed, QueryRaised, QueryClosed, DeviationFound, DeviationWithdrawn,
    EndpointsRecalculated, BoundaryCrossed, BoundaryWithdrawn, Incident,
]  # fmt: skip
AnyTold = Union[AnyFact, AnyTrialFact]
"""What people record."""
AnyLogged = Union[AnyFact, AnyTrialFact, AnyEffect]
AnyEvent = Annotated[AnyLogged, Field(discriminator="type")]

FACT: TypeAdapter[AnyFact] = TypeAdapter(Annotated[AnyFact, Field(discriminator="type")])
"""Reads one fact from plain JSON values."""
TRIAL_FACT: TypeAdapter[AnyTrialFact] = TypeAdapter(Annotated[AnyTrialFact, Field(discriminator="type")])
"""Reads one fact about the trial as a whole."""
EVENT: TypeAdapter[AnyFact | AnyTrialFact | AnyEffect] = TypeAdapter(AnyEvent)
"""Reads any event, fact or effect."""

FACT_TYPES: tuple[str, ...] = tuple(c.model_fields["type"].default for c in AnyFact.__args__)  # type: ignore[attr-defined]
TRIAL_TYPES: tuple[str, ...] = tuple(c.model_fields["type"].default for c in AnyTrialFact.__args__)  # type: ignore[attr-defined]
ENDPOINT_TYPES = frozenset({"pathology", "surgery", "progression", "recurrence", "death"})
"""Facts whose arrival triggers a recalculation at once. Others reach the figures with the nightly run."""


class Recorded(Model):
    """An event as the log holds it: its place, when we learnt it, and its links in the hash chain."""

    seq: int
    recorded_at: IsoInstant
    event: AnyEvent
    prev_hash: str
    hash: str
