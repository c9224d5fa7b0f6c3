"""Looks a few minutes ahead: far more notices than usual are held for a person before the first of them has gone out.

A changed study file, a wrong table of holidays or a server that was off for a month can make hundreds of notices due at
one hour. Notices that went out in spite of it are counted too (`rules/post.py`); this is the look before.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from neotorch.domain import events as ev
from neotorch.domain.calendar import local_date
from neotorch.rules import duties
from neotorch.rules.notices import NEVER_LOST, deliveries
from neotorch.rules.post import Flood, foreseen

if TYPE_CHECKING:
    from neotorch.engine import Engine

AHEAD = timedelta(minutes=20)
"""Twice the time between two looks: what comes due is seen at least once before."""


def hold_back(engine: Engine) -> Flood | None:
    """Write down that notices are held, if far more than usual would go out within `AHEAD`; None if they may go.

    Once a day at most; what somebody has released on that day goes out.
    """
    post, by = engine.post, engine.clock() + AHEAD
    day = local_date(by, engine.study.sites[0].time_zone)
    if post.flood():
        return None
    count = post.news.daily[day] + waiting(engine, by)
    held = foreseen(count, post.news.daily, post.news.facts, day, post.measure)
    if held:
        key = f"{ev.ENGINE_ID}incident/flood/{day}"
        incident = ev.Incident(id=key, study=engine.study.id, occurred=day, kind=ev.FLOOD, detail=str(held)[:500])
        engine.log.append_new([incident], now=engine.clock())
    return held


def waiting(engine: Engine, by: datetime) -> int:
    """Return how many notices that can wait would go out by an instant; a digest's parts are not counted."""
    count = 0
    for subject in engine.subjects():
        state = engine.state(subject)
        due = duties(state, engine.study_of(state), by)
        audience = replace(engine.post.audience(state.site), quiet_until=None, held="")
        send, _ = deliveries(list(due.notices), state.notices, audience, by)
        count += sum(d.notice.kind not in NEVER_LOST for d in send) + len(due.to_raise) + len(due.to_find)
    return count
