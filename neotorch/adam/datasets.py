"""The rows of each dataset, from the whole analysis of the trial. Pure: the same analysis gives the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from neotorch.adam.variables import Dataset, datasets, group_name
from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.domain.time_to_event import TimeToEvent, day_number
from neotorch.rules.endpoints.analysis import PatientAnalysis, TrialAnalysis
from neotorch.rules.endpoints.cohort import Member
from neotorch.rules.endpoints.exposure import RULE as EXPOSURE
from neotorch.rules.endpoints.exposure import course_over
from neotorch.rules.endpoints.survival import Analysis
from neotorch.rules.endpoints.toxicity import worst_grades
from neotorch.rules.endpoints.values import Value
from neotorch.rules.schedule import is_complete, last_dose, visit_plans

Cell = str | int | float | date | None
Row = dict[str, Cell]

RESPONSES: Mapping[str, tuple[str, str]] = {
    "pcr": ("PCR", "ypt ypn"), "pcr.standard": ("PCRSTD", "ypt ypn"), "pcr.no-dcis": ("PCRNODC", "ypt ypn"),
    "pcr.breast": ("PCRBRST", "ypt"), "rcb": ("RCB", "d1_mm d2_mm cellularity_pct in_situ_pct nodes_positive largest_met_mm"),
    "rcb01": ("RCB01", "d1_mm d2_mm cellularity_pct in_situ_pct nodes_positive largest_met_mm"),
    "response": ("BOR", "sum_mm new_lesion response"), "conservation": ("BCS", "breast"),
}  # fmt: skip
"""Endpoint value -> PARAMCD, and the fields of the source events that it rests on."""


@dataclass(frozen=True)
class Table:
    """A dataset with its rows, one tuple of cells per row in the order of the variables."""

    dataset: Dataset
    rows: tuple[tuple[Cell, ...], ...]


def tables(analysis: TrialAnalysis, study: Study, rules_of: Callable[[PatientState], Study]) -> tuple[Table, ...]:
    """Return all datasets at the analysis' cut. `rules_of` gives the study as a patient has it."""
    cut, everyone = analysis.result.cut, analysis.everyone
    groups = {(b.subject, group_name(s.subgroup.code)): b.group for s in analysis.subgroups for b in s.belongings}
    made: dict[str, Iterable[Row]] = {
        "ADSL": (_subject(s, m, study, rules_of(s), cut, groups) for s, m in everyone),
        "ADRS": (r for p in analysis.patients for r in _responses(p, study)),
        "ADTTE": (r for p in analysis.patients for r in _times(p, study)),
        "ADAE": (r for s, m in everyone for r in _adverse_events(s, m, study, cut)),
        "ADEX": (r for p in analysis.patients for r in _exposures(p, study)),
    }
    return tuple(_table(d, made[d.name]) for d in datasets(study))


def _table(dataset: Dataset, rows: Iterable[Row]) -> Table:
    names = [v.name for v in dataset.variables]
    found = sorted(rows, key=lambda r: tuple(r[k] for k in dataset.keys))
    return Table(dataset, tuple(tuple(r.get(n) for n in names) for r in found))


# ── parts that several datasets have ──────────────────────────────────────────────────────────────────────────────


def _who(state: PatientState, member: Member, study: Study) -> Row:
    place, sets = member.place, member.endpoints.sets
    return {
        "STUDYID": study.id, "USUBJID": f"{study.id}-{state.subject}", "SUBJID": state.subject, "SITEID": state.site,
        "ENRLFL": _yes("enrolled" in place), "FASFL": _yes("full" in sets), "SAFFL": _yes("safety" in sets),
        "EVALFL": _yes("evaluable" in sets),
    }  # fmt: skip


def _yes(said: bool) -> str:
    return "Y" if said else "N"


def _day(on: date | None, first_dose: date | None) -> int | None:
    """Return the study day: 1 on the first dose, -1 on the day before; there is no day 0 (CDISC)."""
    if on is None or first_dose is None:
        return None
    return day_number(on, first_dose) if on >= first_dose else (on - first_dose).days


def _source(state: PatientState, ids: Sequence[str], on: date | None, fields: str) -> Row:
    """Return the event that a value stands on: of the day of the value if there is one, else the last of them."""
    known = [state.learnt[i] for i in ids if i in state.learnt]
    chosen = next((r for r in known if r.event.occurred == on), known[-1] if known else None)
    if chosen is None:
        return {}
    return {
        "SRCDOM": chosen.event.type.upper(), "SRCVAR": fields, "SRCSEQ": chosen.seq, "SRCID": chosen.event.id,
    }  # fmt: skip


# ── ADSL ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _subject(  # noqa: PLR0917 - all that the row is made of
    state: PatientState, member: Member, study: Study, own: Study, cut: date, groups: Mapping[tuple[str, str], str]
) -> Row:
    start, death, surgery = member.endpoints.first_dose, _by(state.death, cut), _by(state.surgery, cut)
    enrolled = _by(state.enrolment, cut)
    return {
        **_who(state, member, study), "PROTVER": own.version,
        "TRT01P": " + ".join(d.code for d in study.drugs), "TRT01A": _given(state, study, cut),
        "RFICDT": state.consent.occurred if state.consent else None, "ENRLDT": enrolled.occurred if enrolled else None,
        "TRTSDT": start, "TRTEDT": _last_exposure(state, own, cut), "SURGDT": surgery.occurred if surgery else None,
        "DTHFL": _yes(death is not None), "DTHDT": death.occurred if death else None,
        "DTHCAUS": state.death.cause if death and state.death else None, **_end(state, own, cut),
        **{name: group for (subject, name), group in groups.items() if subject == state.subject},
    }  # fmt: skip


