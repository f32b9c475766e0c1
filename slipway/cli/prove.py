"""`slipway prove`: every way in which a rollout can go, under load, with things killed meanwhile."""

import sys
from pathlib import Path

import click
from rich.table import Table

from infra.naming import Environment
from loadtests import k6
from slipway import reports
from slipway.cli import unprotected
from slipway.cli.context import Tools, cluster_option, environment_option
from slipway.cli.live import on_node, run_kubectl, service_labels, stable_colour
from slipway.cli.progress import Progress
from slipway.cli.screen import console
from slipway.cli.smoke import plan_for, running_service, write_ca
from slipway.cli.stage import LiveStage
from slipway.cli.twin import push
from slipway.cli.victims import victims, whole
from slipway.node.cluster import load
from slipway.node.stock import Stock
from slipway.proof.clock import SystemClock
from slipway.proof.faults import Fault, drained
from slipway.proof.kube import Kubectl
from slipway.proof.prove.journal import Journal
from slipway.proof.prove.runner import Proof
from slipway.proof.prove.scenarios import SCENARIOS, Form, chosen
from slipway.proof.prove.stage import Setting
from slipway.proof.surroundings import Place, busiest_node

FOLDER = Path("build/prove")


@click.command("prove")
@cluster_option
@environment_option
@click.option(
    "--form",
    type=click.Choice([form.name.lower() for form in Form]),
    default=Form.USUAL.name.lower(),
    show_default=True,
    help="How much: about 10 minutes, an hour, or a night with 100,000 requests a scenario.",
)
@click.option("--only", "only", multiple=True, metavar="SCENARIO", help="This one only; may be given again.")
@click.option("--rate", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Requests per second.")
@click.option("--anew", is_flag=True, help="Forget what was proven before, instead of going on from there.")
@click.option("--list", "listed", is_flag=True, help="Show the scenarios, and end.")
def command(
    *, cluster: str, environment: str, form: str, only: tuple[str, ...], rate: int, anew: bool, listed: bool
) -> None:
    """Prove that rollouts lose no request, whatever is killed meanwhile.

    What was proven on the same cluster in the last day is not played again: an interrupted proof goes on where it was.
    """
    if listed:
        _list()
        return
    size = Form[form.upper()]
    try:
        scenarios = chosen(size, only)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    where = Environment(environment)
    journal = Journal(FOLDER / cluster / environment)
    if anew:
        journal.forget()
    with Progress() as progress:
        platform, service = running_service(Tools(progress), cluster, where)
        spec, stock = load(cluster), Stock()

        def kubectl(*words: str) -> str:
            return run_kubectl(spec, stock, *words)

        kubeconfig = spec.home / "admin.kubeconfig"
        kube = Kubectl(stock.binary("kubectl"), kubeconfig)
        image = str(service["image"])
        plan = plan_for(platform, service, where, scenario="crud", rate=rate, seconds=1,
                        ca=write_ca(platform, FOLDER), workdir=FOLDER / "runs")  # fmt: skip

        def serving() -> str:
            return stable_colour(kubectl, where.value)

        def drain() -> Fault:
            return drained(kube, busiest_node(kube, Place(where.value, service_labels(serving()), "service")))

        with LiveStage(kubectl, kubeconfig, where, (image, push(spec, image))) as stage:
            setting = Setting(
                stage=stage,
                clock=SystemClock(),
                victims=victims(kubectl, kube, on_node(spec), spec, where.value),
                drain=drain,
                without_protection=lambda: unprotected.service(kubectl, where.value, serving()),
                whole=lambda: whole(kube),
            )
            proof = Proof(
                setting=setting,
                plan=plan,
                begin=k6.start,
                journal=journal,
                subject=f"{cluster}/{environment} at {rate}/s",
                form=size,
                folder=reports.FOLDER,
                account=progress,
            )
            report = proof.run(scenarios)
    _show(report)
    click.echo(f"{report.verdict.value}; {reports.FOLDER / 'prove.html'}")
    sys.exit(report.verdict.exit_code)


def _show(report: reports.Report) -> None:
    table = Table(box=None, header_style="bold")
    for column in ("", "scenario", "found"):
        table.add_column(column, overflow="fold")
    signs = {True: "[green]ok[/]", False: "[red]no[/]", None: "-"}
    for bar in report.bars:
        table.add_row(signs[bar.holds], bar.what, str(bar.measured))
    console().print(table)


def _list() -> None:
    table = Table(box=None, header_style="bold")
    for column in ("scenario", "smallest form", "what happens"):
        table.add_column(column)
    for scenario in SCENARIOS.values():
        table.add_row(scenario.name, scenario.form.name.lower(), scenario.about)
    console().print(table)
