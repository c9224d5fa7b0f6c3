"""Which report counts, what it replaced, when it has to be adjudicated, and how far the two reads agree over a trial."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from neotorch.domain.analysis_plan import PathologyPath
from neotorch.domain.events import AnyFact
from neotorch.domain.statistics import clopper_pearson, cohen_kappa
from neotorch.domain.study import Study
from neotorch.report.pictures import pictures
from neotorch.rules.consistency import adjudications
from neotorch.rules.endpoints import member, patient_endpoints, patient_values, trial_result
from neotorch.rules.endpoints.agreement import Agreement, agreements
from neotorch.rules.endpoints.patient import rcb_text
from neotorch.rules.endpoints.values import HIDDEN
from neotorch.rules.reads import replaced, sides
from neotorch.rules.trial import diff_values, displayed
from tests.support import CLEAN, RESIDUAL, START, SUBJECT, consent, cycle, day, pathology, state_of, study, surgery

NONE: dict[str, Any] = dict(CLEAN)
ONE: dict[str, Any] = RESIDUAL | {"cellularity_pct": 1, "ypt": "ypT1a"}
TWO: dict[str, Any] = dict(RESIDUAL)
THREE: dict[str, Any] = RESIDUAL | {
    "cellularity_pct": 60, "ypn": "ypN2a", "nodes_positive": 5, "largest_met_mm": 12, "nodes_removed": 15,
}  # fmt: skip
CLASSES = {"RCB-0": NONE, "RCB-I": ONE, "RCB-II": TWO, "RCB-III": THREE}
UNKNOWN = {"d1_mm": None}


def path(reference: str = "local", when: tuple[str, ...] = ("rcb_class", "pcr")) -> Study:
    """The study file with another rule on which read counts; with `none` without one."""
    rule = None
    if reference != "none":
        rule = PathologyPath(reference_read=reference, adjudicate_when=list(when), source="test", assumption=True)  # type: ignore[arg-type]
    return study().model_copy(update={"endpoints": study().endpoints.model_copy(update={"pathology": rule})})


def report(read: str, number: int, fields: dict[str, Any], subject: str = SUBJECT, **more: Any) -> AnyFact:
    """A report on a study day; its id is the read and the day."""
    return pathology(day(number), subject, **{"id": f"{subject}.{read}.{number}", "read": read, **fields, **more})


def operated(*reports: AnyFact, subject: str = SUBJECT) -> list[AnyFact]:
    """A patient operated on day 150."""
    return [consent(day(-10), subject), cycle(1, START, subject), surgery(day(150), subject), *reports]


def rcb(facts: list[AnyFact], of: Study | None = None, cut: int = 300) -> str:
    """The patient's RCB class."""
    found = patient_endpoints(state_of(facts), of or study(), day(cut))
    return rcb_text(found.rcb).split(" ")[0]


# ── which report counts ───────────────────────────────────────────────────────────────────────────────────────────

LOCAL, CENTRAL = report("local", 160, ONE), report("central", 170, TWO)
SETTLED = report("adjudication", 180, THREE)


@pytest.mark.parametrize(
    ("reference", "reports", "expected"),
    [
        ("local", (LOCAL,), "RCB-I"), ("local", (LOCAL, CENTRAL), "RCB-I"), ("local", (CENTRAL,), "none"),
        ("local", (LOCAL, CENTRAL, SETTLED), "RCB-III"), ("local", (SETTLED,), "RCB-III"),
        ("central", (LOCAL,), "RCB-I"), ("central", (LOCAL, CENTRAL), "RCB-II"), ("central", (CENTRAL,), "RCB-II"),
        ("central", (LOCAL, CENTRAL, SETTLED), "RCB-III"),
        ("none", (LOCAL, CENTRAL), "RCB-I"), ("none", (LOCAL, SETTLED), "RCB-III"), ("none", (CENTRAL,), "none"),
    ],
)  # fmt: skip
def test_the_study_file_says_which_read_counts(reference: str, reports: tuple[AnyFact, ...], expected: str) -> None:
    """An adjudication before all; else the reference read; a central one that is not there yet leaves the local one."""
    assert rcb(operated(*reports), path(reference)) == expected


def test_only_what_was_reported_by_the_cut_counts() -> None:
    """At a cut between two reports the earlier one counts, as it did on that day."""
    facts = operated(LOCAL, CENTRAL, SETTLED, report("local", 190, TWO))
    assert [rcb(facts, cut=n) for n in (155, 160, 175, 180, 300)] == ["none", "RCB-I", "RCB-I", "RCB-III", "RCB-III"]


