"""Safety clocks: a serious adverse event is to be reported so many hours after the site became aware, not after onset.

Instants are compared as such, in hours that really passed; local time is only shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from neotorch.domain import events as ev
from neotorch.domain.calendar import at_hour, local_date
from neotorch.domain.safety import SaeReport
from neotorch.domain.sourced import Words
from neotorch.domain.state import PatientState
from neotorch.domain.study import Study
from neotorch.rules.notices import Notice
from neotorch.rules.schedule import Because

FATAL = 5


@dataclass(frozen=True)
class Clock:
    """One report that is owed. All instants are aware; `zone` is the site's, for showing them."""

    key: str
    subject: str
    event_id: str
    what: str | Words
    """`serious_adverse_event`, or the words of a term that is reported like one."""
    aware: datetime
    remind_at: datetime
    deadline: datetime
    reported: datetime | None
    status: Literal["running", "met", "late"]
    """running: not reported, time left; met: reported by the deadline; late: after it, or still not."""
    as_of: datetime
    zone: str
    because: Because

    @property
    def open(self) -> bool:
        """Whether the report is still to be made."""
        return self.reported is None

    @property
    def name(self) -> str:
        """What is to be reported, in words."""
        return self.what.en if isinstance(self.what, Words) else self.what.replace("_", " ")

    def local(self, instant: datetime) -> str:
        """Return an instant in the site's time, to the minute."""
        return f"{instant.astimezone(ZoneInfo(self.zone)):%Y-%m-%d %H:%M}"


def sae_clocks(state: PatientState, study: Study, now: datetime) -> tuple[Clock, ...]:
    """Return one clock for each adverse event that is serious, fatal, or of a term reported like one."""
    zone = study.site(state.site).time_zone
    told = (
        (f, study.on(local_date(f.aware, zone) if f.aware else f.occurred))
        for f in state.of_type("adverse_event") if isinstance(f, ev.AdverseEvent)
    )  # fmt: skip
    found = [
        (f, what, rules.safety.sae, rules)
        for f, rules in told if rules.safety and (what := _reportable(f, rules.safety.sae))
    ]  # fmt: skip
    return tuple(_clock(fact, what, rule, state, rules, now) for fact, what, rule, rules in found)


def _reportable(fact: ev.AdverseEvent, rule: SaeReport) -> str | Words | None:
    listed = next((words for term, words in rule.terms.items() if term.casefold() == fact.term.casefold()), None)
    if listed:
        return listed
    return "serious_adverse_event" if fact.serious or fact.grade == FATAL else None


def _clock(  # noqa: PLR0917 - all six are what the clock is about
    fact: ev.AdverseEvent, what: str | Words, rule: SaeReport, state: PatientState, study: Study, now: datetime
) -> Clock:
    zone = study.site(state.site).time_zone
    aware = fact.aware or at_hour(fact.occurred, 0, zone)
    deadline = aware + timedelta(hours=rule.within_hours)
    in_time = fact.reported is not None and fact.reported <= deadline
    running = fact.reported is None and now < deadline
    local = f"{aware.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    since = f"aware at {local}" if fact.aware else f"no awareness recorded, counted from the start of {fact.occurred}"
    detail = f"{since}; to be reported within {rule.within_hours} h"
    if fact.reported:
        hours = (fact.reported - aware) / timedelta(hours=1)
        detail += f"; reported {hours:.1f} h after"
    return Clock(
        key=f"{fact.id}/report", subject=state.subject, event_id=fact.id, what=what, aware=aware,
        remind_at=deadline - timedelta(hours=rule.remind_hours_before), deadline=deadline, reported=fact.reported,
        status="met" if in_time else "running" if running else "late", as_of=now, zone=zone,
        because=Because("safety.report", study.version, event_ids=(fact.id,), detail=detail),
    )  # fmt: skip


def clock_notices(clocks: Iterable[Clock]) -> list[Notice]:
    """Return the notices due for reports that are owed: one when little time is left, another when none is."""
    found = []
    for clock in clocks:
        if not clock.open or clock.as_of < clock.remind_at:
            continue
        word = "late" if clock.status == "late" else "soon"
        data: dict[str, object] = {
            "subject": clock.subject,
            "what": clock.what.model_dump() if isinstance(clock.what, Words) else clock.what,
            "report": word,
            "explain": clock.key,
            "deadline": clock.local(clock.deadline),
        }
        late = "report overdue" if word == "late" else "report due soon"
        found.append(Notice(f"{clock.key}/{word}", "safety", f"notice: {clock.name}, {late}", clock.because, data))
    return found


def clock_wakes(clocks: Iterable[Clock]) -> list[datetime]:
    """Return the instants to come at which a report that is owed has to be told of."""
    return [at for c in clocks if c.open for at in (c.remind_at, c.deadline) if at > c.as_of]
