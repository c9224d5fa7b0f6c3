"""Lives a world through on the real engine: journeys that sleep until their dates, outages, a clock that is wrong."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.foresight import hold_back
from neotorch.notify import Channel, Notice, Notifier, SendResult
from neotorch.rehearsal import PaperNotifier
from neotorch.rules.notices import Audience
from neotorch.settings import Settings
from neotorch.store.rehearsal import RehearsalLog
from tests.seeds.desk import Desk
from tests.seeds.world import DAY, World

ROUNDS = 8
"""As many rounds as a wake has in flows/patient_journey.py."""
QUIET = timedelta(seconds=1)
TICKS = (timedelta(minutes=-80), timedelta(minutes=1), timedelta(hours=8))
"""From the digest's hour: when somebody looks after what is about the trial as a whole; the first is before the notices."""
AWAY = timedelta(minutes=40)
"""After a process was killed it takes so long until another one runs."""


class Killed(BaseException):
    """The process dies: no `except Exception` of the engine may catch it."""


class Post(PaperNotifier):
    """Channels that are sometimes down, or at which the process dies."""

    def __init__(self, like: Notifier, rng: Random, fails: float, killed: float) -> None:
        super().__init__(like)
        self._rng, self._fails, self._killed = rng, fails, killed

    def send(self, channel: Channel, notice: Notice) -> SendResult:
        """Word the notice; what becomes of it is drawn."""
        if self._rng.random() < self._killed:
            raise Killed
        if self._rng.random() < self._fails:
            transient = self._rng.random() < 0.8
            return SendResult(False, "the channel is down", transient=transient, in_doubt=self._rng.random() < 0.2)
        return super().send(channel, notice)


@dataclass(frozen=True)
class Look:
    """A moment at which all journeys slept: how far the log was, what the clock said, what the worklist held."""

    seq: int
    at: datetime
    worklist: tuple[tuple[str, str, str], ...]
    """(Key, kind, subject) of each line."""


@dataclass
class Lived:
    """What a world has left behind: all that the checker gets."""

    study: Study
    rows: list[ev.Recorded]
    looks: list[Look] = field(default_factory=list)
    off: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Times, by the server's clock, in which no journey woke."""
    audience: Callable[[str | None, datetime], Audience] = lambda *_: Audience({}, {})
    pace: timedelta = timedelta(minutes=1)
    """How long something that is due may take while all is well; a day where it is collected for a digest."""
    refused: int = 0


