"""What became of each deviation: found, told, acknowledged, withdrawn, round by round; the trace stays for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.domain.state import PatientState, fold
from neotorch.domain.study import Study
from neotorch.rules.departures import Deviation, root
from neotorch.rules.deviations import departures
from neotorch.rules.notices import Notice
from neotorch.rules.schedule import VisitPlan, visit_plans
from neotorch.rules.wording import drug_title, visit_title

LOOK_BACK = 60
"""So many facts are tried when it is asked which one took a deviation away; a wake seldom follows on more."""


@dataclass(frozen=True)
class Round:
    """One finding of a deviation and what became of it. Days are local."""

    number: int
    found: ev.DeviationFound
    acknowledged: ev.DeviationAcknowledged | None
    """The newest word of the site that was given in this round; it does not count for another one."""
    withdrawn: ev.DeviationWithdrawn | None


def rounds(state: PatientState, key: str) -> tuple[Round, ...]:
    """Return all findings of a deviation, the first one first; none if it was never found."""
    trail = state.deviations.get(key)
    if trail is None:
        return ()
    withdrawn = {
        r.event.round: r.event
        for r in state.learnt.values()
        if isinstance(r.event, ev.DeviationWithdrawn) and r.event.deviation == key
    }
    numbers = sorted(trail.found)
    said = {a: _position(root(a.id, state), state) for a in trail.acknowledged}
    found: list[Round] = []
    for n, following in zip(numbers, [*numbers[1:], None], strict=True):
        since = _position(trail.found[n].id, state)
        until = _position(trail.found[following].id, state) if following else None
        words = [a for a in trail.acknowledged if said[a] > since and (until is None or said[a] < until)]
        found.append(Round(n, trail.found[n], words[-1] if words else None, withdrawn.get(n)))
    return tuple(found)


def _position(event_id: str, state: PatientState) -> int:
    return state.learnt[event_id].seq if event_id in state.learnt else 0


def acknowledged(state: PatientState, key: str) -> bool:
    """Return whether the site has given its word on the deviation as it was found last."""
    trail = state.deviations.get(key)
    return bool(trail and trail.open and trail.acknowledged and rounds(state, key)[-1].acknowledged)


def deviation_notices(
    state: PatientState, study: Study, found: Sequence[Deviation], plans: Sequence[VisitPlan]
) -> list[Notice]:
    """Return one notice per round of a deviation that nobody has acknowledged yet."""
    windows = {p.code: p.protocol for p in plans}
    notices = []
    for one in found:
        trail = state.deviations.get(one.key)
        if trail is None or not trail.open or trail.found[trail.round].grade != one.grade:
            continue
        if acknowledged(state, one.key):
            continue
        span = windows.get(one.visit or "")
        data = {
            "subject": state.subject, "visit": one.visit, "visit_label": visit_title(one.visit, study),
            "what": one.title, "deviation": one.kind, "occurred": one.on, "explain": one.key,
            "drug": drug_title(one.key.rpartition("/")[2], study),
            "opens": span.opens if span else None, "closes": span.closes if span else None,
        }  # fmt: skip
        kind = "important_deviation" if one.grade == "important" else "deviation"
        key = f"{one.key}/found/{trail.round}"
        notices.append(Notice(key, kind, f"notice: {one.title}", one.because, data))  # type: ignore[arg-type]
    return notices


def ceased_by(state: PatientState, study: Study, key: str, now: datetime) -> ev.AnyFact | None:
    """Return the fact with which an open deviation went away; None if it was time or another study version.

    It is the newest one without which, and without all that came after it, the data would show the deviation still.
    """
    trail = state.deviations[key]
    found = trail.found[trail.round]
    since = _position(found.id, state)
    rows = sorted(state.learnt.values(), key=lambda r: r.seq)
    fresh = [r for r in rows if r.seq > since and isinstance(r.event, ev.Fact)]
    for recorded in reversed(fresh[-LOOK_BACK:]):
        before = fold((r for r in rows if r.seq < recorded.seq), state.subject)
        today = local_date(now, study.site(before.site).time_zone)
        shown = departures(before, study, visit_plans(before, study, today), now)
        if any((d.key, d.grade) == (key, found.grade) for d in shown):
            return recorded.event  # type: ignore[return-value]  # a Fact, see above
    return None
