"""The whole platform, in the order in which its parts need each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import pulumi

from dashboards.rules.present import Present
from infra import naming, tls, versions
from infra.components import log_keeper
from infra.components.base import Component
from infra.components.certificate_ends import CertificateEnds, CertificateEndsConfig
from infra.components.certificates import Authority, Certificates, CertificatesConfig
from infra.components.elasticsearch import TRACER
from infra.components.external_metrics import ExternalMetrics, ExternalMetricsConfig
from infra.components.ingress import Ingress, IngressConfig
from infra.components.ingress_observer import IngressObserver, IngressObserverConfig
from infra.components.local_images import Images, ImagesConfig
from infra.components.logs import Logs, LogsConfig
from infra.components.metallb import MetalLB, MetalLBConfig
from infra.components.metrics import Metrics, MetricsConfig
from infra.components.namespace import Namespace, NamespaceConfig
from infra.components.platform_images import CONTROLLER_IMAGE, OBSERVER_IMAGE, image_names
from infra.components.platform_stores import (
    Ground,
    ManagedPostgres,
    ManagedRedis,
    ReadRelease,
    make_postgres,
    make_redis,
)
from infra.components.priorities import Priorities
from infra.components.rollout_controller import RolloutController, RolloutControllerConfig
from infra.components.traces import Traces, TracesConfig
from infra.handover import Capabilities
from infra.handover import Platform as PlatformHandover
from infra.labels import PodSecurity
from infra.parts import Store
from infra.profiles import PROFILES
from infra.settings import PlatformSettings


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
class PlatformResources:
    """What was made.

    `metallb` only where the cluster has no load balancer of its own, `observer` and `controller` only where their image
    can be had, `database`, `cache`, `metrics`, `logs` and `traces` only if the platform brings them,
    `external` only if another Prometheus finds what it scrapes by objects, `ends` only if one of the two is there.
    """

    images: Images
    priorities: Priorities
    namespaces: dict[naming.Namespace, Namespace]
    metallb: MetalLB | None
    certificates: Certificates
    ingress: Ingress
    database: ManagedPostgres | None
    cache: ManagedRedis | None
    observer: IngressObserver | None
    controller: RolloutController | None
    metrics: Metrics | None
    external: ExternalMetrics | None
    logs: Logs | None
    traces: Traces | None
    ends: CertificateEnds | None


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
            redis_password=self.resources.cache and self.resources.cache.password.password,
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
        observer_image = settings.ingress_observer_image or images.references.get(OBSERVER_IMAGE)
        # It reads the weights back from the observers: without them it could promote nothing.
        controller_image = observer_image and (
            settings.rollout_controller_image or images.references.get(CONTROLLER_IMAGE)
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
                settings.scraped_from,
                bool(controller_image),
                config.capabilities.load_balancer_annotations,
            ),
            self.child(depends_on=[priorities, *(it for it in (metallb, observer) if it)]),
        )
        ground = Ground(
            settings,
            capabilities,
            config.read_release,
            images.references,
            namespaces,
            authority,
            priorities,
            self.child,
        )
        database, cache = make_postgres(ground), make_redis(ground)
        controller = None
        if controller_image and observer:
            controller = RolloutController(
                "rollout-controller",
                RolloutControllerConfig(
                    namespaces[naming.Namespace.ROLLOUT],
                    controller_image,
                    observer,
                    settings.parts,
                    node_loss,
                ),
                self.child(depends_on=[priorities]),
            )
        present = Present(
            observed=observer is not None,
            rolled_out=controller is not None,
            postgres=database is not None,
            backups=database is not None and database.backups is not None,
            poolers=database is not None and database.poolers is not None,
            redis=cache is not None,
            logs=settings.logs is Store.MANAGED,
            traces=settings.traces is Store.MANAGED,
            cluster=settings.metrics is Store.MANAGED,
        )
        metrics = None
        if settings.metrics is Store.MANAGED:
            metrics = Metrics(
                "metrics",
                MetricsConfig(
                    tuple(config.read_release(versions.PROMETHEUS_OPERATOR_MANIFEST)),
                    namespaces[naming.Namespace.MONITORING],
                    images.references,
                    profile,
                    capabilities,
                    authority,
                    present,
                    settings.alert_receiver,
                    node_loss,
                    settings.metrics_receiver,
                ),
                self.child(depends_on=[priorities]),
            )
        external = None
        if (elsewhere := settings.metrics_external) and elsewhere.objects:
            external = ExternalMetrics(
                "external-metrics",
                ExternalMetricsConfig(namespaces[naming.Namespace.ROLLOUT], elsewhere, capabilities, present),
                self.child(depends_on=[it for it in (observer,) if it]),
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
                    settings.scraped_from,
                    node_loss,
                    settings.logs_external,
                ),
                self.child(depends_on=[priorities]),
            )
        traces = None if logs is None else self._traces(config, images.references, authority, logs)
        ends = self._ends(settings, authority, metrics or external)
        return PlatformResources(
            images,
            priorities,
            namespaces,
            metallb,
            certificates,
            ingress,
            database,
            cache,
            observer,
            controller,
            metrics,
            external,
            logs,
            traces,
            ends,
        )

    def _ends(
        self, settings: PlatformSettings, authority: Authority, measuring: Metrics | ExternalMetrics | None
    ) -> CertificateEnds | None:
        """When everything that is signed ends, where somebody looks at it."""
        if measuring is None:
            return None
        elsewhere = settings.metrics_external
        where = naming.Namespace.ROLLOUT if elsewhere else naming.Namespace.MONITORING
        config = CertificateEndsConfig(authority, where.value, elsewhere.labels if elsewhere else {})
        return CertificateEnds("certificate-ends", config, self.child(depends_on=[measuring]))

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
                images["python"],
                profile,
                authority,
                own.elasticsearch.passwords[TRACER],
                log_keeper.copies(profile),
                settings.scraped_from,
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
        # A Prometheus of others finds what it scrapes there too.
        if not rolled_out and settings.metrics is not Store.EXTERNAL:
            del levels[naming.Namespace.ROLLOUT]
        if settings.postgres is not Store.MANAGED:
            del levels[naming.Namespace.POSTGRES_OPERATOR]
        if not settings.parts.keeps_data:
            del levels[naming.Namespace.DATA]
        if settings.metrics is not Store.MANAGED:
            del levels[naming.Namespace.MONITORING]
        if capabilities.load_balancer:
            del levels[naming.Namespace.METALLB]
        return {
            namespace: Namespace(namespace.value, NamespaceConfig(namespace.value, level), self.child())
            for namespace, level in levels.items()
        }
