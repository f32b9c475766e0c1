"""Standard output, as tables are printed on it."""

import sys
from typing import Final

import click
from rich.console import Console

from slipway.reports import Report

_WIDE: Final = 200  # characters: no table is wider


def console() -> Console:
    """The terminal; in a file or a pipe nothing is cut to a terminal's width."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)


def tell_missed(report: Report) -> None:
    """Say on standard error which bars do not hold, each with what was measured."""
    for bar in report.bars:
        if not bar.holds:
            click.echo(f"  {bar.what}: {bar.measured}; wanted {bar.bar}", err=True)
