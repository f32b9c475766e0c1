"""Every pin of the infrastructure, once.

Python packages are pinned by uv.lock, Go programs by slipway/toolchain/modules. What is named here is what a manifest
or an upstream image refers to; a test holds the two in step.
"""

from dataclasses import dataclass
from typing import Final

# renovate: datasource=github-tags depName=metallb/metallb
METALLB: Final = "0.15.2"
# renovate: datasource=github-tags depName=jcmoraisjr/haproxy-ingress
HAPROXY_INGRESS: Final = "0.16.1"
# renovate: datasource=github-tags depName=cloudnative-pg/cloudnative-pg
CLOUDNATIVE_PG: Final = "1.30.0"
# renovate: datasource=github-tags depName=cloudnative-pg/plugin-barman-cloud
BARMAN_PLUGIN: Final = "0.14.0"
# renovate: datasource=github-tags depName=versity/versitygw
VERSITYGW: Final = "1.8.0"
# renovate: datasource=github-tags depName=coredns/coredns
COREDNS: Final = "1.12.4"
# renovate: datasource=github-tags depName=rancher/local-path-provisioner
LOCAL_PATH_PROVISIONER: Final = "0.0.30"
# renovate: datasource=docker depName=registry.k8s.io/pause
PAUSE: Final = "3.10"

# renovate: datasource=github-tags depName=prometheus-operator/prometheus-operator
PROMETHEUS_OPERATOR: Final = "0.85.0"
# renovate: datasource=github-tags depName=kubernetes-sigs/metrics-server
METRICS_SERVER: Final = "0.9.0"
# renovate: datasource=github-tags depName=kubernetes/kube-state-metrics
KUBE_STATE_METRICS: Final = "2.15.0"
# renovate: datasource=docker depName=quay.io/prometheus/prometheus
PROMETHEUS: Final = "2.53.3"
# renovate: datasource=docker depName=quay.io/prometheus/alertmanager
ALERTMANAGER: Final = "0.28.1"
# renovate: datasource=docker depName=docker.elastic.co/elasticsearch/elasticsearch
ELASTICSEARCH: Final = "9.1.4"
# renovate: datasource=docker depName=docker.io/otel/opentelemetry-collector-contrib
OTEL_COLLECTOR: Final = "0.156.0"
# renovate: datasource=docker depName=docker.io/jaegertracing/jaeger
JAEGER: Final = "2.13.0"
# renovate: datasource=docker depName=quay.io/prometheus/node-exporter
NODE_EXPORTER: Final = "1.9.0"

#: Major version of Postgres; the operator reads it from the image's tag.
POSTGRES_MAJOR: Final = "17"
# renovate: datasource=docker depName=ghcr.io/cloudnative-pg/postgresql
POSTGRES_UPSTREAM: Final = "17.5"
# renovate: datasource=docker depName=ghcr.io/cloudnative-pg/pgbouncer
PGBOUNCER: Final = "1.25.1"
# renovate: datasource=docker depName=docker.io/library/python
PYTHON_UPSTREAM: Final = "3.13-slim"
# renovate: datasource=docker depName=docker.io/library/redis
REDIS_UPSTREAM: Final = "8.0.3"
# renovate: datasource=docker depName=docker.io/oliver006/redis_exporter
REDIS_EXPORTER: Final = "1.69.0"
# renovate: datasource=docker depName=docker.io/grafana/k6
K6: Final = "1.1.0"


@dataclass(frozen=True)
class ReleaseFile:
    """A release manifest inside a Go module; the same bytes as on the project's release page.

    Its digest is pinned beside the module's version, in `slipway.toolchain.modules`.

    Attributes:
        module_set: Folder under slipway/toolchain/modules whose go.mod names the module.
        path: Path inside the module.
    """

    module_set: str
    path: str


METALLB_MANIFEST: Final = ReleaseFile("metallb", "config/manifests/metallb-native.yaml")
CLOUDNATIVE_PG_MANIFEST: Final = ReleaseFile("cloudnative-pg", f"releases/cnpg-{CLOUDNATIVE_PG}.yaml")
BARMAN_PLUGIN_MANIFEST: Final = ReleaseFile("plugin-barman-cloud", "manifest.yaml")
PROMETHEUS_OPERATOR_MANIFEST: Final = ReleaseFile("prometheus-operator", "bundle.yaml")
