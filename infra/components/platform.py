"""The whole platform, in the order in which its parts need each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import pulumi

from dashboards.rules.present import Present
from infra import naming, tls, versions
from infra.components import connections, log_keeper
from infra.components.backup_plugin import BackupPlugin, BackupPluginConfig
from infra.components.backups import Archive, ArchiveConfig, BackupSchedule, ScheduleConfig
from infra.components.base import Component
from infra.components.certificates import Authority, Certificates, CertificatesConfig
from infra.components.elasticsearch import TRACER
from infra.components.generated import GeneratedPassword
from infra.components.ingress import Ingress, IngressConfig
from infra.components.ingress_observer import IngressObserver, IngressObserverConfig
from infra.components.local_images import Images, ImagesConfig, resolve_source
from infra.components.logs import Logs, LogsConfig
from infra.components.metallb import MetalLB, MetalLBConfig
from infra.components.metrics import Metrics, MetricsConfig
from infra.components.namespace import Namespace, NamespaceConfig
from infra.components.object_store import ObjectStore, ObjectStoreConfig
from infra.components.postgres import Archived, Postgres, PostgresConfig
from infra.components.postgres_operator import PostgresOperator, PostgresOperatorConfig
from infra.components.priorities import Priorities
from infra.components.redis import Redis, RedisConfig, RedisPasswords
from infra.components.rollout_controller import RolloutController, RolloutControllerConfig
from infra.components.traces import Traces, TracesConfig
from infra.handover import Capabilities
from infra.handover import Platform as PlatformHandover
from infra.images import (
    BACKUPS_IMAGES,
    COLLECTOR_IMAGES,
    LOGS_IMAGES,
    METRICS_IMAGES,
    PLATFORM_IMAGES,
    TRACES_IMAGES,
    ImageSource,
)
from infra.labels import PodSecurity
from infra.parts import ExternalObjectStore, Part, Store
from infra.profiles import PROFILES
from infra.settings import PlatformSettings

ReadRelease = Callable[[versions.ReleaseFile], list[dict[str, Any]]]

_OBSERVER_IMAGE = "ingress-observer"
_CONTROLLER_IMAGE = "controller"
_METALLB_IMAGES = frozenset({"metallb-controller", "metallb-speaker"})
_REDIS_IMAGES = frozenset({"redis", "redis-exporter", "python"})
_STORE_IMAGE = "versitygw"
_POSTGRES_IMAGES = frozenset({"cloudnative-pg", "postgres"})


@dataclass(frozen=True)
class PlatformConfig:
    """What the platform is made from.

    Attributes:
        cluster_name: Name of the cluster, which the certificate authority carries.
        capabilities: What the cluster can do.
        settings: What the stack chose.
        read_release: Gives the objects of a release manifest.
        authority: The certificate authority that the stack names; the platform makes one if it names none.
    """

    cluster_name: str
    capabilities: Capabilities
    settings: PlatformSettings
    read_release: ReadRelease
    authority: tls.KeyPair | None = None


@final
@dataclass(frozen=True)
class PlatformBackups:
    """What backs Postgres up; `store` only if the platform brings it along."""

    plugin: BackupPlugin
    store: ObjectStore | None
    archive: Archive
    schedule: BackupSchedule


@final
@dataclass(frozen=True)
class PlatformResources:
    """What was made.

    `metallb` only where the cluster has no load balancer of its own, `observer` and `controller` only where their image
    can be had, `metrics`, `logs`, `postgres` with its operator and `backups`, and `redis` with its service's password
    only if the platform brings them.
    """

    images: Images
    priorities: Priorities
    namespaces: dict[naming.Namespace, Namespace]
    metallb: MetalLB | None
    certificates: Certificates
    ingress: Ingress
    operator: PostgresOperator | None
    postgres: Postgres | None
    backups: PlatformBackups | None
    redis_password: GeneratedPassword | None
    redis: Redis | None
    observer: IngressObserver | None
    controller: RolloutController | None
    metrics: Metrics | None
    logs: Logs | None
    traces: Traces | None


class Platform(Component):
    """Everything that services stand on.

    Attributes:
        handover: What it hands to services.
    """

    def __init__(self, name: str, config: PlatformConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it. Raises `ManifestError` for a manifest that is not the pinned one, `ValueError` for settings."""
        super().__init__("Platform", name, opts)
        self.resources = self._create(config)
        settings, timeouts = config.settings, config.settings.timeouts
        self.handover = PlatformHandover(
            profile=settings.profile,
            domain=settings.domain,
            ingress_address=self.resources.ingress.address,
            ca_certificate=self.resources.certificates.resources.authority.certificate,
            redis_password=self.resources.redis_password and self.resources.redis_password.password,
            dns_timeout=timeouts.dns,
            node_loss_timeout=timeouts.node_loss,
            connect_timeout=timeouts.connect,
            server_timeout=timeouts.server,
            parts=settings.parts,
        )
        self.register_outputs({})

    def _create(self, config: PlatformConfig) -> PlatformResources:
        settings, capabilities = config.settings, config.capabilities
        profile, node_loss = PROFILES[settings.profile], settings.timeouts.node_loss
        images = Images(
            "images",
            ImagesConfig(
                image_names(settings, capabilities), settings.image_source, capabilities, settings.image_mirror
            ),
            self.child(),
        )
        priorities = Priorities("priorities", self.child())
        observer_image = settings.ingress_observer_image or images.references.get(_OBSERVER_IMAGE)
        # It reads the weights back from the observers: without them it could promote nothing.
        controller_image = observer_image and (
            settings.rollout_controller_image or images.references.get(_CONTROLLER_IMAGE)
        )
        namespaces = self._namespaces(settings, capabilities, rolled_out=bool(controller_image))
        metallb = None
        if not capabilities.load_balancer:
            metallb = MetalLB(
                "metallb",
                MetalLBConfig(
                    tuple(config.read_release(versions.METALLB_MANIFEST)),
                    namespaces[naming.Namespace.METALLB],
                    images.references,
                    profile,
                    capabilities.address_range or "",
                    node_loss,
                ),
                self.child(),
            )
        certificates = Certificates(
            "certificates",
            CertificatesConfig(
                f"Slipway {config.cluster_name}", naming.service_hosts(settings.domain), config.authority
            ),
            self.child(),
        )
        authority = certificates.resources.authority
        observer = None
        if observer_image:
            readers = (naming.Namespace.MONITORING, naming.Namespace.ROLLOUT)
            observer = IngressObserver(
                "ingress-observer",
                IngressObserverConfig(
                    namespaces[naming.Namespace.INGRESS],
                    {each: namespaces[each] for each in readers if each in namespaces},
                    authority,
                ),
                self.child(),
            )
        ingress = Ingress(
            "ingress",
            IngressConfig(
                namespaces[naming.Namespace.INGRESS],
                images.references["haproxy-ingress"],
                profile,
                settings.timeouts,
                certificates.resources.ingress.certificate,
                certificates.resources.ingress.private_key,
                observer_image,
                settings.metrics is Part.MANAGED,
                bool(controller_image),
                config.capabilities.load_balancer_annotations,
            ),
            self.child(depends_on=[priorities, *(it for it in (metallb, observer) if it)]),
        )
        operator = postgres = backups = None
        if settings.postgres is Store.MANAGED:
            operator = PostgresOperator(
                "postgres-operator",
                PostgresOperatorConfig(
                    tuple(config.read_release(versions.CLOUDNATIVE_PG_MANIFEST)),
                    namespaces[naming.Namespace.POSTGRES_OPERATOR],
                    images.references,
                    profile,
                    node_loss,
                ),
                self.child(depends_on=[priorities]),
            )
            archive = None
            if settings.backed_up is not Store.OFF:
                archive = self._archive(config, images.references, namespaces, authority, operator)
            postgres = Postgres(
                "postgres",
                PostgresConfig(
                    namespaces[naming.Namespace.DATA],
                    images.references["postgres"],
                    profile,
                    settings.postgres_timeouts,
                    capabilities.storage_class,
                    node_loss,
                    Archived(settings.backup_name, settings.restore_from) if archive else None,
                ),
                self.child(depends_on=[operator, *(archive[1:] if archive else ())]),
            )
            if archive:
                schedule = BackupSchedule("backup-schedule", ScheduleConfig(postgres), self.child())
                store, plugin, told = archive
                backups = PlatformBackups(plugin, store, told, schedule)
        redis_password = redis = None
        if settings.redis is Store.MANAGED:
            redis_password = GeneratedPassword("redis-password", opts=self.child())
            others = [GeneratedPassword(f"redis-{user}-password", opts=self.child()) for user in ("keeper", "metrics")]
            redis = Redis(
                "redis",
                RedisConfig(
                    namespaces[naming.Namespace.DATA],
                    images.references["redis"],
                    images.references["python"],
                    profile,
                    capabilities.storage_class,
                    RedisPasswords(redis_password.password, *(it.password for it in others)),
                    node_loss,
                    images.references.get("redis-exporter"),
                ),
                self.child(depends_on=[priorities]),
            )
        controller = None
        if controller_image and observer:
            controller = RolloutController(
                "rollout-controller",
                RolloutControllerConfig(
                    namespaces[naming.Namespace.ROLLOUT],
                    controller_image,
                    observer,
                    settings.metrics is Part.MANAGED,
                    node_loss,
                    connections.secrets(settings.parts),
                ),
                self.child(depends_on=[priorities]),
            )
        metrics = None
        if settings.metrics is Part.MANAGED:
            metrics = Metrics(
                "metrics",
                MetricsConfig(
                    tuple(config.read_release(versions.PROMETHEUS_OPERATOR_MANIFEST)),
                    namespaces[naming.Namespace.MONITORING],
                    images.references,
                    profile,
                    capabilities,
                    authority,
                    Present(
                        observed=observer is not None,
                        rolled_out=controller is not None,
                        postgres=postgres is not None,
                        backups=backups is not None,
                        redis=redis is not None,
                        logs=settings.logs is Store.MANAGED,
                        traces=settings.traces is Store.MANAGED,
                    ),
                    settings.alert_receiver,
                    node_loss,
                    settings.metrics_receiver,
                ),
                self.child(depends_on=[priorities]),
            )
        logs = None
        if settings.logs is not Store.OFF:
            logs = Logs(
                "logs",
                LogsConfig(
                    images.references,
                    profile,
                    capabilities.storage_class,
                    authority,
                    settings.traces is Store.MANAGED,
                    settings.metrics is Part.MANAGED,
                    node_loss,
                    settings.logs_external,
                ),
                self.child(depends_on=[priorities]),
            )
        traces = None if logs is None else self._traces(config, images.references, authority, logs)
        return PlatformResources(
            images,
            priorities,
            namespaces,
            metallb,
            certificates,
            ingress,
            operator,
            postgres,
            backups,
            redis_password,
            redis,
            observer,
            controller,
            metrics,
            logs,
            traces,
        )

    def _archive(
        self,
        config: PlatformConfig,
        images: Mapping[str, pulumi.Input[str]],
        namespaces: Mapping[naming.Namespace, Namespace],
        authority: Authority,
        operator: PostgresOperator,
    ) -> tuple[ObjectStore | None, BackupPlugin, Archive]:
        """What must be there before a Postgres that is backed up."""
        settings = config.settings
        profile, node_loss = PROFILES[settings.profile], settings.timeouts.node_loss
        plugin = BackupPlugin(
            "backup-plugin",
            BackupPluginConfig(
                tuple(config.read_release(versions.BARMAN_PLUGIN_MANIFEST)),
                namespaces[naming.Namespace.POSTGRES_OPERATOR],
                images,
                profile,
                authority,
                node_loss,
            ),
            self.child(depends_on=[operator]),
        )
        store = None
        if settings.backups_external is None:
            store = ObjectStore(
                "object-store",
                ObjectStoreConfig(
                    namespaces[naming.Namespace.BACKUPS],
                    images[_STORE_IMAGE],
                    profile,
                    config.capabilities.storage_class,
                    authority,
                    node_loss,
                ),
                self.child(),
            )
        archive = Archive(
            "backup-archive",
            ArchiveConfig(
                namespaces[naming.Namespace.DATA], profile, store or _external(settings), authority.certificate
            ),
            self.child(depends_on=[plugin]),
        )
        return store, plugin, archive

    def _traces(
        self,
        config: PlatformConfig,
        images: Mapping[str, pulumi.Input[str]],
        authority: Authority,
        logs: Logs,
    ) -> Traces | None:
        settings, own = config.settings, logs.resources.own
        if settings.traces is not Store.MANAGED or own is None:
            return None
        profile = PROFILES[settings.profile]
        return Traces(
            "traces",
            TracesConfig(
                images["jaeger"],
                profile,
                authority,
                own.elasticsearch.passwords[TRACER],
                log_keeper.copies(profile),
                settings.metrics is Part.MANAGED,
                settings.timeouts.node_loss,
            ),
            self.child(depends_on=[own.elasticsearch]),
        )

    def _namespaces(
        self, settings: PlatformSettings, capabilities: Capabilities, *, rolled_out: bool
    ) -> dict[naming.Namespace, Namespace]:
        levels = {
            # The speaker answers ARP on the nodes' own network.
            naming.Namespace.METALLB: PodSecurity.PRIVILEGED,
            naming.Namespace.INGRESS: PodSecurity.RESTRICTED,
            naming.Namespace.POSTGRES_OPERATOR: PodSecurity.RESTRICTED,
            naming.Namespace.DATA: PodSecurity.RESTRICTED,
            naming.Namespace.MONITORING: PodSecurity.RESTRICTED,
            naming.Namespace.ROLLOUT: PodSecurity.RESTRICTED,
            naming.Namespace.BACKUPS: PodSecurity.RESTRICTED,
        }
        if settings.backed_up is not Store.MANAGED:
            del levels[naming.Namespace.BACKUPS]
        if not rolled_out:
            del levels[naming.Namespace.ROLLOUT]
        if settings.postgres is not Store.MANAGED:
            del levels[naming.Namespace.POSTGRES_OPERATOR]
        if not settings.parts.keeps_data:
            del levels[naming.Namespace.DATA]
        if settings.metrics is Part.OFF:
            del levels[naming.Namespace.MONITORING]
        if capabilities.load_balancer:
            del levels[naming.Namespace.METALLB]
        return {
            namespace: Namespace(namespace.value, NamespaceConfig(namespace.value, level), self.child())
            for namespace, level in levels.items()
        }