def _by(event: ev.AnyFact | None, cut: date) -> ev.AnyFact | None:
    return event if event and event.occurred <= cut else None


def _given(state: PatientState, study: Study, cut: date) -> str | None:
    cycles = [c for c in state.cycles.values() if c.occurred <= cut]
    taken = {d.drug for c in cycles for d in c.drugs if d.status != "held"}
    return " + ".join(d.code for d in study.drugs if d.code in taken) or None


def _last_exposure(state: PatientState, study: Study, cut: date) -> date | None:
    if not course_over(state, study, cut):
        return None
    days = [found[0] for d in study.drugs if (found := last_dose(state, d))]
    return max((d for d in days if d <= cut), default=None)


def _end(state: PatientState, study: Study, cut: date) -> Row:
    """Return how and when the study ended for a subject by the cut."""
    left = state.withdrawal if state.withdrawal and state.withdrawal.scope == "study" else None
    failed = state.eligibility if state.eligibility and not state.eligibility.eligible and not state.cycles else None
    ends = (
        (state.death, "DEATH"),
        (left, "WITHDRAWAL BY SUBJECT"),
        (failed, "SCREEN FAILURE"),
        (state.lost, "LOST TO FOLLOW-UP"),
    )
    for event, reason in ends:
        if event and event.occurred <= cut:
            return {"EOSSTT": "DISCONTINUED", "EOSDT": event.occurred, "DCSREAS": reason}
    plans = visit_plans(state, study, cut)
    if is_complete(plans):
        days = [p.held_on for p in plans if p.held_on and p.held_on <= cut]
        return {"EOSSTT": "COMPLETED", "EOSDT": max(days, default=None)}
    return {"EOSSTT": "ONGOING"}


# ── ADRS, ADTTE, ADAE, ADEX ───────────────────────────────────────────────────────────────────────────────────────


def _responses(patient: PatientAnalysis, study: Study) -> Iterator[Row]:
    who, start = _who(patient.state, patient.member, study), patient.member.endpoints.first_dose
    for value in patient.values:
        if value.code not in RESPONSES:
            continue
        code, fields = RESPONSES[value.code]
        yield {
            **who, "PARAMCD": code, "PARAM": value.label, "AVAL": value.number, "AVALC": _category(value, patient),
            "AVALSTAT": value.status.replace("_", " ").upper(), "AVALREAS": value.reason, "ADT": value.on,
            "ADY": _day(value.on, start), "RULE": value.rule,
            **_source(patient.state, value.event_ids, value.on, fields),
        }  # fmt: skip


def _category(value: Value, patient: PatientAnalysis) -> str | None:
    """Return the value as a category; None while it is not known."""
    if value.status != "known":
        return None
    if value.code == "rcb":
        rcb = patient.member.endpoints.rcb
        return rcb.rcb_class if rcb else None
    return {"yes": "Y", "no": "N"}.get(value.text, value.text)


def _times(patient: PatientAnalysis, study: Study) -> Iterator[Row]:
    who = _who(patient.state, patient.member, study)
    surgery, start = patient.state.surgery, patient.member.endpoints.first_dose
    for analysis, time in patient.times:
        if time.days is None or analysis.paramcd is None:
            continue
        begun = surgery.occurred if analysis.starts == "first operation" and surgery else start
        yield {
            **who,
            **_time(analysis, time),
            "STARTDT": begun,
            **_source(patient.state, time.event_ids, time.on, "occurred"),
        }


def _time(analysis: Analysis, time: TimeToEvent) -> Row:
    happened = time.status == "event"
    return {
        "PARAMCD": analysis.paramcd, "PARAM": analysis.label, "ADT": time.on, "AVAL": float(time.days or 0),
        "AVALU": "DAYS", "CNSR": 0 if happened else 1, "RULE": analysis.rule,
        "EVNTDESC": (time.finding or "event").replace("_", " ") if happened else "CENSORED",
        "CNSDTDSC": None if happened else time.reason,
    }  # fmt: skip


def _adverse_events(state: PatientState, member: Member, study: Study, cut: date) -> Iterator[Row]:
    who, start = _who(state, member, study), member.endpoints.first_dose
    events = [f for f in state.of_type("adverse_event") if isinstance(f, ev.AdverseEvent) and f.occurred <= cut]
    worst = {e.id for e in worst_grades(state, cut).values()}
    for number, event in enumerate(sorted(events, key=lambda e: (e.occurred, e.id)), 1):
        yield {
            **who, "AESEQ": number, "AETERM": event.term, "ASTDT": event.occurred, "ASTDY": _day(event.occurred, start),
            "AENDT": event.resolved if event.resolved and event.resolved <= cut else None,
            "AETOXGR": str(event.grade), "ATOXGRN": event.grade, "AESER": _yes(event.serious),
            "AEIRFL": _yes(event.immune_related), "AREL": _yes(bool(event.related_to)),
            "RELDRUG": " + ".join(event.related_to) or None,
            "TRTEMFL": _yes(start is not None and event.occurred >= start), "AOCCFL": _yes(event.id in worst),
            **_source(state, (event.id,), event.occurred, "term grade"),
        }  # fmt: skip


def _exposures(patient: PatientAnalysis, study: Study) -> Iterator[Row]:
    who = _who(patient.state, patient.member, study)
    for taken in patient.exposures:
        yield {
            **who, "EXTRT": taken.drug, "PARAMCD": "RDI", "PARAM": "Relative dose intensity",
            "AVAL": taken.intensity_pct, "AVALU": "%", "DOSGIVEN": taken.given, "DOSPLAN": taken.planned,
            "DOSU": taken.unit, "DAYSACT": taken.days, "DAYSPLAN": taken.planned_days, "CRSOVRFL": _yes(taken.over),
            "RULE": EXPOSURE,
        }  # fmt: skip
