"""`slipway footprint`: what a profile requests, and what a cluster uses."""

import json
import sys
import time
from datetime import UTC, datetime

import click
from rich.table import Table

from dashboards.live import PrometheusError
from infra import footprint, releases
from infra.footprint.count import Total
from infra.footprint.live import Measured, measured
from infra.footprint.report import NODES, cores, gibibytes
from infra.profiles import ProfileName
from infra.settings import PlatformSettings, ServiceSettings, Target
from slipway import node, reports
from slipway.cli import idle
from slipway.cli.context import Tools, cluster_option
from slipway.cli.kube import kubectl_for, reached
from slipway.cli.measuring import prometheus_of
from slipway.cli.progress import Progress
from slipway.cli.screen import console
from slipway.node import usage
from slipway.node.cluster import load

_HOLDS = {True: "holds", False: "FAILS", None: "open "}
_FIGURES = "/apis/metrics.k8s.io/v1beta1/pods"


@click.command("footprint")
@click.option(
    "--profile",
    type=click.Choice([it.value for it in ProfileName]),
    default=ProfileName.SMALL.value,
    show_default=True,
    help="Which profile to count.",
)
@click.option(
    "--target",
    type=click.Choice([it.value for it in Target]),
    default=Target.EMBEDDED.value,
    show_default=True,
    help="`existing` counts a cluster that has a load balancer and no registry.",
)
@click.option(
    "--nodes", type=click.IntRange(1, 1000), default=NODES, show_default=True, help="Nodes; some parts run on each."
)
@click.option("--live", is_flag=True, help="Ask a running cluster what its pods use instead; --profile is not read.")
@click.option(
    "--minutes",
    type=click.IntRange(1, 1440),
    help="With --live: wait so long, and write the report `idle`: what was used, and what fired. Nothing else may run.",
)
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="CPU in cores, memory and disk in bytes.")
def command(
    *, profile: str, target: str, nodes: int, live: bool, minutes: int | None, cluster: str, as_json: bool
) -> None:
    """Tell CPU, memory and disk per part: requested by a profile, or used by a running cluster."""
    if minutes is not None:
        if not live:
            raise click.UsageError("--minutes measures a running cluster; say --live too")
        measured_idle(cluster, minutes)
    if live:
        with Progress() as progress:
            found = gather(Tools(progress), cluster)
        if as_json:
            click.echo(json.dumps({it.namespace: it.to_dict() for it in found}, indent=2))
        else:
            console().print(live_table(found))
        return
    counted = footprint.footprint(
        PlatformSettings(profile=ProfileName(profile)),
        ServiceSettings(),
        releases.read,
        nodes=nodes,
        own_cluster=target == Target.EMBEDDED.value,
    )
    if as_json:
        click.echo(json.dumps(counted.to_dict(), indent=2))
    else:
        console().print(table(counted))


def gather(tools: Tools, cluster: str) -> list[Measured]:
    """Ask metrics-server.

    Raises:
        click.ClickException: there is no such cluster.
        NodeError: it does not answer, or measures nothing.
    """
    with kubectl_for(tools, cluster) as kubectl:
        pods = kubectl.get("pods", "--all-namespaces", "--request-timeout=10s")
        figures = json.loads(kubectl("get", f"--raw={_FIGURES}", "--request-timeout=10s"))["items"]
    return measured(pods, figures)


def measured_idle(cluster: str, minutes: int) -> None:
    """Watch a cluster for some minutes, write the report `idle`, and exit as it says.

    Raises:
        click.ClickException: there is no such cluster, or its Prometheus does not answer.
        NodeError: it does not answer.
    """
    started, begin = datetime.now(UTC), time.monotonic()
    with reached(cluster) as kubectl:
        spec = load(cluster) if node.exists(cluster) else None
        before, since = (usage.processes(spec) if spec else {}), time.monotonic()
        click.echo(f"watches the cluster {cluster!r} for {minutes} minutes; leave it alone")
        time.sleep(60 * minutes)
        programs = None
        if spec:
            after = usage.processes(spec)
            used = usage.between(before, after) / (time.monotonic() - since)
            programs = idle.Programs(used, sum(it.memory for it in after.values()))
        pods = kubectl.get("pods", "--all-namespaces", "--request-timeout=10s")
        try:
            seen = idle.look(prometheus_of(kubectl), pods, time.time(), minutes)
        except PrometheusError as error:
            raise click.ClickException(str(error)) from error
    made = idle.report(seen, programs, started, time.monotonic() - begin)
    path = reports.write(made)
    for bar in made.bars:
        click.echo(f"{_HOLDS[bar.holds]}  {bar.what}: {bar.measured} ({bar.bar})")
    click.echo(f"{made.verdict}; {path.with_suffix('.html')}")
    sys.exit(made.verdict.exit_code)


def table(counted: footprint.Footprint) -> Table:
    """What is requested, for people."""
    result = _columns("part", "pods", "CPU, cores", "memory, GiB", "disk, GiB")
    for name, (pods, total) in counted.parts().items():
        result.add_row(name, str(pods), cores(total.cpu), gibibytes(total.memory), gibibytes(total.disk))
    total = counted.total
    result.add_section()
    result.add_row(
        "total",
        str(sum(it.pods for it in counted.usages)),
        cores(total.cpu),
        gibibytes(total.memory),
        gibibytes(total.disk),
    )
    return result


def live_table(found: list[Measured]) -> Table:
    """What is used, for people."""
    result = _columns("namespace", "pods", "no figures", "CPU requested", "used", "memory requested, GiB", "used, GiB")
    requested = sum((it.requested for it in found), Total())
    used = sum((it.used for it in found), Total())
    for it in found:
        result.add_row(it.namespace, str(it.pods), str(it.unmeasured), *_both(it.requested, it.used))
    result.add_section()
    pods, unmeasured = sum(it.pods for it in found), sum(it.unmeasured for it in found)
    result.add_row("total", str(pods), str(unmeasured), *_both(requested, used))
    return result


def _both(requested: Total, used: Total) -> tuple[str, ...]:
    return cores(requested.cpu), cores(used.cpu), gibibytes(requested.memory), gibibytes(used.memory)


def _columns(first: str, *others: str) -> Table:
    result = Table(box=None, header_style="bold")
    result.add_column(first)
    for column in others:
        result.add_column(column, justify="right")
    return result
