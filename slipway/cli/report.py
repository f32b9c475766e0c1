"""`slipway report`: all measurements in one table."""

import sys
from pathlib import Path

import click

from slipway import reports
from slipway.cli.screen import console


@click.command("report")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=reports.FOLDER, show_default=True, help="Where reports lie."
)
def command(folder: Path) -> None:
    """List the reports of all measurements; exits 0 only if every one passed."""
    found = reports.scan(folder)
    console().print(reports.table(found))
    sys.exit(reports.exit_code(found))
