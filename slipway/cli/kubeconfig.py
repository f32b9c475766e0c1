"""`slipway kubeconfig`: how kubectl and others reach a cluster."""

import click

from infra.naming import Project
from slipway.cli.context import Tools, cluster_option
from slipway.cli.progress import Progress


@click.command("kubeconfig")
@cluster_option
def command(cluster: str) -> None:
    """Print the administrator's kubeconfig: a secret, so write it to a file of your own (umask 077)."""
    with Progress() as progress:
        outputs = Tools(progress).engine.outputs(Project.CLUSTER, cluster)
    if "kubeconfig" not in outputs:
        raise click.ClickException(f"there is no cluster {cluster!r}; `slipway up --cluster {cluster}` makes it")
    click.echo(outputs["kubeconfig"], nl=False)
