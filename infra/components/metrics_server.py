"""metrics-server: what `kubectl top` shows and autoscalers read.

Both of its ends are checked: kubelets by the cluster's authority (their serving certificates are signed by it), and it
itself by the certificate that the API server is told to expect. Upstream's manifest leaves the second out.
"""

import base64
from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.apiregistration.v1 import APIService
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ContainerArgsDict, Secret, Service, ServiceAccount
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgsDict,
    RoleBinding,
    SubjectArgsDict,
)

from infra import versions
from infra.components import pods
from infra.components.base import Component
from infra.components.certificates import Authority, GeneratedCertificate
from infra.components.metadata import metadata
from infra.labels import NEEDS_API, labels, selector
from infra.naming import Namespace, Priority
from infra.profiles import Profile

NAME: Final = "metrics-server"
USER: Final = 65532
_PORT: Final = 10250
_TLS: Final = "/run/secrets/tls"
_CLUSTER_CA: Final = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
_GROUP: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class MetricsServerConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `metrics-server`.
        profile: Sizes.
        authority: Who signs its certificate.
        node_loss: Seconds that it stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    authority: Authority
    node_loss: int


@final
@dataclass(frozen=True)
class MetricsServerResources:
    """What was made."""

    account: ServiceAccount
    roles: tuple[ClusterRole, ...]
    bindings: tuple[ClusterRoleBinding | RoleBinding, ...]
    certificate: Secret
    deployment: Deployment
    service: Service
    api: APIService


class MetricsServer(Component):
    """The metrics API of the cluster."""

    def __init__(self, name: str, config: MetricsServerConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("MetricsServer", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: MetricsServerConfig) -> MetricsServerResources:
        in_namespace = self.child(depends_on=[config.namespace])
        named = metadata(NAME, _labels(), namespace=Namespace.MONITORING.value)
        account = ServiceAccount("account", metadata=named, opts=in_namespace)
        roles, bindings = self._access()
        pair = GeneratedCertificate(
            "metrics-server", (f"{NAME}.{Namespace.MONITORING}.svc",), config.authority, opts=self.child()
        )
        certificate = Secret(
            "certificate",
            metadata=metadata(f"{NAME}-tls", _labels(), namespace=Namespace.MONITORING.value),
            type="kubernetes.io/tls",
            string_data={"tls.crt": pair.certificate, "tls.key": pair.private_key},
            opts=in_namespace,
        )
        deployment = Deployment(
            "server",
            metadata=named,
            spec={
                "replicas": 1,
                "revision_history_limit": 3,
                "strategy": {"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}},
                "selector": {"match_labels": selector(NAME)},
                "template": {
                    "metadata": {
                        "labels": _labels(),
                        "annotations": {NEEDS_API: "it lists nodes and pods, and checks who asks it"},
                    },
                    "spec": {
                        "service_account_name": NAME,
                        "priority_class_name": Priority.OBSERVABILITY.value,
                        "security_context": pods.pod_security(USER),
                        "tolerations": pods.tolerations(config.node_loss),
                        "containers": [_container(config)],
                        "volumes": [
                            {"name": "tls", "secret": {"secret_name": f"{NAME}-tls", "default_mode": 0o440}},
                            {"name": "tmp", "empty_dir": {"size_limit": "16Mi"}},
                        ],
                    },
                },
            },
            opts=self.child(depends_on=[account, certificate, *bindings], timeout="5m"),
        )
        service = Service(
            "server",
            metadata=named,
            spec={
                "selector": selector(NAME),
                "ports": [{"name": "https", "port": 443, "target_port": "https"}],
            },
            opts=self.child(depends_on=[config.namespace], timeout="5m"),
        )
        api = APIService(
            "metrics",
            metadata=metadata("v1beta1.metrics.k8s.io", _labels()),
            spec={
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "group_priority_minimum": 100,
                "version_priority": 100,
                "service": {"name": NAME, "namespace": Namespace.MONITORING.value, "port": 443},
                "ca_bundle": config.authority.certificate.apply(_bundle),
            },
            opts=self.child(depends_on=[deployment, service], timeout="5m"),
        )
        return MetricsServerResources(account, roles, bindings, certificate, deployment, service, api)

    def _access(self) -> tuple[tuple[ClusterRole, ...], tuple[ClusterRoleBinding | RoleBinding, ...]]:
        subject: SubjectArgsDict = {
            "kind": "ServiceAccount",
            "name": NAME,
            "namespace": Namespace.MONITORING.value,
        }
        aggregated = {f"rbac.authorization.k8s.io/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")}
        roles = (
            ClusterRole("reader", metadata=metadata(NAME, _labels()), rules=rights(), opts=self.child()),
            ClusterRole(
                "users",
                metadata=metadata(f"{NAME}-users", {**_labels(), **aggregated}),
                rules=[{"api_groups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}],
                opts=self.child(),
            ),
        )
        bindings = (
            ClusterRoleBinding(
                "reader",
                metadata=metadata(NAME, _labels()),
                role_ref={"api_group": _GROUP, "kind": "ClusterRole", "name": NAME},
                subjects=[subject],
                opts=self.child(),
            ),
            ClusterRoleBinding(
                "delegator",
                metadata=metadata(f"{NAME}-delegator", _labels()),
                role_ref={"api_group": _GROUP, "kind": "ClusterRole", "name": "system:auth-delegator"},
                subjects=[subject],
                opts=self.child(),
            ),
            # How the API server proves who it is stands in a ConfigMap there, and nowhere else.
            RoleBinding(
                "authentication",
                metadata=metadata(f"{NAME}-authentication", _labels(), namespace="kube-system"),
                role_ref={"api_group": _GROUP, "kind": "Role", "name": "extension-apiserver-authentication-reader"},
                subjects=[subject],
                opts=self.child(),
            ),
        )
        return roles, bindings


def rights() -> list[PolicyRuleArgsDict]:
    """What it may read."""
    return [
        {"api_groups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"api_groups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]


def arguments() -> list[str]:
    """Its command line."""
    return [
        f"--secure-port={_PORT}",
        f"--tls-cert-file={_TLS}/tls.crt",
        f"--tls-private-key-file={_TLS}/tls.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        f"--kubelet-certificate-authority={_CLUSTER_CA}",
        "--metric-resolution=15s",
    ]


def _container(config: MetricsServerConfig) -> ContainerArgsDict:
    return {
        "name": NAME,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "args": list(arguments()),
        "ports": [{"name": "https", "container_port": _PORT}],
        "resources": pods.resources(config.profile.metrics_server),
        "security_context": pods.container_security(),
        # Ready once it has seen every kubelet twice.
        "startup_probe": {
            "http_get": {"path": "/readyz", "port": "https", "scheme": "HTTPS"},
            "period_seconds": 2,
            "failure_threshold": 60,
        },
        "readiness_probe": {
            "http_get": {"path": "/readyz", "port": "https", "scheme": "HTTPS"},
            "period_seconds": 10,
            "timeout_seconds": 5,
        },
        "liveness_probe": {
            "http_get": {"path": "/livez", "port": "https", "scheme": "HTTPS"},
            "period_seconds": 10,
            "timeout_seconds": 5,
        },
        "volume_mounts": [
            {"name": "tls", "mount_path": _TLS, "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container, empty at each start
        ],
    }


def _bundle(certificate: str) -> str:
    return base64.b64encode(certificate.encode()).decode()


def _labels() -> dict[str, str]:
    return labels(NAME, "metrics", version=versions.METRICS_SERVER)
