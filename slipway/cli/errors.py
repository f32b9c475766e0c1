"""The failures that every part raises for people to read."""

import click

from infra.engine import EngineError
from slipway.node import NodeError
from slipway.toolchain import ToolchainError

KNOWN = (EngineError, NodeError, ToolchainError, ValueError)


def say(error: Exception) -> None:
    """Print a failure: its first line in red, the rest as it is."""
    first, _, rest = str(error).partition("\n")
    click.secho(f"error: {first}", fg="red", err=True)
    if rest:
        click.echo(rest, err=True)
