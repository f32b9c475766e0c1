"""`slipway setup`: what a task needs, installed and built ahead of it."""

import click

from slipway.cli.context import Tools
from slipway.cli.progress import Progress
from slipway.cli.requirements import (
    CLUSTER_PROGRAMS,
    EMBEDDED_PACKAGES,
    IMAGE_PACKAGES,
    PLATFORM_PROGRAMS,
    TEST_PACKAGES,
    TEST_PROGRAMS,
)
from slipway.toolchain import debian

TASKS = {
    "test": (TEST_PACKAGES, TEST_PROGRAMS),
    "up": ((*EMBEDDED_PACKAGES, *IMAGE_PACKAGES), (*CLUSTER_PROGRAMS, *PLATFORM_PROGRAMS)),
}


@click.command("setup")
@click.argument("task", type=click.Choice(sorted(TASKS)))
def command(task: str) -> None:
    """Install the Debian packages and build the programs that TASK (`up` or `test`) needs."""
    packages, programs = TASKS[task]
    with Progress() as progress:
        debian.ensure(packages, progress.step)
        progress.step(f"programs for `{task}`")
        Tools(progress).toolchain.ensure(programs)
