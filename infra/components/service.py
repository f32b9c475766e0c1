"""A service on the platform: its namespace, its database, the Secrets it reads, and the chart of any service.

The chart makes the Deployments of both colours itself until a rollout controller does (`deployments.enabled`). Both
start from the same image, blue with all the weight. What the service is told is in files and plain variables; no
secret is a chart value, so none can end up in rendered manifests.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.helm.v4 import Chart

from infra import naming
from infra.components.base import Component
from infra.components.database import Database, DatabaseConfig
from infra.components.generated import GeneratedPassword
from infra.components.metadata import metadata
from infra.components.namespace import Namespace, NamespaceConfig
from infra.handover import Platform
from infra.labels import labels
from infra.naming import Environment, Priority
from infra.profiles import PROFILES
from infra.settings import ServiceSettings

#: From a project's folder, where programs run. Relative: an absolute path would differ on every machine and show up
#: as a change.
CHART: Final = "../../../helm/service"

_MIGRATE: Final = ("python", "-m", "app.migrate")


@dataclass(frozen=True)
class ServiceConfig:
    """Which service, and how.

    Attributes:
        environment: Where it runs.
        image: Its image, by digest.
        platform: What it stands on.
        settings: What its stack chose.
    """

    environment: Environment
    image: pulumi.Input[str]
    platform: Platform
    settings: ServiceSettings


@final
@dataclass(frozen=True)
class ServiceResources:
    """What was made."""

    namespace: Namespace
    database: Database
    database_secret: Secret
    redis_secret: Secret
    access_key: GeneratedPassword
    access_secret: Secret
    chart: Chart


class Service(Component):
    """The service of an environment.

    Attributes:
        url: Where users reach it.
        preview_url: Where a new version is tried.
        access_key: Key with all rights, for the first administrator and for load tests; secret.
    """

    def __init__(self, name: str, config: ServiceConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Service", name, opts)
        domain = config.platform.domain
        self.url = f"https://{naming.live_host(config.environment, domain)}"
        self.preview_url = f"https://{naming.preview_host(config.environment, domain)}"
        self.resources = self._create(config)
        self.access_key = self.resources.access_key.password
        self.register_outputs({"url": self.url, "previewUrl": self.preview_url})

    def _create(self, config: ServiceConfig) -> ServiceResources:
        where = config.environment.value
        namespace = Namespace("namespace", NamespaceConfig(where), self.child())
        database = Database("database", DatabaseConfig(config.environment), self.child())
        database_secret = self._secret(
            naming.DATABASE_SECRET, where, {"url": database.url, "replica-url": database.replica_url}, namespace
        )
        redis_url = pulumi.Output.concat(
            "redis://:", config.platform.redis_password, f"@{naming.REDIS_HOST}:{naming.REDIS_PORT}/0"
        )
        redis_secret = self._secret(naming.REDIS_SECRET, where, {"url": redis_url}, namespace)
        access_key = GeneratedPassword("access-key", opts=self.child())
        access_secret = self._secret(naming.ACCESS_SECRET, where, {"bootstrap-key": access_key.password}, namespace)
        chart = Chart(
            naming.SERVICE,
            name=naming.SERVICE,
            namespace=where,
            chart=CHART,
            values=chart_values(config),
            opts=self.child(depends_on=[namespace, database, database_secret, redis_secret, access_secret]),
        )
        return ServiceResources(namespace, database, database_secret, redis_secret, access_key, access_secret, chart)

    def _secret(self, name: str, where: str, data: dict[str, pulumi.Output[str]], namespace: Namespace) -> Secret:
        return Secret(
            name,
            metadata=metadata(name, labels(naming.SERVICE, "service"), namespace=where),
            string_data=data,
            opts=self.child(depends_on=[namespace]),
        )


def chart_values(config: ServiceConfig) -> dict[str, Any]:
    """Values of the chart; its schema refuses a key that it does not know."""
    platform, settings = config.platform, config.settings
    profile = PROFILES[platform.profile]
    colour = {"image": config.image, "replicas": settings.replicas or profile.service_replicas}
    return {
        "deployments": {"enabled": True},
        "weights": {"blue": 100, "green": 0},
        "colours": {"blue": colour, "green": colour},
        "env": {
            "SLIPWAY_ENVIRONMENT": config.environment.value,
            "SLIPWAY_LOG_LEVEL": settings.log_level.value,
            "SLIPWAY_WORKERS": str(settings.workers),
            "SLIPWAY_THREADS": str(settings.threads),
        },
        "secrets": [
            {
                "secret": naming.DATABASE_SECRET,
                "items": [
                    {"key": "url", "file": "database-url", "env": "SLIPWAY_DATABASE_URL_FILE"},
                    {"key": "replica-url", "file": "replica-url", "env": "SLIPWAY_REPLICA_URL_FILE"},
                ],
            },
            {
                "secret": naming.REDIS_SECRET,
                "items": [{"key": "url", "file": "redis-url", "env": "SLIPWAY_REDIS_URL_FILE"}],
            },
            {
                "secret": naming.ACCESS_SECRET,
                "items": [{"key": "bootstrap-key", "file": "bootstrap-key", "env": "SLIPWAY_BOOTSTRAP_KEY_FILE"}],
            },
        ],
        "ingress": {
            "className": naming.INGRESS_CLASS,
            "host": naming.live_host(config.environment, platform.domain),
            "timeouts": {"connect": f"{platform.connect_timeout}s", "server": f"{platform.server_timeout}s"},
        },
        "preview": {"host": naming.preview_host(config.environment, platform.domain)},
        "migrations": {
            "enabled": True,
            "expand": [*_MIGRATE, "expand", "--json"],
            "check": [*_MIGRATE, "check", "--json"],
        },
        "resources": {"requests": profile.service.requests(), "limits": profile.service.limits()},
        "priorityClassName": Priority.SERVICE.value,
        "scheduling": {
            "nodeLossSeconds": platform.node_loss_timeout,
            "dnsTimeoutSeconds": platform.dns_timeout,
        },
        "networkPolicy": {
            "ingressNamespace": naming.Namespace.INGRESS.value,
            "monitoringNamespace": naming.Namespace.MONITORING.value,
            "egress": [{"namespace": naming.Namespace.DATA.value, "ports": [naming.POSTGRES_PORT, naming.REDIS_PORT]}],
        },
    }
