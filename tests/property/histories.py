"""Strategies: histories of one patient, sensible or not, with corrections and retractions of anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from neotorch.domain import events as ev
from tests.support import CLEAN, START, STUDY_ID, SUBJECT, study

DAYS = st.integers(-20, 400).map(lambda n: START + timedelta(n))
NEAR = st.integers(0, 6).map(lambda n: START + timedelta(n))
VISITS = st.sampled_from([v.code for v in study().visits] + ["UNS"])
MATTERS = VISITS.map(lambda visit: f"{SUBJECT}/{visit}")

KINDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "consent": st.just({"site": "S01", "icf_version": "1"}),
    "eligibility": st.fixed_dictionaries({"eligible": st.booleans()}),
    "enrolment": st.fixed_dictionaries({"planned_start": st.none() | DAYS}),
    "cycle_given": st.fixed_dictionaries({
        "cycle": st.integers(1, 7),
        "drugs": st.lists(
            st.fixed_dictionaries({
                "drug": st.sampled_from(["chemotherapy", "anlotinib", "benmelstobart"]),
                "status": st.sampled_from(["given", "held", "reduced"]),
                "last_dose": st.none() | DAYS,
            }),
            min_size=1, max_size=3,
        ),
    }),
    "cycle_delayed": st.fixed_dictionaries({"cycle": st.integers(1, 7), "until": DAYS, "cause": st.just("x")}),
    "dose_changed": st.fixed_dictionaries({
        "drug": st.sampled_from(["chemotherapy", "anlotinib"]),
        "action": st.sampled_from(["reduced", "interrupted", "resumed", "stopped"]),
        "cause": st.just("x"),
    }),
    "visit_held": st.fixed_dictionaries({"visit": VISITS}),
    "visit_missed": st.fixed_dictionaries({"visit": VISITS, "cause": st.just("x")}),
    "form_received": st.fixed_dictionaries({
        "visit": VISITS,
        "form": st.sampled_from(["CBC", "CHEM", "VITALS"]),
        "items": st.dictionaries(st.sampled_from(["ANC", "PLT", "SBP"]), st.integers(0, 200), max_size=2),
    }),
    "imaging": st.fixed_dictionaries({
        "visit": VISITS, "modality": st.just(["US"]), "response": st.sampled_from(["PR", "PD", "NE", "BASELINE"]),
        "sum_mm": st.sampled_from([None, 0, 40, 48, 100]),
    }),
    "adverse_event": st.fixed_dictionaries({
        "term": st.just("rash"), "grade": st.integers(1, 5), "serious": st.booleans(),
    }),
    "progression": st.fixed_dictionaries({
        "operable": st.sampled_from([True, False, None]), "basis": st.just("imaging"),
    }),
    "surgery": st.fixed_dictionaries({"breast": st.just("mastectomy"), "axilla": st.just("sentinel")}),
    "pathology": st.fixed_dictionaries({
        "read": st.sampled_from(["local", "central", "adjudication"]),
        "status": st.sampled_from(["preliminary", "final"]),
        "side": st.sampled_from([None, "left", "right"]),
        "ypt": st.sampled_from(["ypT0", "ypTis", "ypT1c", "ypTX"]),
        "ypn": st.sampled_from(["ypN0", "ypN0(i+)", "ypN1a", "ypNX"]),
        "cellularity_pct": st.sampled_from([None, 0, 10]),
        "nodes_positive": st.sampled_from([None, 0, 2]),
    }).map(lambda d: CLEAN | d),
    "recurrence": st.fixed_dictionaries({"site": st.sampled_from(["local", "regional", "distant"])}),
    "second_primary": st.just({"kind": "dcis_lcis"}),
    "new_therapy": st.just({"therapy": "x"}),
    "disease_assessment": st.fixed_dictionaries({
        "status": st.sampled_from(["free", "disease"]), "visit": st.none() | VISITS,
    }),
    "contact": st.just({"by": "phone"}),
    "death": st.just({"cause": "unknown"}),
    "withdrawal": st.fixed_dictionaries({"scope": st.sampled_from(["treatment", "study"])}),
    "lost_to_follow_up": st.just({}),
    "unscheduled_visit": st.just({"cause": "fever"}),
    "visit_booked": st.fixed_dictionaries({"visit": VISITS, "appointment": DAYS}),
    "visit_waived": st.fixed_dictionaries({"visit": VISITS}),
    "notice_seen": st.fixed_dictionaries({"key": MATTERS}),
    "snoozed": st.fixed_dictionaries({"key": MATTERS, "until": DAYS}),
    "query_opened": st.just({"query": f"{SUBJECT}/asked/1", "visit": "C2D1", "text": "x"}),
    "query_resolved": st.just({"query": f"{SUBJECT}/asked/1"}),
    "deviation_acknowledged": st.just({
        "deviation": f"{SUBJECT}/deviation/out-of-window/C2D1", "cause": "x", "action": "x",
    }),
    "query_answered": st.just({"query": f"{SUBJECT}/C2D1/CBC", "answer": "x"}),
}  # fmt: skip
EFFECTS: dict[str, dict[str, Any]] = {
    "query_raised": {"query": f"{SUBJECT}/C2D1/CBC", "round": 1, "kind": "missing"},
    "query_closed": {"query": f"{SUBJECT}/C2D1/CBC", "round": 1},
    "deviation_found": {
        "deviation": f"{SUBJECT}/deviation/out-of-window/C2D1", "round": 1, "kind": "out-of-window", "grade": "minor",
    },
    "deviation_withdrawn": {"deviation": f"{SUBJECT}/deviation/out-of-window/C2D1", "round": 1},
    "notice_claimed": {"key": f"{SUBJECT}/C2D1/opens/2026-02-09/r/c", "attempt": 1, "role": "r", "channel": "c"},
    "notice_sent": {
        "key": f"{SUBJECT}/C2D1/opens/2026-02-09/r/c", "attempt": 1, "role": "r", "channel": "c",
        "at": "2026-02-06T08:00:00+08:00",
    },
    "notice_failed": {
        "key": f"{SUBJECT}/C2D1/opens/2026-02-09/r/c", "attempt": 2, "role": "r", "channel": "c", "error": "x",
        "at": "2026-02-06T08:00:00+08:00", "retry_at": None,
    },
}  # fmt: skip


@st.composite
def facts(draw: st.DrawFn, number: int, days: st.SearchStrategy[Any] = DAYS) -> ev.AnyFact | ev.AnyEffect:
    """One fact, or now and then an effect, a correction or a retraction of another one (`e0` to `e7`, there or not)."""
    ident = f"e{number}"
    base = {"id": ident, "study": STUDY_ID, "subject": SUBJECT, "occurred": draw(days), "reason": "x"}
    choice = draw(st.integers(0, 9))
    if choice == 0:
        target = draw(st.integers(0, 7))
        return ev.FACT.validate_python(base | {"type": "retraction", "retracts": f"e{target}"})
    if choice == 1:
        kind = draw(st.sampled_from(sorted(EFFECTS)))
        return ev.EVENT.validate_python(base | {"type": kind} | EFFECTS[kind])
    kind = draw(st.sampled_from(sorted(KINDS)))
    body = {k: v for k, v in draw(KINDS[kind]).items() if v is not None or k == "operable"}
    if choice in (2, 3):
        body["corrects"] = f"e{draw(st.integers(0, 7))}"
    return ev.FACT.validate_python(base | {"type": kind} | body)


@st.composite
def histories(draw: st.DrawFn, size: int = 7) -> list[ev.AnyFact | ev.AnyEffect]:
    """A few events of one patient; half of the time many on the same days, so that ranks and ids have to decide."""
    days = draw(st.sampled_from([DAYS, NEAR]))
    return possible([draw(facts(n, days)) for n in range(draw(st.integers(0, size)))])


FOLLOWS = {
    "query_closed": "query_raised", "deviation_withdrawn": "deviation_found", "notice_sent": "notice_claimed",
    "notice_failed": "notice_claimed",
}  # fmt: skip


def possible(events: list[ev.AnyFact | ev.AnyEffect]) -> list[ev.AnyFact | ev.AnyEffect]:
    """Without what the engine cannot do: the same thing twice, for its id exists once, or the end before the beginning."""
    done: set[str] = set()
    kept = []
    for event in events:
        if isinstance(event, ev.Effect):
            begun = event.type not in FOLLOWS or FOLLOWS[event.type] in done
            if event.type in done or not begun:
                continue
            done.add(event.type)
        kept.append(event)
    return kept
