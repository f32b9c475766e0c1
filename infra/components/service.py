"""A service on the platform: its namespace, its database, the Secrets it reads, the chart of any service, a Rollout.

The chart says what a pod is; the Rollout says which image is wanted, and the rollout controller makes the pods. Pulumi
names the first image only: from then on `spec.image` is written by pipelines and people (docs/reference/
field-ownership.md). What the service is told is in files and plain variables; no secret is a chart value, so none can
end up in rendered manifests.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap, Secret
from pulumi_kubernetes.helm.v4 import Chart
from pulumi_kubernetes.rbac.v1 import RoleBinding

from infra import naming
from infra.components import connections, flags
from infra.components import issuer as issuers
from infra.components.base import Component
from infra.components.database import Database, DatabaseConfig
from infra.components.generated import GeneratedPassword
from infra.components.metadata import metadata
from infra.components.namespace import Namespace, NamespaceConfig
from infra.components.platform_values import platform_values
from infra.components.preview_check import preview_spec
from infra.components.rollout_controller import environment_rights
from infra.components.rollout_object import rollout_object
from infra.handover import Platform
from infra.labels import labels
from infra.naming import Environment
from infra.parts import Parts, Store
from infra.profiles import PROFILES
from infra.settings import ServiceSettings, Strategy

#: From a project's folder, where programs run. Relative: an absolute path would differ on every machine and show up
#: as a change.
CHART: Final = "../../../helm/service"

#: The variable by which OpenTelemetry is told of an authority.
_TRUSTED: Final = "OTEL_EXPORTER_OTLP_CERTIFICATE"
_MIGRATE: Final = ("python", "-m", "app.migrate")
#: The chart's name of the container that waits for migrations.
MIGRATES: Final = "wait-for-migrations"
_WORK: Final = ("python", "-m", "app.work")
#: Every worker that consumes counts the same table; those of the other colour say nothing.
_WAITING: Final = (
    'max(payload_outbox_messages{namespace="{{namespace}}",service="{{service}}",state="open",colour="{{colour}}"})'
)
#: Measurements, one every 5 s, that may find too few requests: a minute for a small share of few to become enough.
_PATIENCE: Final = 12
#: Routes of the payload that anybody may read: does it live, can it work, and what says it of itself.
_CHECKED: Final = ("/livez", "/readyz", "/version")
#: Name of the ConfigMap of the chart with the plain variables.
_ENVIRONMENT: Final = f"{naming.SERVICE}-env"


@dataclass(frozen=True)
class ServiceConfig:
    """Which service, and how.

    Attributes:
        environment: Where it runs.
        image: Its image, by digest.
        platform: What it stands on.
        settings: What its stack chose.
        checker: Image of k6, by digest, that asks a new version before users do; nothing does if left out.
    """

    environment: Environment
    image: pulumi.Input[str]
    platform: Platform
    settings: ServiceSettings
    checker: pulumi.Input[str] | None = None


@final
@dataclass(frozen=True)
class ServiceResources:
    """What was made; database and Redis's Secret only where the platform brings those parts along, flags if wanted."""

    namespace: Namespace
    database: Database | None
    database_secret: Secret | None
    redis_secret: Secret | None
    access_key: GeneratedPassword
    cursor_key: GeneratedPassword
    access_secret: Secret
    flags: ConfigMap | None
    rights: RoleBinding
    chart: Chart
    rollout: CustomResource


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
        parts, redis_password = config.platform.parts, config.platform.redis_password
        ca = pulumi.Output.from_input(config.platform.ca_certificate)
        database = database_secret = redis_secret = None
        if parts.postgres is Store.MANAGED:
            database = Database("database", DatabaseConfig(config.environment, parts.pooled), self.child())
            told = {**database.urls, connections.CA_KEY: ca}
            database_secret = self._secret(naming.DATABASE_SECRET, where, told, namespace)
        if redis_password is not None:
            urls = pulumi.Output.from_input(redis_password).apply(connections.redis_urls)
            told = {"url": urls["url"], "cache-url": urls["cache-url"], connections.CA_KEY: ca}
            redis_secret = self._secret(naming.REDIS_SECRET, where, told, namespace)
        access_key = GeneratedPassword("access-key", opts=self.child())
        cursor_key = GeneratedPassword("cursor-key", opts=self.child())
        access = {"bootstrap-key": access_key.password, "cursor-key": cursor_key.password}
        if parts.traces is Store.MANAGED:
            access[connections.CA_KEY] = ca
        access_secret = self._secret(naming.ACCESS_SECRET, where, access, namespace)
        switches = self._flags(where, config.settings, namespace)
        chart = Chart(
            naming.SERVICE,
            name=naming.SERVICE,
            namespace=where,
            chart=CHART,
            values=chart_values(config),
            opts=self.child(
                depends_on=[
                    namespace,
                    access_secret,
                    *(it for it in (database, database_secret, redis_secret, switches) if it),
                ]
            ),
        )
        rights = environment_rights(config.environment, self.child(depends_on=[namespace]))
        rollout = rollout_object(
            naming.SERVICE,
            config.environment,
            rollout_spec(config),
            self.child(depends_on=[chart, rights], timeout="15m"),
        )
        return ServiceResources(
            namespace,
            database,
            database_secret,
            redis_secret,
            access_key,
            cursor_key,
            access_secret,
            switches,
            rights,
            chart,
            rollout,
        )

    def _flags(self, where: str, settings: ServiceSettings, namespace: Namespace) -> ConfigMap | None:
        if settings.flags is None:
            return None
        return ConfigMap(
            naming.FLAGS_CONFIG,
            metadata=metadata(naming.FLAGS_CONFIG, labels(naming.SERVICE, "service"), namespace=where),
            data={flags.KEY: flags.content(settings.flags)},
            # A stack that wants flags no more leaves it: the version that serves until its rollout has ended reads it,
            # and so does one that is taken back. It goes with the namespace.
            opts=pulumi.ResourceOptions.merge(
                self.child(depends_on=[namespace]), pulumi.ResourceOptions(retain_on_delete=True)
            ),
        )

    def _secret(self, name: str, where: str, data: dict[str, pulumi.Output[str]], namespace: Namespace) -> Secret:
        return Secret(
            name,
            metadata=metadata(name, labels(naming.SERVICE, "service"), namespace=where),
            string_data=data,
            opts=self.child(depends_on=[namespace]),
        )