def _external(settings: PlatformSettings) -> ExternalObjectStore:
    if settings.backups_external is None:
        raise AssertionError("the settings' own check lets no external store pass that is not described")
    return settings.backups_external


def image_names(settings: PlatformSettings, capabilities: Capabilities) -> list[str]:
    """The images that the platform runs on a cluster.

    Without MetalLB where the cluster has a load balancer, without the parts that are off, and without observer and
    rollout controller where they can neither be built nor are named: nobody publishes them.
    """
    away = _METALLB_IMAGES if capabilities.load_balancer else frozenset[str]()
    if settings.postgres is not Store.MANAGED:
        away |= _POSTGRES_IMAGES
    if settings.redis is not Store.MANAGED:
        away |= _REDIS_IMAGES
    names = [name for name in PLATFORM_IMAGES if name not in away]
    source = resolve_source(ImagesConfig(names, settings.image_source, capabilities))
    if source is ImageSource.LOCAL and settings.ingress_observer_image is None:
        names.append(_OBSERVER_IMAGE)
    if source is ImageSource.LOCAL and settings.rollout_controller_image is None:
        names.append(_CONTROLLER_IMAGE)
    if settings.metrics is Part.MANAGED:
        names += [it for it in METRICS_IMAGES if it not in away]
    if settings.logs is not Store.OFF:
        names += LOGS_IMAGES if settings.logs is Store.MANAGED else COLLECTOR_IMAGES
    if settings.traces is Store.MANAGED:
        names += TRACES_IMAGES
    if settings.backed_up is not Store.OFF:
        names += [it for it in BACKUPS_IMAGES if it != _STORE_IMAGE or settings.backed_up is Store.MANAGED]
    return list(dict.fromkeys(names))
