"""Ids and codes that look like somebody's are refused: they leave the log, in keys, names and reports."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path

import pytest

from neotorch.domain.events import digest_of
from neotorch.rules.identifiers import looks_like
from tests.support import START, SUBJECT, Trial, at, fact, screened, trial_fact

TODAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("edc/13800138957", "a telephone number"), ("tel+8613800138957", "a telephone number"),
        ("110101195703142225", "an identity card's number"), ("id:11010119570314222X", "an identity card's number"),
        ("row-1957-03-14", "a birth date"), ("NT19570314", "a birth date"), ("x_2009.12.31", "a birth date"),
        ("jinsique.wang@example.org", "a mail address"),
    ],
)  # fmt: skip
def test_what_looks_like_a_persons_is_found(code: str, what: str) -> None:
    """By its shape, wherever it stands in the code."""
    assert looks_like(code, TODAY) == what


@pytest.mark.parametrize(
    "code",
    ["NT-001.C1D1", "edc/4711", "auto-0123456789abcdef0123", "NT-001.death.2026-03-04", "2019-01-01", "1772600000", "1772600000123",
     "row-00013800138957", "crc01", "COLITIS", "20260304-7", "S01/2026/0001"],
)  # fmt: skip
def test_what_systems_use_as_ids_is_let_through(code: str) -> None:
    """Running numbers, instants, digests, and days of the trial say nothing of a person."""
    assert looks_like(code, TODAY) == ""


def test_digests_and_uuids_are_let_through() -> None:
    """Ids made by machines are not taken for somebody's by chance: none of 20,000."""
    made = [f"auto-{digest_of(n)[:20]}" for n in range(10_000)]
    made += [str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))) for n in range(10_000)]
    assert not [m for m in made if looks_like(m, TODAY)]


@pytest.mark.parametrize("field", ["id", "actor"])
def test_the_refusal_names_the_field_and_does_not_repeat_it(tmp_path: Path, field: str) -> None:
    """The recorder hears which field it is and what it looks like; the number itself is in no message."""
    trial = Trial(tmp_path, at(START))
    trial.tell(*screened())
    (found,) = trial.engine.record([fact("contact", START, SUBJECT, **{field: "x-13800138957"})])
    assert [(r.field, r.what) for r in found.refusals] == [(field, "it looks like a telephone number")]
    assert "13800138957" not in str(found.refusals)


def test_facts_about_the_trial_and_nested_codes_are_looked_at_too(tmp_path: Path) -> None:
    """An absence with a number for an id, a drug of a cycle: each is refused. A free text may say what it must."""
    trial = Trial(tmp_path, at(START))
    trial.tell(*screened())
    gone = trial_fact("absence", START, id="13800138957", channel="a", deputy="b", until=START)
    drugs = [{"drug": "19570314"}]
    told = fact("cycle_given", START, cycle=1, drugs=drugs, id="c1")
    answers = trial.engine.record([gone, told])
    assert [{r.field for r in a.refusals if "looks like" in r.what} for a in answers] == [{"id"}, {"drugs"}]
    trial.tell(fact("contact", START, reason="called at 13800138957"))


def test_users_may_be_known_by_mail_address(tmp_path: Path) -> None:
    """`actor` is a user code, which in many systems is an address at work."""
    trial = Trial(tmp_path, at(START))
    trial.tell(*screened(), fact("contact", START, actor="crc01@example.org"))
