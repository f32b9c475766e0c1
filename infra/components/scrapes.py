"""Which pods Prometheus scrapes, as values: one entry a kind of target, and the objects that are made of them.

Pods are found by their labels, in any namespace. The weights and the counts that a rollout is judged by are scraped
every 5 s; everything else every 15 or 30 s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.labels import POSTGRES_PODS, pooler_pods, selector
from infra.naming import (
    INGRESS,
    INGRESS_OBSERVER,
    INGRESS_OBSERVER_HOST,
    JAEGER,
    LOG_COLLECTOR,
    LOG_KEEPER,
    POOLERS,
    REDIS,
    REDIS_CACHE,
    Namespace,
)

#: Seconds between two scrapes of what rollouts are judged by, of what people look at, and of what only has a trend.
JUDGED: Final = 5
WATCHED: Final = 15
SLOW: Final = 30

COLOUR_LABEL: Final = "slipway.dev/colour"
#: Where the reader's Secret is, and what it holds.
OBSERVER_SECRET: Final = f"{INGRESS_OBSERVER}-reader"
OBSERVER_TOKEN: Final = "token"  # noqa: S105  # the name of a key, not a token
OBSERVER_CA: Final = "ca.crt"


@dataclass(frozen=True)
class Endpoint:
    """One port of a kind of pod.

    Attributes:
        job: Value of the label `job`, unique over all targets.
        port: Name of the container's port.
        every: Seconds between two scrapes.
        path: Where the metrics are.
        observed: Whether it asks for the observer's token, over TLS.
        own_labels: Whether labels in the answer win over those of the target.
        parameters: Query parameters.
        keep: Regular expression of the metric names that are kept; all if empty.
        labels: Label -> labels of the pod that it is taken from; the last of them that the pod has wins.
    """

    job: str
    port: str
    every: int
    path: str = "/metrics"
    observed: bool = False
    own_labels: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    keep: str = ""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True)
class PodTarget:
    """A kind of pod.

    Attributes:
        name: Name of its PodMonitor.
        labels: Labels that its pods have.
        having: Labels that its pods have with any value.
        namespace: Where they are; anywhere if empty.
        endpoints: Its ports.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    having: tuple[str, ...] = ()
    namespace: str = ""


#: Of HAProxy's own numbers those that are read: a backend has dozens of slots, and each some sixty series.
_HAPROXY: Final = (
    "haproxy_process_(start_time_seconds|current_connections|max_connections|idle_time_percent|dropped_logs_total)"
    "|haproxy_frontend_(http_requests_total|http_responses_total|current_sessions|request_errors_total)"
    "|haproxy_backend_(http_requests_total|http_responses_total|current_queue|active_servers|status"
    "|connection_errors_total|response_errors_total|retry_warnings_total|redispatch_warnings_total)"
    "|haproxy_server_(http_responses_total|current_sessions|current_queue|weight|status|connection_errors_total"
    "|response_errors_total|retry_warnings_total|redispatch_warnings_total)"
)

HAPROXY: Final = PodTarget(
    "haproxy",
    labels=selector(INGRESS),
    namespace=Namespace.INGRESS.value,
    endpoints=(
        # Slots without a pod are in maintenance; they would be most of the series.
        Endpoint("haproxy", "metrics", JUDGED, parameters={"no-maint": ""}, keep=_HAPROXY),
        Endpoint("haproxy-controller", "controller", WATCHED, keep="haproxyingress_.*|process_.*|go_goroutines"),
    ),
)

OBSERVER: Final = PodTarget(
    INGRESS_OBSERVER,
    labels=selector(INGRESS),
    namespace=Namespace.INGRESS.value,
    endpoints=(
        # Namespace, service and pod in the answer are those that were asked for, not HAProxy's own.
        Endpoint(INGRESS_OBSERVER, "observer", JUDGED, observed=True, own_labels=True),
    ),
)

SERVICES: Final = PodTarget(
    "services",
    having=(COLOUR_LABEL,),
    endpoints=(
        # A pod without a port of this name gives no target: metrics of its own are a service's choice.
        Endpoint(
            "services",
            "metrics",
            JUDGED,
            labels={
                "service": ("app.kubernetes.io/name",),
                "colour": (COLOUR_LABEL,),
                "version": ("slipway.dev/revision", "app.kubernetes.io/version"),
                "role": ("slipway.dev/role",),
            },
        ),
    ),
)

