"""`slipway loadtest`: k6 through the ingress, with a verdict."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from infra.naming import Environment
from loadtests import k6, page
from loadtests.plan import SCENARIOS
from loadtests.workloads import WORKLOADS
from slipway import reports
from slipway.cli.context import Tools, cluster_option, environment_option
from slipway.cli.progress import Progress
from slipway.cli.smoke import plan_for, running_service, write_ca

FOLDER = Path("build/loadtests")


@click.group("loadtest")
def command() -> None:
    """Send load through the ingress and judge it."""


@command.command("run")
@click.argument("scenario", type=click.Choice(SCENARIOS))
@cluster_option
@environment_option
@click.option(
    "--workload",
    type=click.Choice(tuple(WORKLOADS)),
    default="constant",
    show_default=True,
    help="How the load goes over time.",
)
@click.option("--rate", type=click.IntRange(1, 100_000), help="Highest requests per second; else the workload's.")
@click.option("--seconds", type=click.IntRange(1, 86_400), help="How long; else the workload's.")
@click.option("--path", default="/", show_default=True, help="What scenario `page` reads.")
def run(
    *, scenario: str, cluster: str, environment: str, workload: str, rate: int | None, seconds: int | None, path: str
) -> None:
    """Run SCENARIO under a workload against the live host; exits 0 on pass, 1 on fail, 3 if inconclusive."""
    shape = WORKLOADS[workload]
    rate, seconds = rate or shape.rate, seconds or shape.seconds
    with Progress() as progress:
        platform, service = running_service(Tools(progress), cluster, Environment(environment))
        progress.step(f"{scenario}: {workload}, {rate}/s, {seconds} s")
        plan = plan_for(
            platform,
            service,
            Environment(environment),
            scenario=scenario,
            workload=workload,
            rate=rate,
            seconds=seconds,
            ca=write_ca(platform, FOLDER),
            workdir=FOLDER,
        )
        plan = replace(plan, path=path)
        result = k6.run(plan, on_progress=lambda it: progress.detail(_so_far(it)))
    written = reports.write(page.report(plan, result), sections=page.sections(result))
    click.echo(
        f"{result.exit_class.value}: {result.requests} requests, {result.failed} failed; {written.with_suffix('.html')}"
    )
    for reason in result.reasons:
        click.echo(f"  {reason}", err=True)
    sys.exit(result.exit_class.exit_code)


def _so_far(it: k6.Progress) -> str:
    return f"{it.elapsed:.0f} of about {it.planned:.0f} s: {it.totals.requests} requests, {it.totals.failed} failed"
