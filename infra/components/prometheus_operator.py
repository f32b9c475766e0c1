"""The operator that runs Prometheus, from its own release manifest.

One of it: it elects no leader, and while it is away Prometheus goes on with the configuration that it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra import manifests
from infra.components import network
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.release import Release, ReleaseConfig
from infra.labels import NEEDS_API, labels
from infra.naming import Namespace, Priority
from infra.profiles import Profile, Size

_NAME: Final = "prometheus-operator"
#: Labels of its pods, and port of its own metrics, as the release manifest gives them.
_SELECTOR: Final = {"app.kubernetes.io/name": _NAME}
_PORT: Final = 8080
#: Beside each Prometheus, turns Secrets into files and says when they have changed.
RELOADER: Final = Size("5m", "16Mi", "100m", "64Mi")


@dataclass(frozen=True)
class PrometheusOperatorConfig:
    """How the operator is installed.

    Attributes:
        documents: Objects of its release manifest, unchanged.
        namespace: The namespace to put it into.
        images: Logical name -> reference; needs `prometheus-operator` and `prometheus-config-reloader`.
        profile: Sizes.
        node_loss: Seconds that it stays bound to a lost node.
    """

    documents: tuple[dict[str, Any], ...]
    namespace: pulumi.Resource
    images: Mapping[str, pulumi.Input[str]]
    profile: Profile
    node_loss: int


@final
@dataclass(frozen=True)
class PrometheusOperatorResources:
    """What was made."""

    release: Release
    network_policy: NetworkPolicy


class PrometheusOperator(Component):
    """The operator, ready to be asked for a Prometheus."""

    def __init__(self, name: str, config: PrometheusOperatorConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Install it. Raises `ManifestError` if the release manifest lacks an object that is changed here."""
        documents = changed(config)
        super().__init__("PrometheusOperator", name, opts)
        self.resources = PrometheusOperatorResources(
            Release(_NAME, ReleaseConfig(tuple(documents), config.namespace), self.child()),
            NetworkPolicy(
                "operator",
                metadata=metadata(_NAME, labels(_NAME, "metrics"), namespace=Namespace.MONITORING.value),
                spec={
                    "pod_selector": {"match_labels": _SELECTOR},
                    "policy_types": ["Ingress"],
                    "ingress": [network.from_namespaces([Namespace.MONITORING.value], [_PORT])],
                },
                opts=self.child(depends_on=[config.namespace]),
            ),
        )
        self.register_outputs({})


def arguments(reloader: pulumi.Input[str]) -> list[pulumi.Input[str]]:
    """Command line of the operator.

    Args:
        reloader: Reference of the image `prometheus-config-reloader`.
    """
    return [
        # Kubelets are found through the API; the operator would copy their addresses into a Service.
        "--kubelet-endpoints=false",
        "--kubelet-endpointslice=false",
        pulumi.Output.concat("--prometheus-config-reloader=", reloader),
        f"--config-reloader-cpu-request={RELOADER.cpu}",
        f"--config-reloader-cpu-limit={RELOADER.cpu_limit}",
        f"--config-reloader-memory-request={RELOADER.memory}",
        f"--config-reloader-memory-limit={RELOADER.memory_limit}",
        "--enable-config-reloader-probes=true",
        # Objects that describe scrapes may be anywhere; Prometheus itself is run in one namespace only.
        f"--prometheus-instance-namespaces={Namespace.MONITORING.value}",
        f"--alertmanager-instance-namespaces={Namespace.MONITORING.value}",
        f"--thanos-ruler-instance-namespaces={Namespace.MONITORING.value}",
    ]


def changed(config: PrometheusOperatorConfig) -> list[dict[str, Any]]:
    """The release manifest in our namespace, with our images, sizes, probes and places. Raises `ManifestError`."""
    health = {"path": "/healthz", "port": "http"}
    return manifests.change(
        manifests.moved(config.documents, Namespace.MONITORING.value),
        {
            ("Deployment", _NAME): [
                manifests.with_image(config.images["prometheus-operator"], _NAME),
                manifests.with_resources(_NAME, config.profile.prometheus_operator),
                manifests.with_container(
                    _NAME,
                    args=arguments(config.images["prometheus-config-reloader"]),
                    readinessProbe={"httpGet": health, "periodSeconds": 5, "timeoutSeconds": 5},
                    livenessProbe={"httpGet": health, "periodSeconds": 10, "timeoutSeconds": 5},
                ),
                manifests.with_pod_annotations(**{NEEDS_API: "it is the operator of Prometheus"}),
                manifests.with_pod(
                    tolerations=manifests.tolerations(config.node_loss),
                    priorityClassName=Priority.OBSERVABILITY.value,
                ),
            ],
        },
    )
