"""Everything that measures: Prometheus with its operator, the exporters, and metrics-server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pulumi

from dashboards.rules import alerts, colours, delivery, services, slo
from dashboards.rules.groups import RuleGroup
from dashboards.rules.present import Present
from infra.components import scrapes
from infra.components.alertmanager import Alertmanager, AlertmanagerConfig
from infra.components.base import Component
from infra.components.certificates import Authority
from infra.components.kube_state_metrics import KubeStateMetrics, KubeStateMetricsConfig
from infra.components.metrics_server import MetricsServer, MetricsServerConfig
from infra.components.namespace import Namespace as NamespaceComponent
from infra.components.namespace import NamespaceConfig
from infra.components.node_exporter import NodeExporter, NodeExporterConfig
from infra.components.prometheus import Prometheus, PrometheusConfig
from infra.components.prometheus_operator import PrometheusOperator, PrometheusOperatorConfig
from infra.handover import Capabilities
from infra.labels import PodSecurity
from infra.naming import Namespace
from infra.profiles import Profile


@dataclass(frozen=True)
class MetricsConfig:
    """How the platform is measured.

    Attributes:
        documents: Objects of the operator's release manifest, unchanged.
        namespace: The namespace `monitoring`.
        images: Logical name -> reference of each of `infra.images.METRICS_IMAGES`.
        profile: Sizes and counts.
        capabilities: What the cluster can do.
        authority: Who signs certificates.
        present: Parts that are there.
        alert_receiver: Secret with the address of whom alerts are told to; None tells nobody.
        node_loss: Seconds that a pod stays bound to a lost node.
        receiver: Whether Prometheus takes figures that are written to it.
    """

    documents: tuple[dict[str, Any], ...]
    namespace: NamespaceComponent
    images: Mapping[str, pulumi.Input[str]]
    profile: Profile
    capabilities: Capabilities
    authority: Authority
    present: Present
    alert_receiver: str | None
    node_loss: int
    receiver: bool = False


@final
@dataclass(frozen=True)
class MetricsResources:
    """What was made."""

    node_namespace: NamespaceComponent
    operator: PrometheusOperator
    prometheus: Prometheus
    alertmanager: Alertmanager
    kube_state_metrics: KubeStateMetrics
    node_exporter: NodeExporter
    metrics_server: MetricsServer


class Metrics(Component):
    """The parts that measure, each ready."""

    def __init__(self, name: str, config: MetricsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Install them. Raises `ManifestError` if the release manifest lacks an object that is changed here."""
        super().__init__("Metrics", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: MetricsConfig) -> MetricsResources:
        images, profile, namespace = config.images, config.profile, config.namespace
        # A namespace of its own: volumes of the host need the weakest level, which nothing else here does.
        node_namespace = NamespaceComponent(
            Namespace.NODE_METRICS.value,
            NamespaceConfig(Namespace.NODE_METRICS.value, PodSecurity.PRIVILEGED),
            self.child(),
        )
        operator = PrometheusOperator(
            "prometheus-operator",
            PrometheusOperatorConfig(config.documents, namespace, images, profile, config.node_loss),
            self.child(),
        )
        prometheus = Prometheus(
            "prometheus",
            PrometheusConfig(
                namespace,
                images["prometheus"],
                profile,
                config.capabilities.storage_class,
                targets(config.capabilities, config.present),
                rules(config.present),
                config.node_loss,
                config.receiver,
            ),
            self.child(depends_on=[operator]),
        )
        alertmanager = Alertmanager(
            "alertmanager",
            AlertmanagerConfig(namespace, images["alertmanager"], profile, config.alert_receiver, config.node_loss),
            self.child(depends_on=[operator]),
        )
        return MetricsResources(
            node_namespace,
            operator,
            prometheus,
            alertmanager,
            KubeStateMetrics(
                "kube-state-metrics",
                KubeStateMetricsConfig(namespace, images["kube-state-metrics"], profile, config.node_loss),
                self.child(),
            ),
            NodeExporter(
                "node-exporter",
                NodeExporterConfig(
                    node_namespace,
                    images["node-exporter"],
                    profile,
                    config.capabilities.shared_machine,
                    config.node_loss,
                ),
                self.child(),
            ),
            MetricsServer(
                "metrics-server",
                MetricsServerConfig(namespace, images["metrics-server"], profile, config.authority, config.node_loss),
                self.child(),
            ),
        )


def targets(capabilities: Capabilities, present: Present) -> tuple[scrapes.PodTarget, ...]:
    """What is scraped on a cluster: only parts that are there, so that an absent target is always a fault."""
    return (
        *scrapes.POD_TARGETS,
        *(scrapes.CLUSTER_TARGETS if present.cluster else ()),
        *(scrapes.POSTGRES_TARGETS if present.postgres else ()),
        *(scrapes.POOLER_TARGETS if present.poolers else ()),
        *(scrapes.REDIS_TARGETS if present.redis else ()),
        *(scrapes.LOGS_TARGETS if present.logs else ()),
        *(scrapes.TRACES_TARGETS if present.traces else ()),
        *((scrapes.OBSERVER,) if present.observed else ()),
        *((scrapes.ROLLOUT_CONTROLLER,) if present.rolled_out else ()),
        *(() if capabilities.load_balancer else (scrapes.METALLB,)),
    )


def rules(present: Present) -> Mapping[str, Sequence[RuleGroup]]:
    """Name of the object that holds them -> groups of rules; about parts that are there only."""
    return {
        "colours": colours.groups(),
        "services": services.groups(),
        "promises": slo.groups(),
        **({"delivery": delivery.groups()} if present.rolled_out else {}),
        "alerts": alerts.groups(present),
    }
