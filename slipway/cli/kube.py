"""kubectl for a cluster by its name, whatever its target."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from infra.naming import Project
from slipway.cli.context import Tools
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
