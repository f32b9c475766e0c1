"""`slipway loadtest`: k6 through the ingress, with a verdict."""

import datetime as dt
import os
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from infra.naming import Environment
from loadtests import gates, k6, page, written
from loadtests.capacity import HEADROOM, advise, knee, levels
from loadtests.plan import SCENARIOS, LoadPlan
from loadtests.workloads import WORKLOADS
from slipway import reports
from slipway.cli.context import Tools, cluster_option, environment_option
from slipway.cli.progress import Progress
from slipway.cli.screen import tell_missed
from slipway.cli.smoke import plan_for, running_service, write_ca
from slipway.reports.model import plain

FOLDER = Path("build/loadtests")
CA_VARIABLE = "SLIPWAY_LOAD_CA"
TOKEN_VARIABLE = "SLIPWAY_TOKEN"  # noqa: S105 -- the name of a variable
RUN_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


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
@click.option(
    "--remote-write",
    metavar="URL",
    help="Send k6's figures there as they come, by Prometheus' remote write: http://HOST:9090/api/v1/write.",
)
def run(
    *,
    scenario: str,
    cluster: str,
    environment: str,
    workload: str,
    rate: int | None,
    seconds: int | None,
    path: str,
    remote_write: str | None,
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
        plan = replace(plan, path=path, remote_write=remote_write)
        result = k6.run(plan, on_progress=lambda it: progress.detail(_so_far(it)))
    written = reports.write(page.report(plan, result), sections=page.sections(result))
    click.echo(
        f"{result.exit_class.value}: {result.requests} requests, {result.failed} failed; {written.with_suffix('.html')}"
    )
    for reason in result.reasons:
        click.echo(f"  {reason}", err=True)
    sys.exit(result.exit_class.exit_code)


@command.command("gate")
@click.argument("scenario", type=click.Choice(SCENARIOS))
@click.option("--url", required=True, help="https://HOST of the service, as users reach it.")
@click.option("--address", help="IP[:PORT] to connect to, where no name server knows the host.")
@click.option("--rate", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Requests per second.")
@click.option("--seconds", type=click.IntRange(1, 86_400), default=120, show_default=True, help="How long.")
@click.option("--path", default="/", show_default=True, help="What scenario `page` reads.")
@click.option(
    "--baseline", type=click.Path(path_type=Path), help="The last good run; a folder that is not there: none."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the run that the next one is compared with.")
def gate(
    *,
    scenario: str,
    url: str,
    address: str | None,
    rate: int,
    seconds: int,
    path: str,
    baseline: Path | None,
    keep: Path | None,
) -> None:
    """Load a service by its address, with no rights on its cluster, and compare with the last good run.

    Exits 1 if a request failed or was missing, or if the run is surely worse than the last good one; 3 if k6 could not
    measure. $SLIPWAY_TOKEN is the bearer; $SLIPWAY_LOAD_CA holds the authority (PEM), if it is not a public one.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    text, ca = os.environ.get(CA_VARIABLE), None
    if text:
        ca = FOLDER / "gate-ca.pem"
        ca.write_text(text, encoding="utf-8")
    token = os.environ.get(TOKEN_VARIABLE)
    plan = LoadPlan(
        scenario=scenario,
        base_url=url,
        address=address,
        rate=rate,
        duration=seconds,
        path=path,
        ca=ca,
        workdir=FOLDER,
        secrets={TOKEN_VARIABLE: token} if token else {},
    ).guarded()
    with Progress() as progress:
        progress.step(f"{scenario}: {rate}/s, {seconds} s")
        result = k6.run(plan, on_progress=lambda it: progress.detail(_so_far(it)))
    reports.write(page.report(plan, result), sections=page.sections(result))
    passed = gates.judge(result, baseline)
    if passed.comparison is not None:
        from loadtests import compare_page  # noqa: PLC0415 - it draws, which takes a second to load

        before, after = passed.comparison
        made = compare_page.report(before, after, started=result.started, seconds=0.0)
        reports.write(made, sections=compare_page.sections(before, after))
    for line in passed.reasons:
        click.echo(f"  {line}", err=True)
    if keep is not None and (kept := gates.keep(passed, result.folder, baseline, keep)):
        click.echo(f"{kept} is what the next run is compared with")
    click.echo(f"{passed.exit_class.value}: {result.requests} requests, {result.failed} failed")
    sys.exit(passed.exit_class.exit_code)


@command.command("compare")
@click.argument("first", metavar="A", type=RUN_FOLDER)
@click.argument("second", metavar="B", type=RUN_FOLDER)
def compare(first: Path, second: Path) -> None:
    """Compare the runs in the folders A and B; exits 0 if B is no worse, 1 if it is, 3 if that cannot be told."""
    from loadtests import compare_page  # noqa: PLC0415 - it draws, which takes a second to load

    started = dt.datetime.now(dt.UTC)
    before, after = written.read(first), written.read(second)
    made = compare_page.report(before, after, started=started, seconds=0.0)
    path = reports.write(made, sections=compare_page.sections(before, after))
    shown = Table(*compare_page.COLUMNS)
    for name, a, b, ratio in compare_page.table(before, after):
        shown.add_row(name, plain(a), plain(b), ratio)
    Console().print(shown)
    tell_missed(made)
    click.echo(f"{made.verdict.value}: {path.with_suffix('.html')}")
    sys.exit(made.verdict.exit_code)


@command.command("capacity")
@click.argument("folder", metavar="RUN", type=RUN_FOLDER)
@click.option("--pods", type=click.IntRange(1), required=True, help="Pods that bore the load.")
@click.option("--cores", type=click.FloatRange(0, min_open=True), required=True, help="CPU limit of each pod.")
@click.option(
    "--usual", type=click.FloatRange(0, min_open=True), help="Requests/s of a usual day; else half of what was borne."
)
@click.option(
    "--peak", type=click.FloatRange(0, min_open=True), help="Most requests/s ever expected; else twice the usual."
)
@click.option(
    "--headroom", type=click.FloatRange(1), default=HEADROOM, show_default=True, help="Growth until new pods serve."
)
def capacity(
    *, folder: Path, pods: int, cores: float, usual: float | None, peak: float | None, headroom: float
) -> None:
    """Tell what pods and cores bear, from the run in folder RUN whose rate went up (`--workload breakpoint|stairs`).

    Exits 0 if a knee was found, 1 if requests failed below it, 3 if the rate did not go high enough.
    """
    from loadtests import capacity_page  # noqa: PLC0415 - it draws, which takes a second to load

    started = dt.datetime.now(dt.UTC)
    run = written.read(folder)
    at = knee(levels(run.timeline))
    advice = None
    if at is not None:
        usual = usual or at.good / 2
        advice = advise(at.good, pods=pods, usual=usual, peak=peak or 2 * usual, headroom=headroom)
    made = capacity_page.report(run, advice, pods=pods, cores=cores, started=started, seconds=0.0)
    path = reports.write(made, sections=capacity_page.sections(run))
    for name, value in made.figures.items():
        click.echo(f"{name}: {plain(value)}")
    click.echo(f"{made.verdict.value}: {path.with_suffix('.html')}")
    sys.exit(made.verdict.exit_code)


def _so_far(it: k6.Progress) -> str:
    return f"{it.elapsed:.0f} of about {it.planned:.0f} s: {it.totals.requests} requests, {it.totals.failed} failed"
