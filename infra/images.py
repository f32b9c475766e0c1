"""The one catalogue of container images.

Each has an upstream reference, for clusters that can pull from public registries, and the name of a recipe in
`slipway.toolchain.images`, for clusters that cannot. A test fails if a rendered pod uses an image that is not here.

Upstream references stand by tag only: their digests cannot be looked up without those registries, and a digest that
nobody checked would be worse than none. Local references are always by digest, taken from what was pushed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from infra import versions

#: Where the toolchain puts images in a local registry.
LOCAL_FOLDER: Final = "slipway"

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ImageSource(StrEnum):
    """Where the platform's images come from."""

    AUTO = "auto"
    LOCAL = "local"
    UPSTREAM = "upstream"


@dataclass(frozen=True)
class Image:
    """One entry of the catalogue.

    Attributes:
        name: Logical name; also the name of the recipe, and of the repository in a local registry.
        upstream: Repository and tag as its project publishes it; `None` for images that only we build.
        digest: Upstream's digest, `sha256:` and 64 hexadecimal digits; `None` where it is known by tag only.
        local_tag: Tag beside the digest of a local reference; only where software reads its own version from it.
    """

    name: str
    upstream: str | None
    digest: str | None = None
    local_tag: str | None = None

    def upstream_reference(self, mirror: str | None = None) -> str:
        """The reference at its project's registry, or at a mirror that keeps the same paths.

        Args:
            mirror: Prefix that takes the place of nothing but stands before the whole reference, without a slash at
                its end.

        Raises:
            ValueError: Nobody publishes this image.
        """
        if self.upstream is None:
            raise ValueError(
                f"the image {self.name!r} is not published anywhere: it is built from this repository; name it in the "
                "setting slipway-service:image, or use a cluster with a local registry"
            )
        reference = f"{self.upstream}@{self.digest}" if self.digest else self.upstream
        return f"{mirror}/{reference}" if mirror else reference

    def local_reference(self, registry: str, digest: str) -> str:
        """The reference by digest in a cluster's own registry.

        Args:
            registry: `host:port` under which the nodes know the registry.
            digest: What the registry answered when the image was pushed.

        Raises:
            ValueError: The digest is not one.
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"the image {self.name!r} has the digest {digest!r}; allowed is sha256: and 64 hex digits")
        tag = f":{self.local_tag}" if self.local_tag else ""
        return f"{registry}/{LOCAL_FOLDER}/{self.name}{tag}@{digest}"


_TABLE: Final = (
    Image("pause", f"registry.k8s.io/pause:{versions.PAUSE}"),
    Image("coredns", f"registry.k8s.io/coredns/coredns:v{versions.COREDNS}"),
    Image("local-path-provisioner", f"docker.io/rancher/local-path-provisioner:v{versions.LOCAL_PATH_PROVISIONER}"),
    Image("shell", "docker.io/library/debian:trixie-slim"),
    Image("metallb-controller", f"quay.io/metallb/controller:v{versions.METALLB}"),
    Image("metallb-speaker", f"quay.io/metallb/speaker:v{versions.METALLB}"),
    # Upstream carries HAProxy 2.8, on which weight shifts by the runtime API are not measured; the recipe has 2.6.
    Image("haproxy-ingress", f"quay.io/jcmoraisjr/haproxy-ingress:v{versions.HAPROXY_INGRESS}"),
    Image("cloudnative-pg", f"ghcr.io/cloudnative-pg/cloudnative-pg:{versions.CLOUDNATIVE_PG}"),
    Image(
        "postgres",
        f"ghcr.io/cloudnative-pg/postgresql:{versions.POSTGRES_UPSTREAM}",
        local_tag=versions.POSTGRES_MAJOR,
    ),
    Image("pgbouncer", f"ghcr.io/cloudnative-pg/pgbouncer:{versions.PGBOUNCER}"),
    Image("plugin-barman-cloud", f"ghcr.io/cloudnative-pg/plugin-barman-cloud:v{versions.BARMAN_PLUGIN}"),
    Image(
        "plugin-barman-cloud-sidecar", f"ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v{versions.BARMAN_PLUGIN}"
    ),
    Image("versitygw", f"ghcr.io/versity/versitygw:v{versions.VERSITYGW}"),
    Image("redis", f"docker.io/library/redis:{versions.REDIS_UPSTREAM}"),
    # A bare interpreter, for the keepers of Redis and of logs: images of their own would have to be published.
    Image("python", f"docker.io/library/python:{versions.PYTHON_UPSTREAM}"),
    # Ours alone; HAProxy's pods cannot be without it, so on clusters without a registry it must come from one.
    Image("ingress-observer", None),
    Image("prometheus-operator", f"quay.io/prometheus-operator/prometheus-operator:v{versions.PROMETHEUS_OPERATOR}"),
    Image(
        "prometheus-config-reloader",
        f"quay.io/prometheus-operator/prometheus-config-reloader:v{versions.PROMETHEUS_OPERATOR}",
    ),
    Image("prometheus", f"quay.io/prometheus/prometheus:v{versions.PROMETHEUS}"),
    Image("alertmanager", f"quay.io/prometheus/alertmanager:v{versions.ALERTMANAGER}"),
    Image("redis-exporter", f"docker.io/oliver006/redis_exporter:v{versions.REDIS_EXPORTER}"),
    Image("node-exporter", f"quay.io/prometheus/node-exporter:v{versions.NODE_EXPORTER}"),
    Image("metrics-server", f"registry.k8s.io/metrics-server/metrics-server:v{versions.METRICS_SERVER}"),
    Image(
        "kube-state-metrics", f"registry.k8s.io/kube-state-metrics/kube-state-metrics:v{versions.KUBE_STATE_METRICS}"
    ),
    Image("elasticsearch", f"docker.elastic.co/elasticsearch/elasticsearch:{versions.ELASTICSEARCH}"),
    Image("jaeger", f"docker.io/jaegertracing/jaeger:{versions.JAEGER}"),
    Image("otel-collector", f"docker.io/otel/opentelemetry-collector-contrib:{versions.OTEL_COLLECTOR}"),
    Image("k6", f"docker.io/grafana/k6:{versions.K6}"),
    # Ours alone, as the observer; without it no service is rolled out.
    Image("controller", None),
    Image("service", None),
)

CATALOGUE: Final[Mapping[str, Image]] = MappingProxyType({image.name: image for image in _TABLE})

#: What the platform project runs; the node package brings up the rest before it.
PLATFORM_IMAGES: Final = (
    "metallb-controller",
    "metallb-speaker",
    "haproxy-ingress",
    "cloudnative-pg",
    "postgres",
    "redis",
    "python",
)

#: What the platform runs besides if it is scraped from elsewhere, and if it keeps metrics.
EXPORTER_IMAGES: Final = ("redis-exporter",)
METRICS_IMAGES: Final = (
    "prometheus-operator",
    "prometheus-config-reloader",
    "prometheus",
    "alertmanager",
    *EXPORTER_IMAGES,
    "node-exporter",
    "metrics-server",
    "kube-state-metrics",
)

#: What the platform runs besides if poolers stand before Postgres.
POOLER_IMAGES: Final = ("pgbouncer",)

#: What the platform runs besides if Postgres is backed up; the last one only if it brings the store along.
BACKUPS_IMAGES: Final = ("plugin-barman-cloud", "plugin-barman-cloud-sidecar", "versitygw")

#: What the platform runs besides if it sends logs elsewhere, and if it keeps them.
COLLECTOR_IMAGES: Final = ("otel-collector",)
LOGS_IMAGES: Final = ("elasticsearch", *COLLECTOR_IMAGES, "python")
#: What traces run on besides.
TRACES_IMAGES: Final = ("jaeger",)


def image(name: str) -> Image:
    """Look an image up.

    Raises:
        KeyError: It is not in the catalogue.
    """
    if name not in CATALOGUE:
        raise KeyError(f"the image {name!r} is not in the catalogue infra/images.py; it knows {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def repository(reference: str) -> str:
    """The reference without digest and tag: what is compared with the catalogue."""
    before, _, _ = reference.partition("@")
    path, colon, last = before.rpartition(":")
    return before if not colon or "/" in last else path
