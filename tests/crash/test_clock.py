"""A clock that is stepped back and forward: time stands still in the log until it has caught up, and nothing is told twice."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from neotorch.domain import events as ev
from neotorch.engine import Engine
from neotorch.receivers import WebReceiver
from neotorch.settings import ChannelSettings
from tests import proofs
from tests.support import START, Trial, at, course, fact, forms, screened

SUBJECTS = ("NT-001", "NT-002")
STEPS = [timedelta(minutes=m) for m in (-1, 1, 7, 90)] + [timedelta(hours=h) for h in (-30, -3, 5, 26)]
STEPS += [timedelta(days=d) for d in (-20, -8, -2, 1, 3, 10, 40)]


def test_a_stepped_clock_decreases_no_time_and_repeats_no_notice(tmp_path: Path) -> None:
    """Whatever the clock does between wakes: recorded_at never decreases, and no notice, query or claim is there twice."""
    trials = proofs.rounds(short=1, long=50)
    figures: Counter[str] = Counter()
    with WebReceiver() as receiver:
        for seed in range(trials):
            figures += Jumps(tmp_path / f"{seed}", receiver, seed).live()
    proofs.count("clock stepped between wakes", trials=figures.pop("steps"), **figures)


class Jumps:
    """A trial of two patients whose clock jumps at each wake, and is right again in the end."""

    def __init__(self, folder: Path, receiver: WebReceiver, seed: int) -> None:
        url = receiver.url(f"/{seed}")
        roles = ("coordinator", "investigator", "statistician", "operator")
        channels = [ChannelSettings.model_validate({"name": role, "role": role, "url": url}) for role in roles]
        self.trial = Trial(folder, now=at(START), channels=channels, quiet_hours=False)
        self.receiver, self.random, self.before = receiver, random.Random(seed), len(receiver.received)

    def live(self) -> Counter[str]:
        """Jump forty times, record on the way, then let the clock be right; returns what happened."""
        figures = Counter(steps=40)
        true = self.trial.now
        self.trial.now = true + timedelta(days=60)  # all that is told must have happened for the engine's clock
        for subject in SUBJECTS:
            self.trial.tell(*screened(START, subject), *course(2, START, subject)[:-3])
        for number in range(figures["steps"]):
            self.trial.now += self.random.choice(STEPS)
            figures["behind the log"] += self._newest() > self.trial.now
            self._happen(number)
            for subject in SUBJECTS:
                self.trial.wake(subject)
        self.trial.now = max(self.trial.now, self._newest()) + timedelta(1)
        for subject in SUBJECTS:
            self.trial.wake(subject)
        self.check()
        return figures + Counter(notices=len(self.receiver.received) - self.before)

    def _newest(self) -> datetime:
        return self.trial.engine.log.read()[-1].recorded_at

    def _happen(self, number: int) -> None:
        """Something that asks for a query, or for nothing; told as of the day that the clock says."""
        subject, today = self.random.choice(SUBJECTS), self.trial.engine.today()
        self.trial.engine.record([fact("contact", today, subject, id=f"contact{number}")])
        if number % 10 == 5:
            self.trial.engine.record(forms("C3D1", today, subject, without=["CBC.ANC"]))

    def check(self) -> None:
        """Order of the log, each effect once, each notice received once, and the verdicts are those of a clock that never jumped."""
        rows = self.trial.engine.log.read()
        times = [row.recorded_at for row in rows]
        assert times == sorted(times)
        assert self.trial.engine.log.verify() == []
        for kind, of in ((ev.QueryRaised, "query"), (ev.NoticeSent, "key")):
            told = [(getattr(r.event, of), getattr(r.event, "round", 1)) for r in rows if isinstance(r.event, kind)]
            assert len(told) == len(set(told)) > 0, f"{kind.__name__} twice"
        arrived = Counter(p.key for p in self.receiver.received[self.before :])
        assert set(arrived.values()) == {1}, [key for key, times in arrived.items() if times > 1]
        self._check_verdicts([row.event for row in rows if not isinstance(row.event, ev.Effect)])

    def _check_verdicts(self, facts: list[ev.AnyFact]) -> None:
        """A new process says the same, and so does a trial that was told the same at one instant, of visits and what was late."""
        twin = Trial(self.trial.engine.settings.data_dir / "twin", now=self.trial.now)
        for one in facts:  # in their order: a later one may rest on an earlier one
            twin.tell(one)
        fresh = Engine.open(self.trial.engine.settings, clock=lambda: self.trial.now)
        for subject in SUBJECTS:
            assert fresh.plan(subject) == self.trial.engine.plan(subject)
            assert fresh.duties(subject)[1] == self.trial.engine.duties(subject)[1]
            mine, its = self.trial.engine.duties(subject)[1], twin.engine.duties(subject)[1]
            assert (mine.plans, mine.deviations) == (its.plans, its.deviations)
        assert fresh.worklist() == self.trial.engine.worklist()
