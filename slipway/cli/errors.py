"""The failures that every part raises for people to read, and a place for those that none foresaw."""

import os
import tempfile
import traceback
from pathlib import Path

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


def record() -> Path:
    """Write the traceback of the exception being handled to a private file."""
    descriptor, name = tempfile.mkstemp(prefix="slipway-fault-", suffix=".txt")
    with os.fdopen(descriptor, "w") as file:
        file.write(traceback.format_exc())
    return Path(name)