class Life:
    """One world on a virtual clock."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self._rng = world, Random(f"life/{world.seed}")
        self._now, self._clock_off = world.begin, timedelta(0)
        settings = Settings.model_validate({"data_dir": folder, **world.settings})
        log = RehearsalLog(settings.log_url, world.study.id)
        channels = [Channel(c.name, c.role, c.site, c.url, c.language) for c in settings.channels]
        post = Post(Notifier(channels, settings.outbox), Random(f"post/{world.seed}"), world.fails, world.killed)
        self.engine = Engine(settings, world.study, log, post, self.clock)
        self.lived = Lived(world.study, [], audience=self.engine.audience_at)
        if any(c.digest or c.most_per_day for c in settings.channels):
            self.lived.pace = DAY
        self._desk = Desk(Random(f"desk/{world.seed}"), world.study)
        self._agenda: list[tuple[datetime, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._wake_at: dict[str, datetime] = {}
        """Subject -> when its journey wakes, by the server's clock."""
        self._asleep_until: datetime | None = None
        """Set while no journey wakes: until then, in true time."""
        self._nothing_recorded = False
        self._endpoints_asked = False
        self._stirred = False
        """Whether any journey woke since somebody last looked after the trial as a whole."""
        self._plan_the_world()

    def clock(self) -> datetime:
        """What the server's clock says."""
        return self._now + self._clock_off

    def live(self) -> Lived:
        """Let all time pass."""
        while self._agenda and self._agenda[0][0] <= self.world.end:
            self._now, _, what, about = heapq.heappop(self._agenda)
            try:
                what(*about)
            except Killed:
                self._fall(self._now + AWAY, all_of_it=False)
        self._now = self.world.end
        self._rise(self._asleep_until) if self._asleep_until else None
        for subject in self.engine.subjects():
            self._wake_quietly(subject)
        self._look(last=True)
        self.lived.rows = self.engine.log.read()
        return self.lived

    def _put(self, when: datetime, what: Callable[..., None], *about: Any) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), what, about))

    def _plan_the_world(self) -> None:
        for outage in self.world.outages:
            self._put(outage.begin, self._fall, outage.end, outage.kind == "all")
        for at, off in self.world.clock:
            self._put(at, self._set_clock, off)
        for (at, _), group in itertools.groupby(self.world.dated, key=lambda d: (d.known_at, d.fact.subject)):
            self._put(at, self._record, [d.fact for d in group])
        for at, told in self.world.told:
            self._put(at, self._tell, told)
        at = self.world.begin
        while at < self.world.end:
            at += self.world.busy * self._rng.uniform(0.1, 1.9)
            self._put(at, self._at_desk)
        at = self.world.begin
        while at < self.world.end:
            at += timedelta(days=self._rng.uniform(15, 45))
            self._put(at, self._look)
        day = local_date(self.world.begin, self.world.study.sites[0].time_zone)
        self._put(self.world.begin, self._tick, day, 0)

    # ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────

    def _fall(self, until: datetime, all_of_it: bool) -> None:
        """Nothing wakes any more."""
        if self._asleep_until and self._asleep_until >= until:
            return
        begun = self.lived.off.pop()[0] if self._asleep_until else self.clock()
        self._asleep_until, self._nothing_recorded = until, all_of_it or self._nothing_recorded
        self.lived.off.append((begun, until + self._clock_off))
        self._put(until, self._rise, until)

    def _rise(self, until: datetime) -> None:
        """Start again: look ahead, then wake every journey, as the reconciler does."""
        if self._asleep_until != until:
            return
        self._asleep_until, self._nothing_recorded = None, False
        self.lived.off[-1] = (self.lived.off[-1][0], self.clock())
        hold_back(self.engine)
        for subject in self.engine.subjects():
            self._put(self._now, self._wake, subject)
        self._put(self._now, self._mind_the_trial)

    def _set_clock(self, off: timedelta) -> None:
        self._clock_off = off
        for subject, at in self._wake_at.items():  # runs are scheduled by the same clock
            self._put(max(at - off, self._now), self._wake_if_due, subject, at)

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────

    def _record(self, facts: list[ev.AnyFact]) -> None:
        if self._nothing_recorded:
            assert self._asleep_until is not None
            self._put(self._asleep_until, self._record, facts)
            return
        taken = self.engine.record(facts, accept_good=True)
        self.lived.refused += sum(a.outcome == "refused" for a in taken)
        new = {a.fact.type for a in taken if a.outcome == "recorded"}
        if new & (ev.ENDPOINT_TYPES | {"retraction"}) and not self._endpoints_asked:
            self._endpoints_asked = True
            self._put(self._now + QUIET, self._recalculate)
        if new:
            self._wake(facts[0].subject)

    def _tell(self, told: ev.AnyTrialFact) -> None:
        if self._nothing_recorded:
            return
        self.engine.record([told], accept_good=True)

    def _at_desk(self) -> None:
        subjects = self.engine.subjects()
        if self._nothing_recorded or not subjects:
            return
        state, due = self.engine.duties(self._rng.choice(subjects))
        said = self._desk.say(state, due, self.engine.today(state.site))
        if said:
            self._record([said])

    def _wake_if_due(self, subject: str, at: datetime) -> None:
        if self._wake_at.get(subject) == at and self.clock() >= at:  # else it has another date, or the clock went back
            self._wake(subject)

    def _wake(self, subject: str) -> None:
        """One wake of a journey, as flows/patient_journey.py has it."""
        if self._asleep_until:
            return  # all are woken when it is over
        self._stirred = True
        for _ in range(ROUNDS):
            plan = self.engine.plan(subject)
            for step in plan.steps:
                self.engine.perform_now(subject, step)
            self.engine.mark_seen(subject, plan.seen)
            if not plan.steps:
                break
        self._wake_at.pop(subject, None)
        if plan.until is not None:
            self._wake_at[subject] = plan.until
            self._put(max(plan.until - self._clock_off, self._now), self._wake_if_due, subject, plan.until)

    def _wake_quietly(self, subject: str) -> None:
        for _ in range(ROUNDS):
            try:
                self._wake(subject)
            except Killed:
                self._now += AWAY
            else:
                return

    def _recalculate(self) -> None:
        self._endpoints_asked = False
        if self._asleep_until:
            self._endpoints_asked = True
            self._put(self._asleep_until, self._recalculate)
            return
        if self.engine.recalculate("event").recorded is not None:
            self._mind_the_trial()

    def _tick(self, day: date, number: int) -> None:
        """Look after digests, floods and what is told of the trial, some times a day, if there is news."""
        rules, zone = self.world.study.reminders, self.world.study.sites[0].time_zone
        if number < len(TICKS):
            at = at_hour(day, rules.digest_hour, zone) + TICKS[number]
            self._put(at, self._tick, day, number + 1)
        else:
            self._put(at_hour(day + DAY, 0, zone), self._tick, day + DAY, 0)
        if not number or self._asleep_until:
            return
        soon = self.clock() + timedelta(hours=4)
        if "flood_floor" in self.world.settings and any(at < soon for at in self._wake_at.values()):
            hold_back(self.engine)
        if self._stirred:
            self._mind_the_trial()
            shown = self.clock()
            self._stirred = shown < at_hour(local_date(shown, zone), rules.digest_hour, zone)  # the digest is yet to go
        self._release()

    def _mind_the_trial(self) -> None:
        if self._asleep_until:
            return
        for step in self.engine.trial_plan():
            self.engine.perform_now(None, step)

    def _release(self) -> None:
        """A person lets go what is held, some days after."""
        held = self.engine.post.flood()
        if held is None or self._rng.random() < 0.7:
            return
        today = self.engine.today()
        body = {"type": "notices_released", "id": f"release-{self._now:%Y%m%d%H}", "study": self.world.study.id}
        self._tell(ev.TRIAL_FACT.validate_python(body | {"occurred": today, "actor": "op.01", "reason": "looked at"}))
        for subject in self.engine.subjects():
            self._put(self._now, self._wake, subject)

    def _look(self, last: bool = False) -> None:
        """Note how things stand."""
        if self._asleep_until and not last:
            return
        lines = tuple((o.key, o.kind, o.subject) for o in self.engine.worklist())
        self.lived.looks.append(Look(self.engine.head(), self.clock(), lines))
