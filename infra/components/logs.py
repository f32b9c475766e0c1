"""Everything that keeps what pods print: Elasticsearch, its keeper, and a collector on each node."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from infra.components.base import Component
from infra.components.certificates import Authority
from infra.components.elasticsearch import Elasticsearch, ElasticsearchConfig, access_data
from infra.components.log_collector import LogCollector, LogCollectorConfig
from infra.components.log_keeper import LogKeeper, LogKeeperConfig
from infra.components.metadata import metadata
from infra.components.namespace import Namespace as NamespaceComponent
from infra.components.namespace import NamespaceConfig
from infra.labels import PodSecurity, labels
from infra.naming import ELASTICSEARCH, LOG_READER_SECRET, Namespace
from infra.profiles import Profile


@dataclass(frozen=True)
class LogsConfig:
    """How logs are kept.

    Attributes:
        images: Logical name -> reference of each of `infra.images.LOGS_IMAGES`.
        profile: Sizes, counts, and how long lines are kept.
        storage_class: Class of Elasticsearch's volumes.
        authority: Who signs certificates.
        traced: Whether spans are kept in the same place.
        measured: Whether there is a Prometheus.
        node_loss: Seconds that a pod stays bound to a lost node.
    """

    images: Mapping[str, pulumi.Input[str]]
    profile: Profile
    storage_class: pulumi.Input[str]
    authority: Authority
    traced: bool
    measured: bool
    node_loss: int


@final
@dataclass(frozen=True)
class LogsResources:
    """What was made."""

    namespaces: tuple[NamespaceComponent, NamespaceComponent]
    elasticsearch: Elasticsearch
    keeper: LogKeeper
    collector: LogCollector
    reader: Secret


class Logs(Component):
    """Logs that are kept from the first line on."""

    def __init__(self, name: str, config: LogsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Logs", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: LogsConfig) -> LogsResources:
        images, profile, certificate = config.images, config.profile, config.authority.certificate
        namespace = NamespaceComponent(Namespace.LOGS.value, NamespaceConfig(Namespace.LOGS.value), self.child())
        # A namespace of its own: volumes of the host need the weakest level, which nothing else here does.
        node_namespace = NamespaceComponent(
            Namespace.NODE_LOGS.value,
            NamespaceConfig(Namespace.NODE_LOGS.value, PodSecurity.PRIVILEGED),
            self.child(),
        )
        elasticsearch = Elasticsearch(
            "elasticsearch",
            ElasticsearchConfig(
                namespace,
                images["elasticsearch"],
                profile,
                config.storage_class,
                config.authority,
                config.traced,
                config.node_loss,
            ),
            self.child(),
        )
        passwords = elasticsearch.passwords
        keeper = LogKeeper(
            "log-keeper",
            LogKeeperConfig(
                namespace,
                images["python"],
                profile,
                certificate,
                passwords["keeper"],
                config.measured,
                config.node_loss,
            ),
            self.child(depends_on=[elasticsearch]),
        )
        collector = LogCollector(
            "log-collector",
            LogCollectorConfig(
                node_namespace, images["otel-collector"], profile, certificate, passwords["collector"], config.measured
            ),
            # Not before the template is there: an index that is made without it would have other types for ever.
            self.child(depends_on=[keeper]),
        )
        # For people: whoever may read this Secret and forward a port may read logs.
        reader = Secret(
            "reader",
            metadata=metadata(LOG_READER_SECRET, labels(ELASTICSEARCH, "logs"), namespace=Namespace.LOGS.value),
            string_data=access_data(certificate, passwords["reader"]),
            opts=self.child(depends_on=[namespace]),
        )
        return LogsResources((namespace, node_namespace), elasticsearch, keeper, collector, reader)
