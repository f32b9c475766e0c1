"""`slipway report`: all measurements in one table."""

import sys
from pathlib import Path

import click
from rich.console import Console

from slipway import reports


@click.command("report")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=reports.FOLDER, show_default=True, help="Where reports lie."
)
def command(folder: Path) -> None:
    """List the reports of all measurements; exits 0 only if every one passed."""
    found = reports.scan(folder)
    Console().print(reports.table(found))
    sys.exit(reports.exit_code(found))
