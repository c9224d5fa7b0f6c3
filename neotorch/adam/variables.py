"""What stands in each dataset: every variable with its label, type and derivation. The describing file is made of this."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from neotorch.domain.study import Study

Kind = Literal["string", "integer", "double", "date"]
FLAG = ("Y", "N")


@dataclass(frozen=True)
class Variable:
    """One variable. `derivation` says in words where its values come from."""

    name: str
    label: str
    kind: Kind
    derivation: str
    codes: tuple[str, ...] = ()
    """The values that it may have, if they are listed."""


@dataclass(frozen=True)
class Dataset:
    """One dataset. `keys` order its rows and tell them apart."""

    name: str
    label: str
    structure: str
    subject_level: bool
    keys: tuple[str, ...]
    variables: tuple[Variable, ...]


def _flag(name: str, label: str, derivation: str) -> Variable:
    return Variable(name, label, "string", derivation, FLAG)


_ENDS = ("ONGOING", "COMPLETED", "DISCONTINUED")
_REASONS = ("DEATH", "WITHDRAWAL BY SUBJECT", "LOST TO FOLLOW-UP", "SCREEN FAILURE")
_WHO = (
    Variable("STUDYID", "Study Identifier", "string", "id of the study file"),
    Variable("USUBJID", "Unique Subject Identifier", "string", "STUDYID, a hyphen, SUBJID"),
    Variable("SUBJID", "Subject Identifier for the Study", "string", "subject code of the log"),
    Variable("SITEID", "Study Site Identifier", "string", "site of the consent"),
)
_FULL = _flag("FASFL", "Full Analysis Set Population Flag", "Y: a first dose was given up to the cut")
_SAFE = _flag("SAFFL", "Safety Population Flag", "Y: a first dose was given up to the cut")
_EVALUABLE = _flag(
    "EVALFL", "Evaluable Population Flag", "Y: operated on, and the report that counts can be assessed for pCR"
)
_SOURCE = (
    Variable("SRCDOM", "Source Data", "string", "type of the source event in the log, in capitals"),
    Variable("SRCVAR", "Source Variable", "string", "fields of the source event that the value was taken from"),
    Variable("SRCSEQ", "Source Sequence Number", "integer", "place of the source event in the log"),
    Variable("SRCID", "Source Event Identifier", "string", "id of the source event; neotorch explain shows it"),
)
_PARAM = (
    Variable("PARAMCD", "Parameter Code", "string", "short name of the endpoint"),
    Variable("PARAM", "Parameter", "string", "name of the endpoint"),
)
_RULE = Variable("RULE", "Rule Applied", "string", "definition of the endpoint with its version and source")

_ADSL = (
    *_WHO,
    Variable(
        "PROTVER", "Protocol Version of the Subject", "string", "version of the study file that the subject is on"
    ),
    Variable("TRT01P", "Planned Treatment for Period 01", "string", "drugs of the study file, joined"),
    Variable(
        "TRT01A", "Actual Treatment for Period 01", "string", "drugs given in at least one cycle up to the cut, joined"
    ),
    Variable("RFICDT", "Date of Informed Consent", "date", "day of the consent"),
    Variable("ENRLDT", "Date of Enrolment", "date", "day of the enrolment, up to the cut"),
    Variable("TRTSDT", "Date of First Exposure to Treatment", "date", "day 1 of the first cycle, up to the cut"),
    Variable(
        "TRTEDT",
        "Date of Last Exposure to Treatment",
        "date",
        "last day on which a study drug was taken, once the course is over",
    ),
    Variable("SURGDT", "Date of Surgery", "date", "day of the first definitive operation, up to the cut"),
    _flag("ENRLFL", "Enrolled Population Flag", "Y: enrolled up to the cut"),
    _FULL,
    _SAFE,
    _EVALUABLE,
    _flag("DTHFL", "Subject Death Flag", "Y: died up to the cut"),
    Variable("DTHDT", "Date of Death", "date", "day of death, up to the cut"),
    Variable("DTHCAUS", "Cause of Death", "string", "cause as recorded"),
    Variable(
        "EOSSTT",
        "End of Study Status",
        "string",
        "COMPLETED: the schedule lies behind; DISCONTINUED: see DCSREAS; else ONGOING, at the cut",
        _ENDS,
    ),
    Variable("EOSDT", "End of Study Date", "date", "day of what ended the study for the subject; none while ongoing"),
    Variable(
        "DCSREAS", "Reason for Discontinuation from Study", "string", "what ended the study for the subject", _REASONS
    ),
)

_ADRS = (
    *_WHO,
    _FULL,
    _SAFE,
    _EVALUABLE,
    *_PARAM,
    Variable(
        "AVAL",
        "Analysis Value",
        "double",
        "yes 1 and no 0; RCB index; deepest change of the sum of diameters in per cent of baseline",
    ),
    Variable(
        "AVALC", "Analysis Value (C)", "string", "Y, N, RCB class or best overall response; empty while not known"
    ),
    Variable(
        "AVALSTAT",
        "Status of the Analysis Value",
        "string",
        "why a value is there or is not",
        ("KNOWN", "PENDING", "NOT EVALUABLE"),
    ),
    Variable("AVALREAS", "Reason for the Analysis Value", "string", "why the value is so, in words"),
    Variable("ADT", "Analysis Date", "date", "day of the newest event that the value rests on"),
    Variable(
        "ADY", "Analysis Relative Day", "integer", "ADT - TRTSDT + 1 from the first dose on, before it without the 1"
    ),
    *_SOURCE,
    _RULE,
)

_ADTTE = (
    *_WHO,
    _FULL,
    *_PARAM,
    Variable(
        "STARTDT", "Time-to-Event Origin Date", "date", "first dose; first operation for the disease-free interval"
    ),
    Variable("ADT", "Analysis Date", "date", "day of the event, else of the censoring"),
    Variable("AVAL", "Analysis Value", "double", "ADT - STARTDT + 1"),
    Variable("AVALU", "Analysis Value Unit", "string", "DAYS; months are days / 30.4375", ("DAYS",)),
    Variable("CNSR", "Censor", "integer", "0: an event; 1: censored", ("0", "1")),
    Variable(
        "EVNTDESC",
        "Event or Censoring Description",
        "string",
        "which finding of the map is the event; CENSORED otherwise",
    ),
    Variable("CNSDTDSC", "Censor Date Description", "string", "why it is censored on that day; empty for an event"),
    *_SOURCE,
    _RULE,
)

_ADAE = (
    *_WHO,
    _SAFE,
    Variable("AESEQ", "Sequence Number", "integer", "number of the adverse event of the subject, by onset and id"),
    Variable("AETERM", "Reported Term for the Adverse Event", "string", "CTCAE v5.0 term as recorded"),
    Variable("ASTDT", "Analysis Start Date", "date", "day of onset"),
    Variable(
        "ASTDY",
        "Analysis Start Relative Day",
        "integer",
        "ASTDT - TRTSDT + 1 from the first dose on, before it without the 1",
    ),
    Variable("AENDT", "Analysis End Date", "date", "day of resolution, up to the cut"),
    Variable("AETOXGR", "Standard Toxicity Grade", "string", "CTCAE v5.0 grade as recorded", ("1", "2", "3", "4", "5")),
    Variable("ATOXGRN", "Analysis Toxicity Grade (N)", "integer", "AETOXGR as a number"),
    _flag("AESER", "Serious Event", "Y: serious as recorded"),
    _flag("AEIRFL", "Immune-Related Flag", "Y: immune-related as recorded"),
    _flag("AREL", "Analysis Causality", "Y: related to at least one study drug as recorded"),
    Variable("RELDRUG", "Drugs that it is Related to", "string", "study drugs that it is related to, joined"),
    _flag("TRTEMFL", "Treatment Emergent Analysis Flag", "Y: onset on or after TRTSDT"),
    _flag(
        "AOCCFL",
        "Worst Grade of the Term Flag",
        "Y: first treatment-emergent event of the subject's worst grade of the term",
    ),
    *_SOURCE,
)

_ADEX = (
    *_WHO,
    _SAFE,
    Variable("EXTRT", "Name of Treatment", "string", "drug of the study file"),
    *_PARAM,
    Variable("AVAL", "Analysis Value", "double", "(dose given / planned) / (days taken / planned) x 100"),
    Variable("AVALU", "Analysis Value Unit", "string", "per cent", ("%",)),
    Variable(
        "DOSGIVEN",
        "Dose Given",
        "double",
        "sum over the days on which the drug was taken; courses for a drug without a stated dose",
    ),
    Variable("DOSPLAN", "Dose Planned", "double", "over the whole course once it is over, else over the cycles so far"),
    Variable("DOSU", "Dose Unit", "string", "unit of the drug in the study file"),
    Variable("DAYSACT", "Days Taken", "integer", "from the first day 1 to one cycle length after the last"),
    Variable("DAYSPLAN", "Days Planned", "integer", "cycle length times the cycles planned"),
    _flag("CRSOVRFL", "Course Over Flag", "Y: no further cycle is to come"),
    _RULE,
)

_DATASETS = (
    Dataset(
        "ADSL",
        "Subject-Level Analysis Dataset",
        "one record per subject who consented up to the cut",
        True,
        ("STUDYID", "USUBJID"),
        _ADSL,
    ),
    Dataset(
        "ADRS",
        "Response Analysis Dataset",
        "one record per subject of the full analysis set and parameter",
        False,
        ("STUDYID", "USUBJID", "PARAMCD"),
        _ADRS,
    ),
    Dataset(
        "ADTTE",
        "Time-to-Event Analysis Dataset",
        "one record per subject whose time has begun and parameter",
        False,
        ("STUDYID", "USUBJID", "PARAMCD"),
        _ADTTE,
    ),
    Dataset(
        "ADAE",
        "Adverse Event Analysis Dataset",
        "one record per subject and adverse event",
        False,
        ("STUDYID", "USUBJID", "AESEQ"),
        _ADAE,
    ),
    Dataset(
        "ADEX",
        "Exposure Analysis Dataset",
        "one record per subject of the safety set and drug",
        False,
        ("STUDYID", "USUBJID", "EXTRT", "PARAMCD"),
        _ADEX,
    ),
)


def datasets(study: Study) -> tuple[Dataset, ...]:
    """Return the datasets; ADSL has a variable for each subgroup of the study file."""
    groups = tuple(
        Variable(
            group_name(s.code),
            s.label.en,
            "string",
            f"group by the last {s.form}.{s.item} up to the first dose; {s.source}",
        )
        for s in study.endpoints.subgroups
    )
    first, *others = _DATASETS
    subject_level = Dataset(
        first.name, first.label, first.structure, first.subject_level, first.keys, (*first.variables, *groups)
    )
    return (subject_level, *others)


def group_name(code: str) -> str:
    """Return the name of a subgroup's variable: letters and figures of its code, at most eight."""
    return re.sub(r"[^A-Z0-9]", "", code.upper())[:8]
