"""`slipway preflight`: may a version go to this environment? Checks over the living cluster and the repository."""

import asyncio
import contextlib
import datetime as dt
import os
import sys
from pathlib import Path

import click
from rich.table import Table

from infra.engine import REPOSITORY
from slipway import reports
from slipway.cli import following
from slipway.cli.context import cluster_option, environment_option, service_option
from slipway.cli.kube import reached
from slipway.cli.screen import console
from slipway.preflight import checks
from slipway.preflight.facts import Facts, gather, look
from slipway.reports import Bar, Section, rows

MARKS = {True: "[green]holds[/]", False: "[bold red]fails[/]", None: "[yellow]no answer[/]"}


@click.command("preflight")
@cluster_option
@environment_option
@service_option
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How the cluster is reached; else $KUBECONFIG, else as the cluster's administrator, whom its stack knows.",
)
@click.option(
    "--skip",
    "skipped",
    multiple=True,
    type=click.Choice([it.id for it in checks.CHECKS]),
    help="Do without this check; it stays in the report as not run. May be repeated.",
)
def command(*, cluster: str, environment: str, service: str, kubeconfig: Path | None, skipped: tuple[str, ...]) -> None:
    """Judge an environment before a version goes there; exits 0 if all holds, 1 if not, 3 if it cannot be told."""
    started = dt.datetime.now(dt.UTC)
    with contextlib.ExitStack() as stack:
        if kubeconfig is None and not os.environ.get("KUBECONFIG"):
            kubeconfig = stack.enter_context(reached(cluster)).kubeconfig
        facts = asyncio.run(_ask(following.Where(environment, service, kubeconfig), started.date()))
    seconds = (dt.datetime.now(dt.UTC) - started).total_seconds()
    made = checks.report(facts, environment, skipped=skipped, started=started, seconds=seconds)
    path = reports.write(made, sections=[_mend(made.bars)])
    shown = Table(box=None, header_style="bold")
    for column in ("check", "", "found"):
        shown.add_column(column, overflow="fold")
    for bar in made.bars:
        shown.add_row(bar.what, MARKS[bar.holds], str(bar.measured))
    console().print(shown)
    click.echo(f"{made.verdict.value}: {path.with_suffix('.html')}")
    sys.exit(made.verdict.exit_code)


async def _ask(where: following.Where, today: dt.date) -> Facts:
    async with following.attached(where) as (_, api):
        return await gather(api, where.namespace, where.name, look(REPOSITORY, today))


def _mend(bars: tuple[Bar, ...]) -> Section:
    open_bars = {bar.what for bar in bars if not bar.holds}
    table = [(it.id, it.item, it.mend) for it in checks.CHECKS if it.id in open_bars]
    return Section("What to do", rows(("check", "item of the checklist", "what to do"), table))
