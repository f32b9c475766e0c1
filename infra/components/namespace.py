"""Namespaces, each with the strictest level of pod security that its software allows."""

from dataclasses import dataclass
from typing import final

import pulumi
from pulumi_kubernetes.core.v1 import Namespace as KubernetesNamespace

from infra import naming
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.labels import PART_OF, PodSecurity, pod_security


@dataclass(frozen=True)
class NamespaceConfig:
    """A namespace.

    Attributes:
        namespace: Its name.
        security: What its pods may ask for.
    """

    namespace: str
    security: PodSecurity = PodSecurity.RESTRICTED


@final
@dataclass(frozen=True)
class NamespaceResources:
    """What was made."""

    namespace: KubernetesNamespace


class Namespace(Component):
    """A namespace whose pods are held to a security level."""

    def __init__(self, name: str, config: NamespaceConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it. Raises `ValueError` if the name cannot be a namespace's."""
        naming.dns_label("the namespace", config.namespace)
        super().__init__("Namespace", name, opts)
        self.resources = self._create(config)
        #: Its name, known only once it is there: what is put into it waits for it.
        self.name: pulumi.Output[str] = self.resources.namespace.metadata["name"]
        self.register_outputs({"namespace": self.name})

    def _create(self, config: NamespaceConfig) -> NamespaceResources:
        labels = {"app.kubernetes.io/part-of": PART_OF, **pod_security(config.security)}
        return NamespaceResources(
            KubernetesNamespace(config.namespace, metadata=metadata(config.namespace, labels), opts=self.child())
        )