#: Parts that there are whatever the settings.
POD_TARGETS: Final = (HAPROXY, SERVICES)

#: Where the platform watches the cluster itself.
CLUSTER_TARGETS: Final = (
    PodTarget(
        "coredns",
        labels={"k8s-app": "kube-dns"},
        namespace="kube-system",
        endpoints=(Endpoint("coredns", "metrics", WATCHED),),
    ),
    PodTarget(
        "kube-state-metrics",
        labels=selector("kube-state-metrics"),
        namespace=Namespace.MONITORING.value,
        endpoints=(Endpoint("kube-state-metrics", "metrics", WATCHED, own_labels=True),),
    ),
    PodTarget(
        "node-exporter",
        labels=selector("node-exporter"),
        namespace=Namespace.NODE_METRICS.value,
        endpoints=(Endpoint("node-exporter", "metrics", WATCHED),),
    ),
    PodTarget(
        "prometheus",
        labels={"app.kubernetes.io/name": "prometheus"},
        namespace=Namespace.MONITORING.value,
        endpoints=(Endpoint("prometheus", "web", WATCHED),),
    ),
    PodTarget(
        "alertmanager",
        labels={"app.kubernetes.io/name": "alertmanager"},
        namespace=Namespace.MONITORING.value,
        endpoints=(Endpoint("alertmanager", "web", WATCHED, keep="alertmanager_.*|process_.*"),),
    ),
    PodTarget(
        "prometheus-operator",
        labels={"app.kubernetes.io/name": "prometheus-operator"},
        namespace=Namespace.MONITORING.value,
        endpoints=(Endpoint("prometheus-operator", "http", SLOW, keep="prometheus_operator_.*|process_.*"),),
    ),
)

#: Where the platform brings Postgres along.
POSTGRES_TARGETS: Final = (
    PodTarget(
        "postgres",
        labels=POSTGRES_PODS,
        namespace=Namespace.DATA.value,
        endpoints=(Endpoint("postgres", "metrics", WATCHED),),
    ),
    PodTarget(
        "postgres-operator",
        labels={"app.kubernetes.io/name": "cloudnative-pg"},
        namespace=Namespace.POSTGRES_OPERATOR.value,
        endpoints=(Endpoint("postgres-operator", "metrics", SLOW, keep="controller_runtime_.*|process_.*"),),
    ),
)

#: Of PgBouncer's numbers those that are read: how many wait, how long, and what they share.
_POOLER: Final = (
    "cnpg_pgbouncer_(up|pools_(cl_active|cl_waiting|sv_active|sv_idle|sv_login|maxwait)"
    "|stats_(total_xact_count|total_wait_time)|lists_(used_clients|used_servers))|process_.*"
)

#: Where poolers stand before it.
POOLER_TARGETS: Final = tuple(
    PodTarget(
        name,
        labels=pooler_pods(name),
        namespace=Namespace.DATA.value,
        endpoints=(Endpoint(name, "metrics", WATCHED, keep=_POOLER),),
    )
    for name in POOLERS
)

#: Of the exporter's numbers those that are read: it has some for every command.
_REDIS: Final = (
    "redis_(up|instance_info|connected_slaves|connected_clients|rejected_connections_total|memory_used_bytes"
    "|memory_max_bytes|evicted_keys_total|keyspace_hits_total|keyspace_misses_total|commands_processed_total)"
)

#: Where the platform brings Redis along: the state role, and the cache.
REDIS_TARGETS: Final = tuple(
    PodTarget(
        name,
        labels=selector(name),
        namespace=Namespace.DATA.value,
        endpoints=(Endpoint(name, "metrics", WATCHED, keep=_REDIS),),
    )
    for name in (REDIS, REDIS_CACHE)
)


def _collected(*names: str) -> str:
    """Of the numbers of an OpenTelemetry collector (which Jaeger is too) these, and how big it is."""
    return f"otelcol_({'|'.join(names)}|process_(memory_rss|cpu_seconds))(_.*)?"