def test_reports_count_alike_in_whatever_order_they_arrive() -> None:
    """Of what arrived first nothing hangs on that: not the value, not its reason, not what has to be adjudicated."""
    reports = (
        LOCAL, CENTRAL, report("local", 165, TWO), report("local", 170, THREE, status="preliminary"),
        report("local", 165, NONE, id="same-day"),
    )  # fmt: skip
    found = set()
    for order in permutations(reports):
        state = state_of(operated(*order))
        values = [(v.code, v.text, v.reason, v.supersedes) for v in patient_values(state, study(), day(300))]
        found.add((tuple(values), tuple(f.query for f in adjudications(state, study()))))
    assert len(found) == 1


@pytest.mark.parametrize("sided", [("left", None), (None, "left"), ("left", "left")])
def test_a_side_that_only_some_reports_name_is_that_of_all(sided: tuple[str | None, str | None]) -> None:
    """The local report names the breast and the central one does not, or the other way round: they are on one breast."""
    local, central = (report(r, n, f, side=s) for r, n, f, s in zip(
        ("local", "central"), (160, 170), (ONE, TWO), sided, strict=True))  # fmt: skip
    state = state_of(operated(local, central))
    (side,) = sides(state)
    assert (side.side, set(side.final)) == ("left", {"local", "central"})
    assert [f.query for f in adjudications(state, study())] == [f"{SUBJECT}/ADJUDICATION/left"]


def test_what_was_replaced_remains_and_can_be_read() -> None:
    """Preliminary, final, corrected, amended: each replaced the one before it, and the words say what that changed."""
    facts = operated(
        report("local", 155, ONE, status="preliminary"), report("local", 160, ONE),
        report("local", 160, ONE, id="mended", cellularity_pct=2, corrects=f"{SUBJECT}.local.160", reason="x"),
        report("local", 170, TWO), report("central", 165, THREE),
    )  # fmt: skip
    state = state_of(facts)
    (side,) = sides(state)
    assert list(replaced(side.final["local"], state)) == [
        f"{SUBJECT}.local.170 replaces mended of {day(160)}: ypt ypT1a -> ypT1c, cellularity_pct 2 -> 10",
        f"mended replaces {SUBJECT}.local.160 of {day(160)}: cellularity_pct 1 -> 2",
        f"{SUBJECT}.local.160 replaces {SUBJECT}.local.155 of {day(155)}: status preliminary -> final",
    ]
    assert list(replaced(side.final["central"], state)) == []
    values = {v.code: v for v in patient_values(state, study(), day(300))}
    assert values["rcb"].supersedes == tuple(replaced(side.final["local"], state))
    assert values["efs"].supersedes == ()


# ── what has to be adjudicated ────────────────────────────────────────────────────────────────────────────────────

COMPARED: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("the same class", TWO, TWO | {"cellularity_pct": 12}, []),
    ("another class", ONE, TWO, ["rcb_class"]),
    ("class and pCR", NONE, ONE, ["rcb_class", "pcr"]),
    ("isolated tumour cells", NONE, NONE | {"ypn": "ypN0(i+)", "nodes_positive": 1, "largest_met_mm": 0.2},
     ["rcb_class", "pcr"]),
    ("pCR alone", NONE | {"lymphovascular_invasion": True}, NONE, ["pcr"]),
    ("a number is missing", ONE, TWO | UNKNOWN, []),
    ("a number is missing, and pCR differs", NONE, TWO | UNKNOWN, ["pcr"]),
    ("it contradicts itself", NONE, NONE | {"ypn": "ypN1a"}, []),
    ("it cannot be assessed", NONE, NONE | {"ypt": "ypTX"} | dict.fromkeys(("d1_mm", "cellularity_pct")), []),
]  # fmt: skip


@pytest.mark.parametrize(("local", "central", "expected"), [c[1:] for c in COMPARED], ids=[c[0] for c in COMPARED])
def test_what_is_compared(local: dict[str, Any], central: dict[str, Any], expected: list[str]) -> None:
    """Class and pCR of two reports that have one; what is missing or contradicts itself is a query, no difference."""
    for first, second in ((local, central), (central, local)):
        state = state_of(operated(report("local", 160, first), report("central", 170, second)))
        found = list(adjudications(state, study()))
        assert len(found) == bool(expected)
        for finding in found:
            assert [
                words.split()[0] for words in finding.withheld.removeprefix("local / central: ").split(", ")
            ] == expected
        for what in ("rcb_class", "pcr"):
            assert len(list(adjudications(state, path(when=(what,))))) == (what in expected)
        assert list(adjudications(state, path("none"))) == []


