"""Every name on which two places must agree.

Names are explicit wherever another system refers to them (a Service name inside a URL, a namespace inside a network
policy). They stand here once, so that a chart value, an alert and a Pulumi resource cannot drift apart.
"""

import hashlib
import re
from enum import StrEnum
from typing import Final

#: Longest name of a Kubernetes object that must also be a DNS label (a Service, a namespace, a pod's host name).
DNS_LABEL_LIMIT: Final = 63
#: A cluster's name becomes a part of stack names, host names and network interfaces; the rest of those needs room too.
CLUSTER_NAME_LIMIT: Final = 20

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_HASH_LENGTH: Final = 8

DEFAULT_CLUSTER: Final = "slipway"
DOMAIN: Final = "slipway.test"
SERVICE: Final = "payload"


class Project(StrEnum):
    """The Pulumi projects, in the order in which they are brought up."""

    CLUSTER = "slipway-cluster"
    PLATFORM = "slipway-platform"
    SERVICE = "slipway-service"


class Namespace(StrEnum):
    """Namespaces of the platform. Each environment adds one of its own, named like the environment."""

    METALLB = "metallb-system"
    INGRESS = "ingress"
    POSTGRES_OPERATOR = "cnpg-system"
    DATA = "data"
    MONITORING = "monitoring"
    NODE_METRICS = "node-metrics"
    LOGS = "logs"
    NODE_LOGS = "node-logs"
    TRACES = "traces"
    BACKUPS = "backups"
    ROLLOUT = "slipway-system"


class Environment(StrEnum):
    """Where a service runs: a namespace and a stack of the service project each, all on one platform."""

    DEV = "dev"
    STAGING = "staging"
    PRODUCTION = "production"


class Priority(StrEnum):
    """Priority classes, highest first: what a user's request passes through goes before what only watches it."""

    TRAFFIC = "slipway-traffic"
    DATA = "slipway-data"
    SERVICE = "slipway-service"
    OBSERVABILITY = "slipway-observability"


INGRESS: Final = "haproxy"
INGRESS_CLASS: Final = "haproxy"
INGRESS_CERTIFICATE_SECRET: Final = "haproxy-default-tls"  # noqa: S105  # the name of a Secret, not a secret

POSTGRES: Final = "postgres"
POSTGRES_PORT: Final = 5432
POSTGRES_TLS_SECRET: Final = "postgres-tls"  # noqa: S105  # the name of a Secret, not a secret
#: PgBouncer before the primary and before the replicas, where the platform runs it.
PRIMARY_POOLER: Final = f"{POSTGRES}-pooler-rw"
REPLICA_POOLER: Final = f"{POSTGRES}-pooler-ro"
#: Pooler -> the Service of Postgres behind it, as the operator calls it.
POOLERS: Final = {PRIMARY_POOLER: "rw", REPLICA_POOLER: "ro"}
POOLER_METRICS_PORT: Final = 9127
REDIS: Final = "redis"
REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
REDIS_METRICS_PORT: Final = 9121
REDIS_HEALTH_PORT: Final = 8081
#: What Sentinels call the set of members, and how many there are, in every profile: a majority of two outlives one.
REDIS_SET: Final = "state"
REDIS_MEMBERS: Final = 3
REDIS_AUTH_SECRET: Final = "redis-auth"  # noqa: S105  # the name of a Secret, not a secret
REDIS_TLS_SECRET: Final = "redis-tls"  # noqa: S105  # the name of a Secret, not a secret
REDIS_CACHE: Final = "redis-cache"
REDIS_CACHE_AUTH_SECRET: Final = "redis-cache-auth"  # noqa: S105  # the name of a Secret, not a secret
REDIS_CACHE_TLS_SECRET: Final = "redis-cache-tls"  # noqa: S105  # the name of a Secret, not a secret
#: Who services are to Redis and to its Sentinels.
REDIS_USER: Final = "service"

#: The store of backups, where the platform brings one along, and the bucket in it.
OBJECT_STORE: Final = "object-store"
OBJECT_STORE_PORT: Final = 7070
BACKUP_BUCKET: Final = "postgres"
#: The object that tells Postgres of the store, wherever it is, and the Secret with its keys: both in `data`.
BACKUP_STORE: Final = "backups"
BACKUP_SECRET: Final = "backups-access"  # noqa: S105  # the name of a Secret, not a secret
#: The Lease that tells when a restore of Postgres was last tried and held.
RESTORE_DRILL: Final = "restore-drill"
BACKUP_PLUGIN: Final = "barman-cloud.cloudnative-pg.io"

PROMETHEUS: Final = "prometheus"
PROMETHEUS_PORT: Final = 9090
ALERTMANAGER: Final = "alertmanager"
ALERTMANAGER_PORT: Final = 9093
ELASTICSEARCH: Final = "elasticsearch"
ELASTICSEARCH_PORT: Final = 9200
LOG_COLLECTOR: Final = "log-collector"
LOG_KEEPER: Final = "log-keeper"
LOG_READER_SECRET: Final = "log-reader"  # noqa: S105  # the name of a Secret, not a secret
#: Every index of logs begins so, followed by a hyphen and the day.
LOG_INDEX: Final = "slipway-logs"
JAEGER: Final = "jaeger"
#: Spans are taken there, over HTTP (the port that OpenTelemetry's protocol names for it).
OTLP_PORT: Final = 4318
JAEGER_QUERY_PORT: Final = 16686
#: Every index of traces begins so, followed by its kind and the day.
TRACE_INDEX: Final = "slipway-jaeger"
#: Looks into each HAProxy, read only; runs beside it.
INGRESS_OBSERVER: Final = "ingress-observer"

CLUSTER_DOMAIN: Final = "cluster.local"