#: Where the platform keeps logs.
LOGS_TARGETS: Final = (
    PodTarget(
        LOG_COLLECTOR,
        labels=selector(LOG_COLLECTOR),
        namespace=Namespace.NODE_LOGS.value,
        endpoints=(
            Endpoint(
                LOG_COLLECTOR,
                "metrics",
                WATCHED,
                keep=_collected(
                    "receiver_accepted_log_records",
                    "exporter_queue_(size|capacity)",
                    "elasticsearch_docs_processed",
                    "elasticsearch_bulk_requests_latency",
                ),
            ),
        ),
    ),
    PodTarget(
        LOG_KEEPER,
        labels=selector(LOG_KEEPER),
        namespace=Namespace.LOGS.value,
        endpoints=(Endpoint(LOG_KEEPER, "metrics", WATCHED),),
    ),
)

TRACES_TARGETS: Final = (
    PodTarget(
        JAEGER,
        labels=selector(JAEGER),
        namespace=Namespace.TRACES.value,
        endpoints=(
            Endpoint(
                JAEGER,
                "metrics",
                WATCHED,
                keep=_collected("receiver_(accepted|refused)_spans", "exporter_(sent|send_failed)_spans")
                + "|jaeger_storage_bulk_index_((inserts|errors)_total|latency_ok_seconds_(sum|count))",
            ),
        ),
    ),
)

ROLLOUT_CONTROLLER: Final = PodTarget(
    "rollout-controller",
    labels={"app.kubernetes.io/name": "slipway-rollout"},
    namespace=Namespace.ROLLOUT.value,
    endpoints=(
        # Namespace and rollout in the answer are those that it tells of, not the controller's own.
        Endpoint("rollout-controller", "metrics", WATCHED, own_labels=True),
    ),
)

METALLB: Final = PodTarget(
    "metallb",
    labels={"app": "metallb"},
    namespace=Namespace.METALLB.value,
    endpoints=(Endpoint("metallb", "monitoring", SLOW, keep="metallb_.*|process_.*"),),
)


def pod_monitor_spec(target: PodTarget) -> dict[str, Any]:
    """The specification of a target's PodMonitor."""
    expressions = [{"key": key, "operator": "Exists"} for key in target.having]
    return {
        "selector": {
            **({"matchLabels": dict(target.labels)} if target.labels else {}),
            **({"matchExpressions": expressions} if expressions else {}),
        },
        "namespaceSelector": {"matchNames": [target.namespace]} if target.namespace else {"any": True},
        "podMetricsEndpoints": [_endpoint(it) for it in target.endpoints],
    }


def _endpoint(it: Endpoint) -> dict[str, Any]:
    taken = [
        {
            "sourceLabels": [f"__meta_kubernetes_pod_label_{_sanitized(label)}"],
            "regex": "(.+)",
            "targetLabel": target,
        }
        for target, sources in it.labels.items()
        for label in sources
    ]
    result: dict[str, Any] = {
        "port": it.port,
        "path": it.path,
        "interval": f"{it.every}s",
        "scrapeTimeout": f"{min(it.every, 10)}s",
        "honorLabels": it.own_labels,
        "relabelings": [
            {"targetLabel": "job", "replacement": it.job},
            {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"},
            *taken,
        ],
    }
    if it.parameters:
        result["params"] = {name: [value] for name, value in it.parameters.items()}
    if it.observed:
        result["scheme"] = "https"
        result["authorization"] = {"credentials": {"name": OBSERVER_SECRET, "key": OBSERVER_TOKEN}}
        result["tlsConfig"] = {
            "ca": {"secret": {"name": OBSERVER_SECRET, "key": OBSERVER_CA}},
            "serverName": INGRESS_OBSERVER_HOST,
        }
    changes: list[dict[str, Any]] = []
    if it.keep:
        changes.append({"sourceLabels": ["__name__"], "regex": it.keep, "action": "keep"})
    if it.labels:
        # What a service says of itself is what the pod says anyway; the pod's word is the one that cannot be wrong.
        changes.append({"regex": f"exported_({'|'.join(it.labels)})", "action": "labeldrop"})
    if changes:
        result["metricRelabelings"] = changes
    return result


def _sanitized(label: str) -> str:
    """A label's name as Prometheus writes it."""
    return "".join(character if character.isalnum() else "_" for character in label)
