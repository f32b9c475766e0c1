"""What a Prometheus of others needs to scrape the platform and to judge by it (ADR 109).

The platform's own numbers only: nodes, kubelets and the cluster's objects are watched by whoever runs that Prometheus.
"""

from dataclasses import dataclass
from typing import final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

from dashboards.rules.present import Present
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.metrics import rules, targets
from infra.components.prometheus import pod_monitors, prometheus_rules
from infra.handover import Capabilities
from infra.labels import labels
from infra.naming import PROMETHEUS, Namespace
from infra.parts import ExternalMetrics as ExternalMetricsSettings


@dataclass(frozen=True)
class ExternalMetricsConfig:
    """What is there to be scraped.

    Attributes:
        namespace: The namespace to put the objects into; the observers' token must be in it.
        settings: What the stack says of that Prometheus.
        capabilities: What the cluster can do.
        present: Parts that are there.
    """

    namespace: pulumi.Resource
    settings: ExternalMetricsSettings
    capabilities: Capabilities
    present: Present


@final
@dataclass(frozen=True)
class ExternalMetricsResources:
    """What was made."""

    monitors: tuple[CustomResource, ...]
    rules: tuple[CustomResource, ...]


class ExternalMetrics(Component):
    """PodMonitors and rules for an operator that is not the platform's."""

    def __init__(self, name: str, config: ExternalMetricsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them; the cluster must know these kinds."""
        super().__init__("ExternalMetrics", name, opts)

        def named(name: str) -> ObjectMetaArgsDict:
            own = labels(PROMETHEUS, "metrics")
            return metadata(name, {**own, **config.settings.labels}, namespace=Namespace.ROLLOUT.value)

        there = self.child(depends_on=[config.namespace])
        self.resources = ExternalMetricsResources(
            pod_monitors(targets(config.capabilities, config.present), named, there),
            prometheus_rules(rules(config.present), named, there),
        )
        self.register_outputs({})
