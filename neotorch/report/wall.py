"""The worklist of a site on paper: what is open today, the visits of the next days, deviations to acknowledge.

Written every day, so that yesterday's is on the wall on the day on which the system is down. Subject codes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from neotorch.domain.calendar import local_date
from neotorch.domain.study import Site, Study
from neotorch.engine import Engine
from neotorch.report.page import templates
from neotorch.rules.agenda import Ahead, agenda, by_day
from neotorch.rules.worklist import Obligation

DAYS = 14
WORDS = {
    "en": {
        "title": "Worklist", "now": "Open now", "deviations": "Deviations to acknowledge", "ahead": "The next {} days", "none": "nothing",
        "status": "status",
        "subject": "subject", "what": "what", "until": "by", "visit": "visit", "window": "window", "forms": "forms",
        "done": "done, date", "made": "as of", "events": "events in the log",
        "if": "If the system is down: work by this sheet, note dates by hand, record them afterwards with the day they happened.",
        "days": "Mon Tue Wed Thu Fri Sat Sun",
    },
    "zh": {
        "title": "工作清单", "now": "当前待办", "deviations": "待确认的方案偏离", "ahead": "未来 {} 天", "none": "无",
        "status": "状态", "subject": "受试者编号",
        "what": "事项", "until": "截止", "visit": "访视", "window": "访视窗口", "forms": "表单", "done": "完成日期",
        "made": "截至", "events": "条日志记录",
        "if": "系统停用时：请按本表工作，手工记录日期，恢复后按实际发生日期补录。", "days": "周一 周二 周三 周四 周五 周六 周日",
    },
}  # fmt: skip
"""Headings; statuses and reasons are those of the worklist."""


@dataclass(frozen=True)
class Sheet:
    """What one site's sheet shows."""

    study: Study
    site: Site
    language: str
    now: datetime
    """In the site's zone."""
    events: int
    lines: list[Obligation]
    days: list[tuple[date, list[Ahead]]]

    @property
    def words(self) -> dict[str, str]:
        """Return the headings."""
        return WORDS[self.language]

    def weekday(self, day: date) -> str:
        """Return the day's name."""
        return self.words["days"].split()[day.weekday()]

    @property
    def html(self) -> str:
        """Return the sheet as one page that needs nothing else."""
        return templates().get_template("wall.html").render(s=self, w=self.words)


def sheet(engine: Engine, site: Site, days: int = DAYS) -> Sheet:
    """Return a site's sheet as things stand now."""
    now = engine.clock()
    today = local_date(now, site.time_zone)
    found: list[Ahead] = []
    for subject in engine.subjects():
        state, due = engine.duties(subject)
        if state.site == site.code:
            found += agenda(state, due, today, days)
    lines = engine.worklist(site=site.code)
    return Sheet(
        engine.study, site, site.languages[0], now.astimezone(ZoneInfo(site.time_zone)), engine.head(), lines,
        by_day(found, today, days),
    )  # fmt: skip
