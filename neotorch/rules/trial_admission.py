"""What a fact about the trial or its people must satisfy before it may enter the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from neotorch.domain import events as ev
from neotorch.domain.study import Study
from neotorch.rules.desk import PLANS_AHEAD, Refusal

LONGEST_ABSENCE = timedelta(days=400)


def admit_trial(
    fact: ev.AnyTrialFact, earlier: Iterable[ev.AnyTrialFact], study: Study, channels: Iterable[str], today: date
) -> tuple[Refusal, ...]:
    """Return all reasons against taking `fact` now. `earlier`: those in force; `channels`: names in the settings."""
    return (*_common(fact, earlier, study), *_own(fact, sorted(channels), today))


def _common(fact: ev.AnyTrialFact, earlier: Iterable[ev.AnyTrialFact], study: Study) -> Iterator[Refusal]:
    if fact.id.startswith(ev.ENGINE_ID):
        yield Refusal("id", f"ids that begin with {ev.ENGINE_ID!r} are the engine's own", "give it another id")
    if fact.study != study.id:
        yield Refusal("study", f"{fact.study!r} is not the study {study.id!r} of this log", f"write {study.id}")
    if fact.corrects is None:
        return
    if not fact.reason:
        yield Refusal("reason", "a correction needs a reason", "say why in `reason` (ICH E6(R3) 4.2.4)")
    kin = [f.id for f in earlier if f.type == fact.type]
    if fact.corrects not in kin:
        todo = f"name one of {', '.join(kin) or 'none so far'}"
        yield Refusal("corrects", f"{fact.corrects!r} is no {fact.type} in force", todo)


def _own(fact: ev.AnyTrialFact, channels: list[str], today: date) -> Iterator[Refusal]:
    match fact:
        case ev.Absence():
            for field, name in (("channel", fact.channel), ("deputy", fact.deputy)):
                if name not in channels:
                    known = ", ".join(channels) or "none so far"
                    yield Refusal(field, f"no channel is called {name!r}", f"the settings have: {known}")
            if fact.channel == fact.deputy:
                yield Refusal("deputy", "nobody can stand in for themselves", "name another channel")
            if not fact.occurred <= fact.until <= fact.occurred + LONGEST_ABSENCE:
                yield Refusal("until", f"{fact.until} does not follow on {fact.occurred}", "correct one of the two")
            if abs(fact.occurred - today) > PLANS_AHEAD:
                yield Refusal("occurred", f"{fact.occurred} is far from today ({today})", "correct the year")
        case ev.NoticesReleased():
            if not fact.reason:
                yield Refusal("reason", "letting held notices go needs a reason", "say in `reason` what you have seen")
            if fact.occurred > today:
                yield Refusal("occurred", f"{fact.occurred} is in the future (today is {today})", "write today's date")