def chart_values(config: ServiceConfig) -> dict[str, Any]:
    """Values of the chart; its schema refuses a key that it does not know."""
    platform, settings, webhook = config.platform, config.settings, config.settings.webhook
    issuer = settings.external_issuer
    profile, parts = PROFILES[platform.profile], config.platform.parts
    migrated = parts.postgres is not Store.OFF
    known = platform_values(config.environment, platform)
    return {
        # Made beside it (`rollout_object`).
        "rollout": {"enabled": False},
        "env": {
            "SLIPWAY_ENVIRONMENT": config.environment.value,
            "SLIPWAY_TRUSTED_PROXIES": "1",  # HAProxy, whose word is the last in X-Forwarded-For
            "SLIPWAY_LOG_LEVEL": settings.log_level.value,
            "SLIPWAY_WORKERS": str(settings.workers),
            "SLIPWAY_THREADS": str(settings.threads),
            **({"SLIPWAY_POOLED": "true"} if parts.pooled else {}),
            **_traces(settings, parts),
            **({"SLIPWAY_WEBHOOK_URL": webhook.url} if webhook else {}),
            **({issuers.VARIABLE: issuers.told(issuer)} if issuer else {}),
        },
        "secrets": [
            *(mount.to_values() for mount in connections.mounts(platform.parts)),
            *([connections.webhook_mount(webhook).to_values()] if webhook else []),
            *([connections.errors_mount(settings.errors).to_values()] if settings.errors else []),
            {
                "secret": naming.ACCESS_SECRET,
                "items": [
                    {"key": "bootstrap-key", "file": "bootstrap-key", "env": "SLIPWAY_BOOTSTRAP_KEY_FILE"},
                    {"key": "cursor-key", "file": "cursor-key", "env": "SLIPWAY_CURSOR_KEY_FILE"},
                    # The exporter's own variable: whom to trust when spans are sent.
                    *(
                        [{"key": connections.CA_KEY, "file": connections.CA_KEY, "env": _TRUSTED}]
                        if parts.traces is Store.MANAGED
                        else []
                    ),
                ],
            },
        ],
        "configMaps": [*([] if settings.flags is None else [flags.mount()]), *issuers.mounts(issuer)],
        **known,
        "preview": {**known["preview"], **({"check": _check(config.checker)} if config.checker is not None else {})},
        "migrations": {
            "enabled": migrated,
            "command": list(_MIGRATE) if migrated else [],
            "secrets": [mount.to_values() for mount in connections.migration_mounts(parts)],
        },
        "workers": {
            "enabled": _has_workers(parts),
            "command": list(_WORK),
            "replicas": profile.worker_replicas,
            "controllerNamespace": naming.Namespace.ROLLOUT.value,
            "resources": {"requests": profile.worker.requests(), "limits": profile.worker.limits()},
        },
        "resources": {"requests": profile.service.requests(), "limits": profile.service.limits()},
        "networkPolicy": {
            **known["networkPolicy"],
            "egress": connections.openings(parts, webhook, issuer, settings.errors),
        },
    }


