"""`slipway down`: the cluster first, then the state of what was on it; elsewhere, one object after the other."""

import click

from infra.clusters import kind
from infra.clusters.eks import needs
from infra.clusters.existing import IDENTIFIER_PREFIX
from infra.engine import Engine
from infra.naming import Project
from slipway import node
from slipway.cli.context import Tools, cluster_option
from slipway.cli.progress import Progress
from slipway.node import residue


@click.command("down")
@cluster_option
@click.option("--forget", is_flag=True, help="Also where the cluster is another's: it is gone, only drop the state.")
@click.option("--keep-settings", is_flag=True, help="Leave what its stacks have set for the next `slipway up`.")
def command(cluster: str, *, forget: bool, keep_settings: bool) -> None:
    """Remove a cluster and everything it made.

    It asks nothing of the cluster, which may be dead: processes, mounts, namespaces and control groups are found on
    this machine. The other stacks' state is dropped, as their objects went with the cluster. A cluster of the target
    `existing` stays: there services and platform are taken off, one object after the other. At AWS (`eks`) the cluster
    and its network follow them: what the platform made there (load balancer, volumes) would outlive a cluster that went
    first.
    """
    with Progress() as progress:
        take_down(Tools(progress), cluster, forget=forget, keep_settings=keep_settings)
    click.echo(f"cluster {cluster} is gone")


def take_down(tools: Tools, cluster: str, *, forget: bool = False, keep_settings: bool = False) -> None:
    """Remove a cluster and everything it made; harmless if nothing is left of it.

    Args:
        tools: The engine, and whoever is told.
        cluster: Its name.
        forget: Ask nothing of a cluster of others, only drop the state.
        keep_settings: Leave what its stacks have set.
    """
    progress = tools.progress
    aws = not forget and by_aws(tools.engine, cluster)
    if aws:
        needs.check(tools.place)
    if aws or (not forget and of_others(tools.engine, cluster)):
        tools.kubernetes_plugin()
        for project, stack in list(tools.engine.stacks_of(cluster)):
            progress.step(f"taking {project.value} {stack} off the cluster")
            tools.engine.destroy(project, stack, progress.engine_event)
            tools.engine.forget(project, stack, keep_settings=keep_settings)
    if by_kind(tools.engine, cluster):
        progress.step(f"removing cluster {cluster} of kind")
        kind.delete(cluster)
    if residue.find(cluster):
        progress.step(f"removing cluster {cluster}")
        node.destroy(cluster, progress.step)
    for project, stack in list(tools.engine.stacks_of(cluster)):
        progress.step(f"dropping the state of {project.value} {stack}")
        tools.engine.forget(project, stack, keep_settings=keep_settings)


def by_kind(engine: Engine, cluster: str) -> bool:
    """Whether kind has made it."""
    return str(engine.outputs(Project.CLUSTER, cluster).get("identifier", "")).startswith(kind.IDENTIFIER_PREFIX)


def by_aws(engine: Engine, cluster: str) -> bool:
    """Whether anything of it is at AWS, where it costs money; seen in the state, since an `up` may have failed."""
    return any(it.startswith("aws:") for it in engine.types(Project.CLUSTER, cluster))


def of_others(engine: Engine, cluster: str) -> bool:
    """Whether the cluster was there before; what is not known to be so is not."""
    return str(engine.outputs(Project.CLUSTER, cluster).get("identifier", "")).startswith(IDENTIFIER_PREFIX)
