"""The command line: one file per command, exit code 0 done, 1 found problems, 2 bad usage or input."""

from __future__ import annotations

import sys
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from neotorch import __version__
from neotorch.domain.errors import NeotorchError

app = cyclopts.App(
    name="neotorch",
    help="Event-driven trial workflow engine: one durable Prefect run per patient, from consent to the 3-year follow-up.",
    version=__version__,
    result_action="return_value",
)

Json = Annotated[bool, Parameter(name="--json", negative="")]

for command, target in {
    "demo": "neotorch.cli.demo:demo",
    "up": "neotorch.cli.up:up",
    "record": "neotorch.cli.record:record",
    "worklist": "neotorch.cli.views:worklist",
    "patient": "neotorch.cli.views:patient",
    "endpoints": "neotorch.cli.endpoints:endpoints",
    "rcb": "neotorch.cli.rcb:command",
    "km": "neotorch.cli.km:command",
    "explain": "neotorch.cli.views:explain",
    "verify": "neotorch.cli.verify:verify",
    "doctor": "neotorch.cli.doctor:doctor",
    "simulate": "neotorch.cli.simulate:simulate",
}.items():
    app.command(target, name=command)  # imported when called: `record` must not wait for what `up` needs


def main() -> None:
    """Entry point: every error of ours is one line on stderr, and no traceback."""
    console = Console(stderr=True)
    try:
        code = app(exit_on_error=False, print_error=True)
    except cyclopts.CycloptsError:
        sys.exit(2)
    except NeotorchError as error:
        console.print(f"[bold red]{type(error).__name__}[/]", end=" ")
        console.print(str(error), markup=False, highlight=False)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
