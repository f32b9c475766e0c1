"""`slipway footprint`: what a profile requests, and what a cluster uses."""

import json

import click
from rich.table import Table

from infra import footprint, releases
from infra.footprint.count import Total
from infra.footprint.live import Measured, measured
from infra.footprint.report import NODES, cores, gibibytes
from infra.profiles import ProfileName
from infra.settings import PlatformSettings, ServiceSettings, Target
from slipway.cli.context import Tools, cluster_option
from slipway.cli.kube import kubectl_for
from slipway.cli.progress import Progress
from slipway.cli.screen import console

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
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="CPU in cores, memory and disk in bytes.")
def command(*, profile: str, target: str, nodes: int, live: bool, cluster: str, as_json: bool) -> None:
    """Tell CPU, memory and disk per part: requested by a profile, or used by a running cluster."""
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
