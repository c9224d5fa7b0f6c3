"""What an amendment would change if it came into force: for each patient, and for the figures of the trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from neotorch.domain.state import ENDED, PatientState
from neotorch.domain.study import Study
from neotorch.engine import Engine
from neotorch.rules.endpoints import member, trial_result
from neotorch.rules.preview import Change, changes, differences
from neotorch.rules.schedule import journey


@dataclass(frozen=True)
class Preview:
    """What would change, and for how many of those who are under way at the sites."""

    amendment: Study
    sites: tuple[str, ...]
    day: date
    looked_at: int
    ended: int
    """Patients of the sites whose journeys are over; they do not move."""
    changes: tuple[Change, ...]

    @property
    def touched(self) -> int:
        """Patients for whom something would change."""
        return len({c.subject for c in self.changes if c.subject})


def preview(
    engine: Engine, amendment: Study, sites: Sequence[str], progress: Callable[[int, int], None] = lambda *_: None
) -> Preview:
    """Return what would change if the amendment came into force at the sites today and all patients moved to it."""
    now, day = engine.clock(), engine.today()
    versions = engine.versions()
    supposed = versions.supposing(amendment, sites, day)
    states = [engine.state(s) for s in engine.subjects()]
    concerned = [s for s in states if s.site in sites]
    under_way = [s for s in concerned if journey(s, versions.for_patient(s)) not in ENDED]
    found: list[Change] = []
    for n, state in enumerate(under_way, 1):
        found += changes(state, versions.for_patient(state), supposed.for_patient(state), now)
        progress(n, len(under_way))
    found += _figures(states, versions.trial, supposed.trial, day)
    return Preview(amendment, tuple(sites), day, len(under_way), len(concerned) - len(under_way), tuple(found))


def _figures(states: Sequence[PatientState], before: Study, after: Study, day: date) -> Iterator[Change]:
    old, new = (
        trial_result([member(s, study, day) for s in states], study, day).trial_values() for study in (before, after)
    )
    yield from differences(None, "endpoint", old, new)
