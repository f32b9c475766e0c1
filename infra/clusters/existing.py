"""The `existing` target: a cluster that is there already, described by a kubeconfig. Nothing is made or destroyed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import pulumi
import yaml

from infra.handover import Capabilities, Cluster

#: How identifiers of clusters begin that were there before.
IDENTIFIER_PREFIX: Final = "existing/"
_IDENTIFIER_LENGTH = 16


class KubeconfigError(pulumi.RunError):
    """A kubeconfig cannot be used."""


@final
@dataclass(frozen=True)
class ExistingConfig:
    """Which cluster.

    Attributes:
        kubeconfig_file: Where its kubeconfig is.
        context: Context in it; its current context if `None`.
        capabilities: What the cluster can do.
        ask_storage: Tells the storage class by kubeconfig and context; `None` if the capabilities name one.
    """

    kubeconfig_file: Path
    context: str | None
    capabilities: Capabilities
    ask_storage: Callable[[dict[str, object], str], str] | None = None


@final
@dataclass(frozen=True)
class _Entry:
    """The part of a kubeconfig that says which cluster it is."""

    context: str
    server: str
    authority: str


def existing(config: ExistingConfig) -> Cluster:
    """The hand-over of a cluster that is there.

    Raises:
        KubeconfigError: The file cannot be read, is no kubeconfig, or lacks the context.
        ProbeError: The cluster was asked for something and cannot tell.
    """
    try:
        text = config.kubeconfig_file.read_text(encoding="utf-8")
    except OSError as error:
        raise KubeconfigError(
            f"slipway-cluster:existing.kubeconfigFile is {str(config.kubeconfig_file)!r}, which cannot be read: "
            f"{error.strerror}"
        ) from error
    entry = find(text, config.context)
    capabilities = config.capabilities
    if config.ask_storage is not None:
        capabilities = replace(capabilities, storage_class=config.ask_storage(yaml.safe_load(text), entry.context))
    return Cluster(pulumi.Output.secret(text), entry.context, identifier(entry), capabilities)


def find(text: str, context: str | None) -> _Entry:
    """The cluster behind a context of a kubeconfig.

    Args:
        text: The kubeconfig.
        context: The context; the current one if `None`.

    Raises:
        KubeconfigError: It is no kubeconfig, or lacks the context.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"the kubeconfig is not valid YAML: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != "Config":
        raise KubeconfigError("the file of slipway-cluster:existing.kubeconfigFile is no kubeconfig (kind: Config)")
    contexts = _by_name(document, "contexts", "context")
    wanted = context or document.get("current-context")
    if wanted not in contexts:
        raise KubeconfigError(
            f"slipway-cluster:existing.context is {wanted!r}; the kubeconfig has {', '.join(contexts) or 'none'}"
        )
    cluster_name = contexts[wanted].get("cluster")
    clusters = _by_name(document, "clusters", "cluster")
    if cluster_name not in clusters:
        raise KubeconfigError(f"the context {wanted!r} names the cluster {cluster_name!r}, which the kubeconfig lacks")
    found = clusters[cluster_name]
    authority = found.get("certificate-authority-data") or found.get("certificate-authority") or ""
    return _Entry(str(wanted), str(found["server"]), str(authority))


def identifier(entry: _Entry) -> str:
    """What stays the same when credentials are renewed: a hash of address and certificate authority."""
    digest = hashlib.sha256(f"{entry.server}\n{entry.authority}".encode()).hexdigest()
    return f"{IDENTIFIER_PREFIX}{digest[:_IDENTIFIER_LENGTH]}"


def _by_name(document: Mapping[str, Any], group: str, key: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry.get(key) or {} for entry in document.get(group) or ()}