@pytest.mark.parametrize(
    "third",
    [
        report("adjudication", 180, ONE), report("local", 180, TWO), report("central", 180, ONE),
        report("local", 170, NONE, id="twice"),
    ],
    ids=["adjudicated", "local amended", "central amended", "two of one day"],
)  # fmt: skip
def test_what_ends_an_adjudication(third: AnyFact) -> None:
    """It is awaited until it is recorded or the reads agree; not while nobody can say which of two reports holds."""
    facts = operated(report("local", 170, ONE), report("central", 170, TWO))
    assert len(list(adjudications(state_of(facts), study()))) == 1
    assert list(adjudications(state_of([*facts, third]), study())) == []


def test_a_preliminary_report_neither_calls_for_an_adjudication_nor_ends_one() -> None:
    """Only final reports are compared, and only a final adjudication settles it."""
    early = report("central", 165, TWO, status="preliminary")
    assert list(adjudications(state_of(operated(LOCAL, early)), study())) == []
    open_ = operated(LOCAL, CENTRAL, report("adjudication", 180, TWO, status="preliminary"))
    assert len(list(adjudications(state_of(open_), study()))) == 1


# ── two breasts, and what cannot be so ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("left", "answers"), [(NONE, ("pending", "pending")), (ONE, ("no", "pending")),
                                               (TWO, ("no", "no"))])  # fmt: skip
def test_a_breast_without_a_final_report_leaves_open_what_it_may_still_change(
    left: dict[str, Any], answers: tuple[str, str]
) -> None:
    """The worse side counts: a residual cancer on one side is known, a complete response waits for the other."""
    facts = operated(report("local", 160, left, side="left"), report("central", 165, NONE, side="right"))
    found = patient_endpoints(state_of(facts), study(), day(300))
    assert (found.pcr.answer, found.rcb01.answer, found.rcb) == (*answers, None)


def test_a_report_without_an_operation_gives_no_value() -> None:
    """Whose operation was taken back has a report on nothing: not evaluable, and in no set of the operated."""
    facts = [f for f in operated(LOCAL) if f.type != "surgery"]
    found = patient_endpoints(state_of(facts), study(), day(300))
    assert (found.pcr.answer, found.rcb01.answer, found.evaluable) == ("not_evaluable", "not_evaluable", False)
    assert "no operation" in found.pcr.reason


# ── what may be shown ─────────────────────────────────────────────────────────────────────────────────────────────


def test_while_a_blinded_read_counts_run_names_and_artifacts_say_no_value() -> None:
    """If the read that counts may not be shown, neither may pCR and RCB, until the patient is adjudicated."""
    facts, of = operated(LOCAL, CENTRAL), path("central")
    found = patient_endpoints(state_of(facts), of, day(300))
    assert (found.headline, found.pathology_why) == (f"pCR and RCB: {HIDDEN}", HIDDEN)
    assert found.values()["rcb"].startswith("RCB-II")
    values = {v.code: v for v in patient_values(state_of(facts), of, day(300))}
    assert values["rcb"].displayed == values["pcr"].displayed == values["rcb01"].displayed == (HIDDEN, HIDDEN)
    assert values["efs"].displayed == (values["efs"].text, values["efs"].reason)
    settled = patient_endpoints(state_of([*facts, SETTLED]), of, day(300))
    assert settled.headline == "pCR: no, RCB-III"


@pytest.mark.parametrize(("reference", "drawn"), [("local", True), ("central", False)])
def test_pictures_and_differences_go_by_the_same_rule(reference: str, drawn: bool) -> None:
    """No picture of RCB is published, and no difference names a value, while a value rests on a read not to be shown."""
    of = path(reference)
    result = trial_result([member(state_of(operated(LOCAL, CENTRAL)), of, day(300))], of, day(300))
    keys = {p.key for p in pictures(result)}
    assert ("endpoints-rcb-classes" in keys) == ("endpoints-rcb-index" in keys) == drawn
    assert "endpoints-flow" in keys
    told = list(displayed(diff_values({}, result.values()), of))
    hidden = {c.field for c in told if c.new == HIDDEN}
    assert hidden == (set() if drawn else {"pcr", "rcb", "pcr.full", "pcr.evaluable", "rcb01.full", "rcb01.evaluable"})
    assert all(c.old is None for c in told)


