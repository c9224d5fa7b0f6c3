"""The command line: one file per command, exit code 0 done, 1 found problems, 2 bad usage or input."""

from __future__ import annotations

import sys

import cyclopts
from rich.console import Console

from neotorch import __version__
from neotorch.domain.errors import NeotorchError

app = cyclopts.App(
    name="neotorch",
    help="Event-driven trial workflow engine: one durable Prefect run per patient, from consent to the last follow-up.",
    version=__version__,
    result_action="return_value",
)

COMMANDS = {
    "demo": ("demo:demo", "Rehearse a whole trial on the real parts: server, worker, log, notices."),
    "up": ("up:up", "Run for real: Prefect server and worker, until Ctrl-C."),
    "record": ("record:record", "Record events from JSON Lines or CSV."),
    "worklist": ("views:worklist", "What is due, overdue and asked, each line with its why."),
    "queries": ("queries:queries", "Open queries per site: how many, how old, how fast they are answered."),
    "patient": ("views:patient", "One patient's story."),
    "book": ("desk:book", "Book a visit for a day."),
    "waive": ("desk:waive", "Let the site off a visit, with a reason."),
    "seen": ("desk:seen", "Take note of an open matter, so that it is not escalated."),
    "snooze": ("desk:snooze", "Put the reminders of an open matter off to a day."),
    "away": ("desk:away", "Somebody is away: their notices go to a deputy."),
    "release": ("desk:release", "Let held notices go."),
    "amend": ("amend:amend", "Bring an amended study file into force at a site."),
    "reconsent": ("amend:reconsent", "A patient was asked to consent to an amended protocol."),
    "endpoints": ("endpoints:endpoints", "pCR, low RCB classes and event-free survival."),
    "rcb": ("rcb:command", "Residual Cancer Burden for a table of specimens."),
    "km": ("km:command", "Kaplan-Meier for a table of times and events."),
    "export": ("export:app", "Write files: the report of the trial (HTML and PDF)."),
    "explain": ("views:explain", "Why: what stands behind a key."),
    "backup": ("backup:backup", "Write the whole log into one file, and try out whether it can be restored."),
    "restore": ("backup:restore", "Put the log back from a backup, into an empty database."),
    "verify": ("verify:verify", "Check the whole log."),
    "doctor": ("doctor:doctor", "Check machine, data folder, log and notice channels."),
    "simulate": ("simulate:simulate", "Make a synthetic trial's events, or show what an amendment would change."),
}
for command, (target, words) in COMMANDS.items():
    # imported when called: `record` must not wait for what `up` needs
    app.command(f"neotorch.cli.{target}", name=command, help=words)


def main() -> None:
    """Entry point: every error of ours is one line on stderr, and no traceback."""
    console = Console(stderr=True)
    try:
        code = app(exit_on_error=False, print_error=True)
    except cyclopts.CycloptsError:
        sys.exit(2)
    except NeotorchError as error:
        console.print(f"[bold red]{type(error).__name__}[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
