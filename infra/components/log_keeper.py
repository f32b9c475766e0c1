"""The keeper of logs: makes the template of Elasticsearch's indices, deletes what is too old or too much, counts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgsDict, Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra.components import network, pods
from infra.components.base import Component
from infra.components.elasticsearch import access_data
from infra.components.metadata import metadata
from infra.labels import CONTENT_HASH, content_hash, labels, selector
from infra.naming import ELASTICSEARCH_URL, LOG_KEEPER, Namespace, Priority
from infra.profiles import Profile
from infra.quantities import octets
from slipway.logs import keeper

_USER: Final = 65532
_ACCESS: Final = "/run/secrets/elasticsearch"
_SOURCE: Final = Path(keeper.__file__)
_PROGRAM: Final = "/srv/keeper"
#: Share of a volume that lines may fill: Elasticsearch gives no new index a place on a disk that is 85 % full.
_SHARE: Final = 0.75


@dataclass(frozen=True)
class LogKeeperConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `python`.
        profile: Sizes, and how long lines are kept.
        certificate: Authority of Elasticsearch's certificate, in PEM.
        password: Of the user `keeper`, secret.
        scraper: Namespace of whoever scrapes; None if nobody does.
        node_loss: Seconds that it stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    certificate: pulumi.Input[str]
    password: pulumi.Input[str]
    scraper: str | None
    node_loss: int


@final
@dataclass(frozen=True)
class LogKeeperResources:
    """What was made."""

    access: Secret
    program: ConfigMap
    network_policy: NetworkPolicy
    deployment: Deployment


class LogKeeper(Component):
    """A keeper that has made the template."""

    def __init__(self, name: str, config: LogKeeperConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("LogKeeper", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: LogKeeperConfig) -> LogKeeperResources:
        options = self.child(depends_on=[config.namespace])
        access = Secret(
            "access",
            metadata=_named(),
            string_data=access_data(config.certificate, config.password),
            opts=options,
        )
        source = _SOURCE.read_text(encoding="utf-8")
        program = ConfigMap("program", metadata=_named(), data={_SOURCE.name: source}, opts=options)
        policy = NetworkPolicy(
            "keeper",
            metadata=_named(),
            spec=network.reached_by(LOG_KEEPER, network.scraped([keeper.PORT], config.scraper)),
            opts=options,
        )
        deployment = Deployment(
            "keeper",
            metadata=_named(),
            spec={
                "replicas": 1,
                "revision_history_limit": 3,
                "selector": {"match_labels": selector(LOG_KEEPER)},
                "template": {
                    "metadata": {
                        "labels": _labels(),
                        "annotations": {CONTENT_HASH: content_hash(source)},
                    },
                    "spec": {
                        "automount_service_account_token": False,
                        "enable_service_links": False,
                        "priority_class_name": Priority.OBSERVABILITY.value,
                        "security_context": pods.pod_security(_USER),
                        "tolerations": pods.tolerations(config.node_loss),
                        "containers": [_container(config)],
                        "volumes": [
                            {"name": "program", "config_map": {"name": LOG_KEEPER}},
                            {"name": "access", "secret": {"secret_name": LOG_KEEPER, "default_mode": 0o440}},
                        ],
                    },
                },
            },
            opts=self.child(depends_on=[access, program], timeout="10m"),
        )
        return LogKeeperResources(access, program, policy, deployment)


def environment(profile: Profile) -> dict[str, str]:
    """What it is told (see `slipway.logs.keeper`)."""
    return {
        "ELASTICSEARCH_URL": ELASTICSEARCH_URL,
        "ELASTICSEARCH_USER": "keeper",
        "ELASTICSEARCH_PASSWORD_FILE": f"{_ACCESS}/password",
        "ELASTICSEARCH_CA_FILE": f"{_ACCESS}/ca.crt",
        "DAYS": str(profile.logs_retention_days),
        "BYTES": str(budget(profile)),
        "REPLICAS": str(copies(profile)),
    }


def copies(profile: Profile) -> int:
    """Copies of each line besides the first: one, where there is a second node to put it on."""
    return min(1, profile.elasticsearch_replicas - 1)


def budget(profile: Profile) -> int:
    """Bytes that one copy of all lines may have."""
    room = octets(profile.elasticsearch_storage) * profile.elasticsearch_replicas
    return int(_SHARE * room) // (1 + copies(profile))


def _container(config: LogKeeperConfig) -> ContainerArgsDict:
    return {
        "name": LOG_KEEPER,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "command": ["python3", f"{_PROGRAM}/{_SOURCE.name}"],
        "env": [{"name": name, "value": value} for name, value in environment(config.profile).items()],
        "ports": [{"name": "metrics", "container_port": keeper.PORT}],
        "resources": pods.resources(config.profile.log_keeper),
        "security_context": pods.container_security(),
        "readiness_probe": {"http_get": {"path": "/ready", "port": "metrics"}, "period_seconds": 2},
        "liveness_probe": {
            "http_get": {"path": "/live", "port": "metrics"},
            "period_seconds": 10,
            "timeout_seconds": 5,
        },
        "volume_mounts": [
            {"name": "program", "mount_path": _PROGRAM, "read_only": True},
            {"name": "access", "mount_path": _ACCESS, "read_only": True},
        ],
    }


def _named() -> ObjectMetaArgsDict:
    return metadata(LOG_KEEPER, _labels(), namespace=Namespace.LOGS.value)


def _labels() -> dict[str, str]:
    return labels(LOG_KEEPER, "logs")
