"""`slipway drill`: faults under load, with the controls without which they prove nothing."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click
from rich.table import Table

from infra.naming import Environment, live_host
from loadtests import k6
from slipway import reports
from slipway.cli import first_objects
from slipway.cli.certificates import renew
from slipway.cli.context import Tools, cluster_option, environment_option
from slipway.cli.kube import kubectl_for
from slipway.cli.live import surroundings
from slipway.cli.progress import Progress
from slipway.cli.rebuilt import ClusterEstate, intend
from slipway.cli.restored import PostgresDatabases
from slipway.cli.screen import console
from slipway.cli.smoke import plan_for, running_service, write_ca
from slipway.cli.up import only_one
from slipway.node.stock import Stock
from slipway.proof.catalogue import USUAL_RATE, minutes
from slipway.proof.clock import SystemClock
from slipway.proof.drill import Runner
from slipway.proof.drills import catalogue
from slipway.proof.rebuild import RebuildDrill
from slipway.proof.restore import RestoreDrill, restore_to
from slipway.proof.surroundings import ENOUGH
from slipway.proof.users import Users, Way

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
@click.option(
    "--rate", type=click.IntRange(1, 10_000), default=USUAL_RATE, show_default=True, help="Requests per second."
)
@click.option(
    "--requests",
    type=click.IntRange(1_000, 10_000_000),
    default=ENOUGH,
    show_default=True,
    help="At least so many under load; fewer than the default are a check, not the proof.",
)
@click.option(
    "--times",
    type=click.IntRange(1, 1_000),
    help="How often the fault is injected; less often than the drill does by itself is a check, not the proof.",
)
def run(name: str, cluster: str, environment: str, *, rate: int, requests: int, times: int | None) -> None:
    """Run drill NAME; writes the report `drill-NAME` and exits 0 only if it passed."""
    with Progress() as progress:
        where = Environment(environment)
        tools = Tools(progress)
        platform, service = running_service(tools, cluster, where)
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
        live = replace(
            surroundings(cluster, where, plan, Stock(), lambda: renew(tools, cluster, (), progress)), requests=requests
        )
        known = catalogue().get(name)
        drill = made = known.build(live)
        if times is not None:
            drill = replace(made, shape=replace(made.shape, times=times))
        progress.step(f"{name}: {known.about} About {minutes(known, made, drill)} minutes.")
        outcome = Runner(SystemClock(), k6.start, FOLDER, progress).run(drill)
    show(outcome.report, reports.write(outcome.report, sections=outcome.sections))


@command.command("restore")
@cluster_option
@environment_option
@click.option("--to", "moment", help="Restore to this moment (RFC 3339, with a zone) instead of one that is picked.")
@click.option(
    "--seconds",
    type=click.IntRange(1, 86_400),
    default=75,
    show_default=True,
    help="Seconds of writing before the instant; fewer than 60 leave the archive's own pace out.",
)
def restore(cluster: str, environment: str, moment: str | None, seconds: int) -> None:
    """Restore Postgres beside the running one and compare; writes `drill-restore`, exits 0 only if it passed.

    Writes through the ingress, picks an instant, restores to it from the store of backups into a fresh database of
    another name, compares every write, and removes the fresh one again.
    """
    chosen = None if moment is None else _moment(moment)
    with Progress() as progress:
        tools, where = Tools(progress), Environment(environment)
        platform, service = running_service(tools, cluster, where)
        with kubectl_for(tools, cluster) as kubectl:
            databases = PostgresDatabases(kubectl, where)
            if chosen is not None:
                report = restore_to(databases, SystemClock(), chosen, progress.step)
            else:
                host = live_host(where, platform["domain"])
                way = Way(
                    base_url=f"https://{host}",
                    host=host,
                    ca=write_ca(platform, FOLDER),
                    address=platform["ingressAddress"],
                    token=service["accessKey"],
                )
                drill = RestoreDrill(databases, lambda: Users(way), SystemClock(), FOLDER, progress.step)
                report = drill.run(seconds)
            if report.verdict is reports.Verdict.PASS:
                databases.passed()
    show(report, reports.write(report))


@command.command("rebuild")
@cluster_option
@environment_option
@click.option(
    "--objects",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="File of objects that the new cluster must find, as for `slipway up`: at least the Secret of the store.",
)
@click.option("--yes", is_flag=True, help="Destroy the cluster with all its data. Nothing is touched without it.")
@click.option(
    "--seconds",
    type=click.IntRange(1, 86_400),
    default=150,
    show_default=True,
    help="Seconds of writing before the loss; fewer than 60 leave the archive's own pace out.",
)
def rebuild(cluster: str, environment: str, objects: Path, *, yes: bool, seconds: int) -> None:
    """Lose a whole cluster and make it anew from its backups; writes `drill-rebuild`, exits 0 only if it passed.

    Writes through the ingress, DESTROYS THE CLUSTER meanwhile, makes another of the same settings that begins with the
    store of backups, and compares every write. The store must be elsewhere and is only read; the new Postgres writes to
    an archive of another name. After an interruption the same command goes on.
    """
    if not yes:
        raise click.UsageError(
            f"cluster {cluster!r} is destroyed by this drill, with everything that is not in the store of its backups; "
            "say --yes if that is meant"
        )
    with only_one(cluster), Progress() as progress:
        tools, given = Tools(progress), first_objects.read(objects)
        estate, lost = ClusterEstate.left(tools, given, FOLDER, cluster) or (
            ClusterEstate(
                tools, intend(tools, cluster, Environment(environment), given, datetime.now(UTC)), given, FOLDER
            ),
            None,
        )
        drill = RebuildDrill(estate, SystemClock(), FOLDER.absolute(), progress.step, estate.remember)
        if lost is None:
            report = drill.run(seconds)
        else:
            progress.step(f"going on with the cluster that was lost at {datetime.fromtimestamp(lost.at, UTC)}")
            report = drill.resume(lost)
        estate.done()
    show(report, reports.write(report))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no moment; say it as 2026-11-21T12:00:00Z", param_hint="--to") from error
    if moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no zone; say it as {text}Z or {text}+01:00", param_hint="--to")
    return moment


def show(report: reports.Report, path: Path) -> NoReturn:
    """Print every bar and where the page is; exit as the verdict says."""
    for bar in report.bars:
        sign = {True: "ok  ", False: "no  ", None: "open"}[bar.holds]
        click.echo(f"{sign} {bar.what}: {bar.measured} (bar: {bar.bar})")
    click.echo(f"{report.verdict.value}; {path.with_suffix('.html')}")
    sys.exit(report.verdict.exit_code)
