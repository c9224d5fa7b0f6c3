"""`neotorch worklist`, `patient` and `explain`: what is due, one story, one why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from rich.markdown import Markdown

from neotorch.cli.output import instant_option, out, print_json, table
from neotorch.domain.errors import BadInput
from neotorch.engine import Engine
from neotorch.rules.worklist import Obligation

Json = Annotated[bool, Parameter(negative="")]


def worklist(*, as_of: str | None = None, site: str | None = None, json: Json = False) -> int:
    """Show what is due, overdue and asked, most urgent first, each line with its why. Exit code 1 if anything is.

    Parameters
    ----------
    as_of: str
        A date or a time with zone: the list as it was then.
    site: str
        Only this site.
    json: bool
        Print the list as JSON.
    """
    engine = Engine.open()
    known_site(engine, site)
    at = instant(engine, as_of)
    lines = engine.worklist(as_of=at, site=site)
    quiet = sorted({role for role, code in engine.unheard() if site in (None, code)})
    if json:
        print_json(
            {
                "as_of": (at or engine.clock()).isoformat(),
                "head": head_line(engine),
                "lines": [o.as_dict() for o in lines],
                "roles_without_channel": quiet,
            }
        )
        return 1 if lines else 0
    if quiet:
        out.print(
            f"No channel for {', '.join(quiet)}: their notices are .eml files in {engine.settings.outbox}",
            style="yellow",
        )
    rows = [(o.status, o.subject, f"{o.what}\n  because {o.why}", _when(o)) for o in lines]
    when = f"{at or engine.clock():%Y-%m-%d %H:%M %Z}"
    table(
        f"Worklist {engine.study.short_title}, {when}: {len(lines)} lines",
        ("status", "subject", "what and why", "when"),
        rows,
    )
    return 1 if lines else 0


def patient(subject: str, /, *, as_of: str | None = None, json: Json = False) -> int:
    """Show one patient's story: open items, visits with their windows, endpoints, timeline.

    Parameters
    ----------
    subject: str
        The subject code, such as NT-007.
    as_of: str
        A date or a time with zone: what was known then.
    json: bool
        Print visits, open items and facts as JSON.
    """
    engine = Engine.open()
    _known(engine, subject)
    at = instant(engine, as_of)
    if not json:
        out.print(Markdown(engine.story_markdown(subject, as_of=at)))
        return 0
    state, due = engine.duties(subject, as_of=at)
    visits = [
        {"visit": p.code, "status": p.status, "held": p.held_on, "in_window": p.in_window, "why": str(p.because)}
        | ({"opens": p.window.opens, "target": p.window.target, "closes": p.window.closes} if p.window else {})
        for p in due.plans
    ]  # fmt: skip
    lines = [o.as_dict() for o in engine.worklist(as_of=at) if o.subject == subject]
    departures = [
        {"key": k, "explained": engine.explain(k, as_of=at)}
        for k in sorted({*state.deviations, *(d.key for d in due.deviations)})
    ]
    facts = [f.body for f in state.facts]
    print_json(
        {
            "subject": subject,
            "head": head_line(engine),
            "phase": due.phase,
            "complete": due.complete,
            "visits": visits,
            "open": lines,
            "deviations": departures,
            "facts": facts,
            "superseded": dict(state.superseded),
        }
    )
    return 0


def explain(key: str, /, *, as_of: str | None = None, json: Json = False) -> int:
    """Say why: the rule, the anchor, the dates and the events behind a worklist line, visit, endpoint, event or notice.

    Parameters
    ----------
    key: str
        As in NT-007/C2D1, NT-007/C2D1/CBC, NT-007/pcr, NT-007/gate/SURG, an event id, or the key of a notice.
    as_of: str
        A date or a time with zone: as it was then.
    json: bool
        Print as JSON.
    """
    engine = Engine.open()
    found = engine.explain(key, as_of=instant(engine, as_of))
    if not found:
        raise BadInput(
            f"nothing has the key {key!r}",
            "explain",
            "neotorch worklist --json lists keys; a visit's is SUBJECT/VISIT.",
        )
    if json:
        print_json(found)
    else:
        table(key, ("", ""), list(found.items()))
    return 0


def head_line(engine: Engine) -> str:
    """Return the head of the log as exports carry it and `neotorch verify --head` takes it: SEQ:HASH."""
    head = engine.log.head()
    return f"{head.seq}:{head.hash}"


def known_site(engine: Engine, site: str | None) -> None:
    """BadInput if `--site` names a site that the study does not have."""
    codes = [s.code for s in engine.study.sites]
    if site is not None and site not in codes:
        raise BadInput(f"no site {site!r}", "--site", f"Use one of {', '.join(codes)}.")


def instant(engine: Engine, text: str | None) -> datetime | None:
    """Return the instant that `--as-of` names."""
    return instant_option(text, "--as-of", engine.study.sites[0].time_zone)


def _when(line: Obligation) -> str:
    return f"{line.since}" + (f" to {line.until}" if line.until else "")


def _known(engine: Engine, subject: str) -> None:
    if subject not in engine.subjects():
        near = [s for s in engine.subjects() if s[-2:] == subject[-2:]][:3] or engine.subjects()[:3]
        raise BadInput(
            f"no subject {subject!r} in the log", "patient", f"Known are, for example, {', '.join(near) or 'none yet'}."
        )