def test_beside_a_local_value_stands_only_that_it_is_awaited() -> None:
    """The full reason names both reads; what a run or an artifact may say names neither."""
    found = patient_endpoints(state_of(operated(LOCAL, CENTRAL)), study(), day(300))
    assert found.pathology_why.endswith("; adjudication awaited")
    value = next(v for v in patient_values(state_of(operated(LOCAL, CENTRAL)), study(), day(300)) if v.code == "rcb")
    assert "central read differs (RCB-I / RCB-II), adjudication awaited" in value.reason
    assert "RCB-II" not in " ".join(value.displayed)
    assert value.would_change == "the adjudication, or an amended report"


# ── agreement over the trial ──────────────────────────────────────────────────────────────────────────────────────

READ = [
    ("RCB-0", "RCB-0"), ("RCB-0", "RCB-0"), ("RCB-0", "RCB-I"), ("RCB-I", "RCB-I"), ("RCB-I", "RCB-II"),
    ("RCB-II", "RCB-II"), ("RCB-II", "RCB-II"), ("RCB-II", "RCB-I"), ("RCB-III", "RCB-III"), ("RCB-III", "RCB-II"),
]  # fmt: skip


def cohort() -> list[tuple[str, list[AnyFact]]]:
    """Ten patients read twice, and two who were not."""
    found = []
    for n, (local, central) in enumerate(READ, 1):
        subject = f"NT-{n:03d}"
        pair = [report("local", 160, CLASSES[local], subject), report("central", 170, CLASSES[central], subject)]
        found.append((subject, operated(*pair, subject=subject)))
    last = report("adjudication", 180, ONE, "NT-003")
    found[2][1].append(last)
    found += [("NT-011", operated(report("local", 160, ONE, "NT-011"), subject="NT-011"))]
    odd = [report("local", 160, ONE, "NT-012"), report("central", 170, ONE | UNKNOWN, "NT-012")]
    return [*found, ("NT-012", operated(*odd, subject="NT-012"))]


def agreed(cut: int = 300) -> tuple[Agreement, ...]:
    """The agreement of the cohort."""
    return agreements([state_of(facts, subject) for subject, facts in cohort()], study(), day(cut))


def test_agreement_in_class() -> None:
    """Kappa is weighted linearly over all four classes, the raw agreement exact, and who is not compared is counted."""
    found = agreed()[0]
    level = study().endpoints.rcb01.level
    assert (found.what, found.agreeing, found.n, found.not_compared) == ("rcb_class", 6, 10, 2)
    assert (found.adjudicated, found.awaited, str(found)) == (1, 3, "6/10")
    assert found.raw == clopper_pearson(6, 10, level=level)
    assert found.kappa == cohen_kappa(READ, level=level, weights="linear", categories=list(CLASSES))
    assert sum(found.table.values()) == 10
    assert (found.table["RCB-II", "RCB-I"], found.table["RCB-III", "RCB-0"]) == (1, 0)


def test_agreement_in_pcr() -> None:
    """PCR needs the categories alone, so a missing number does not keep a patient from being compared."""
    found = agreed()[1]
    said = [("yes" if a == "RCB-0" else "no", "yes" if b == "RCB-0" else "no") for a, b in READ]
    assert (found.what, found.agreeing, found.n, found.not_compared) == ("pcr", 10, 11, 1)
    assert found.kappa == cohen_kappa([*said, ("no", "no")], level=study().endpoints.pcr.level)


def test_agreement_where_there_is_none_to_tell() -> None:
    """Before the central reads there is no pair, and nothing is divided by nothing."""
    for found in agreed(165):
        assert (found.n, found.raw, found.kappa, found.not_compared) == (0, None, None, 12)
    assert [a.n for a in agreements([], study(), day(1))] == [0, 0]


def test_two_breasts_are_two_pairs() -> None:
    """Each breast is read by itself."""
    reports = [report(r, n, f, side=s, id=f"{r}{s}") for s, f in (("left", ONE), ("right", TWO))
               for r, n in (("local", 160), ("central", 170))]  # fmt: skip
    assert [a.n for a in agreements([state_of(operated(*reports))], study(), day(300))] == [2, 2]
