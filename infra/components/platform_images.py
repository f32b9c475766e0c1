"""Which images the platform runs on a cluster."""

from infra.components.local_images import ImagesConfig, resolve_source
from infra.handover import Capabilities
from infra.images import (
    BACKUPS_IMAGES,
    COLLECTOR_IMAGES,
    EXPORTER_IMAGES,
    LOGS_IMAGES,
    METRICS_IMAGES,
    PLATFORM_IMAGES,
    POOLER_IMAGES,
    TRACES_IMAGES,
    ImageSource,
)
from infra.parts import Store
from infra.settings import PlatformSettings

OBSERVER_IMAGE = "ingress-observer"
CONTROLLER_IMAGE = "controller"
STORE_IMAGE = "versitygw"
_METALLB_IMAGES = frozenset({"metallb-controller", "metallb-speaker"})
_REDIS_IMAGES = frozenset({"redis", "redis-exporter", "python"})
_POSTGRES_IMAGES = frozenset({"cloudnative-pg", "postgres"})


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
        names.append(OBSERVER_IMAGE)
    if source is ImageSource.LOCAL and settings.rollout_controller_image is None:
        names.append(CONTROLLER_IMAGE)
    if settings.metrics is not Store.OFF:
        wanted = METRICS_IMAGES if settings.metrics is Store.MANAGED else EXPORTER_IMAGES
        names += [it for it in wanted if it not in away]
    if settings.logs is not Store.OFF:
        names += LOGS_IMAGES if settings.logs is Store.MANAGED else COLLECTOR_IMAGES
    if settings.traces is Store.MANAGED:
        names += TRACES_IMAGES
    if settings.parts.pooled:
        names += POOLER_IMAGES
    if settings.backed_up is not Store.OFF:
        names += [it for it in BACKUPS_IMAGES if it != STORE_IMAGE or settings.backed_up is Store.MANAGED]
    return list(dict.fromkeys(names))
