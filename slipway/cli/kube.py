"""kubectl for a cluster by its name, whatever its target."""

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from infra.naming import Project
from slipway.cli.context import Tools
from slipway.cli.progress import Progress
from slipway.node.kube import Kubectl


@contextmanager
def kubectl_for(tools: Tools, cluster: str) -> Generator[Kubectl]:
    """Kubectl as the administrator; the credentials lie in a private file for as long as it is used.

    Raises:
        click.ClickException: there is no such cluster.
    """
    outputs = tools.engine.outputs(Project.CLUSTER, cluster)
    if "kubeconfig" not in outputs:
        raise click.ClickException(f"there is no cluster {cluster!r}; `slipway up --cluster {cluster}` makes it")
    binary = tools.toolchain.ensure(["kubectl"])["kubectl"]
    descriptor, name = tempfile.mkstemp(prefix="slipway-", suffix=".kubeconfig")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(outputs["kubeconfig"])
        yield Kubectl(binary, Path(name))
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def reached(cluster: str) -> Generator[Kubectl]:
    """The same for a command that fills the screen by itself: progress is told until kubectl is there, and no longer.

    Raises:
        click.ClickException: there is no such cluster.
    """
    with ExitStack() as stack:
        with Progress() as progress:
            kubectl = stack.enter_context(kubectl_for(Tools(progress), cluster))
        yield kubectl


def namespaces(kubectl: Kubectl) -> frozenset[str]:
    """The namespaces that a cluster has; they tell which parts are on it.

    Raises:
        NodeError: it does not answer.
    """
    return frozenset(it["metadata"]["name"] for it in kubectl.get("namespaces"))
