"""`neotorch export FORMAT --out DIR`: the trial's figures as files for others."""

from __future__ import annotations

import cyclopts

app = cyclopts.App(name="export", help="Write the trial's figures as files: a report to read, data to analyse.")

FORMATS = {
    "report": ("export_report:report", "One HTML page and a PDF: every table and figure with method and provenance."),
    "adam": ("export_adam:adam", "Analysis datasets (CDISC ADaM): Dataset-JSON, CSV, Parquet, with define.xml."),
    "sheets": ("export_sheets:sheets", "Each site's worklist for the next 14 days on paper (HTML and PDF)."),
}
for name, (target, words) in FORMATS.items():
    # imported when called: `record` must not wait for plots
    app.command(f"neotorch.cli.{target}", name=name, help=words)
