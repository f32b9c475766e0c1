"""Everything that keeps what pods print: Elasticsearch, its keeper, and a collector on each node."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from infra.components.base import Component
from infra.components.certificates import Authority
from infra.components.elasticsearch import Elasticsearch, ElasticsearchConfig, access_data
from infra.components.log_collector import LogCollector, LogCollectorConfig, OwnTarget
from infra.components.log_keeper import LogKeeper, LogKeeperConfig
from infra.components.metadata import metadata
from infra.components.namespace import Namespace as NamespaceComponent
from infra.components.namespace import NamespaceConfig
from infra.labels import PodSecurity, labels
from infra.naming import ELASTICSEARCH, LOG_READER_SECRET, Namespace
from infra.parts import ExternalLogs
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
        scraper: Namespace of whoever scrapes; None if nobody does.
        node_loss: Seconds that a pod stays bound to a lost node.
        external: The Elasticsearch that they are sent to, instead of one of our own.
    """

    images: Mapping[str, pulumi.Input[str]]
    profile: Profile
    storage_class: pulumi.Input[str]
    authority: Authority
    traced: bool
    scraper: str | None
    node_loss: int
    external: ExternalLogs | None = None


@final
@dataclass(frozen=True)
class OwnLogs:
    """What keeps them, and lets people read them."""

    namespace: NamespaceComponent
    elasticsearch: Elasticsearch
    keeper: LogKeeper
    reader: Secret


@final
@dataclass(frozen=True)
class LogsResources:
    """What was made; `own` only if they are kept here."""

    node_namespace: NamespaceComponent
    own: OwnLogs | None
    collector: LogCollector


class Logs(Component):
    """Logs that are kept from the first line on."""

    def __init__(self, name: str, config: LogsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Logs", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: LogsConfig) -> LogsResources:
        # A namespace of its own: volumes of the host need the weakest level, which nothing else here does.
        node_namespace = NamespaceComponent(
            Namespace.NODE_LOGS.value,
            NamespaceConfig(Namespace.NODE_LOGS.value, PodSecurity.PRIVILEGED),
            self.child(),
        )
        own, target = None, config.external
        if target is None:
            own = self._own(config)
            target = OwnTarget(config.authority.certificate, own.elasticsearch.passwords["collector"])
        collector = LogCollector(
            "log-collector",
            LogCollectorConfig(node_namespace, config.images["otel-collector"], config.profile, target, config.scraper),
            # Not before the template is there: an index that is made without it would have other types for ever.
            self.child(depends_on=[own.keeper] if own else []),
        )
        return LogsResources(node_namespace, own, collector)

    def _own(self, config: LogsConfig) -> OwnLogs:
        images, profile, certificate = config.images, config.profile, config.authority.certificate
        namespace = NamespaceComponent(Namespace.LOGS.value, NamespaceConfig(Namespace.LOGS.value), self.child())
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
        keeper = LogKeeper(
            "log-keeper",
            LogKeeperConfig(
                namespace,
                images["python"],
                profile,
                certificate,
                elasticsearch.passwords["keeper"],
                config.scraper,
                config.node_loss,
            ),
            self.child(depends_on=[elasticsearch]),
        )
        # For people: whoever may read this Secret and forward a port may read logs.
        reader = Secret(
            "reader",
            metadata=metadata(LOG_READER_SECRET, labels(ELASTICSEARCH, "logs"), namespace=Namespace.LOGS.value),
            string_data=access_data(certificate, elasticsearch.passwords["reader"]),
            opts=self.child(depends_on=[namespace]),
        )
        return OwnLogs(namespace, elasticsearch, keeper, reader)
