"""What is allowed in a study file and yet looks like an oversight: `neotorch doctor` says it, and nothing is refused.

Days are those of a patient for whom all goes as planned, counted from day 1 of the first cycle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neotorch.domain.collected import NEEDED
from neotorch.domain.misfit import Misfit

if TYPE_CHECKING:
    from neotorch.domain.study import Study, Visit

AT_ANY_TIME = frozenset({"progression", "recurrence"})
"""Anchors that nobody can plan."""


def cautions(study: Study) -> tuple[Misfit, ...]:
    """Return what looks like an oversight, each with its place and what to do if it is one."""
    return (*_ungated(study), *_weekly(study), *_after_the_last(study), *_frames(study), *_quiet(study))


def _ungated(study: Study) -> Iterator[Misfit]:
    gated = {d for g in study.safety.dose_gates for d in g.drugs} if study.safety else set()
    for n, drug in enumerate(study.drugs):
        if drug.code not in gated:
            what = f"{drug.code} is given without a dose gate: no value is looked at before it"
            yield Misfit(("drugs", n), what, f"add {drug.code} under safety.dose_gates")


def _weekly(study: Study) -> Iterator[Misfit]:
    """A dose between two days 1 shows itself by a form that takes an amount in the drug's own unit."""
    for n, drug in enumerate(study.drugs):
        amounts = {f.code for f in study.forms if any(i.unit == drug.unit for i in f.items.values())}
        later = [v.code for v in study.visits if v.cycle is None and amounts & {d.form for d in v.due}]
        if drug.dose is not None and drug.days > 1 and later:
            what = (
                f"{drug.code} is dosed at {', '.join(later)} too, and a dose gate is judged on day 1 of a cycle alone"
            )
            todo = "let the forms due there ask for what must be so before the dose"
            yield Misfit(("drugs", n, "days"), what, todo)


def _after_the_last(study: Study) -> Iterator[Misfit]:
    """A visit that still waits for its anchor when the last one is over is not waited for."""
    last, days = study.visits[-1], Plan(study)
    end = days.closes(last)
    for n, visit in enumerate(study.visits[:-1]):
        anchors = {a for t in visit.timing for a in t.anchors}
        late = [a for a in sorted(anchors) if a in AT_ANY_TIME or (end is not None and (days.of(a) or 0) > end)]
        if late and len(late) == len(anchors):
            what = (
                f"{visit.code} hangs on {' and '.join(late)}, which may come after {last.code}: the journey closes with "
                f"{last.code}, the last visit of the file, and does not wait for {visit.code}"
            )
            yield Misfit(("visits", n, "timing"), what, "put the visit that ends the follow-up last")


def _frames(study: Study) -> Iterator[Misfit]:
    """An endpoint that is judged before, or at a landmark after, all that shows it is collected."""
    days = Plan(study)
    frames = {"pcr": study.endpoints.pcr.frame_days, "rcb01": study.endpoints.rcb01.frame_days}
    for name, frame in frames.items():
        due = _closing(study, NEEDED[name][0], days)
        if due and frame < min(due):
            what = f"{frame} d are over before the report is due, up to {min(due)} d after the first dose"
            yield Misfit(("endpoints", name, "frame_days"), what, "lengthen the time frame")
    due = _closing(study, NEEDED["efs"][0], days)
    for n, landmark in enumerate(study.endpoints.efs.landmarks_days):
        if due and landmark > max(due):
            what = f"day {landmark} is after the last disease assessment, due up to {max(due)} d after the first dose"
            yield Misfit(("endpoints", "efs", "landmarks_days", n), what, "add a visit with a disease assessment then")


def _closing(study: Study, event: str, days: Plan) -> list[int]:
    forms = {f.code for f in study.forms if f.event == event and f.where.get("read", "local") == "local"}
    found = [days.closes(v) for v in study.visits if forms & {d.form for d in v.due}]
    return [day for day in found if day is not None]


def _quiet(study: Study) -> Iterator[Misfit]:
    quiet, hour = study.reminders.quiet, study.reminders.hour
    if quiet is None:
        return
    night = quiet.from_hour > quiet.to_hour
    inside = (hour >= quiet.from_hour or hour < quiet.to_hour) if night else quiet.from_hour <= hour < quiet.to_hour
    if inside:
        what = f"{hour}:00 lies in the quiet hours, so every reminder waits until {quiet.to_hour}:00"
        yield Misfit(("reminders", "hour"), what, "remind at another hour, or move the quiet hours")


class Plan:
    """The days on which things happen if all goes as planned; None where nobody can say."""

    def __init__(self, study: Study) -> None:
        self._study, self._known = study, dict[str, int | None]()

    def closes(self, visit: Visit) -> int | None:
        """Return the last day of a visit's window."""
        return self._day(visit, end=True)

    def of(self, anchor: str) -> int | None:
        """Return the day of an anchor."""
        if anchor not in self._known:
            self._known[anchor] = None  # what hangs on itself has no day
            self._known[anchor] = self._of(anchor)
        return self._known[anchor]

    def _of(self, anchor: str) -> int | None:
        kind, _, name = anchor.partition(".")
        length, last = self._study.cycles.length_days, self._study.cycles.count
        match kind:
            case "consent" | "enrolment" | "planned_start":
                return 0
            case "cycle":
                return (int(name) - 1) * length
            case "last_cycle":
                return (last - 1) * length
            case "last_dose":
                drugs = [d for d in self._study.drugs if name in ("", d.code)]
                return max((max(d.cycles) - 1) * length + d.days - 1 for d in drugs)
            case "surgery" | "pathology":
                held_by = "surgery" if kind == "surgery" else "pathology_local"
                return next((self._day(v) for v in self._study.visits if v.held_by == held_by), None)
            case "visit":
                return self._day(self._study.visit_by_code[name])
            case _:
                return None

    def _day(self, visit: Visit, *, end: bool = False) -> int | None:
        for timing in visit.timing:
            known = [day for day in map(self.of, timing.anchors) if day is not None]
            if len(known) == len(timing.anchors):
                day = max(known) + timing.offset_days + (timing.window_days_after if end else 0)
                floors = [floor + n.days for n in visit.not_before if (floor := self.of(n.anchor)) is not None]
                return max(day, *floors) if floors else day
        return None
