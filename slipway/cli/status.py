"""`slipway status`: every part, ready or not."""

import json
import sys

import click
from rich.table import Table

from slipway import node
from slipway.cli.components import Component, components
from slipway.cli.context import Tools, cluster_option
from slipway.cli.kube import kubectl_for
from slipway.cli.progress import Progress
from slipway.cli.screen import console


@click.command("status")
@cluster_option
@click.option("--json", "as_json", is_flag=True, help='Print {"components": [{name, ready, version, address}]}.')
def command(cluster: str, as_json: bool) -> None:
    """Show every part of a cluster; exits 0 if all are ready, 1 if not, 4 if the cluster does not answer."""
    with Progress() as progress:
        found = gather(Tools(progress), cluster)
    if as_json:
        click.echo(json.dumps({"components": [it.to_dict() for it in found]}, indent=2))
    else:
        console().print(table(found))
    sys.exit(0 if all(it.ready for it in found) else 1)


class UnreachableError(click.ClickException):
    """The cluster is known but does not answer."""

    exit_code = 4


def gather(tools: Tools, cluster: str) -> list[Component]:
    """Ask the cluster for its parts.

    Raises:
        click.ClickException: there is no such cluster, or it does not answer.
    """
    with kubectl_for(tools, cluster) as kubectl:
        try:
            kinds = "nodes,deployments.apps,statefulsets.apps,daemonsets.apps,services"
            objects = kubectl.get(kinds, "--all-namespaces", "--request-timeout=10s")
            if kubectl.get("crds", "--ignore-not-found", "--field-selector=metadata.name=clusters.postgresql.cnpg.io"):
                objects += kubectl.get("clusters.postgresql.cnpg.io", "--all-namespaces", "--request-timeout=10s")
        except node.NodeError as error:
            raise UnreachableError(f"cluster {cluster!r} does not answer: {error}") from None
    return components(objects)


def table(found: list[Component]) -> Table:
    """The parts for people."""
    result = Table(box=None, header_style="bold")
    for column in ("part", "ready", "version", "address"):
        result.add_column(column)
    for it in found:
        result.add_row(
            it.name, f"[green]{it.detail}[/green]" if it.ready else f"[red]{it.detail}[/red]", it.version, it.address
        )
    return result