def dns_label(what: str, value: str, *, limit: int = DNS_LABEL_LIMIT) -> str:
    """Return `value` if it can be a DNS label.

    Args:
        what: What is being named, for the message.
        value: The name.
        limit: Longest length allowed, in characters.

    Raises:
        ValueError: The name is empty, too long, or holds a character that a DNS label may not.
    """
    if len(value) > limit or not _DNS_LABEL.fullmatch(value):
        raise ValueError(
            f"{what} {value!r} cannot be used as a name: allowed are 1 to {limit} lower-case letters, digits and "
            "hyphens, beginning and ending with a letter or digit"
        )
    return value


def object_name(base: str, *parts: str, limit: int = DNS_LABEL_LIMIT) -> str:
    """Join a name from parts; a name that is too long is cut and gets a hash of the whole, so two never collide.

    Args:
        base: First part.
        parts: Further parts, joined by hyphens.
        limit: Longest length allowed, in characters.
    """
    whole = "-".join((base, *parts))
    if len(whole) <= limit:
        return dns_label("the name", whole, limit=limit)
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_HASH_LENGTH]
    return dns_label("the name", f"{whole[: limit - _HASH_LENGTH - 1].rstrip('-')}-{digest}", limit=limit)


def cluster_name(stack: str) -> str:
    """The cluster that a stack of the cluster or platform project stands for: the stack's own name.

    Raises:
        ValueError: The name cannot be a cluster's.
    """
    return dns_label("the stack name (which is the cluster's name)", stack, limit=CLUSTER_NAME_LIMIT)


def service_stack(cluster: str, environment: Environment) -> str:
    """Name of the service project's stack: both parts, so that clusters can share one state backend."""
    return f"{cluster}-{environment.value}"


def parse_service_stack(stack: str) -> tuple[str, Environment]:
    """Take a service stack's name apart.

    Returns:
        The cluster's name and the environment.

    Raises:
        ValueError: The name does not end in a known environment.
    """
    cluster, _, last = stack.rpartition("-")
    known = [environment.value for environment in Environment]
    if last not in known or not cluster:
        raise ValueError(
            f"the service stack {stack!r} must be named <cluster>-<environment>, where the environment is one of "
            f"{', '.join(known)}; for instance {service_stack(DEFAULT_CLUSTER, Environment.DEV)!r}"
        )
    return cluster_name(cluster), Environment(last)


def live_host(environment: Environment, domain: str = DOMAIN) -> str:
    """Host name at which users reach the service of an environment."""
    return f"{SERVICE}.{environment.value}.{domain}"


def preview_host(environment: Environment, domain: str = DOMAIN) -> str:
    """Host name at which a new version is tried before it gets any user's request."""
    return f"preview.{live_host(environment, domain)}"


def service_hosts(domain: str = DOMAIN) -> tuple[str, ...]:
    """All host names of all environments: what the ingress certificate is made out to."""
    return tuple(host(environment, domain) for environment in Environment for host in (live_host, preview_host))


def database(environment: Environment) -> str:
    """Name, in Postgres, of an environment's database and of the role that owns it."""
    return f"{SERVICE}_{environment.value}"


def cluster_host(service: str, namespace: str) -> str:
    """Full DNS name of a Service inside the cluster."""
    return f"{service}.{namespace}.svc.{CLUSTER_DOMAIN}"


def redis_member(number: int) -> str:
    """Name of a member of the replicated Redis: of its pod, and of the Service with its address."""
    return f"{REDIS}-{number}"


#: HAProxy's Service, for checks from inside of the cluster.
INGRESS_HOST: Final = cluster_host(INGRESS, Namespace.INGRESS)
POSTGRES_PRIMARY_HOST: Final = cluster_host(f"{POSTGRES}-rw", Namespace.DATA)
POSTGRES_REPLICA_HOST: Final = cluster_host(f"{POSTGRES}-ro", Namespace.DATA)
PRIMARY_POOLER_HOST: Final = cluster_host(PRIMARY_POOLER, Namespace.DATA)
REPLICA_POOLER_HOST: Final = cluster_host(REPLICA_POOLER, Namespace.DATA)
REDIS_CACHE_HOST: Final = cluster_host(REDIS_CACHE, Namespace.DATA)
PROMETHEUS_URL: Final = f"http://{cluster_host(PROMETHEUS, Namespace.MONITORING)}:{PROMETHEUS_PORT}"
OBJECT_STORE_HOST: Final = cluster_host(OBJECT_STORE, Namespace.BACKUPS)
ELASTICSEARCH_HOST: Final = cluster_host(ELASTICSEARCH, Namespace.LOGS)
ELASTICSEARCH_URL: Final = f"https://{ELASTICSEARCH_HOST}:{ELASTICSEARCH_PORT}"
JAEGER_HOST: Final = cluster_host(JAEGER, Namespace.TRACES)
OTLP_URL: Final = f"https://{JAEGER_HOST}:{OTLP_PORT}"
#: Name in the observer's certificate: it is reached by pod addresses, so readers say which name they expect.
INGRESS_OBSERVER_HOST: Final = f"{INGRESS_OBSERVER}.{Namespace.INGRESS}.svc"
DATABASE_SECRET: Final = f"{SERVICE}-database"
REDIS_SECRET: Final = f"{SERVICE}-redis"
ACCESS_SECRET: Final = f"{SERVICE}-access"
#: Feature flags, which pods read again when they change.
FLAGS_CONFIG: Final = f"{SERVICE}-flags"
#: What a service's pods read; the rollout controller copies them for each revision, and reads no other Secret.
SERVICE_SECRETS: Final = (DATABASE_SECRET, REDIS_SECRET, ACCESS_SECRET)
