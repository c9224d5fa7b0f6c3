"""The engine: joins log, study, rules and channels. Effects happen here, decisions in `rules/`.

record() takes facts in; plan() and perform() are one wake of a patient's journey; recalculate() the trial's endpoints.
Every effect is claimed in the log before it happens, under an id that can be there only once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Literal, Self

from neotorch.crash import crash_point
from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.errors import BadInput
from neotorch.domain.growth import grown
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Study
from neotorch.effects import Effects
from neotorch.explanations import explain_boundary, explain_key, explain_notice
from neotorch.figures import Figures, Recalculation, Trigger
from neotorch.news import News
from neotorch.notify import Channel, Notifier
from neotorch.plan import (
    Plan,
    Step,
    awaiting,
    deviation_steps,
    endpoint_steps,
    fact_steps,
    notice_steps,
    query_steps,
    tags,
    title,
)
from neotorch.post_office import PostOffice
from neotorch.protocols import Protocols
from neotorch.rules import Duties, duties
from neotorch.rules.admission import admit, batch_order, needs_the_rest, with_facts
from neotorch.rules.desk import Refusal
from neotorch.rules.endpoints import PatientEndpoints, TrialResult, Value, patient_endpoints, patient_values
from neotorch.rules.endpoints.analysis import TrialAnalysis
from neotorch.rules.endpoints.toxicity import bears_on_a_boundary
from neotorch.rules.metrics import SiteQueries, metrics
from neotorch.rules.notices import Audience, deliveries
from neotorch.rules.post import Flood
from neotorch.rules.trial import fold_trial, trial_notices
from neotorch.rules.trial_admission import admit_trial
from neotorch.rules.versions import Versions, reconsent_refusals
from neotorch.rules.worklist import Obligation, held_back, obligations, stuck, urgency
from neotorch.settings import Settings, load_settings, load_study
from neotorch.store.log import EventLog
from neotorch.stories import story

__all__ = ["Admission", "Engine", "Recalculation", "crash_point", "current_engine"]

IDLE = timedelta(days=30)
"""A journey with nothing ahead looks again after so long."""


@dataclass(frozen=True)
class Admission:
    """What became of one submitted fact."""

    fact: ev.AnyTold
    outcome: Literal["recorded", "duplicate", "refused", "would be recorded"]
    refusals: tuple[Refusal, ...] = ()


@dataclass
class _Known:
    """A folded state and how much of the log is in it."""

    upto: int = 0
    state: PatientState | None = None


def utc_now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


class Engine:
    """One study's engine in one process."""

    def __init__(
        self, settings: Settings, study: Study, log: EventLog, notifier: Notifier, clock: Callable[[], datetime]
    ) -> None:
        self.settings, self.log, self.notifier, self.clock = settings, log, notifier, clock
        self._protocols = Protocols(study)
        self._known: dict[str, _Known] = {}
        self._news = News(study.sites[0].time_zone)
        self._figures = Figures(self)

    @classmethod
    def open(
        cls, settings: Settings | None = None, *, clock: Callable[[], datetime] = utc_now, read: bool = True
    ) -> Self:
        """Open the log (creating or migrating it) and read the study file that the settings name.

        `read`: look at once which versions of it are in force; without, a log can be opened that cannot be read.
        """
        settings = settings or load_settings()
        study = load_study(settings)
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            todo = "set NEOTORCH_DATA_DIR to a folder that you may write to"
            raise BadInput(
                f"no data folder can be made there ({error.strerror})", str(settings.data_dir), todo
            ) from None
        log = EventLog(settings.log_url, study.id, head_file=settings.head_file)
        log.migrate()
        channels = [Channel(c.name, c.role, c.site, c.url, c.language) for c in settings.channels]
        notifier = Notifier(
            channels, settings.outbox, timeout_seconds=settings.notice_timeout_seconds,
            roles=set(study.recipients.roles), sites={s.code for s in study.sites},
        )  # fmt: skip
        engine = cls(settings, study, log, notifier, clock)
        if read:
            engine.versions()
        return engine

    @property
    def study(self) -> Study:
        """The version that the trial as a whole follows: the newest in force anywhere, when anybody last looked."""
        return self._protocols.last.trial

    def use(self, study: Study) -> None:
        """Work from another version than the one that the settings name."""
        self._protocols = Protocols(study)

    def versions(self, *, as_of: datetime | None = None, until_seq: int | None = None) -> Versions:
        """Return the versions of the study file in force, now or as was known at an instant or a log position."""
        now = self._protocols.now(self.news)
        if as_of is None and until_seq is None:
            return now
        return self._protocols.known(self.log, as_of, until_seq)

    def study_of(self, state: PatientState, *, as_of: datetime | None = None) -> Study:
        """Return the study as it holds for a patient, who may be on an earlier version than others."""
        return self.versions(as_of=as_of).for_patient(state)

    def unheard(self) -> tuple[tuple[str, str], ...]:
        """Return the (role, site) pairs whom no channel reaches: their notices go to the outbox folder."""
        return self.notifier.unheard(self.study.recipients.roles, [s.code for s in self.study.sites])

    @property
    def news(self) -> News:
        """Return what the log says about the trial as a whole."""
        return self._news.read(self.log)

    @property
    def post(self) -> PostOffice:
        """Return who is to have which notice now."""
        return PostOffice(self.settings, self.study, self.notifier, self.news, self.clock())

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    def head(self) -> int:
        """Return the newest log position."""
        return self.log.head().seq

    def subjects(self) -> list[str]:
        """Return all subject codes."""
        return self.log.subjects()

    def subjects_since(self, seq: int) -> tuple[int, set[str], int]:
        """Return (newest position, subjects with events since `seq`, newest event that bears on an endpoint or 0)."""
        fresh = self.log.read(after=seq)
        moved = {r.event.subject for r in fresh if r.event.subject}
        sites = {site for site, at in self.versions().positions.items() if at > seq}
        moved |= {s for s in self.subjects() if self.state(s).site in sites} if sites else set()
        bears = max((r.seq for r in fresh if self.bears_on_endpoints(r.event)), default=0)
        return (fresh[-1].seq if fresh else seq), moved, bears

    def bears_on_endpoints(self, event: ev.AnyLogged) -> bool:
        """Return whether the endpoints are recalculated at once for an event; for others the night is soon enough."""
        taken_back = isinstance(event, ev.Retraction)
        while isinstance(event, ev.Retraction):
            target = self.log.get(event.retracts)
            if target is None:
                return False
            event = target.event
        moved = isinstance(event, ev.CycleGiven) and (taken_back or event.corrects is not None)
        if isinstance(event, ev.AdverseEvent):
            return taken_back or event.corrects is not None or bears_on_a_boundary(event, self.study)
        return event.type in ev.ENDPOINT_TYPES or moved or isinstance(event, ev.AmendmentActivated)

    def state(self, subject: str, *, as_of: datetime | None = None, until_seq: int | None = None) -> PatientState:
        """Return a patient's state now, or as it was known at an instant or a log position."""
        if as_of is not None or until_seq is not None:
            return fold(self.log.read(subject, known_at=as_of, until_seq=until_seq), subject)
        known = self._known.setdefault(subject, _Known())
        fresh = self.log.read(subject, after=known.upto)
        if fresh or known.state is None:
            known.upto = fresh[-1].seq if fresh else known.upto
            known.state = grown(known.state, fresh) if known.state else fold(fresh, subject)
        return known.state

    def duties(self, subject: str, *, as_of: datetime | None = None) -> tuple[PatientState, Duties]:
        """Return a patient's state and all that is due, now or as of an instant."""
        state = self.state(subject, as_of=as_of)
        return state, duties(state, self.study_of(state, as_of=as_of), as_of or self.clock())

    def worklist(self, *, as_of: datetime | None = None, site: str | None = None) -> list[Obligation]:
        """Return what is to be done for all patients (of one site), most urgent first."""
        now = as_of or self.clock()
        lines: list[Obligation] = []
        for subject in self.subjects():
            state, due = self.duties(subject, as_of=as_of)
            if site is None or state.site == site:
                study = self.study_of(state, as_of=as_of)
                lines += obligations(state, due, study, self.post.audience(state.site), now)
        rows = self.log.read(known_at=as_of)
        told, zone = list(trial_notices(rows, self.study)), self.study.site(None).time_zone
        lines += stuck(None, told, fold_trial(rows), self.post.audience(None), now, zone)
        if as_of is None and (held := self.post.flood()):
            lines.append(held_back(held))
        return sorted(lines, key=urgency)

    def queries(self, *, as_of: datetime | None = None, site: str | None = None) -> tuple[SiteQueries, ...]:
        """Return the query figures of each site (or one), now or as they were."""
        states = [self.state(s, as_of=as_of) for s in self.subjects()]
        found = metrics(states, self.study, as_of or self.clock())
        return tuple(f for f in found if site in (None, f.site))

    def last_planned(self, site: str) -> date | None:
        """Return the last day on which any visit of a site's patients is planned, None if none is."""
        found = [self.duties(s) for s in self.subjects()]
        days = [p.window.closes for state, due in found if state.site == site for p in due.plans if p.window]
        return max(days, default=None)

    def story_markdown(self, subject: str, *, as_of: datetime | None = None) -> str:
        """Return one patient's story: open items, visits, endpoints, timeline."""
        state, due = self.duties(subject, as_of=as_of)
        now = as_of or self.clock()
        study = self.study_of(state, as_of=as_of)
        lines = obligations(state, due, study, self.post.audience(state.site), now)
        return story(state, due, self.patient_values(subject, as_of=as_of), lines, study)

    def explain(self, key: str, *, as_of: datetime | None = None) -> dict[str, str]:
        """Return what stands behind a key of a visit, query, endpoint, event or notice; empty if nothing."""
        found = self.log.get(key)
        if found and (as_of is None or found.recorded_at <= as_of):
            subject = found.event.subject
            by = self.state(subject, as_of=as_of).superseded.get(key, "") if subject else ""
            body = {k: str(v) for k, v in found.event.body.items()}
            if isinstance(found.event, ev.ProtocolAmended):
                body["definition"] = f"a whole study file, SHA-256 {found.event.fingerprint}"
            place = {"position": str(found.seq), "recorded at": found.recorded_at.isoformat(), "hash": found.hash}
            return body | place | ({"superseded by": by} if by else {})
        subject = key.split("/", 1)[0]
        if subject in self.subjects():
            return self._explain_patient(key, subject, as_of)
        if key.startswith("boundary/"):
            version = self.versions(as_of=as_of).trial.version
            return explain_boundary(key, self._figures.monitoring(as_of), self.log.read(known_at=as_of), version)
        return self._explain_told(key, as_of)

    def _explain_patient(self, key: str, subject: str, as_of: datetime | None) -> dict[str, str]:
        state, due = self.duties(subject, as_of=as_of)
        values, study = self.patient_values(subject, as_of=as_of), self.study_of(state, as_of=as_of)
        heard = partial(self.audience_at, state.site)
        return explain_key(key, state, due, values, study, as_of or self.clock(), heard)

    def audience_at(self, site: str | None, at: datetime) -> Audience:
        """Return who listened at a site, and what had to wait until when, as was known at an instant."""
        news = News(self.study.sites[0].time_zone).read(self.log, known_at=at)
        return PostOffice(self.settings, self.study, self.notifier, news, at).audience(site)

    def _explain_told(self, key: str, as_of: datetime | None) -> dict[str, str]:
        """Explain the report owed about one event, or the copy of a notice about it: the key begins with the event's id."""
        event = self.log.get(key.rpartition("/told/")[0]) or self.log.get(key.rpartition("/report")[0])
        if event is None:
            return {}
        subject = event.event.subject
        if subject and key.endswith("/report"):
            return self._explain_patient(key, subject, as_of)
        trails = self.state(subject, as_of=as_of).notices if subject else fold_trial(self.log.read(known_at=as_of))
        return explain_notice(key, trails[key], event.event) if key in trails else {}

    def today(self, site: str | None = None) -> date:
        """Return the present date at a site (the first one if none is named)."""
        return local_date(self.clock(), self.study.site(site).time_zone)

    # ── taking facts in ───────────────────────────────────────────────────────────────────────────────────────────

    def record(
        self, facts: Sequence[ev.AnyTold], *, dry_run: bool = False, accept_good: bool = False
    ) -> list[Admission]:
        """Check all facts and record them in one transaction, or none if any is refused (unless `accept_good`).

        Facts of one batch may rest on each other in any order. Returns one Admission per fact, in the order given.
        """
        drafts: dict[str, PatientState] = {}
        since: dict[str, list[ev.AnyFact]] = {}
        bodies: dict[str, str] = {}
        answers: dict[int, Admission] = {}
        told: list[ev.AnyTrialFact] = []
        for index in batch_order(facts):
            fact = facts[index]
            if isinstance(fact, ev.TrialFact):
                answers[index] = self._admit(fact, PatientState("TRIAL"), bodies, told)
                if answers[index].outcome == "recorded":
                    bodies[fact.id] = fact.digest
                    told.append(fact)
                continue
            subject, state = fact.subject, drafts.get(fact.subject) or self.state(fact.subject)
            if since.get(subject) and (needs_the_rest(fact) or state.consent is None):
                state = drafts[subject] = with_facts(state, since.pop(subject))
            answers[index] = answer = self._admit(fact, state, bodies, told)
            if answer.outcome == "recorded":
                since.setdefault(subject, []).append(fact)
                bodies[fact.id] = fact.digest
        found = [answers[i] for i in range(len(facts))]
        if dry_run or (not accept_good and any(a.outcome == "refused" for a in found)):
            return [Admission(a.fact, "would be recorded") if a.outcome == "recorded" else a for a in found]
        good = [a.fact for a in found if a.outcome == "recorded"]
        if good:
            self.log.append(good, now=self.clock())
        return found

    def _admit(
        self, fact: ev.AnyTold, state: PatientState, bodies: dict[str, str], told: Sequence[ev.AnyTrialFact] = ()
    ) -> Admission:
        earlier = bodies.get(fact.id)
        if earlier is None:
            known = state.learnt.get(fact.id)
            other = known or self.log.get(fact.id)
            earlier = other.event.digest if other else None
        if earlier == fact.digest:
            return Admission(fact, "duplicate")
        if earlier is not None:
            what = (
                f"id {fact.id!r} is in the log with another body (digest {earlier[:12]}, this one {fact.digest[:12]})"
            )
            todo = f"give the new fact an id of its own; to change the old one add corrects: {fact.id} and a reason"
            return Admission(fact, "refused", (Refusal("id", what, todo),))
        if isinstance(fact, ev.TrialFact):
            channels = [c.name for c in self.settings.channels]
            before = [*self.news.facts, *told]
            refusals = admit_trial(
                fact, before, self.versions().base, channels, self.today(getattr(fact, "site", None))
            )
            return Admission(fact, "refused" if refusals else "recorded", refusals)
        site = state.site or getattr(fact, "site", None)
        today = self.today(site if isinstance(site, str) else None)
        versions = self._protocols.drafted(told, self.clock()) if told else self.versions()
        # entered under what is in force at the site, which may be new with it
        entered = versions.at_site(fact.site, fact.occurred) if isinstance(fact, ev.Consent) else None
        refusals = admit(fact, state, entered or versions.for_patient(state), today)
        refusals = refusals or tuple(reconsent_refusals(fact, state, versions))
        return Admission(fact, "refused" if refusals else "recorded", refusals)

    # ── one wake of a journey ─────────────────────────────────────────────────────────────────────────────────────

    def plan(self, subject: str) -> Plan:
        """Return what the patient's journey has to do now and when it has to look again."""
        now, versions = self.clock(), self.versions()  # before the state, which then is not older
        state = self.state(subject)
        study = versions.for_patient(state)
        due = duties(state, study, now)
        seen = self.log.journey_seen(subject)[1]
        send, waits = deliveries(list(due.notices), state.notices, self.post.audience(state.site), now)
        later = [t for t in (*due.later, *waits) if t > now]
        steps = (
            *fact_steps(state, seen),
            *endpoint_steps(state, seen, lambda: self.patient_endpoints(state, self.today(state.site))),
            *query_steps(state, due),
            *deviation_steps(state, due, study, now),
            *notice_steps(send),
        )
        done = due.ended and not later
        return Plan(
            subject=subject,
            seen=self.position(state, versions),
            steps=steps,
            until=None if done else min(later, default=now + IDLE),
            done=done,
            title=title(state, due),
            awaiting=awaiting(state, due),
            tags=tags(state, due, study),
        )

    def position(self, state: PatientState, versions: Versions | None = None) -> int:
        """Return the newest log position that concerns a patient: their own events, amendments at their site."""
        moved = (versions or self.versions()).positions.get(state.site or "", 0)
        return max(state.position, moved)

    def mark_seen(self, subject: str, seen: int) -> None:
        """Note how far the patient's journey has come (a cache: losing it costs one step that repeats the history)."""
        if self.log.journey_seen(subject)[1] != seen:
            self.log.mark_seen(subject, None, seen)

    async def perform(self, subject: str | None, step: Step) -> str:
        """Do one step of a plan. Safe to repeat and to do in two places at once. Returns the outcome in words."""
        if step.kind == "notice":  # a channel may take seconds, and the loop has other journeys to wake
            return await asyncio.to_thread(self.perform_now, subject, step)
        return self.perform_now(subject, step)

    def perform_now(self, subject: str | None, step: Step) -> str:
        """Do one step, blocking."""
        effects = self.effects(subject)
        match step.kind:
            case "raise" if step.finding:
                f = step.finding
                effects.append(ev.QueryRaised(
                    **effects.common(f"{f.query}/round/{step.round}"), query=f.query, round=step.round,
                    kind=f.kind, visit=f.visit, items=list(f.items),
                ))  # fmt: skip
                return f"raised: {step.why}"
            case "close":
                number = step.round
                closed = effects.common(f"{step.key}/closed/{number}")
                effects.append(ev.QueryClosed(**closed, query=step.key, round=number))
                return f"closed: {step.why}"
            case "incident":
                common = effects.common(step.key)
                effects.append(ev.Incident(**common, kind=ev.FLOOD, detail=step.why[:500]))
                return step.why
            case "deviate" if step.deviation:
                return effects.find(step.deviation, step.round)
            case "withdraw":
                return effects.withdraw(step.key, step.round, step.why)
            case "notice" if step.delivery:
                return effects.deliver(step.delivery, self.notifier, self.settings.link)
            case _:
                return step.why

    def effects(self, subject: str | None) -> Effects:
        """Return what writes effects about one patient, or about the trial."""
        study = self.study_of(self.state(subject)) if subject else self.study
        return Effects(self.log, study, self.clock, subject, self._site(subject))

    def _site(self, subject: str | None) -> str | None:
        known = self._known.get(subject or "")  # consent, which says the site, was read before anything is done
        if known and known.state and known.state.site:
            return known.state.site
        return self.state(subject).site if subject else None

    # ── endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────

    def patient_endpoints(self, state: PatientState, cut: date) -> PatientEndpoints:
        """Return one patient's headline values."""
        study = self.study
        return state.once("endpoints", (study, cut), lambda: patient_endpoints(state, study, cut))

    def patient_values(
        self, subject: str, *, cut: date | None = None, as_of: datetime | None = None
    ) -> tuple[Value, ...]:
        """Return every endpoint value of one patient with what stands behind it."""
        state = self.state(subject, as_of=as_of)
        day = cut or local_date(as_of or self.clock(), self.study.site(state.site).time_zone)
        return patient_values(state, self.versions(as_of=as_of).trial, day)

    def endpoints(
        self, *, cut: date | None = None, as_of: datetime | None = None, until_seq: int | None = None
    ) -> TrialResult:
        """Return the trial's figures: facts dated up to `cut`, known at `as_of` (or at a log position)."""
        return self._figures.at(cut, as_of, until_seq)

    def analysis(
        self, *, cut: date | None = None, as_of: datetime | None = None, until_seq: int | None = None,
        site: str | None = None,
    ) -> TrialAnalysis:  # fmt: skip
        """Return the whole analysis of the trial (or of one site's patients), for reports and exports."""
        return self._figures.analysis(cut, as_of, until_seq, site)

    def next_turn(self) -> date | None:
        """Return the next day on which time alone makes a figure another, as of the last recalculation."""
        return self._figures.next_turn()

    def recalculate(self, trigger: Trigger) -> Recalculation:
        """Bring all endpoints up to the log; record what differs from the last recorded result, for it to be told."""
        return self._figures.recalculate(trigger)

    def trial_plan(self) -> tuple[Step, ...]:
        """Return what is due about the trial as a whole: changed endpoints, incidents, digests, a flood of notices."""
        post = self.post
        send, _ = deliveries(post.news.notices(self.study), post.news.trails, post.audience(None), post.now)
        patients = (self.duties(s) for s in self.subjects())
        return (*self._flood_steps(post.flood()), *notice_steps(send), *notice_steps(post.digests(patients)))

    def _flood_steps(self, held: Flood | None) -> tuple[Step, ...]:
        key = f"incident/flood/{held.day}" if held else ""
        if held is None or self.log.get(ev.ENGINE_ID + key):
            return ()
        return (Step("incident: more notices than usual", "incident", key, str(held)),)


@lru_cache(maxsize=1)
def current_engine() -> Engine:
    """Return the process-wide engine, opened from the settings at first use."""
    return Engine.open()
