"""`slipway node`: single nodes of an embedded cluster."""

import click

from slipway.cli.context import cluster_option
from slipway.cli.progress import Progress
from slipway.node import nodes
from slipway.node.cluster import load
from slipway.node.stock import Stock


@click.group("node")
def command() -> None:
    """Drain, stop, start or remove a node of an embedded cluster."""


@command.command("drain")
@click.argument("name")
@cluster_option
def drain(name: str, cluster: str) -> None:
    """Move the pods of node NAME away one by one, within their disruption budgets."""
    with Progress() as progress:
        nodes.drain(load(cluster), name, Stock(), progress.step)


@command.command("stop")
@click.argument("name")
@cluster_option
def stop(name: str, cluster: str) -> None:
    """Pull the plug of node NAME: nothing on it says goodbye."""
    nodes.stop(load(cluster), name)


@command.command("start")
@click.argument("name")
@cluster_option
def start(name: str, cluster: str) -> None:
    """Switch node NAME on and let it take pods again."""
    with Progress() as progress:
        nodes.start(load(cluster), name, Stock(), progress.step)


@command.command("remove")
@click.argument("name")
@cluster_option
def remove(name: str, cluster: str) -> None:
    """Take the stopped node NAME away for good, with its disk; `start` brings it back empty."""
    nodes.remove(load(cluster), name, Stock())
