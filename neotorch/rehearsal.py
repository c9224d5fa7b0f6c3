"""Plays a whole trial through the engine on a virtual clock: the code that runs for real, years in seconds.

Facts are recorded at the instants at which the sites know them, journeys wake for news and at their own dates, and
endpoints are recalculated when something bears on them. In the end the log is what real life would have made of it, the
claims and outcomes of notices included. Only the channels are not contacted: a notice is put into words and counted.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour
from neotorch.domain.errors import NeotorchError
from neotorch.engine import Engine
from neotorch.garbage import little_garbage
from neotorch.notify import Channel, Notice, Notifier, SendResult, render
from neotorch.settings import Settings
from neotorch.simulation import Dated
from neotorch.store.rehearsal import RehearsalLog

QUIET = timedelta(seconds=1)
"""Endpoints are recalculated so long after the event, like the dispatcher does."""
NIGHT = 2
"""Hour at the site at which time's own changes are looked for, when `neotorch up` derives everything anew."""
ROUNDS = 8
"""A step may give rise to another; more rounds than a patient can need in one wake."""
Progress = Callable[[int, int], None]
"""(facts recorded, facts in all)."""


class RehearsalError(NeotorchError):
    """A fact that the engine does not take, so the rest of the story would not hold."""


class PaperNotifier(Notifier):
    """Words every notice as its channel would get it, counts it, and sends nothing."""

    def __init__(self, like: Notifier) -> None:
        super().__init__(like.channels, like.folder)
        self.counts: Counter[str] = Counter()
        """Notices by kind."""

    @property
    def sent(self) -> int:
        """All notices."""
        return self.counts.total()

    def send(self, channel: Channel, notice: Notice) -> SendResult:  # noqa: ARG002 - the signature of the real one
        """Word the notice; one that cannot be worded is a failure here as it would be in life."""
        render(notice)
        self.counts[notice.kind] += 1
        return SendResult(ok=True)


def rehearse(
    settings: Settings, dated: Sequence[Dated], until: datetime, *, progress: Progress = lambda *_: None,
    processes: int | None = None,
) -> Engine:  # fmt: skip
    """Play the facts known by `until` into the data folder of `settings`, which must hold no log yet.

    Returns the engine, whose clock stands at `until`; the folder is then ready for `neotorch up`. `processes`: so many
    share the patients among them, with the same log in the end (None: what is worth it). Raises RehearsalError for a
    fact that is refused, with the reason.
    """
    from neotorch.rehearsal_shared import play_shared, share_of

    batches = in_batches([d for d in dated if d.known_at <= until])
    many = share_of(settings, batches) if processes is None else processes
    with little_garbage():
        if many > 1 and (engine := play_shared(settings, batches, until, progress, many)):
            return engine
        return Rehearsal(settings, batches, progress).play(until)


@dataclass(frozen=True)
class Batch:
    """What is recorded at one instant for one patient together, as a site's export would bring it."""

    known_at: datetime
    number: int
    """Place among all batches; it orders those of one instant."""
    facts: tuple[ev.AnyFact, ...]


def in_batches(dated: Sequence[Dated]) -> list[Batch]:
    """Return what is recorded together, in order."""
    groups = itertools.groupby(dated, key=lambda d: (d.known_at, d.fact.subject))
    return [Batch(at, number, tuple(d.fact for d in group)) for number, ((at, _), group) in enumerate(groups)]


Turn = tuple[datetime, int, int | str]
"""When something happens, and its place among what happens then: facts by number, wakes by subject, recalculation."""


class Rehearsal:
    """One trial on a virtual clock. Use `rehearse`."""

    def __init__(self, settings: Settings, batches: Sequence[Batch], progress: Progress) -> None:
        self._now = batches[0].known_at if batches else datetime.min.replace(tzinfo=UTC)
        self.engine = Engine.open(settings, clock=lambda: self._now)
        self._lasting = self.engine.log
        if self.engine.head():
            raise RehearsalError("there is a log already", str(settings.data_dir), "Name an empty data folder.")
        self.notifier = self.engine.notifier = PaperNotifier(self.engine.notifier)
        self.engine.log = self.log = RehearsalLog(settings.log_url, self.engine.study.id, head_file=settings.head_file)
        self._progress, self._done, self._all = progress, 0, sum(len(b.facts) for b in batches)
        self._batches = {b.number: b for b in batches}
        self._agenda: list[Turn] = [(b.known_at, 0, b.number) for b in batches]
        heapq.heapify(self._agenda)
        self._wake_at: dict[str, datetime] = {}
        self._recalculate_at: datetime | None = None
        self._night: datetime | None = None

    def play(self, until: datetime) -> Engine:
        """Let the time pass to `until`."""
        for _ in self.turns(until):
            pass
        return self.finish(until)

    def turns(self, until: datetime) -> Iterator[Turn]:
        """Do what comes, and yield when it was."""
        while self._agenda and self._agenda[0][0] <= until:
            turn = heapq.heappop(self._agenda)
            self._now, _, what = turn
            if what == "":
                self._recalculate()
            elif isinstance(what, int):
                self._record(self._batches[what])
            elif self._wake_at.get(what) == self._now:  # else it has woken since, and has another date
                self._wake(what)
            yield turn

    def finish(self, until: datetime) -> Engine:
        """Recalculate a last time, and write down what was only remembered; from now on the log waits for the disk."""
        self._now = until
        self._recalculate()
        self.log.settle()
        self.engine.log = self._lasting
        return self.engine

    def _record(self, batch: Batch) -> None:
        for answer in self.engine.record(batch.facts):
            if answer.outcome == "refused":
                reason = answer.refusals[0]
                where = f"{answer.fact.id}, known on {self._now:%Y-%m-%d}, {reason.field}"
                raise RehearsalError(reason.what, where, reason.todo)
        self._wake(batch.facts[0].subject)
        self._recorded(batch)

    def _recorded(self, batch: Batch) -> None:
        if self._recalculate_at is None and any(map(self.engine.bears_on_endpoints, batch.facts)):
            self._recalculate_at = self._now + QUIET
            heapq.heappush(self._agenda, (self._recalculate_at, 2, ""))
        self._done += len(batch.facts)
        self._progress(self._done, self._all)

    def _wake(self, subject: str) -> None:
        """One wake of a journey, as flows/patient_journey.py has it, without the flow run."""
        for _ in range(ROUNDS):
            plan = self.engine.plan(subject)
            for step in plan.steps:
                self.engine.perform_now(subject, step)
            self.engine.mark_seen(subject, self.engine.log.read(subject)[-1].seq)  # nobody else writes meanwhile
            if not any(
                step.kind in ("raise", "close", "deviate", "withdraw") for step in plan.steps
            ):  # the rest leads to nothing more
                break
        self._wake_at.pop(subject, None)
        if plan.until is not None:
            self._wake_at[subject] = plan.until
            heapq.heappush(self._agenda, (plan.until, 1, subject))

    def _recalculate(self) -> None:
        """Derive the endpoints and announce what changed, as flows/recalculate_endpoints.py has it."""
        self._recalculate_at = None
        found = self.engine.recalculate("event")
        if found.recorded or found.boundaries:
            for step in self.engine.trial_plan():
                self.engine.perform_now(None, step)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Come back in the night of the day on which time alone makes a figure another."""
        turn = self.engine.next_turn()
        night = None if turn is None else at_hour(turn, NIGHT, self.engine.study.sites[0].time_zone)
        if night and night != self._night:
            self._night = night
            heapq.heappush(self._agenda, (night, 2, ""))
