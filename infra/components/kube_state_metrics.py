"""kube-state-metrics: the cluster's objects as numbers (which pods run, how many a Deployment wants).

It watches the kinds that rules and dashboards read and no Secrets, which it would otherwise list in the whole cluster.
"""

from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ContainerArgsDict, ServiceAccount
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRuleArgsDict

from infra import versions
from infra.components import network, pods
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.labels import NEEDS_API, labels, selector
from infra.naming import Namespace, Priority
from infra.profiles import Profile

NAME: Final = "kube-state-metrics"
USER: Final = 65532
_PORT: Final = 8080
#: Metrics about itself.
_OWN_PORT: Final = 8081
#: API group -> kinds that are watched.
WATCHED: Final = {
    "": ("namespaces", "nodes", "persistentvolumeclaims", "pods"),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "batch": ("cronjobs", "jobs"),
    "policy": ("poddisruptionbudgets",),
    "autoscaling": ("horizontalpodautoscalers",),
    "coordination.k8s.io": ("leases",),
}
#: Labels of pods that become labels of `kube_pod_labels`.
POD_LABELS: Final = ("app.kubernetes.io/name", "app.kubernetes.io/version", "slipway.dev/colour")


@dataclass(frozen=True)
class KubeStateMetricsConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `kube-state-metrics`.
        profile: Sizes.
        node_loss: Seconds that it stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    node_loss: int


@final
@dataclass(frozen=True)
class KubeStateMetricsResources:
    """What was made."""

    account: ServiceAccount
    role: ClusterRole
    binding: ClusterRoleBinding
    network_policy: NetworkPolicy
    deployment: Deployment


class KubeStateMetrics(Component):
    """The exporter of the cluster's objects."""

    def __init__(self, name: str, config: KubeStateMetricsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("KubeStateMetrics", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: KubeStateMetricsConfig) -> KubeStateMetricsResources:
        named = metadata(NAME, _labels(), namespace=Namespace.MONITORING.value)
        account = ServiceAccount("account", metadata=named, opts=self.child(depends_on=[config.namespace]))
        role = ClusterRole("reader", metadata=metadata(NAME, _labels()), rules=rights(), opts=self.child())
        binding = ClusterRoleBinding(
            "reader",
            metadata=metadata(NAME, _labels()),
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": Namespace.MONITORING.value}],
            opts=self.child(),
        )
        network_policy = NetworkPolicy(
            "exporter",
            metadata=named,
            spec=network.reached_by(NAME, [network.from_namespaces([Namespace.MONITORING.value], [_PORT, _OWN_PORT])]),
            opts=self.child(depends_on=[config.namespace]),
        )
        deployment = Deployment(
            "exporter",
            metadata=named,
            spec={
                "replicas": 1,
                "revision_history_limit": 3,
                "selector": {"match_labels": selector(NAME)},
                "template": {
                    "metadata": {
                        "labels": _labels(),
                        "annotations": {NEEDS_API: "it turns the cluster's objects into numbers"},
                    },
                    "spec": {
                        "service_account_name": NAME,
                        "priority_class_name": Priority.OBSERVABILITY.value,
                        "security_context": pods.pod_security(USER),
                        "tolerations": pods.tolerations(config.node_loss),
                        "containers": [_container(config)],
                    },
                },
            },
            opts=self.child(depends_on=[account, binding], timeout="5m"),
        )
        return KubeStateMetricsResources(account, role, binding, network_policy, deployment)


def rights() -> list[PolicyRuleArgsDict]:
    """What it may read: the kinds that it watches and nothing else."""
    return [
        {"api_groups": [group], "resources": list(kinds), "verbs": ["list", "watch"]}
        for group, kinds in WATCHED.items()
    ]


def arguments() -> list[str]:
    """Its command line."""
    kinds = sorted(kind for kinds in WATCHED.values() for kind in kinds)
    # What nobody reads. When a namespace was made, alerts on what it should have by now do.
    denied = (
        f"kube_({'|'.join(kind.removesuffix('s') for kind in kinds if kind != 'namespaces')})_created",
        "kube_.*_metadata_resource_version",
        "kube_replicaset_.*_(generation|observed.*)",
    )
    return [
        f"--port={_PORT}",
        f"--telemetry-port={_OWN_PORT}",
        f"--resources={','.join(kinds)}",
        f"--metric-labels-allowlist=pods=[{','.join(POD_LABELS)}]",
        f"--metric-denylist={','.join(denied)}",
    ]


def _container(config: KubeStateMetricsConfig) -> ContainerArgsDict:
    return {
        "name": NAME,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "args": list(arguments()),
        "ports": [{"name": "metrics", "container_port": _PORT}, {"name": "telemetry", "container_port": _OWN_PORT}],
        "resources": pods.resources(config.profile.kube_state_metrics),
        "security_context": pods.container_security(),
        "readiness_probe": {
            "http_get": {"path": "/readyz", "port": "telemetry"},
            "period_seconds": 5,
            "timeout_seconds": 5,
        },
        # Its answer asks the API server. With the usual second of patience a busy machine kills it, and its fresh start
        # lists everything anew.
        "liveness_probe": {
            "http_get": {"path": "/livez", "port": "metrics"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 6,
        },
    }


def _labels() -> dict[str, str]:
    return labels(NAME, "metrics", version=versions.KUBE_STATE_METRICS)
