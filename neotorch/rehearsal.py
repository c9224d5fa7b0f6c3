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
from datetime import UTC, datetime, timedelta

from neotorch.domain import events as ev
from neotorch.domain.errors import NeotorchError
from neotorch.engine import Engine
from neotorch.notify import Channel, Notice, Notifier, SendResult, render
from neotorch.settings import Settings
from neotorch.simulation import Dated
from neotorch.store.rehearsal import RehearsalLog

QUIET = timedelta(seconds=1)
"""Endpoints are recalculated so long after the event, like the dispatcher does."""
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
    settings: Settings, dated: Sequence[Dated], until: datetime, *, progress: Progress = lambda *_: None
) -> Engine:
    """Play the facts known by `until` into the data folder of `settings`, which must hold no log yet.

    Returns the engine, whose clock stands at `until`; the folder is then ready for `neotorch up`. Raises RehearsalError
    for a fact that is refused, with the reason.
    """
    return Rehearsal(settings, [d for d in dated if d.known_at <= until], progress).play(until)


class Rehearsal:
    """One trial on a virtual clock. Use `rehearse`."""

    def __init__(self, settings: Settings, dated: Sequence[Dated], progress: Progress) -> None:
        self._now = dated[0].known_at if dated else datetime.min.replace(tzinfo=UTC)
        self.engine = Engine.open(settings, clock=lambda: self._now)
        self._lasting = self.engine.log
        if self.engine.head():
            raise RehearsalError("there is a log already", str(settings.data_dir), "Name an empty data folder.")
        self.engine.notifier = PaperNotifier(self.engine.notifier)
        self.engine.log = RehearsalLog(settings.log_url, self.engine.study.id, head_file=settings.head_file)
        self._progress, self._done, self._all = progress, 0, len(dated)
        self._agenda: list[tuple[datetime, int, list[ev.AnyFact] | str]] = []
        """What happens when: facts to record, a subject to wake, or "" to recalculate; a heap."""
        self._order = itertools.count()
        self._wake_at: dict[str, datetime] = {}
        self._endpoints_asked = False
        for known_at, facts in _batches(dated):
            self._put(known_at, facts)

    def play(self, until: datetime) -> Engine:
        """Let the time pass to `until`."""
        while self._agenda and self._agenda[0][0] <= until:
            self._now, _, what = heapq.heappop(self._agenda)
            match what:
                case list():
                    self._record(what)
                case "":
                    self._recalculate()
                case _ if self._wake_at.get(what) == self._now:  # else it has woken since, and has another date
                    self._wake(what)
        self._now = until
        self._recalculate()
        self._settle()
        return self.engine

    def _settle(self) -> None:
        """Write down what was only remembered; from now on the log waits for the disk again."""
        if isinstance(self.engine.log, RehearsalLog):
            self.engine.log.settle()
        self.engine.log = self._lasting

    def _put(self, when: datetime, what: list[ev.AnyFact] | str) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), what))

    def _record(self, facts: list[ev.AnyFact]) -> None:
        for answer in self.engine.record(facts):
            if answer.outcome == "refused":
                reason = answer.refusals[0]
                where = f"{answer.fact.id}, known on {self._now:%Y-%m-%d}, {reason.field}"
                raise RehearsalError(reason.what, where, reason.todo)
        self._wake(facts[0].subject)
        if not self._endpoints_asked and any(f.type in ev.ENDPOINT_TYPES for f in facts):
            self._endpoints_asked = True
            self._put(self._now + QUIET, "")
        self._done += len(facts)
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
            self._put(plan.until, subject)

    def _recalculate(self) -> None:
        """Derive the endpoints and announce what changed, as flows/recalculate_endpoints.py has it."""
        self._endpoints_asked = False
        if self.engine.recalculate("event").recorded is None:
            return
        for step in self.engine.trial_plan():
            self.engine.perform_now(None, step)


def _batches(dated: Sequence[Dated]) -> Iterator[tuple[datetime, list[ev.AnyFact]]]:
    """Yield what is recorded at one instant for one patient together, as a site's export would bring it."""
    for (known_at, _), group in itertools.groupby(dated, key=lambda d: (d.known_at, d.fact.subject)):
        yield known_at, [d.fact for d in group]
