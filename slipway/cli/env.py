"""`slipway env`: the environment of plain `pulumi`."""

import shlex

import click

from slipway.cli.context import Tools
from slipway.cli.progress import Progress
from slipway.cli.requirements import PLATFORM_PROGRAMS


@click.command("env")
def command() -> None:
    """Print shell assignments for plain `pulumi preview|up|destroy` in infra/projects/*: eval "$(slipway env)"."""
    with Progress() as progress:
        tools = Tools(progress)
        plugin = tools.toolchain.ensure(PLATFORM_PROGRAMS)[PLATFORM_PROGRAMS[0]]
        tools.place.prepare(plugin)
    for key, value in tools.place.environment().items():
        click.echo(f"export {key}={shlex.quote(value)}")
