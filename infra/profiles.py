"""How big each part is, by profile.

Requests are what the scheduler reserves, so the sum of a profile's requests is the smallest machine it fits on; limits
protect neighbours. Memory limits are always set; CPU limits leave room for bursts, since an idle request is cheap and
a throttled proxy is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ProfileName(StrEnum):
    """The profiles a stack can choose."""

    SMALL = "small"
    STANDARD = "standard"
    HA = "ha"


@dataclass(frozen=True)
class Size:
    """Requests and limits of one container, in Kubernetes quantities.

    Attributes:
        cpu: Requested CPU, `50m` is a twentieth of a core.
        memory: Requested memory.
        cpu_limit: CPU above which it is throttled.
        memory_limit: Memory above which it is killed.
    """

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str

    def requests(self) -> dict[str, str]:
        """The requests as Kubernetes writes them."""
        return {"cpu": self.cpu, "memory": self.memory}

    def limits(self) -> dict[str, str]:
        """The limits as Kubernetes writes them."""
        return {"cpu": self.cpu_limit, "memory": self.memory_limit}


@dataclass(frozen=True)
class Profile:
    """Sizes and counts of everything.

    Attributes:
        metallb_controller: MetalLB's controller.
        metallb_speaker: MetalLB's speaker, one on each node.
        ingress: Each HAProxy pod.
        ingress_replicas: HAProxy pods.
        ingress_threads: Threads of each HAProxy.
        operator: Each pod of the Postgres operator. A change of the primary waits for what it works out.
        operator_replicas: Pods of the operator; one leads, the others wait.
        postgres: Each Postgres instance. One that is promoted asks the archive again and again, each time by a program.
        postgres_storage: Volume of each Postgres instance.
        postgres_wal: Size of the write-ahead log between two checkpoints, and of what is kept before (ADR 134).
        postgres_wal_storage: Volume of the log, which grows further while a replica is away or the archive takes
            nothing.
        postgres_connections: Connections that an instance accepts.
        postgres_shared_buffers: Postgres's own cache.
        pooler: Each PgBouncer, where there are any; it has one thread.
        redis: Each Redis of the state role.
        redis_storage: Volume of each of them.
        redis_maxmemory: Data that it holds before it refuses writes, in its own notation; well below its limit,
            since a rewrite of the append-only file copies pages.
        redis_sentinel: Each Sentinel.
        redis_keeper: Each keeper, which is a small Python program.
        redis_exporter: The exporter beside each Redis, of either role.
        redis_cache: The Redis of the cache role.
        redis_cache_maxmemory: Data that it holds before it forgets what is read least.
        ingress_observer: The observer beside each HAProxy.
        prometheus_operator: The operator of Prometheus.
        prometheus: Each Prometheus.
        prometheus_replicas: Prometheus pods; each scrapes everything, so a second one doubles the cost.
        prometheus_storage: Volume of each Prometheus.
        prometheus_retention: How long samples are kept.
        prometheus_retention_size: How much of the volume samples may take; the log of the newest ones comes on top.
        alertmanager: Each Alertmanager.
        alertmanager_replicas: Alertmanager pods; they tell each other whom they have told.
        kube_state_metrics: The exporter of the cluster's objects.
        node_exporter: The exporter of each machine.
        metrics_server: The server behind `kubectl top` and autoscaling.
        elasticsearch: Each Elasticsearch.
        elasticsearch_heap: Java's own memory in MiB, at most half of the limit; the rest is for files being read.
        elasticsearch_replicas: Elasticsearch pods: one, or three, of which one may be lost.
        elasticsearch_storage: Volume of each.
        logs_retention_days: Days that lines are kept; fewer if three quarters of the volume are full before.
        log_collector: The collector, one on each node.
        log_keeper: What makes and deletes indices.
        jaeger: Each Jaeger.
        jaeger_replicas: Jaeger pods; each takes spans and answers.
        object_store: The store of backups.
        object_store_storage: Its volume: base backups, and the log of changes between them.
        backup_plugin: What lets the operator of Postgres speak to the store.
        backup_sidecar: The sidecar of each Postgres instance that archives and backs up. A replica that is promoted
            asks it first, several times, whether the archive has more: what it may use decides how long that takes.
        backups_retention_days: Days to each moment of which Postgres can be restored.
        service: Each pod of the service.
        service_replicas: Pods of each colour.
        worker: Each worker of the service.
        worker_replicas: Workers of each colour; those of one colour consume.
    """

    metallb_controller: Size
    metallb_speaker: Size
    ingress: Size
    ingress_replicas: int
    ingress_threads: int
    operator: Size
    operator_replicas: int
    postgres: Size
    postgres_storage: str
    postgres_wal: str
    postgres_wal_storage: str
    postgres_connections: int
    postgres_shared_buffers: str
    pooler: Size
    redis: Size
    redis_storage: str
    redis_maxmemory: str
    redis_sentinel: Size
    redis_keeper: Size
    redis_exporter: Size
    redis_cache: Size
    redis_cache_maxmemory: str
    ingress_observer: Size
    prometheus_operator: Size
    prometheus: Size
    prometheus_replicas: int
    prometheus_storage: str
    prometheus_retention: str
    prometheus_retention_size: str
    alertmanager: Size
    alertmanager_replicas: int
    kube_state_metrics: Size
    node_exporter: Size
    metrics_server: Size
    elasticsearch: Size
    elasticsearch_heap: int
    elasticsearch_replicas: int
    elasticsearch_storage: str
    logs_retention_days: int
    log_collector: Size
    log_keeper: Size
    jaeger: Size
    jaeger_replicas: int
    object_store: Size
    object_store_storage: str
    backup_plugin: Size
    backup_sidecar: Size
    backups_retention_days: int
    service: Size
    service_replicas: int
    worker: Size
    worker_replicas: int


#: Instances of Postgres in every profile: with one synchronous replica required, two would stop all writes when one
#: is lost, and one instance has nothing to fail over to.
POSTGRES_INSTANCES: Final = 3

PROFILES: Final[Mapping[ProfileName, Profile]] = MappingProxyType(
    {
        ProfileName.SMALL: Profile(
            metallb_controller=Size("10m", "48Mi", "200m", "160Mi"),
            metallb_speaker=Size("10m", "40Mi", "200m", "160Mi"),
            ingress=Size("125m", "128Mi", "2", "384Mi"),
            ingress_replicas=2,
            ingress_threads=2,
            operator=Size("20m", "64Mi", "1", "256Mi"),
            operator_replicas=2,
            postgres=Size("50m", "256Mi", "2", "768Mi"),
            postgres_storage="2Gi",
            postgres_wal="256MB",
            postgres_wal_storage="2Gi",
            postgres_connections=200,
            postgres_shared_buffers="128MB",
            pooler=Size("10m", "48Mi", "500m", "160Mi"),
            redis=Size("10m", "48Mi", "500m", "256Mi"),
            redis_storage="1Gi",
            redis_maxmemory="128mb",
            redis_sentinel=Size("5m", "16Mi", "200m", "64Mi"),
            redis_keeper=Size("10m", "24Mi", "200m", "64Mi"),
            redis_exporter=Size("5m", "16Mi", "200m", "64Mi"),
            redis_cache=Size("10m", "32Mi", "500m", "160Mi"),
            redis_cache_maxmemory="96mb",
            ingress_observer=Size("10m", "24Mi", "500m", "128Mi"),
            prometheus_operator=Size("5m", "48Mi", "500m", "256Mi"),
            prometheus=Size("50m", "384Mi", "1", "1Gi"),
            prometheus_replicas=1,
            prometheus_storage="4Gi",
            prometheus_retention="12h",
            prometheus_retention_size="2GB",
            alertmanager=Size("5m", "32Mi", "200m", "128Mi"),
            alertmanager_replicas=1,
            kube_state_metrics=Size("5m", "32Mi", "200m", "128Mi"),
            node_exporter=Size("5m", "16Mi", "200m", "96Mi"),
            metrics_server=Size("10m", "48Mi", "500m", "192Mi"),
            elasticsearch=Size("50m", "768Mi", "2", "1Gi"),
            elasticsearch_heap=384,
            elasticsearch_replicas=1,
            elasticsearch_storage="4Gi",
            logs_retention_days=3,
            log_collector=Size("10m", "80Mi", "500m", "192Mi"),
            log_keeper=Size("5m", "24Mi", "200m", "96Mi"),
            jaeger=Size("10m", "64Mi", "500m", "256Mi"),
            jaeger_replicas=1,
            object_store=Size("10m", "48Mi", "1", "256Mi"),
            object_store_storage="8Gi",
            backup_plugin=Size("5m", "32Mi", "200m", "128Mi"),
            backup_sidecar=Size("10m", "64Mi", "2", "512Mi"),
            backups_retention_days=3,
            service=Size("50m", "160Mi", "1", "384Mi"),
            service_replicas=2,
            worker=Size("10m", "96Mi", "500m", "256Mi"),
            worker_replicas=1,
        ),
        ProfileName.STANDARD: Profile(
            metallb_controller=Size("50m", "64Mi", "500m", "256Mi"),
            metallb_speaker=Size("50m", "64Mi", "500m", "256Mi"),
            ingress=Size("500m", "256Mi", "4", "1Gi"),
            ingress_replicas=2,
            ingress_threads=4,
            operator=Size("100m", "128Mi", "1", "512Mi"),
            operator_replicas=2,
            postgres=Size("500m", "1Gi", "2", "2Gi"),
            postgres_storage="20Gi",
            postgres_wal="512MB",
            postgres_wal_storage="10Gi",
            postgres_connections=300,
            postgres_shared_buffers="512MB",
            pooler=Size("50m", "64Mi", "1", "256Mi"),
            redis=Size("100m", "256Mi", "1", "1Gi"),
            redis_storage="4Gi",
            redis_maxmemory="512mb",
            redis_sentinel=Size("20m", "16Mi", "200m", "64Mi"),
            redis_keeper=Size("20m", "24Mi", "200m", "64Mi"),
            redis_exporter=Size("10m", "24Mi", "200m", "96Mi"),
            redis_cache=Size("100m", "256Mi", "1", "768Mi"),
            redis_cache_maxmemory="512mb",
            ingress_observer=Size("50m", "32Mi", "1", "128Mi"),
            prometheus_operator=Size("20m", "64Mi", "500m", "256Mi"),
            prometheus=Size("250m", "1Gi", "2", "3Gi"),
            prometheus_replicas=1,
            prometheus_storage="40Gi",
            prometheus_retention="15d",
            prometheus_retention_size="30GB",
            alertmanager=Size("10m", "64Mi", "500m", "256Mi"),
            alertmanager_replicas=2,
            kube_state_metrics=Size("20m", "64Mi", "500m", "256Mi"),
            node_exporter=Size("20m", "32Mi", "500m", "128Mi"),
            metrics_server=Size("50m", "64Mi", "500m", "256Mi"),
            elasticsearch=Size("250m", "2Gi", "2", "3Gi"),
            elasticsearch_heap=1024,
            elasticsearch_replicas=3,
            elasticsearch_storage="40Gi",
            logs_retention_days=14,
            log_collector=Size("50m", "96Mi", "1", "256Mi"),
            log_keeper=Size("10m", "32Mi", "200m", "96Mi"),
            jaeger=Size("50m", "128Mi", "1", "512Mi"),
            jaeger_replicas=2,
            object_store=Size("100m", "128Mi", "2", "512Mi"),
            object_store_storage="100Gi",
            backup_plugin=Size("10m", "64Mi", "500m", "256Mi"),
            backup_sidecar=Size("50m", "128Mi", "2", "1Gi"),
            backups_retention_days=14,
            service=Size("250m", "256Mi", "1", "512Mi"),
            service_replicas=3,
            worker=Size("50m", "128Mi", "1", "384Mi"),
            worker_replicas=1,
        ),
        ProfileName.HA: Profile(
            metallb_controller=Size("100m", "128Mi", "1", "512Mi"),
            metallb_speaker=Size("100m", "128Mi", "1", "512Mi"),
            ingress=Size("1", "512Mi", "4", "2Gi"),
            ingress_replicas=3,
            ingress_threads=4,
            operator=Size("100m", "256Mi", "1", "512Mi"),
            operator_replicas=2,
            postgres=Size("1", "4Gi", "4", "8Gi"),
            postgres_storage="100Gi",
            postgres_wal="1GB",
            postgres_wal_storage="30Gi",
            postgres_connections=400,
            postgres_shared_buffers="2GB",
            pooler=Size("100m", "96Mi", "1", "384Mi"),
            redis=Size("250m", "512Mi", "2", "2Gi"),
            redis_storage="10Gi",
            redis_maxmemory="1gb",
            redis_sentinel=Size("20m", "32Mi", "200m", "128Mi"),
            redis_keeper=Size("20m", "32Mi", "200m", "64Mi"),
            redis_exporter=Size("20m", "32Mi", "200m", "96Mi"),
            redis_cache=Size("250m", "512Mi", "2", "2Gi"),
            redis_cache_maxmemory="1gb",
            ingress_observer=Size("100m", "32Mi", "1", "128Mi"),
            prometheus_operator=Size("50m", "128Mi", "500m", "512Mi"),
            prometheus=Size("500m", "4Gi", "4", "8Gi"),
            prometheus_replicas=2,
            prometheus_storage="100Gi",
            prometheus_retention="30d",
            prometheus_retention_size="80GB",
            alertmanager=Size("20m", "128Mi", "1", "512Mi"),
            alertmanager_replicas=2,
            kube_state_metrics=Size("50m", "128Mi", "500m", "512Mi"),
            node_exporter=Size("50m", "32Mi", "500m", "128Mi"),
            metrics_server=Size("100m", "128Mi", "1", "512Mi"),
            elasticsearch=Size("500m", "4Gi", "4", "6Gi"),
            elasticsearch_heap=2048,
            elasticsearch_replicas=3,
            elasticsearch_storage="100Gi",
            logs_retention_days=30,
            log_collector=Size("100m", "128Mi", "1", "384Mi"),
            log_keeper=Size("10m", "32Mi", "500m", "128Mi"),
            jaeger=Size("100m", "256Mi", "1", "1Gi"),
            jaeger_replicas=2,
            object_store=Size("250m", "256Mi", "4", "1Gi"),
            object_store_storage="500Gi",
            backup_plugin=Size("20m", "64Mi", "500m", "256Mi"),
            backup_sidecar=Size("100m", "256Mi", "2", "2Gi"),
            backups_retention_days=30,
            service=Size("500m", "512Mi", "2", "1Gi"),
            service_replicas=4,
            worker=Size("100m", "192Mi", "1", "512Mi"),
            worker_replicas=2,
        ),
    }
)
