"""Events to put into a log, and one valid example of every type there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from neotorch.domain.events import EVENT, AnyLogged, Contact, NoticeClaimed

STUDY = "S1"
T0 = datetime(2026, 3, 4, 1, 30, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """`minutes` after the first instant."""
    return T0 + timedelta(minutes=minutes)


def contact(number: int, subject: str = "NT-001", **changes: Any) -> Contact:
    """A small fact with a known id."""
    fields = {"id": f"c{number}", "study": STUDY, "subject": subject, "occurred": "2026-03-04", **changes}
    return Contact(**fields)


def claim(key: str, attempt: int = 1) -> NoticeClaimed:
    """The claim of one attempt to send one notice; its id is the claim."""
    return NoticeClaimed(
        id=f"{key}/claim/{attempt}",
        study=STUDY,
        subject="NT-001",
        occurred="2026-03-04",
        key=key,
        attempt=attempt,
        role="coordinator",
        channel="mail",
    )


_PATHOLOGY = {"ypt": "ypT1a", "ypn": "ypN0(i+)", "d1_mm": 12, "cellularity_pct": 0.1, "nodes_positive": 0}
_SENT = {"key": "k", "attempt": 1, "role": "coordinator", "channel": "mail", "at": "2026-03-04T09:30:00+08:00"}

EXAMPLES: dict[str, dict[str, Any]] = {
    "consent": {"site": "HBCH", "icf_version": "2.0"},
    "eligibility": {"eligible": False, "failed_criteria": ["I3"]},
    "enrolment": {"planned_start": "2026-03-11"},
    "cycle_given": {"cycle": 1, "drugs": [{"drug": "anlotinib", "dose": 12, "last_dose": "2026-03-18"}]},
    "cycle_delayed": {"cycle": 2, "until": "2026-04-08", "cause": "neutropenia"},
    "dose_changed": {"drug": "anlotinib", "action": "reduced", "dose": 10.0, "cause": "hypertension"},
    "visit_held": {"visit": "C1D1"},
    "visit_missed": {"visit": "C2D8", "cause": "holiday"},
    "form_received": {
        "visit": "C1D1",
        "form": "labs",
        "items": {"ANC": 1.5, "PLT": 200, "ok": True, "x": "阴性", "LVEF": {"status": "not_done", "reason": "machine"}},
    },
    "imaging": {"modality": ["US", "MRI"], "sum_mm": 31, "response": "BASELINE"},
    "adverse_event": {"term": "rash", "grade": 3, "serious": True, "aware": "2026-03-04T09:30:00+08:00"},
    "progression": {"operable": None, "basis": "imaging"},
    "surgery": {"breast": "mastectomy", "axilla": "sentinel"},
    "pathology": _PATHOLOGY,
    "recurrence": {"site": "distant"},
    "second_primary": {"kind": "dcis_lcis"},
    "new_therapy": {"therapy": "capecitabine"},
    "disease_assessment": {"status": "free"},
    "contact": {},
    "death": {},
    "withdrawal": {"scope": "study", "reason": "moved\u0000away \u2028 \U0001f642"},
    "lost_to_follow_up": {},
    "query_answered": {"query": "q1", "answer": "done"},
    "query_opened": {"query": "q2", "visit": "C1D1", "items": ["ANC"], "text": "which laboratory?"},
    "query_resolved": {"query": "q2"},
    "unscheduled_visit": {"cause": "fever"},
    "visit_booked": {"visit": "C1D8", "appointment": "2026-01-27"},
    "visit_waived": {"visit": "C1D8", "reason": "ward closed"},
    "notice_seen": {"key": "NT-001/C1D8"},
    "snoozed": {"key": "NT-001/C1D8", "until": "2026-01-27", "reason": "on holiday"},
    "deviation_acknowledged": {"deviation": "d1", "cause": "holiday", "action": "none"},
    "retraction": {"retracts": "c1", "reason": "wrong subject"},
    "notice_claimed": {"key": "k", "attempt": 1, "role": "coordinator", "channel": "mail"},
    "notice_sent": _SENT,
    "notice_failed": {**_SENT, "error": "refused", "retry_at": None},
    "query_raised": {"query": "q1", "round": 1, "kind": "missing", "items": ["ANC"]},
    "query_closed": {"query": "q1", "round": 1},
    "deviation_found": {"deviation": "d1", "round": 1, "kind": "late", "grade": "minor", "visit": "C1D8"},
    "deviation_withdrawn": {"deviation": "d1", "round": 1},
    "reconsent": {"version": "1.1"},
    "protocol_amended": {"subject": None, "version": "1.1", "amends": "1.0", "definition": {"id": "s", "visits": []}},
    "amendment_activated": {"subject": None, "version": "1.1", "site": "S01"},
    "absence": {"subject": None, "channel": "mail", "until": "2026-03-10", "deputy": "other"},
    "trial_retraction": {"subject": None, "retracts": "a1", "reason": "another site"},
    "notices_released": {"subject": None, "reason": "holidays are over"},
    "endpoints_recalculated": {
        "trigger": "event",
        "log_seq": 3,
        "result_digest": "d",
        "changes": [{"subject": None, "field": "pcr", "old": None, "new": "1/2"}],
    },
    "boundary_crossed": {
        "rule": "futility.pcr",
        "kind": "futility",
        "n": 10,
        "x": 0,
        "stop_at": 0,
        "on": "2026-03-04",
        "round": 1,
        "log_seq": 3,
    },
    "boundary_withdrawn": {"rule": "futility.pcr", "kind": "futility", "n": 10, "round": 1, "log_seq": 4},
    "incident": {"kind": "unexplained", "detail": "pcr"},
}


def example(kind: str) -> AnyLogged:
    """A valid event of this type."""
    common = {"type": kind, "id": f"x-{kind}", "study": STUDY, "subject": "NT-001", "occurred": "2026-03-04"}
    return EVENT.validate_python({**common, **EXAMPLES[kind]})
