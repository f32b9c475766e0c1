"""`slipway down`: the cluster first, then the state of what was on it."""

import click

from slipway import node
from slipway.cli.context import Tools, cluster_option
from slipway.cli.progress import Progress
from slipway.node import residue


@click.command("down")
@cluster_option
def command(cluster: str) -> None:
    """Remove a cluster and everything it made.

    It asks nothing of the cluster, which may be dead: processes, mounts, namespaces and control groups are found on
    this machine. The other stacks' state is dropped, as their objects went with the cluster.
    """
    with Progress() as progress:
        tools = Tools(progress)
        if residue.find(cluster):
            progress.step(f"removing cluster {cluster}")
            node.destroy(cluster, progress.step)
        for project, stack in list(tools.engine.stacks_of(cluster)):
            progress.step(f"dropping the state of {project.value} {stack}")
            tools.engine.forget(project, stack)
    click.echo(f"cluster {cluster} is gone")
