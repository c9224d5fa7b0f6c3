"""Patient state: a fold over the log. Total, pure, and independent of the order in which events arrived.

Facts are ordered by (occurred, rank of the kind, id). A correction replaces its target, a retraction removes it; both
stay in the log. An impossible history gives problems (which become data queries), never an exception.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, TypeVar

from neotorch.domain import events as ev

T = TypeVar("T")
Journey = Literal["screening", "treatment", "surgery", "follow_up", "screen_failure", "withdrawn", "dead"]
ENDED: frozenset[str] = frozenset({"screen_failure", "withdrawn", "dead"})


SEEN = (ev.Contact, ev.VisitHeld, ev.UnscheduledVisit, ev.CycleGiven, ev.Imaging, ev.Surgery, ev.DiseaseAssessment)
"""What shows that a patient was there, or heard of: not lost any more."""


@dataclass(frozen=True)
class Problem:
    """Something in a history or a report that cannot be so, and the events that say it."""

    code: str
    text: str
    event_ids: tuple[str, ...]


@dataclass(frozen=True)
class NoticeTrail:
    """What became of one notice: claims and outcomes by attempt."""

    claims: Mapping[int, datetime] = field(default_factory=dict)
    sent: ev.NoticeSent | None = None
    failed: Mapping[int, ev.NoticeFailed] = field(default_factory=dict)

    @property
    def last_attempt(self) -> int:
        """Number of the newest attempt, 0 if none."""
        return max(self.claims, default=0)

    @property
    def unresolved(self) -> datetime | None:
        """Instant of a claim without an outcome: being sent now, or cut off while sending."""
        last = self.last_attempt
        return None if self.sent or not last or last in self.failed else self.claims[last]

    @property
    def in_doubt(self) -> bool:
        """Whether any attempt may have arrived although nobody said so."""
        return any(n not in self.failed or self.failed[n].in_doubt for n in self.claims)


@dataclass(frozen=True)
class QueryTrail:
    """What became of one query."""

    raised: Mapping[int, ev.QueryRaised] = field(default_factory=dict)
    raised_at: Mapping[int, datetime] = field(default_factory=dict)
    closed: frozenset[int] = frozenset()
    answers: tuple[ev.QueryAnswered, ...] = ()

    @property
    def round(self) -> int:
        """How often it was opened."""
        return max(self.raised, default=0)

    @property
    def open(self) -> bool:
        """Whether it is open now."""
        return self.round > 0 and self.round not in self.closed


@dataclass(frozen=True)
class DeviationTrail:
    """What became of one deviation."""

    found: Mapping[int, ev.DeviationFound] = field(default_factory=dict)
    found_at: Mapping[int, datetime] = field(default_factory=dict)
    withdrawn: frozenset[int] = frozenset()
    acknowledged: tuple[ev.DeviationAcknowledged, ...] = ()

    @property
    def round(self) -> int:
        """How often it was found."""
        return max(self.found, default=0)

    @property
    def open(self) -> bool:
        """Whether the data show it now."""
        return self.round > 0 and self.round not in self.withdrawn


@dataclass(frozen=True)
class PatientState:
    """Everything that is so about one patient, as far as the log tells."""

    subject: str
    facts: tuple[ev.AnyFact, ...] = ()
    """Effective facts (no superseded or retracted ones) in clinical order."""
    superseded: Mapping[str, str] = field(default_factory=dict)
    """Id of each replaced or retracted event -> id of the event that did it."""
    consent: ev.Consent | None = None
    eligibility: ev.Eligibility | None = None
    enrolment: ev.Enrolment | None = None
    cycles: Mapping[int, ev.CycleGiven] = field(default_factory=dict)
    delays: Mapping[int, ev.CycleDelayed] = field(default_factory=dict)
    dose_changes: tuple[ev.DoseChanged, ...] = ()
    forms: Mapping[tuple[str, str], tuple[ev.FormReceived, ...]] = field(default_factory=dict)
    """(visit, form) -> the parts received, in order."""
    first_form: Mapping[str, ev.FormReceived] = field(default_factory=dict)
    """Visit -> the earliest form received for it."""
    held: Mapping[str, ev.VisitHeld] = field(default_factory=dict)
    missed: Mapping[str, ev.VisitMissed] = field(default_factory=dict)
    booked: Mapping[str, ev.VisitBooked] = field(default_factory=dict)
    """Visit -> its newest appointment."""
    waived: Mapping[str, ev.VisitWaived] = field(default_factory=dict)
    unscheduled: tuple[ev.UnscheduledVisit, ...] = ()
    seen: Mapping[str, ev.NoticeSeen] = field(default_factory=dict)
    """Key of a matter -> when somebody last took note of it."""
    snoozed: Mapping[str, ev.Snoozed] = field(default_factory=dict)
    asked: Mapping[str, ev.QueryOpened] = field(default_factory=dict)
    """Queries asked by a person, by key."""
    resolved: Mapping[str, ev.QueryResolved] = field(default_factory=dict)
    surgeries: tuple[ev.Surgery, ...] = ()
    pathologies: tuple[ev.Pathology, ...] = ()
    progressions: tuple[ev.Progression, ...] = ()
    recurrences: tuple[ev.Recurrence, ...] = ()
    reconsents: tuple[ev.Reconsent, ...] = ()
    """Answers to amended protocols, in order."""
    withdrawal: ev.Withdrawal | None = None
    lost: ev.LostToFollowUp | None = None
    death: ev.Death | None = None
    problems: tuple[Problem, ...] = ()
    queries: Mapping[str, QueryTrail] = field(default_factory=dict)
    deviations: Mapping[str, DeviationTrail] = field(default_factory=dict)
    notices: Mapping[str, NoticeTrail] = field(default_factory=dict)
    learnt: Mapping[str, ev.Recorded] = field(default_factory=dict, compare=False, repr=False)
    """Every event of the subject by id, with its place in the log; depends on arrival, so no part of equality."""
    memo: dict[str, tuple[tuple[object, ...], Any]] = field(default_factory=dict, compare=False, repr=False)
    """What was worked out from the facts alone, see `once`; it stays while only effects are new."""
    kept: dict[str, tuple[tuple[object, ...], Any]] = field(default_factory=dict, compare=False, repr=False)
    """What was worked out from certain facts, see `keep`; it stays while those do."""

    def once(self, name: str, made_from: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what `make` gives, worked out once as long as it is made from the same objects.

        Only for what follows from the facts, never from queries, deviations, notices or positions in the log.
        """
        kept = self.memo.get(name)
        if kept is None or not all(map(_same, kept[0], made_from)):
            kept = self.memo[name] = (made_from, make())
        value: T = kept[1]
        return value

    def keep(self, name: str, made_from: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what `make` gives, worked out once as long as it is made from the same objects, new facts or not.

        `made_from` has to name every fact that the value hangs on.
        """
        known = self.kept.get(name)
        if known is None or len(known[0]) != len(made_from) or not all(map(_same, known[0], made_from)):
            known = self.kept[name] = (made_from, make())
        value: T = known[1]
        return value

    def of_type(self, name: str) -> tuple[ev.AnyFact, ...]:
        """Return the facts of one type, in clinical order."""
        return self._by_type.get(name, ())

    @cached_property
    def _by_type(self) -> dict[str, tuple[ev.AnyFact, ...]]:
        found: dict[str, list[ev.AnyFact]] = {}
        for fact in self.facts:
            found.setdefault(fact.type, []).append(fact)
        return {name: tuple(facts) for name, facts in found.items()}

    @property
    def site(self) -> str | None:
        """Code of the site that took consent."""
        return self.consent.site if self.consent else None

    @property
    def first_dose(self) -> date | None:
        """Date of C1D1, the start of treatment."""
        return self.cycles[1].occurred if 1 in self.cycles else None

    @property
    def surgery(self) -> ev.Surgery | None:
        """The first definitive surgery, which follow-up hangs on."""
        return self.surgeries[0] if self.surgeries else None

    @property
    def inoperable(self) -> ev.Progression | None:
        """The first progression that precludes surgery."""
        return next((p for p in self.progressions if p.operable is False), None)

    @cached_property
    def notices_about(self) -> Mapping[str, Sequence[tuple[str, NoticeTrail]]]:
        """The trails by what follows the subject in their keys: a visit's code, or another word."""
        found: dict[str, list[tuple[str, NoticeTrail]]] = {}
        for key, trail in self.notices.items():
            parts = key.split("/", 2)
            if len(parts) == 3 and parts[0] == self.subject:
                found.setdefault(parts[1], []).append((key, trail))
        return found

    @cached_property
    def position(self) -> int:
        """Newest log position among the subject's events."""
        return self._arrived[-1].seq if self._arrived else 0

    def since(self, seq: int) -> list[ev.Recorded]:
        """Return the subject's events after a log position, in the order in which we learnt them."""
        return self._arrived[bisect_right(self._arrived, seq, key=lambda r: r.seq) :]

    @cached_property
    def _arrived(self) -> list[ev.Recorded]:
        return sorted(self.learnt.values(), key=attrgetter("seq"))


def _same(one: object, other: object) -> bool:
    """Whether these are the same object, or the same day; to compare whole studies would take longer than the work."""
    return one is other or (isinstance(one, date) and one == other)


def fold(recorded: Iterable[ev.Recorded], subject: str) -> PatientState:
    """Fold the events of one subject (others are ignored) into its state."""
    learnt = {r.event.id: r for r in recorded if r.event.subject == subject}
    every = in_order(learnt.values())
    superseded, problems = supersede(every, learnt)
    draft = Draft()
    for event in every:
        if event.id not in superseded:
            draft.take(event, learnt[event.id].recorded_at)
    return state_of(
        subject, draft, superseded, problems, learnt, queries=draft.query_trails(),
        deviations=draft.deviation_trails(), notices=draft.notice_trails(),
    )  # fmt: skip


_PLACE = attrgetter("occurred", "rank", "id")


def in_order(rows: Iterable[ev.Recorded]) -> list[ev.AnyLogged]:
    """Return the events in clinical order."""
    return sorted((r.event for r in rows), key=_PLACE)


def state_of(
    subject: str, draft: Draft, superseded: Mapping[str, str], problems: Sequence[Problem],
    learnt: Mapping[str, ev.Recorded], *, queries: Mapping[str, QueryTrail], deviations: Mapping[str, DeviationTrail],
    notices: Mapping[str, NoticeTrail], kept: dict[str, tuple[tuple[object, ...], Any]] | None = None,
) -> PatientState:  # fmt: skip
    """Return the state that a draft has come to, with the trails of what the engine did."""
    return PatientState(
        subject=subject,
        facts=tuple(draft.facts),
        superseded=superseded,
        consent=draft.consent,
        eligibility=draft.eligibility,
        enrolment=draft.enrolment,
        cycles=draft.cycles,
        delays=draft.delays,
        dose_changes=tuple(draft.dose_changes),
        first_form=draft.first_form,
        forms={place: tuple(parts) for place, parts in draft.forms.items()},
        held=draft.held,
        missed=draft.missed,
        booked=draft.booked,
        waived=draft.waived,
        unscheduled=tuple(draft.unscheduled),
        seen=draft.seen,
        snoozed=draft.snoozed,
        asked=draft.asked,
        resolved=draft.resolved,
        surgeries=tuple(draft.surgeries),
        pathologies=tuple(draft.pathologies),
        progressions=tuple(draft.progressions),
        recurrences=tuple(draft.recurrences),
        reconsents=tuple(draft.reconsents),
        withdrawal=draft.withdrawal,
        lost=draft.lost,
        death=draft.death,
        problems=(*problems, *draft.problems),
        queries=queries,
        deviations=deviations,
        notices=notices,
        learnt=learnt,
        kept={} if kept is None else kept,
    )


def supersede(every: list[ev.AnyLogged], learnt: Mapping[str, ev.Recorded]) -> tuple[dict[str, str], list[Problem]]:
    """Return superseded id -> superseding id, and the problems met.

    What was corrected stays so when its correction is corrected in turn; only a retracted correction corrects nothing.
    """
    claims, problems = _targets(every, learnt)
    void = _retracted(claims)
    superseded: dict[str, str] = {}
    for target, by in claims.items():
        holding = [e.id for e in by if e.id not in void]
        if holding:
            superseded[target] = holding[-1]
        if len(holding) > 1:
            words = f"{target} is corrected by more than one event"
            problems.append(Problem("two-corrections", words, (target, *holding)))
    return superseded, problems


def _retracted(claims: Mapping[str, list[ev.AnyLogged]]) -> set[str]:
    """Return the ids that a retraction takes back which is not taken back itself."""
    back = {e.id: e.retracts for by in claims.values() for e in by if isinstance(e, ev.Retraction)}
    waits = Counter(back.values())
    ready = [i for i in back if not waits[i]]
    void: set[str] = set()
    while ready:  # from the last retraction of each chain inwards; those that take each other back never come up
        retraction = ready.pop()
        target = back[retraction]
        if retraction not in void:
            void.add(target)
        waits[target] -= 1
        if target in back and not waits[target]:
            ready.append(target)
    return void


def _targets(
    every: list[ev.AnyLogged], learnt: Mapping[str, ev.Recorded]
) -> tuple[dict[str, list[ev.AnyLogged]], list[Problem]]:
    """Return the id of each event -> those that would correct or retract it, and the problems of ones that cannot."""
    claims: dict[str, list[ev.AnyLogged]] = {}
    problems: list[Problem] = []
    for event in every:
        target = event.retracts if isinstance(event, ev.Retraction) else event.corrects
        if target is None:
            continue
        aim = learnt[target].event if target in learnt else None
        if aim is None or target == event.id:
            problems.append(Problem("unknown-target", f"refers to {target}, which is not in the log", (event.id,)))
        elif not isinstance(event, ev.Retraction) and aim.type != event.type:
            problems.append(Problem("wrong-target", f"a {event.type} cannot correct a {aim.type}", (event.id, target)))
        else:
            claims.setdefault(target, []).append(event)
    return claims, problems


class Draft:
    """The state while it is being folded."""

    def __init__(self) -> None:
        self.facts: list[ev.AnyFact] = []
        self.problems: list[Problem] = []
        self.consent: ev.Consent | None = None
        self.eligibility: ev.Eligibility | None = None
        self.enrolment: ev.Enrolment | None = None
        self.cycles: dict[int, ev.CycleGiven] = {}
        self.delays: dict[int, ev.CycleDelayed] = {}
        self.dose_changes: list[ev.DoseChanged] = []
        self.forms: dict[tuple[str, str], list[ev.FormReceived]] = {}
        self.first_form: dict[str, ev.FormReceived] = {}
        self.held: dict[str, ev.VisitHeld] = {}
        self.missed: dict[str, ev.VisitMissed] = {}
        self.booked: dict[str, ev.VisitBooked] = {}
        self.waived: dict[str, ev.VisitWaived] = {}
        self.unscheduled: list[ev.UnscheduledVisit] = []
        self.seen: dict[str, ev.NoticeSeen] = {}
        self.snoozed: dict[str, ev.Snoozed] = {}
        self.asked: dict[str, ev.QueryOpened] = {}
        self.resolved: dict[str, ev.QueryResolved] = {}
        self.found: dict[str, dict[int, tuple[ev.DeviationFound, datetime]]] = {}
        self.withdrawn: dict[str, set[int]] = {}
        self.acknowledged: dict[str, list[ev.DeviationAcknowledged]] = {}
        self.surgeries: list[ev.Surgery] = []
        self.pathologies: list[ev.Pathology] = []
        self.progressions: list[ev.Progression] = []
        self.recurrences: list[ev.Recurrence] = []
        self.reconsents: list[ev.Reconsent] = []
        self.withdrawal: ev.Withdrawal | None = None
        self.lost: ev.LostToFollowUp | None = None
        self.death: ev.Death | None = None
        self.raised: dict[str, dict[int, tuple[ev.QueryRaised, datetime]]] = {}
        self.closed: dict[str, set[int]] = {}
        self.answers: dict[str, list[ev.QueryAnswered]] = {}
        self.claims: dict[str, dict[int, datetime]] = {}
        self.sent: dict[str, ev.NoticeSent] = {}
        self.failed: dict[str, dict[int, ev.NoticeFailed]] = {}

    def take(self, event: ev.AnyLogged, at: datetime) -> None:  # noqa: C901, PLR0912, PLR0915 - the one match over the union
        """Add one event; the only place where the kinds of event are told apart for the state."""
        if isinstance(event, ev.Fact):
            self.facts.append(event)
        if self.lost and isinstance(event, SEEN):
            self.lost = None  # seen or heard of again
        match event:  # the most frequent kinds first
            case ev.FormReceived():
                self.forms.setdefault((event.visit, event.form), []).append(event)
                self.first_form.setdefault(event.visit, event)
            case ev.VisitHeld():
                self.held.setdefault(event.visit, event)
            case ev.NoticeClaimed():
                self.claims.setdefault(event.key, {})[event.attempt] = at
            case ev.NoticeSent():
                self.sent[event.key] = event
            case ev.QueryRaised():
                self.raised.setdefault(event.query, {})[event.round] = (event, at)
            case ev.QueryClosed():
                self.closed.setdefault(event.query, set()).add(event.round)
            case ev.Consent():
                self.consent = self.consent or event
            case ev.Eligibility():
                self.eligibility = event
            case ev.Enrolment():
                self.enrolment = event
            case ev.CycleGiven():
                self._cycle(event)
            case ev.CycleDelayed():
                self.delays[event.cycle] = event
            case ev.DoseChanged():
                self.dose_changes.append(event)
            case ev.VisitMissed():
                self.missed[event.visit] = event
            case ev.VisitBooked():
                self.booked[event.visit] = event
            case ev.VisitWaived():
                self.waived[event.visit] = event
            case ev.UnscheduledVisit():
                self.unscheduled.append(event)
            case ev.NoticeSeen():
                self.seen[event.key] = event
            case ev.Snoozed():
                before = self.snoozed.get(event.key)
                if before is None or (before.occurred, before.until) <= (event.occurred, event.until):
                    self.snoozed[event.key] = event
            case ev.QueryOpened():
                self.asked[event.query] = event
            case ev.QueryResolved():
                self.resolved[event.query] = event
            case ev.DeviationAcknowledged():
                self.acknowledged.setdefault(event.deviation, []).append(event)
            case ev.DeviationFound():
                self.found.setdefault(event.deviation, {})[event.round] = (event, at)
            case ev.DeviationWithdrawn():
                self.withdrawn.setdefault(event.deviation, set()).add(event.round)
            case ev.Surgery():
                self.surgeries.append(event)
            case ev.Pathology():
                self.pathologies.append(event)
            case ev.Progression():
                self.progressions.append(event)
            case ev.Recurrence():
                self.recurrences.append(event)
            case ev.Reconsent():
                self.reconsents.append(event)
            case ev.Withdrawal():
                if self.withdrawal is None or (event.scope == "study" and self.withdrawal.scope == "treatment"):
                    self.withdrawal = event
            case ev.LostToFollowUp():
                self.lost = event
            case ev.Death():
                self._death(event)
            case ev.QueryAnswered():
                self.answers.setdefault(event.query, []).append(event)
            case ev.NoticeFailed():
                self.failed.setdefault(event.key, {})[event.attempt] = event
            case (
                ev.Contact() | ev.DiseaseAssessment() | ev.Imaging() | ev.AdverseEvent() | ev.SecondPrimary()
                | ev.NewTherapy() | ev.Retraction() | ev.EndpointsRecalculated() | ev.Incident()
                | ev.BoundaryCrossed() | ev.BoundaryWithdrawn()
                | ev.Absence() | ev.NoticesReleased() | ev.ProtocolAmended() | ev.AmendmentActivated()
                | ev.TrialRetraction()
            ):  # fmt: skip
                pass  # read from the facts where needed, or about the trial

    def _cycle(self, event: ev.CycleGiven) -> None:
        earlier = self.cycles.get(event.cycle)
        if earlier is None:
            self.cycles[event.cycle] = event
            return
        text = f"cycle {event.cycle} is recorded twice, on {earlier.occurred} and on {event.occurred}"
        self.problems.append(Problem("cycle-twice", text, (earlier.id, event.id)))

    def _death(self, event: ev.Death) -> None:
        if self.death is None:
            self.death = event
            return
        text = f"death is recorded twice, on {self.death.occurred} and on {event.occurred}"
        self.problems.append(Problem("death-twice", text, (self.death.id, event.id)))

    def query_trails(self, before: Mapping[str, QueryTrail] | None = None) -> dict[str, QueryTrail]:
        """Return the trails of the queries that were raised, closed or answered; `before`: what they were until now."""
        known, none = before or {}, QueryTrail()
        found = {}
        for query in (*self.raised, *(q for q in self.closed if q in known and q not in self.raised)):
            old, rounds = known.get(query, none), self.raised.get(query, {})
            found[query] = QueryTrail(
                raised={**old.raised, **{n: e for n, (e, _) in rounds.items()}},
                raised_at={**old.raised_at, **{n: at for n, (_, at) in rounds.items()}},
                closed=old.closed | self.closed.get(query, set()),
                answers=(*old.answers, *self.answers.get(query, ())),
            )
        return found

    def deviation_trails(self, before: Mapping[str, DeviationTrail] | None = None) -> dict[str, DeviationTrail]:
        """Return the trails of the deviations that were found or withdrawn; `before`: what they were until now."""
        known, none = before or {}, DeviationTrail()
        found = {}
        for key in (*self.found, *(k for k in self.withdrawn if k in known and k not in self.found)):
            old, rounds = known.get(key, none), self.found.get(key, {})
            found[key] = DeviationTrail(
                found={**old.found, **{n: e for n, (e, _) in rounds.items()}},
                found_at={**old.found_at, **{n: at for n, (_, at) in rounds.items()}},
                withdrawn=old.withdrawn | self.withdrawn.get(key, set()),
                acknowledged=(*old.acknowledged, *self.acknowledged.get(key, ())),
            )
        return found

    def notice_trails(self, before: Mapping[str, NoticeTrail] | None = None) -> dict[str, NoticeTrail]:
        """Return the trails of the notices that were claimed, sent or failed; `before`: what they were until now."""
        known, none = before or {}, NoticeTrail()
        told = (*self.claims, *(k for k in (*self.sent, *self.failed) if k in known and k not in self.claims))
        found = {}
        for key in dict.fromkeys(told):
            old = known.get(key, none)
            found[key] = NoticeTrail(
                claims={**old.claims, **self.claims.get(key, {})},
                sent=self.sent.get(key) or old.sent,
                failed={**old.failed, **self.failed.get(key, {})},
            )
        return found
