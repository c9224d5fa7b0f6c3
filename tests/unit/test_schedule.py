"""Windows: every one of the study file, at each of its boundaries with the day before and after."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import neotorch
from neotorch.domain import events as ev
from neotorch.domain.calendar import Window, window
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Study, Visit
from neotorch.rules.schedule import find_anchor, journey, last_dose, treatment_end, visit_plans
from neotorch.settings import load_study_file
from tests.support import CLEAN, START, consent, course, cycle, day, fact, learnt, screened, state_of, study, surgery

DAY = timedelta(1)

BOUNDARIES = ("opens", "target", "closes", "missed")


def study_files() -> list[Path]:
    """Every study file that ships."""
    return sorted((Path(neotorch.__file__).parent / "studies").glob("*/*.yaml"))


@cache
def read(file: Path) -> Study:
    """One of them."""
    return load_study_file(file)


class History:
    """Facts of any study, made of its own file, that end where an anchor is known and a visit not yet held."""

    def __init__(self, of: Study) -> None:
        self.of, self.facts = of, list[ev.AnyFact]()
        number = re.sub(r"\[0-9\]\{(\d).*?\}", lambda m: "1" * int(m[1]), of.subject_pattern)
        self.subject = re.sub(r"\((\w+)\|.*?\)", r"\1", number)
        self._told: set[str] = set()

    def tell(self, kind: str, on: date, **fields: Any) -> None:
        """Take one fact, once."""
        name = f"{kind}.{'.'.join(str(v) for v in fields.values() if isinstance(v, int | str))}"
        if name in self._told:
            return
        self._told.add(name)
        self.facts.append(fact(kind, on, self.subject, id=f"{self.subject}.{name}", study=self.of.id, **fields))

    def until(self, anchor: str) -> None:  # noqa: C901 - one case per kind of anchor
        """Let everything happen that the anchor needs, and the anchor."""
        kind, _, which = anchor.partition(".")
        cycles = self.of.cycles
        self.tell("consent", START - 14 * DAY, site=self.of.sites[0].code, icf_version="1.0")
        match kind:
            case "enrolment":
                self.tell("enrolment", START - 5 * DAY)
            case "planned_start":
                self.tell("enrolment", START - 5 * DAY, planned_start=START)
            case "cycle":
                self.tell("enrolment", START - 5 * DAY)
                for number in range(1, int(which) + 1):
                    drugs = [{"drug": d.code} for d in self.of.drugs if number in d.cycles]
                    day1 = START + cycles.length_days * (number - 1) * DAY
                    self.tell("cycle_given", day1, cycle=number, drugs=drugs)
            case "last_cycle" | "last_dose":
                self.until(f"cycle.{cycles.count}")
            case "surgery":
                self.until("last_cycle")
                plain = {"breast": "mastectomy", "axilla": "sentinel", "margin": "clear"}
                self.tell("surgery", START + (cycles.length_days * cycles.count + 20) * DAY, **plain)
            case "pathology":
                self.until("surgery")
                self.tell("pathology", START + (cycles.length_days * cycles.count + 30) * DAY, **CLEAN)
            case "visit":
                self._hold(self.of.visit_by_code[which])
            case "progression":
                self.tell("progression", START + 30 * DAY, operable=None, basis="imaging")
            case "recurrence":
                self.until("pathology")
                self.tell("recurrence", START + 400 * DAY, site="local")

    def _hold(self, visit: Visit) -> None:
        """Let a visit take place on its target day, after what its first timing hangs on."""
        for anchor in visit.timing[0].anchors:
            self.until(anchor)
        plan = next(p for p in visit_plans(self.state(), self.of, START) if p.code == visit.code)
        assert plan.window, visit.code
        self.tell("visit_held", plan.window.target, visit=visit.code)

    def state(self) -> PatientState:
        """The patient after all that."""
        return fold(learnt(self.facts), self.subject)


def windows() -> list[Any]:
    """Every window of every study file with each of its boundaries: file, visit, which of its timings, boundary."""
    return [
        pytest.param(
            file, visit.code, n, boundary,
            id=f"{file.parent.name}-{file.stem}: {visit.code} from {' and '.join(timing.anchors)}: {boundary}",
        )
        for file in study_files()
        for visit in read(file).visits
        for n, timing in enumerate(visit.timing)
        for boundary in BOUNDARIES
    ]  # fmt: skip


@cache
def patient(file: Path, code: str, alternative: int) -> tuple[PatientState, dict[str, date | None]]:
    """A patient in whom the visit's window hangs on one of its timings; and the window's four boundaries by hand."""
    history = History(read(file))
    visit = history.of.visit_by_code[code]
    timing = visit.timing[alternative]
    for anchor in timing.anchors:
        history.until(anchor)
    for floor in visit.not_before:
        history.until(floor.anchor)
    state = history.state()
    anchors = [find_anchor(name, state, history.of) for name in timing.anchors]
    target = max(a.day for a in anchors if a) + timing.offset_days * DAY
    opens, closes = target - timing.window_days_before * DAY, target + timing.window_days_after * DAY
    floors = [(find_anchor(n.anchor, state, history.of), n.days) for n in visit.not_before]
    first = max((a.day + days * DAY for a, days in floors if a), default=date.min)
    opens, target, closes = max(opens, first), max(target, first), max(closes, first)
    missed = None if visit.missed_after_days is None else closes + (visit.missed_after_days + 1) * DAY
    return state, {"opens": opens, "target": target, "closes": closes, "missed": missed}


def should_be(day: date, at: dict[str, date | None]) -> str:
    """The status on a day, in the words of the four boundaries."""
    opens, target, closes, missed = (at[b] for b in BOUNDARIES)
    assert opens and target and closes
    if day < opens:
        return "planned"
    if day <= target:
        return "due" if day == target else "open"
    if day <= closes:
        return "late"
    return "missed" if missed and day >= missed else "overdue"


@pytest.mark.parametrize(("file", "code", "alternative", "boundary"), windows())
def test_every_window_of_every_study_file_at_its_boundaries(
    file: Path, code: str, alternative: int, boundary: str
) -> None:
    """On the day before, the day itself and the day after each boundary the status is what it should be."""
    state, at = patient(file, code, alternative)
    day = at[boundary] or at["closes"] + 1000 * DAY  # type: ignore[operator]  # never missed by itself: still overdue
    for on in (day - DAY, day, day + DAY):
        plan = next(p for p in visit_plans(state, read(file), on) if p.code == code)
        assert plan.status == should_be(on, at), on


def test_screening_hangs_on_the_first_dose_once_there_is_one() -> None:
    """Screening is days -28 to -1 of C1D1, whatever had been planned before."""
    facts = [consent(START), fact("enrolment", START, planned_start=START + 10 * DAY), cycle(1, START + 12 * DAY)]
    plan = visit_plans(state_of(facts), study(), START)[0]
    assert plan.window is not None
    assert (plan.window.opens, plan.window.closes) == (START - 16 * DAY, START + 11 * DAY)


def test_time_alone_only_moves_statuses_forward() -> None:
    """Without a new fact a visit goes planned, open, due, late, overdue, missed, and never back."""
    order = ["waiting", "not_expected", "planned", "open", "due", "late", "overdue", "missed", "held"]
    given = [cycle(n, START + 21 * (n - 1) * DAY) for n in range(1, 7)]
    planned = [consent(START - 14 * DAY), fact("enrolment", START - 5 * DAY, planned_start=START)]
    operated = [*screened(), *given, surgery(day(134))]
    for facts in (planned, [*screened(), *course(2)], [*screened(), *given], operated):
        state = state_of(facts)
        before: dict[str, int] = {}
        for n in range(-40, 1400, 3):
            now = {p.code: order.index(p.status) for p in visit_plans(state, study(), START + n * DAY)}
            assert all(now[c] >= before.get(c, 0) for c in now), START + n * DAY
            before = now


@pytest.mark.parametrize(
    ("anlotinib_in_6", "opens", "target", "closes"), [(False, 127, 134, 148), (True, 147, 147, 148)]
)
def test_the_surgery_window_after_the_last_anlotinib(
    anlotinib_in_6: bool, opens: int, target: int, closes: int
) -> None:
    """Last anlotinib on day 98 or 119, C6D1 on day 106: days 127-148, or only 147-148."""
    six = [{"drug": "chemotherapy"}] + ([{"drug": "anlotinib", "dose": 12}] if anlotinib_in_6 else [])
    facts = [*(cycle(n, day(1 + 21 * (n - 1))) for n in range(1, 6)), cycle(6, day(106), drugs=six)]
    plan = next(p for p in visit_plans(state_of(facts), study(), day(106)) if p.code == "SURG")
    assert plan.window is not None
    assert (plan.window.opens, plan.window.target, plan.window.closes) == (day(opens), day(target), day(closes))


def test_a_washout_moves_the_opening_and_never_makes_the_window_longer() -> None:
    """A wash-out that ends before the window changes nothing, inside it shortens it, after it leaves one day."""
    plain = window(START, 28, 7, 14, not_before=None, missed_after=None)
    assert plain == Window(START + 21 * DAY, START + 28 * DAY, START + 42 * DAY, None)
    for n in range(60):
        found = window(START, 28, 7, 14, not_before=START + n * DAY, missed_after=None)
        assert found.opens == max(plain.opens, START + n * DAY)
        assert found.opens <= found.target <= found.closes
        assert found.closes == max(plain.closes, START + n * DAY)


DOSES = [
    pytest.param({}, [], 14, id="as planned: the fourteenth day"),
    pytest.param({"last_dose": day(9)}, [], 9, id="the site says which was the last"),
    pytest.param({}, [("stopped", 5)], 5, id="stopped on day 5"),
    pytest.param({}, [("interrupted", 6)], 6, id="interrupted on day 6"),
    pytest.param({}, [("reduced", 6)], 14, id="reduced goes on"),
    pytest.param({}, [("stopped", 20)], 14, id="stopped when the days of the cycle were over"),
    pytest.param({"status": "held"}, [], None, id="held: never taken"),
]


@pytest.mark.parametrize(("given", "changes", "wanted"), DOSES)
def test_the_last_dose_of_a_drug(given: dict[str, Any], changes: list[tuple[str, int]], wanted: int | None) -> None:
    """The wash-out counts from the last day taken: planned, said, or cut short."""
    facts = [cycle(1, START, drugs=[{"drug": "anlotinib", **given}])]
    facts += [fact("dose_changed", day(on), drug="anlotinib", action=a, cause="x") for a, on in changes]
    found = last_dose(state_of(facts), study().drug_by_code["anlotinib"])
    assert (found[0] if found else None) == (day(wanted) if wanted else None)


def test_every_visit_says_why() -> None:
    """Each visit carries its rule, and one with a window the anchor, the dates and the events behind it."""
    state = state_of([*screened(), *course(6), surgery(day(134))])
    for plan in visit_plans(state, study(), day(140)):
        assert plan.because.rule
        assert plan.because.study_version == "1.0"
        if plan.window:
            assert plan.because.anchor is not None
            assert set(plan.because.event_ids) <= {f.id for f in state.facts}
            assert plan.because.event_ids
        else:
            assert plan.because.detail


def test_no_treatment_end_while_a_cycle_is_to_come() -> None:
    """The days to surgery do not run before it is settled that no further cycle will be given."""
    assert treatment_end(state_of(course(5)), study()) is None
    assert treatment_end(state_of([]), study()) is None
    end = treatment_end(state_of(course(6)), study())
    assert end is not None
    assert end.day == day(106)


PHASES = [
    ([], "screening"),
    (["cycle"], "treatment"),
    (["cycle", "stop"], "surgery"),
    (["cycle", "surgery"], "follow_up"),
    (["cycle", "inoperable"], "follow_up"),
    (["no"], "screen_failure"),
    (["no", "cycle"], "treatment"),
    (["cycle", "off"], "withdrawn"),
    (["cycle", "off treatment"], "surgery"),
    (["off treatment"], "withdrawn"),
    (["cycle", "surgery", "death"], "dead"),
]


@pytest.mark.parametrize(("told", "wanted"), PHASES)
def test_phase(told: list[str], wanted: str) -> None:
    """The phase follows from what is known, and a death or a withdrawal ends it."""
    facts = {
        "cycle": cycle(1, START),
        "stop": fact("dose_changed", day(30), drug="chemotherapy", action="stopped", cause="toxicity"),
        "surgery": surgery(day(60)),
        "inoperable": fact("progression", day(40), operable=False, basis="imaging"),
        "no": fact("eligibility", START - DAY, eligible=False),
        "off": fact("withdrawal", day(20), scope="study"),
        "off treatment": fact("withdrawal", day(20), scope="treatment"),
        "death": fact("death", day(90)),
    }
    assert journey(state_of([consent(START - 14 * DAY), *(facts[t] for t in told)]), study()) == wanted
