"""What the data of one patient ask for, worked out once more and in another way than `neotorch.rules` does.

Nothing of the engine's fold, rules or verdicts is used here, so that its mistakes are not repeated: only the events as
they stand in the log, and the study file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.study import Study

SEEN_ALIVE = {
    "consent", "enrolment", "cycle_given", "visit_held", "imaging", "surgery", "disease_assessment", "contact",
}  # fmt: skip
AFTER_DEATH = SEEN_ALIVE | {"progression", "recurrence", "second_primary", "new_therapy"}


def standing(rows: Sequence[ev.Recorded]) -> list[ev.Recorded]:
    """Return the facts that hold, as they happened: neither corrected nor taken back."""
    facts = [r for r in rows if isinstance(r.event, ev.Fact)]
    by_target: dict[str, list[ev.AnyLogged]] = {}
    for row in facts:
        target = getattr(row.event, "retracts", None) or row.event.corrects
        if target:
            by_target.setdefault(target, []).append(row.event)

    def taken_back(event_id: str) -> bool:
        return any(e.type == "retraction" and not taken_back(e.id) for e in by_target.get(event_id, ()))

    def replaced(event_id: str) -> bool:
        return any(e.type != "retraction" and not taken_back(e.id) for e in by_target.get(event_id, ()))

    held = [r for r in facts if not taken_back(r.event.id) and not replaced(r.event.id)]
    return sorted(held, key=lambda r: (r.event.occurred, r.event.rank, r.event.id))


@dataclass
class Asked:
    """Keys of queries: those that must be open by now, and those that may be."""

    must: set[str] = field(default_factory=set)
    may: set[str] = field(default_factory=set)

    def add(self, key: str, since: date, today: date) -> None:
        """The data have shown it since a day."""
        self.may.add(key)
        if since <= today:
            self.must.add(key)


class Chart:
    """One patient's facts as they stood at a point of the log."""

    def __init__(self, rows: Iterable[ev.Recorded], subject: str, study: Study) -> None:
        self.subject, self.study = subject, study
        self.rows = [r for r in rows if r.event.subject == subject]
        self._standing = standing(self.rows)
        self.facts: list[Any] = [r.event for r in self._standing]
        self._by_kind: dict[str, list[Any]] = {}
        for fact in self.facts:
            self._by_kind.setdefault(fact.type, []).append(fact)
        self.learnt: dict[str, datetime] = {r.event.id: r.recorded_at for r in self.rows}

    def of(self, kind: str) -> list[Any]:
        """The facts of a type."""
        return self._by_kind.get(kind, [])

    @cached_property
    def zone(self) -> ZoneInfo:
        """The site's zone."""
        consents = self.of("consent")
        code = consents[0].site if consents else None
        return ZoneInfo(next((s for s in self.study.sites if s.code == code), self.study.sites[0]).time_zone)

    def local(self, at: datetime) -> date:
        """The day at the site."""
        return at.astimezone(self.zone).date()

    @cached_property
    def cycles(self) -> dict[int, Any]:
        """Day 1 of each cycle; of two records the one that happened first."""
        found: dict[int, Any] = {}
        for given in self.of("cycle_given"):
            found.setdefault(given.cycle, given)
        return found

    @cached_property
    def ended(self) -> str:
        """How the journey has ended: dead, withdrawn, screen failure, or not."""
        if self.of("death"):
            return "dead"
        left = self.of("withdrawal")
        if any(w.scope == "study" for w in left) or (left and not self.cycles):
            return "withdrawn"
        decided = self.of("eligibility")
        if decided and not decided[-1].eligible and not self.cycles:
            return "screen failure"
        return ""

    def held(self, visit: Any) -> date | None:
        """The day on which a visit took place."""
        said = [f for f in self.of("visit_held") if f.visit == visit.code]
        if said:
            return said[0].occurred
        shown = {
            "eligibility": lambda: [f for f in self.of("eligibility")[-1:] if f.eligible],
            "cycle": lambda: [self.cycles[visit.cycle]] if visit.cycle in self.cycles else [],
            "surgery": lambda: self.of("surgery"),
            "pathology_local": lambda: [f for f in self.of("pathology") if f.read == "local"],
            "pathology_central": lambda: [f for f in self.of("pathology") if f.read == "central"],
            "imaging": lambda: [f for f in self.of("imaging") if f.visit == visit.code],
            "disease_status": lambda: [f for f in self.of("disease_assessment") if f.visit == visit.code],
            "visit": list,
        }[visit.held_by]()
        if not shown and visit.held_by in ("visit", "imaging", "disease_status"):
            shown = [f for f in self.of("form_received") if f.visit == visit.code]
        return shown[0].occurred if shown else None

    @cached_property
    def visits(self) -> list[Any]:
        """The study's visits, and those of extra cycles."""
        extra = [n for n in self.cycles if n > self.study.cycles.count]
        more = [v for n in extra if (v := self.study.cycle_visit(n))]
        return [*self.study.visits, *(v for v in more if v.code not in self.study.visit_by_code)]

    # ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────

    def asked(self, now: datetime) -> Asked:
        """Return what is to be asked at an instant. What hangs on windows (appointments) is not among it."""
        found, today = Asked(), self.local(now)
        if self.ended != "screen failure":
            self._missing(found, today)
        self._dose_labs(found, today)
        for code, ids in self._impossible():
            text = "+".join(ids)
            tail = text if len(text) <= 60 else f"{text[:40]}#{sha256(text.encode()).hexdigest()[:12]}"
            found.add(f"{self.subject}/history/{code}/{tail}", date.min, today)
        for code in self._survival():
            found.add(f"{self.subject}/survival/{code}", date.min, today)
        for where, code in self._reports():
            found.add(f"{self.subject}/{where}/{code}".rstrip("/"), date.min, today)
        self._scans(found, today)
        resolved = {f.query for f in self.of("query_resolved")}
        for said in self.of("query_opened"):
            if said.query not in resolved:
                found.add(said.query, said.occurred, today)
        return found

    def _missing(self, found: Asked, today: date) -> None:
        grace = timedelta(self.study.queries.raise_after_days)
        for visit in self.visits:
            on = self.held(visit)
            for due in visit.due if on else ():
                assert on
                form = self.study.form_by_code[due.form]
                key = f"{self.subject}/{visit.code}/{form.code}"
                sources = self._sources(visit, form)
                if any(self._unanswered(visit, form, item, sources) for item in due.items or form.items):
                    found.add(key, on + grace, today)
                fresh = on if due.of is None else self._anchor(due.of)
                if due.within_days is not None and fresh and sources:
                    newest = max(s.occurred for s in sources)
                    if (fresh - newest).days > due.within_days:
                        found.add(f"{key}/too-old", fresh, today)

    def _anchor(self, name: str) -> date | None:
        kind, _, which = name.partition(".")
        assert kind == "cycle", f"this look knows no anchor {name}"
        return self.cycles[int(which)].occurred if int(which) in self.cycles else None

    def _sources(self, visit: Any, form: Any) -> list[Any]:
        if form.event is None:
            return [f for f in self.of("form_received") if (f.visit, f.form) == (visit.code, form.code)]
        facts = [f for f in self.of(form.event) if all(getattr(f, k) == v for k, v in form.where.items())]
        if form.event == "cycle_given":
            return [f for f in facts if f.cycle == visit.cycle]
        if form.event in ("imaging", "disease_assessment"):
            return [f for f in facts if f.visit == visit.code]
        return facts

    def _unanswered(self, visit: Any, form: Any, item: str, sources: list[Any]) -> bool:
        reasons = [f for f in self.of("form_received") if (f.visit, f.form) == (visit.code, form.code)]
        if any(item in f.items for f in reasons):
            return False
        condition = form.items[item].only_if
        sides = {getattr(s, "side", None) for s in sources} or {None}
        for side in sides:
            mine = [s for s in sources if getattr(s, "side", None) == side]
            says = lambda name, mine=mine: [v for s in mine if (v := _value(s, name)) is not None]  # noqa: E731
            wanted = condition is None or any(v in condition.one_of for v in says(condition.item))
            if wanted and not says(item):
                return True
        return False

    def _dose_labs(self, found: Asked, today: date) -> None:
        check = self.study.checks.dose_labs
        for number, dose in self.cycles.items() if check else ():
            assert check
            first = check.within_days
            if number == 1 and check.first_cycle_within_days is not None:
                first = check.first_cycle_within_days
            lacks = set()
            for wanted in check.forms:
                parts = [
                    f for f in self.of("form_received")
                    if f.form == wanted.form and 0 <= (dose.occurred - f.occurred).days <= first
                ]  # fmt: skip
                items = wanted.items or list(self.study.form_by_code[wanted.form].items)
                lacks |= {(wanted.form, i) for i in items if not any(i in p.items for p in parts)}
            if not lacks:
                continue
            visit = self.study.cycle_visit(number)
            key = f"{self.subject}/{visit.code if visit else f'C{number}D1'}/dose-without-labs"
            found.may.add(key)
            elsewhere = {form for form, _ in lacks if any(f"/{form}" in k for k in found.may)}  # asked for there
            since = dose.occurred + timedelta(self.study.queries.raise_after_days)
            if since <= today and not elsewhere:
                found.must.add(key)

    # ── what cannot be so ─────────────────────────────────────────────────────────────────────────────────────────

    def _impossible(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        one: dict[str, Any] = {}
        for kind in ("consent", "surgery"):
            one[kind] = next(iter(self.of(kind)), None)
        one["enrolment"] = next(iter(reversed(self.of("enrolment"))), None)
        pairs = [("enrolment", one["enrolment"], "consent")]
        pairs += [("dose", c, then) for c in self.cycles.values() for then in ("consent", "enrolment")]
        pairs += [("surgery", s, "enrolment") for s in self.of("surgery")]
        pairs += [("pathology", p, "surgery") for p in self.of("pathology")]
        pairs += [("recurrence", r, "surgery") for r in self.of("recurrence")]
        for name, first, then in pairs:
            if first and one[then] and first.occurred < one[then].occurred:
                yield f"{name}-before-{then}", (first.id, one[then].id)
        if not one["surgery"]:
            yield from (("pathology-without-surgery", (p.id,)) for p in self.of("pathology"))
        grew = [p.occurred for p in self.of("progression")]
        for back in self.of("recurrence") if not one["surgery"] else ():
            if not any(day <= back.occurred for day in grew):
                yield "recurrence-without-surgery", (back.id,)
        yield from self._cycles_out_of_order(one["surgery"])
        deaths = self.of("death")
        yield from (("death-twice", (deaths[0].id, d.id)) for d in deaths[1:])
        for fact in self.facts if deaths else ():
            if fact.type in AFTER_DEATH and fact.occurred > deaths[0].occurred:
                yield "after-death", (fact.id, deaths[0].id)

    def _cycles_out_of_order(self, surgery: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
        for given in self.of("cycle_given"):
            if given.id != self.cycles[given.cycle].id:
                yield "cycle-twice", (self.cycles[given.cycle].id, given.id)
        numbers = sorted(self.cycles)
        for low, high in combinations(numbers, 2):
            beside = not any(low < n < high for n in numbers)
            if beside and self.cycles[high].occurred <= self.cycles[low].occurred:
                yield "cycle-order", (self.cycles[high].id, self.cycles[low].id)
        for number in numbers if surgery else ():
            if self.cycles[number].occurred > surgery.occurred:
                yield "dose-after-surgery", (self.cycles[number].id, surgery.id)

    def _survival(self) -> Iterator[str]:
        free = [f for f in self.of("disease_assessment") if f.status == "free"]
        ill = [f for f in self.of("disease_assessment") if f.status == "disease"]
        distant = [r.occurred for r in self.of("recurrence") if r.site == "distant"]
        if distant and any(f.occurred >= min(distant) for f in free):
            yield "free-after-recurrence"
        dead = [f.occurred for f in self.of("form_received") if self._says_alive(f) is False]
        if not self.of("death"):
            if dead or any(f.grade == 5 for f in self.of("adverse_event")):
                yield "death-not-recorded"
            if dead and any(f.occurred > min(dead) for f in free):
                yield "free-after-last-alive"
        operated = min((s.occurred for s in self.of("surgery")), default=date.max)
        back = [f.occurred for kind in ("recurrence", "second_primary") for f in self.of(kind)]
        grew = [*back, *(f.occurred for f in self.of("progression"))]
        progressive = [s for s in self.of("imaging") if s.response == "PD"]
        seen = [(s.occurred, back if s.occurred >= operated else grew) for s in progressive]
        seen += [(s.occurred, back) for s in ill if s.occurred >= operated]
        if any(not any(d <= on for d in known) for on, known in seen):
            yield "disease-not-recorded"

    def _says_alive(self, form: Any) -> bool | None:
        alive = self.study.checks.alive
        if alive is None or form.form != alive.form:
            return None
        answer = form.items.get(alive.item)
        return answer if isinstance(answer, bool) else None

    @cached_property
    def specimens(self) -> dict[Any, dict[str, list[Any]]]:
        """Side -> read -> its reports that count: the final ones, as long as there is none the preliminary ones."""
        sides = {r.side for r in self.of("pathology")} - {None}
        found: dict[Any, dict[str, list[Any]]] = {}
        for report in self.of("pathology"):
            side = report.side or (min(sides) if len(sides) == 1 else None)
            found.setdefault(side, {}).setdefault(report.read, []).append(report)
        for reads in found.values():
            for read, reports in reads.items():
                reads[read] = [r for r in reports if r.status == "final"] or reports
        return found

    def _reports(self) -> Iterator[tuple[str, str]]:
        for side, reads in self.specimens.items():
            for read, reports in reads.items():
                place = {"local": "PATH", "central": "CENTRAL", "adjudication": "ADJUDICATION"}[read]
                yield from ((place, code) for code in _disagreements(reports[-1]))
                if _doubled(reports):
                    yield place, "two-reports"
                if side is None and len(self.specimens) > 1:
                    yield place, "side-missing"
            if self._reads_differ(reads):
                yield "ADJUDICATION", side or ""

    def _reads_differ(self, reads: dict[str, list[Any]]) -> bool:
        """Whether the final local and central report of a side differ in what the study has adjudicated, and were not."""
        plan = self.study.endpoints.pathology
        final = {read: reports[-1] for read, reports in reads.items() if reports[-1].status == "final"}
        if plan is None or "adjudication" in final or not {"local", "central"} <= final.keys():
            return False
        if any(_doubled(reports) for reports in reads.values()):
            return False
        local, central = final["local"], final["central"]
        if any(True for r in (local, central) for _ in _disagreements(r)):
            return False
        looks = {"rcb_class": _rcb_class, "pcr": _complete}
        pairs = ((looks[w](local), looks[w](central)) for w in plan.adjudicate_when)
        return any(a != b and None not in (a, b) for a, b in pairs)

    # ── scans ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _scans(self, found: Asked, today: date) -> None:
        operated = min((s.occurred for s in self.of("surgery")), default=date.max)
        scans = [s for s in self.of("imaging") if s.occurred <= operated]
        start = self.cycles[1].occurred if 1 in self.cycles else date.max
        measured = [s for s in scans if s.response == "BASELINE" and s.sum_mm is not None]
        base = next((s for s in reversed(measured) if s.occurred <= start), next(iter(measured), None))
        good = date.min
        for scan in scans:
            if base and scan.occurred <= base.occurred:
                continue
            shown = self._response(scan, base, scans)
            decided = [p for p in self.of("progression") if p.occurred > good]
            where = f"{self.subject}/{scan.visit or 'imaging'}"
            tail = "" if scan.visit else f"/{scan.id if len(scan.id) <= 60 else scan.id[:40]}"
            if _against(scan, shown) and not (scan.response == "PD" and decided):
                found.add(f"{where}/response-against-sums{tail}", date.min, today)
            if shown == "PD":
                since = self._undecided(scan) if not decided else None
                if since:
                    found.add(f"{where}/progression-without-decision{tail}", since, today)
            else:
                good = scan.occurred

    def _response(self, scan: Any, base: Any, scans: list[Any]) -> str:
        if scan.new_lesion:
            return "PD"
        if scan.sum_mm is None:
            return "NE"
        since = base.occurred if base else date.min
        earlier = [
            s.sum_mm
            for s in scans
            if since <= s.occurred < scan.occurred and s.sum_mm is not None and s.id != getattr(base, "id", "")
        ]
        if base:
            earlier = [s.sum_mm for s in scans if since < s.occurred < scan.occurred and s.sum_mm is not None] + [
                base.sum_mm
            ]
        if earlier:
            low = min(earlier)
            if (low == 0 and scan.sum_mm > 0) or (
                low > 0 and scan.sum_mm - low > 5 - 1e-9 and scan.sum_mm > 1.2 * low - 1e-9
            ):
                return "PD"
        if base is None:
            return "NE"
        if scan.sum_mm == 0:
            return "CR"
        return "PR" if scan.sum_mm <= 0.7 * base.sum_mm + 1e-9 else "SD"

    def _undecided(self, scan: Any) -> date | None:
        """The day from which a decision on a progressive disease is lacking; None if there is one."""
        check = self.study.checks.progression_decision
        if check is None:
            return None
        for wanted in check.forms:
            for part in self.of("form_received"):
                near = part.form == wanted.form and (part.visit == scan.visit or part.occurred >= scan.occurred)
                values = [v for n, v in part.items.items() if not wanted.items or n in wanted.items] if near else []
                if any(not isinstance(v, ev.NotAnswered) for v in values):
                    return None
        return max(scan.occurred + timedelta(check.after_days), self.local(self.learnt[scan.id]))


def _value(source: Any, item: str) -> Any:
    return source.items.get(item) if source.type == "form_received" else getattr(source, item, None)


def _against(scan: Any, shown: str) -> bool:
    """Whether the reported response cannot stand beside the sums."""
    said = scan.response
    if shown in ("NE", said):
        return False
    if shown == "PD" or said == "PD":
        return True
    small_nodes = said == "CR" and scan.sum_mm is not None and scan.sum_mm < 20
    return said != "NE" and not small_nodes and not (shown == "CR" and said == "PR")


def _disagreements(r: Any) -> Iterator[str]:
    """Codes of what does not go together in a pathology report."""
    cells, in_situ, nodes, met, removed = (
        r.cellularity_pct,
        r.in_situ_pct,
        r.nodes_positive,
        r.largest_met_mm,
        r.nodes_removed,
    )
    share = None if None in (cells, in_situ) else cells / 100 * (1 - in_situ / 100)
    clean = r.ypt in ("ypT0", "ypTis")
    if share is not None and (r.ypt == "ypTX" or (clean and share > 0) or (not clean and share == 0)):
        yield "ypt-cellularity"
    if r.ypt == "ypT0" and share == 0 and cells:
        yield "ypt-in-situ"
    faults = set(_faults(r))
    whole = None not in (r.d1_mm, r.d2_mm, cells, in_situ, nodes, met) and not faults and removed != 0
    if whole and not r.sentinel_positive_before_therapy:
        none = share * r.d1_mm * r.d2_mm == 0 and nodes * met == 0
        clear = clean and r.ypn == "ypN0" and not r.lymphovascular_invasion and r.bed_found
        residual = not clean and r.ypt != "ypTX"
        not_pcr = residual or r.ypn not in ("ypN0", "ypNX")
        if (none and not_pcr and not r.lymphovascular_invasion) or (not none and clear):
            yield "pcr-rcb"
    if not r.bed_found:
        yield "bed-not-found"
    yield from _nodes(r.ypn, nodes, removed, met)
    if not r.sentinel_positive_before_therapy:
        yield from (f"rcb-{f}" for f in faults)


def _doubled(reports: Sequence[Any]) -> bool:
    """Whether two final reports of the last day say different things."""
    said = [
        {k: v for k, v in r.body.items() if k not in {*ev.Event.model_fields, "read", "side"}}
        for r in reports if r.status == "final" and r.occurred == reports[-1].occurred
    ]  # fmt: skip
    return any(s != said[0] for s in said)


def _rcb_class(r: Any) -> int | None:
    """The class 0 to 3 by Symmans' formula, of a report that does not contradict itself; None if it has none."""
    numbers = (r.d1_mm, r.d2_mm, r.cellularity_pct, r.in_situ_pct, r.nodes_positive, r.largest_met_mm)
    if None in numbers or r.nodes_removed == 0 or r.sentinel_positive_before_therapy:
        return None
    d1, d2, cells, in_situ, nodes, met = numbers
    bed = (d1 * d2) ** 0.5 * cells / 100 * (1 - in_situ / 100)
    burden = (1 - 0.75**nodes) * 4 * met
    index = (1.4 * bed**0.17 if bed else 0) + (burden**0.17 if burden else 0)
    return sum(index > limit for limit in (0, 1.36, 3.28))


def _complete(r: Any) -> bool | None:
    """Whether the report is a complete response in breast and nodes (ypT0/Tis ypN0); None if it does not say."""
    if r.ypt not in ("ypT0", "ypTis", "ypTX") or r.ypn not in ("ypN0", "ypNX") or r.lymphovascular_invasion:
        return False
    if r.ypt == "ypTX" or r.ypn == "ypNX":
        return None
    if r.sentinel_positive_before_therapy:
        return False
    return True if r.bed_found else None


def _faults(r: Any) -> Iterator[str]:
    nodes, met = r.nodes_positive, r.largest_met_mm
    if r.cellularity_pct and (r.d1_mm == 0 or r.d2_mm == 0):
        yield "bed-size"
    if nodes == 0 and met:
        yield "met-without-node"
    if nodes and met == 0:
        yield "node-without-met"
    if nodes is not None and r.nodes_removed is not None and nodes > r.nodes_removed:
        yield "nodes-removed"


def _nodes(ypn: str, nodes: int | None, removed: int | None, met: float | None) -> Iterator[str]:
    if ypn == "ypNX":
        if nodes is not None and removed != 0:
            yield "ypn-nodes"
        return
    if removed == 0:
        yield "ypn-removed"
    if nodes is None:
        return
    if (ypn == "ypN0") != (nodes == 0):
        yield "ypn-nodes"
    low, high = {"ypN1a": (1, 3), "ypN2a": (4, 9), "ypN3a": (10, 200)}.get(ypn, (0, 200))
    if nodes and not low <= nodes <= high:
        yield "ypn-count"
    least, most = {"ypN0(i+)": (-1.0, 0.2), "ypN1mi": (0.2, 2.0)}.get(ypn, (2.0 if low else -1.0, 1e9))
    if nodes and met is not None and not least < met <= most:
        yield "ypn-size"
