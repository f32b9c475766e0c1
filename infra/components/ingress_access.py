"""What haproxy-ingress may do in the cluster.

It reads Ingresses, Services, endpoints and the Secrets with certificates in all namespaces, and writes the status of
Ingresses; everything else only in its own namespace. The Gateway API is not watched, so it gets no rights there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgsDict,
    Role,
    RoleBinding,
    SubjectArgsDict,
)

from infra.components.base import Component
from infra.components.metadata import metadata

_READ = ["get", "list", "watch"]


@dataclass(frozen=True)
class IngressAccessConfig:
    """Whose rights.

    Attributes:
        namespace: Namespace of the pods.
        account: Name of their service account, and of everything made here.
        labels: Labels of everything made here.
    """

    namespace: str
    account: str
    labels: Mapping[str, str]


@final
@dataclass(frozen=True)
class IngressAccessResources:
    """What was made."""

    account: ServiceAccount
    cluster_role: ClusterRole
    cluster_binding: ClusterRoleBinding
    role: Role
    binding: RoleBinding


class IngressAccess(Component):
    """The service account of the ingress controller with its rights."""

    def __init__(self, name: str, config: IngressAccessConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("IngressAccess", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: IngressAccessConfig) -> IngressAccessResources:
        wide = metadata(config.account, config.labels)
        named = metadata(config.account, config.labels, namespace=config.namespace)
        subject: SubjectArgsDict = {
            "kind": "ServiceAccount",
            "name": config.account,
            "namespace": config.namespace,
        }
        group = "rbac.authorization.k8s.io"
        return IngressAccessResources(
            account=ServiceAccount("account", metadata=named, opts=self.child()),
            cluster_role=ClusterRole("cluster", metadata=wide, rules=cluster_rules(), opts=self.child()),
            cluster_binding=ClusterRoleBinding(
                "cluster",
                metadata=wide,
                role_ref={"api_group": group, "kind": "ClusterRole", "name": config.account},
                subjects=[subject],
                opts=self.child(),
            ),
            role=Role("own", metadata=named, rules=own_rules(), opts=self.child()),
            binding=RoleBinding(
                "own",
                metadata=named,
                role_ref={"api_group": group, "kind": "Role", "name": config.account},
                subjects=[subject],
                opts=self.child(),
            ),
        )


def cluster_rules() -> list[PolicyRuleArgsDict]:
    """Rights in all namespaces."""
    return [
        {"api_groups": [""], "resources": ["configmaps", "nodes", "pods", "secrets", "services"], "verbs": _READ},
        {"api_groups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
        {"api_groups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": _READ},
        {"api_groups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update", "patch"]},
        {"api_groups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ]


def own_rules() -> list[PolicyRuleArgsDict]:
    """Rights in its own namespace: the lease by which one of the pods becomes the leader that writes statuses."""
    return [
        {
            "api_groups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "create", "update"],
        },
    ]
