"""`slipway drill`: faults under load, with the controls without which they prove nothing."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.table import Table

from infra.naming import Environment
from loadtests import k6
from slipway import reports
from slipway.cli.context import Tools, cluster_option, environment_option
from slipway.cli.live import surroundings
from slipway.cli.progress import Progress
from slipway.cli.screen import console
from slipway.cli.smoke import plan_for, running_service, write_ca
from slipway.node.stock import Stock
from slipway.proof.clock import SystemClock
from slipway.proof.drill import Runner
from slipway.proof.drills import catalogue
from slipway.proof.surroundings import ENOUGH

FOLDER = Path("build/drills")


@click.group("drill")
def command() -> None:
    """Break something under load, and measure what users feel."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """Show every drill: what it breaks, its bars, its controls."""
    known = catalogue()
    if as_json:
        click.echo(json.dumps(known.described(), indent=2))
        return
    table = Table(box=None, header_style="bold")
    for column in ("drill", "what happens", "bars", "controls", "minutes"):
        table.add_column(column)
    for it in known.listed():
        table.add_row(it.name, it.about, "\n".join(it.bars), "\n".join(it.controls), str(it.minutes))
    console().print(table)


@command.command("run")
@click.argument("name", type=click.Choice([it.name for it in catalogue().listed()]))
@cluster_option
@environment_option
@click.option("--rate", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Requests per second.")
@click.option(
    "--requests",
    type=click.IntRange(1_000, 10_000_000),
    default=ENOUGH,
    show_default=True,
    help="At least so many under load; fewer than the default are a check, not the proof.",
)
def run(name: str, cluster: str, environment: str, rate: int, requests: int) -> None:
    """Run drill NAME; writes the report `drill-NAME` and exits 0 only if it passed."""
    with Progress() as progress:
        where = Environment(environment)
        platform, service = running_service(Tools(progress), cluster, where)
        plan = plan_for(
            platform,
            service,
            where,
            scenario="crud",
            rate=rate,
            seconds=1,
            ca=write_ca(platform, FOLDER),
            workdir=FOLDER,
        )
        live = replace(surroundings(cluster, where, plan, Stock()), requests=requests)
        known = catalogue().get(name)
        progress.step(f"{name}: {known.about} About {known.minutes} minutes.")
        outcome = Runner(SystemClock(), k6.start, FOLDER).run(known.build(live))
    path = reports.write(outcome.report, sections=outcome.sections)
    for bar in outcome.report.bars:
        sign = {True: "ok  ", False: "no  ", None: "open"}[bar.holds]
        click.echo(f"{sign} {bar.what}: {bar.measured} (bar: {bar.bar})")
    click.echo(f"{outcome.report.verdict.value}; {path.with_suffix('.html')}")
    sys.exit(outcome.report.verdict.exit_code)