def _check(image: pulumi.Input[str]) -> dict[str, Any]:
    """What is asked of a new version before its first user; all of it, since the Rollout is made of the same."""
    return {
        "image": image,
        "target": f"https://{naming.INGRESS_HOST}",
        "paths": list(_CHECKED),
        "rate": 10,
        "seconds": 10,
        "errorRatio": 0,
        "p95Milliseconds": 1000,
    }


def _migrations(parts: Parts) -> dict[str, Any]:
    """How they run; where they have a connection of their own, in the container that alone is given it."""
    own = {"container": MIGRATES} if connections.migration_mounts(parts) else {}
    return {"command": list(_MIGRATE), **own}


def _has_workers(parts: Parts) -> bool:
    """Messages wait in Postgres and travel by Redis: without either there is nothing to work on."""
    return parts.postgres is not Store.OFF and parts.redis is not Store.OFF


def _traces(settings: ServiceSettings, parts: Parts) -> dict[str, str]:
    """What the service is told of traces: nothing, unless they go somewhere."""
    if parts.traces is Store.OFF:
        return {}
    elsewhere = parts.traces_external
    endpoint = elsewhere.endpoint if elsewhere else f"{naming.OTLP_URL}/v1/traces"
    return {
        "SLIPWAY_TRACES_ENDPOINT": endpoint,
        "SLIPWAY_TRACES_RATIO": str(settings.traces_ratio),
    }


def _autoscaling(settings: ServiceSettings) -> dict[str, Any]:
    if settings.max_replicas is None:
        return {}
    limits = {"maxReplicas": settings.max_replicas, "scaleDownSeconds": settings.scale_down_seconds}
    return {"autoscaling": limits}


def _workers(settings: ServiceSettings, replicas: int) -> dict[str, Any]:
    workers = {"template": f"{naming.SERVICE}-worker", "replicas": replicas}
    if settings.max_worker_replicas is None:
        return workers
    scaled = {
        "query": _WAITING,
        "messagesPerWorker": settings.messages_per_worker,
        "maxReplicas": settings.max_worker_replicas,
        "scaleDownSeconds": settings.scale_down_seconds,
    }
    return {**workers, "autoscaling": scaled}


def rollout_spec(config: ServiceConfig) -> dict[str, Any]:
    """The wanted version and how to get there; the fields are those of docs/reference/rollout.md."""
    settings, parts = config.settings, config.platform.parts
    profile = PROFILES[config.platform.profile]
    host = naming.preview_host(config.environment, config.platform.domain)
    checked = {} if config.checker is None else {"enabled": True, "host": host, "check": _check(config.checker)}
    if settings.strategy is Strategy.BLUE_GREEN:
        strategy: dict[str, Any] = {"blueGreen": {"approval": settings.approval}}
    else:
        steps = [{"weight": int(weight)} for weight in settings.steps.split(",")]
        strategy = {"canary": {"steps": steps, "approval": settings.approval}}
    return {
        "service": naming.SERVICE,
        "template": naming.SERVICE,
        "container": "service",
        "image": config.image,
        "replicas": settings.replicas or profile.service_replicas,
        **_autoscaling(settings),
        "strategy": strategy,
        "analysis": {
            "metrics": [
                {
                    "name": "errors",
                    "source": "error-ratio",
                    "maximum": settings.error_ratio,
                    "interval": "5s",
                    "count": 3,
                    "minSamples": settings.min_samples,
                    "inconclusiveLimit": _PATIENCE,
                }
            ]
        },
        "config": [
            {"kind": "ConfigMap", "name": _ENVIRONMENT},
            *({"kind": "Secret", "name": name} for name in connections.secrets(parts)),
        ],
        **(preview_spec(naming.SERVICE, checked) if checked else {}),
        **({} if parts.postgres is Store.OFF else {"migrations": _migrations(parts)}),
        **({"workers": _workers(settings, profile.worker_replicas)} if _has_workers(parts) else {}),
        "rollbackWindow": settings.rollback_window,
    }
