"""The dashboards, from what users feel to what carries it."""

from typing import Final

from dashboards.grafana.model import Dashboard, Kind, Panel, Query, Row, Unit
from dashboards.rules import certificates

_HERE: Final = 'namespace="$namespace", service="$service"'
_PODS: Final = 'namespace="$namespace"'
_LOAD: Final = "slipway loadtest run crud"
_EXPORTS: Final = "slipway loadtest run async"
_ROLLOUT: Final = "slipway prove --only canary"
_KILL: Final = "slipway drill run app-pod-killed"

_REQUESTS: Final = Panel(
    "Requests by version",
    "Finished requests per second, as HAProxy counts them. During a rollout the lines cross.",
    Unit.PER_SECOND,
    (Query(f"slipway:requests:rate1m{{{_HERE}}}", "{{colour}}"),),
    _ROLLOUT,
)
_ERRORS: Final = Panel(
    "Failed requests by version",
    "Share of the requests that failed. One version alone: it is the version. Both: look at what they share.",
    Unit.SHARE,
    (Query(f"slipway:errors:ratio_rate1m{{{_HERE}}}", "{{colour}}"),),
    "slipway prove --only bad-errors",
    limit=0.01,
)
_LATENCY: Final = Panel(
    "Time to the answer by version",
    "The time that 95 % and 99 % of the requests stay within.",
    Unit.SECONDS,
    tuple(
        Query(f'slipway:latency_seconds:quantile_rate1m{{{_HERE}, quantile="{it}"}}', f"{{{{colour}}}} {it}")
        for it in ("0.95", "0.99")
    ),
    "slipway prove --only bad-latency",
    limit=1.0,
)

#: How the two versions of a service do, also in the report of each rollout.
VERSIONS: Final = (_REQUESTS, _ERRORS, _LATENCY)

OVERVIEW: Final = Dashboard(
    "slipway-overview",
    "Overview",
    "Whether users get what was promised, and how much of the error budget is left.",
    (
        Row(
            "Promises",
            (
                Panel(
                    "Error budget left",
                    "Share of what may fail in 30 days that has not failed yet; negative if more has.",
                    Unit.SHARE,
                    (Query(f"slo:period_error_budget_remaining:ratio{{{_HERE}}}", "{{slo}}"),),
                    "slipway prove --only bad-errors",
                    Kind.NUMBER,
                    width=8,
                ),
                Panel(
                    "Burn rate",
                    "How many times faster than allowed the budget is being used up. From 14.4 on someone is paged.",
                    Unit.COUNT,
                    (Query(f"slo:current_burn_rate:ratio{{{_HERE}}}", "{{slo}}"),),
                    "slipway prove --only bad-errors",
                    limit=14.4,
                    width=16,
                ),
            ),
        ),
        Row("Requests", VERSIONS),
        Row(
            "What fires",
            (
                Panel(
                    "Firing alerts",
                    "By name. Watchdog always fires; every other has a runbook of its name.",
                    Unit.COUNT,
                    (Query('count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}"),),
                    "slipway drill run node-lost",
                ),
            ),
        ),
    ),
)


def _delivery() -> tuple[Panel, ...]:
    """The four keys, over a month (docs/reference/metrics.md says how each is taken)."""
    keys = (
        ("Deployment frequency", "Promotions a day.", Unit.COUNT, "deployments:per_day", _ROLLOUT),
        ("Lead time for changes", "From commit to promotion, median.", Unit.SECONDS,
         "deployment_lead_seconds:median", "slipway rollout start --commit HEAD"),
        ("Change failure rate", "Share of versions that users met and that were taken back.", Unit.SHARE,
         "deployment_failures:ratio", _ROLLOUT),
        ("Time to restore", "From a bad version's first request to its last, median.", Unit.SECONDS,
         "deployment_restore_seconds:median", "slipway prove --only bad-errors"),
    )  # fmt: skip
    where = '{namespace="$namespace", rollout="$service"}'
    return tuple(
        Panel(title, f"{told} Over 28 days, or as long as is remembered.", unit,
              (Query(f"slipway:{series}_28d{where}", title.lower()),), moved_by)
        for title, told, unit, series, moved_by in keys
    )  # fmt: skip


ROLLOUT: Final = Dashboard(
    "slipway-rollout",
    "Rollout",
    "Version against version, and where the rollout stands.",
    (
        Row(
            "Weights",
            (
                Panel(
                    "Share that each version should get",
                    "By the weights that HAProxy holds, read back server by server.",
                    Unit.SHARE,
                    (Query(f"slipway:weight:share{{{_HERE}}}", "{{colour}}"),),
                    _ROLLOUT,
                ),
                Panel(
                    "Phase",
                    "1 in the phase in which the rollout is.",
                    Unit.COUNT,
                    (
                        Query(
                            'max by (phase) (slipway_rollout_phase{namespace="$namespace", rollout="$service"} == 1)',
                            "{{phase}}",
                        ),
                    ),
                    _ROLLOUT,
                ),
            ),
        ),
        Row("Version against version", VERSIONS),
        Row(
            "Ends",
            (
                Panel(
                    "Rollouts that ended",
                    "By result since the controller started.",
                    Unit.COUNT,
                    (Query(f"sum by (result) (slipway_rollout_ended_total{{{_PODS}}})", "{{result}}"),),
                    _ROLLOUT,
                ),
                Panel(
                    "Turns of the controller",
                    "Looks at the rollout per second; zero means that nobody leads.",
                    Unit.PER_SECOND,
                    (Query(f"sum by (outcome) (rate(slipway_rollout_turns_total{{{_PODS}}}[1m]))", "{{outcome}}"),),
                    "slipway prove --only kill-controllers-analysis",
                ),
            ),
        ),
        Row("Delivery", _delivery()),
    ),
)

INGRESS: Final = Dashboard(
    "slipway-ingress",
    "Ingress",
    "HAProxy: what comes in, what is sent again, and what it has room for.",
    (
        Row(
            "Traffic",
            (
                Panel(
                    "Requests",
                    "Per second and HAProxy, over TLS.",
                    Unit.PER_SECOND,
                    (
                        Query(
                            'sum by (pod) (rate(haproxy_frontend_http_requests_total{proxy="_front_https"}[1m]))',
                            "{{pod}}",
                        ),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Answers by class",
                    "Per second, of all services.",
                    Unit.PER_SECOND,
                    (
                        Query(
                            'sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="_front_https"}[1m]))',
                            "{{code}}",
                        ),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Open connections",
                    "Of clients, by HAProxy.",
                    Unit.COUNT,
                    (Query("haproxy_process_current_connections", "{{pod}}"),),
                    _LOAD,
                ),
                Panel(
                    "Idle time of HAProxy",
                    "Share of its time in which it waits; near zero it is the bottleneck.",
                    Unit.SHARE,
                    (Query("haproxy_process_idle_time_percent / 100", "{{pod}}"),),
                    _LOAD,
                ),
            ),
        ),
        Row(
            "Trouble",
            (
                Panel(
                    "Sent again",
                    "Requests per second that HAProxy sent to another pod after a first attempt failed.",
                    Unit.PER_SECOND,
                    (Query("sum by (service) (rate(slipway_ingress_retries_total[1m]))", "{{service}}"),),
                    _KILL,
                ),
                Panel(
                    "Free slots",
                    "Pods that a service can still get without HAProxy loading its configuration anew.",
                    Unit.COUNT,
                    (Query("min by (service) (slipway_ingress_free_slots)", "{{service}}"),),
                    _ROLLOUT,
                ),
                Panel(
                    "Configurations loaded",
                    "Since each HAProxy started; a rollout must not raise the line `full`.",
                    Unit.COUNT,
                    (Query("sum by (status) (haproxyingress_updates_total)", "{{status}}"),),
                    _ROLLOUT,
                ),
            ),
        ),
    ),
)

SERVICE: Final = Dashboard(
    "slipway-service",
    "Service",
    "The service by its own account.",
    (
        Row(
            "Requests",
            (
                Panel(
                    "Requests by its own count",
                    "Per second and version; less than HAProxy's count means that requests do not reach it.",
                    Unit.PER_SECOND,
                    (Query(f"slipway:service_requests:rate1m{{{_HERE}}}", "{{colour}}"),),
                    _LOAD,
                ),
                Panel(
                    "Time that it takes",
                    "What 95 % of the requests take at most, without the way to it.",
                    Unit.SECONDS,
                    (
                        Query(
                            f'slipway:service_latency_seconds:quantile_rate1m{{{_HERE}, quantile="0.95"}}',
                            "{{colour}} 0.95",
                        ),
                    ),
                    "slipway prove --only bad-latency",
                ),
                Panel(
                    "Reads from the cache",
                    "Per second, by outcome.",
                    Unit.PER_SECOND,
                    (Query(f"sum by (outcome) (rate(payload_cache_requests_total{{{_PODS}}}[1m]))", "{{outcome}}"),),
                    _LOAD,
                ),
            ),
        ),
        Row(
            "Pods",
            (
                Panel(
                    "Processor",
                    "Cores that each pod uses.",
                    Unit.CORES,
                    (
                        Query(
                            f'sum by (pod) (rate(container_cpu_usage_seconds_total{{{_PODS}, container="service"}}'
                            "[1m]))",
                            "{{pod}}",
                        ),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Memory",
                    "Working set of each pod.",
                    Unit.BYTES,
                    (
                        Query(
                            f'sum by (pod) (container_memory_working_set_bytes{{{_PODS}, container="service"}})',
                            "{{pod}}",
                        ),
                    ),
                    _ROLLOUT,
                ),
                Panel(
                    "Restarts",
                    "Of each container, since its pod was made.",
                    Unit.COUNT,
                    (Query(f"sum by (pod) (kube_pod_container_status_restarts_total{{{_PODS}}})", "{{pod}}"),),
                    _KILL,
                ),
            ),
        ),
        Row(
            "Messages",
            (
                Panel(
                    "Messages that wait",
                    "Promised and not yet done, and those that were given up.",
                    Unit.COUNT,
                    (Query(f"max by (state) (payload_outbox_messages{{{_HERE}}})", "{{state}}"),),
                    _EXPORTS,
                ),
                Panel(
                    "Longest wait",
                    "For how long the oldest message has been due.",
                    Unit.SECONDS,
                    (Query(f"max by (colour) (payload_outbox_oldest_seconds{{{_HERE}}})", "{{colour}}"),),
                    _EXPORTS,
                    limit=60,
                ),
                Panel(
                    "Messages by what became of them",
                    "Per second; those that failed are tried again.",
                    Unit.PER_SECOND,
                    (Query(f"sum by (outcome) (rate(payload_messages_total{{{_HERE}}}[1m]))", "{{outcome}}"),),
                    _EXPORTS,
                ),
                Panel(
                    "Workers",
                    "Of each colour; those of one consume, and more come when messages wait, if that was asked for.",
                    Unit.COUNT,
                    (
                        Query(
                            f'kube_deployment_status_replicas_ready{{{_PODS}, deployment=~"$service-worker-.*"}}',
                            "{{deployment}}",
                        ),
                    ),
                    _ROLLOUT,
                ),
            ),
        ),
    ),
)

DATA: Final = Dashboard(
    "slipway-data",
    "Data",
    "Postgres and Redis: who leads, who follows how far behind, and what they do.",
    (
        Row(
            "Replication",
            (
                Panel(
                    "Role",
                    "0 is the primary, 1 a replica; exactly one line is at 0.",
                    Unit.COUNT,
                    (Query("max by (pod) (cnpg_pg_replication_in_recovery)", "{{pod}}"),),
                    "slipway drill run node-drain",
                ),
                Panel(
                    "Behind",
                    "Seconds that each replica is behind.",
                    Unit.SECONDS,
                    (Query("max by (pod) (cnpg_pg_replication_lag)", "{{pod}}"),),
                    _LOAD,
                    limit=30.0,
                ),
                Panel(
                    "Replicas that follow",
                    "As the primary counts them.",
                    Unit.COUNT,
                    (Query("max(cnpg_pg_replication_streaming_replicas)", "replicas"),),
                    "slipway drill run node-lost",
                    Kind.NUMBER,
                ),
            ),
        ),
        Row(
            "Work",
            (
                Panel(
                    "Transactions",
                    "Committed and rolled back, per second.",
                    Unit.PER_SECOND,
                    (
                        Query("sum by (pod) (rate(cnpg_pg_stat_database_xact_commit[1m]))", "{{pod}} committed"),
                        Query("sum by (pod) (rate(cnpg_pg_stat_database_xact_rollback[1m]))", "{{pod}} rolled back"),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Connections",
                    "By state, of all instances.",
                    Unit.COUNT,
                    (Query("sum by (state) (cnpg_backends_total)", "{{state}}"),),
                    _ROLLOUT,
                ),
                Panel(
                    "Longest transaction",
                    "Seconds that the oldest open transaction has been open.",
                    Unit.SECONDS,
                    (Query("max by (pod) (cnpg_backends_max_tx_duration_seconds)", "{{pod}}"),),
                    _LOAD,
                ),
                Panel(
                    "Size",
                    "Of each database.",
                    Unit.BYTES,
                    (
                        Query(
                            'max by (datname) (cnpg_pg_database_size_bytes{datname!~"template.*|postgres"})',
                            "{{datname}}",
                        ),
                    ),
                    _LOAD,
                ),
            ),
        ),
        Row(
            "Redis",
            (
                Panel(
                    "Masters",
                    "Exactly one leads; the cache is counted apart.",
                    Unit.COUNT,
                    (Query('count(redis_instance_info{job="redis", role="master"})', "masters"),),
                    "slipway drill run redis-master",
                ),
                Panel(
                    "Replicas of Redis",
                    "As each member counts them; with none the master takes no writes.",
                    Unit.COUNT,
                    (Query('max by (pod) (redis_connected_slaves{job="redis"})', "{{pod}}"),),
                    "slipway drill run redis-master",
                ),
                Panel(
                    "Data in memory",
                    "Of each Redis; the cache forgets at its limit, the others refuse writes.",
                    Unit.BYTES,
                    (Query("max by (pod) (redis_memory_used_bytes)", "{{pod}}"),),
                    _LOAD,
                ),
                Panel(
                    "Found in the cache",
                    "Share of the look-ups.",
                    Unit.SHARE,
                    (
                        Query(
                            'sum(rate(redis_keyspace_hits_total{job="redis-cache"}[1m])) / (sum(rate('
                            'redis_keyspace_hits_total{job="redis-cache"}[1m])) + sum(rate('
                            'redis_keyspace_misses_total{job="redis-cache"}[1m])))',
                            "hits",
                        ),
                    ),
                    _LOAD,
                ),
            ),
        ),
    ),
)

KUBERNETES: Final = Dashboard(
    "slipway-kubernetes",
    "Kubernetes",
    "Nodes, pods, and what the cluster itself needs to work.",
    (
        Row(
            "Nodes",
            (
                Panel(
                    "Ready",
                    "1 for each node that is ready.",
                    Unit.COUNT,
                    (
                        Query(
                            'max by (node) (kube_node_status_condition{condition="Ready", status="true"})', "{{node}}"
                        ),
                    ),
                    "slipway drill run node-lost",
                ),
                Panel(
                    "Memory that is free",
                    "Of each machine.",
                    Unit.BYTES,
                    (Query("min by (node) (node_memory_MemAvailable_bytes)", "{{node}}"),),
                    _ROLLOUT,
                ),
                Panel(
                    "Processor by namespace",
                    "Cores that its pods use.",
                    Unit.CORES,
                    (
                        Query(
                            'sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[1m]))',
                            "{{namespace}}",
                        ),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Memory by namespace",
                    "Working set of its pods.",
                    Unit.BYTES,
                    (Query('sum by (namespace) (container_memory_working_set_bytes{container!=""})', "{{namespace}}"),),
                    _ROLLOUT,
                ),
            ),
        ),
        Row(
            "Control plane",
            (
                Panel(
                    "Requests to the API server",
                    "Per second, by answer.",
                    Unit.PER_SECOND,
                    (Query("sum by (code) (rate(apiserver_request_total[1m]))", "{{code}}"),),
                    "slipway drill run control-plane",
                ),
                Panel(
                    "Names asked for",
                    "Answers of CoreDNS per second, by kind.",
                    Unit.PER_SECOND,
                    (Query("sum by (rcode) (rate(coredns_dns_responses_total[1m]))", "{{rcode}}"),),
                    _LOAD,
                ),
                Panel(
                    "Certificates inside the cluster",
                    "Days until each ends; renewed by the first `up` after two thirds of 398.",
                    Unit.COUNT,
                    (Query(f"({certificates.ENDS} - time()) / 86400", "{{certificate}}"),),
                    "slipway certificates rotate",
                ),
                Panel(
                    "Targets that cannot be scraped",
                    "By job; 0 for those that can.",
                    Unit.COUNT,
                    (Query("sum by (job) (1 - up)", "{{job}}"),),
                    "slipway drill run node-lost",
                ),
            ),
        ),
    ),
)

LOAD_TEST: Final = Dashboard(
    "slipway-load-test",
    "Load test",
    "What a load test does to every layer at once; the verdict is k6's own.",
    (
        Row(
            "From outside in",
            (
                _REQUESTS,
                _LATENCY,
                Panel(
                    "Requests in flight by pod",
                    "As HAProxy counts them.",
                    Unit.COUNT,
                    (Query(f"sum by (pod) (slipway_ingress_server_sessions{{{_HERE}}})", "{{pod}}"),),
                    _LOAD,
                ),
                Panel(
                    "Throttled",
                    "Share of the periods in which a pod wanted more processor than it may have.",
                    Unit.SHARE,
                    (
                        Query(
                            f"sum by (pod) (rate(container_cpu_cfs_throttled_periods_total{{{_PODS}}}[1m])) / "
                            f"sum by (pod) (rate(container_cpu_cfs_periods_total{{{_PODS}}}[1m]))",
                            "{{pod}}",
                        ),
                    ),
                    _LOAD,
                ),
            ),
        ),
    ),
)

LOGS: Final = Dashboard(
    "slipway-logs",
    "Logs",
    "Whether what pods print arrives; the lines themselves are asked for with `slipway logs`.",
    (
        Row(
            "On the way",
            (
                Panel(
                    "Lines read",
                    "By node, per second.",
                    Unit.PER_SECOND,
                    (Query("sum by (node) (rate(otelcol_receiver_accepted_log_records_total[1m]))", "{{node}}"),),
                    _LOAD,
                ),
                Panel(
                    "Lines sent",
                    "Per second, by how it went. A conflict is a line that was there already: it was sent twice.",
                    Unit.PER_SECOND,
                    (
                        Query(
                            "sum by (outcome, error_type) (rate(otelcol_elasticsearch_docs_processed_total[1m]))",
                            "{{outcome}} {{error_type}}",
                        ),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Waiting",
                    "How full the queue on each node's disk is. Full, nothing is read until Elasticsearch takes lines.",
                    Unit.SHARE,
                    (
                        Query(
                            "max by (node) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)", "{{node}}"
                        ),
                    ),
                    _LOAD,
                    limit=0.5,
                ),
                Panel(
                    "Time to take a batch",
                    "What 95 % of the batches stay within.",
                    Unit.SECONDS,
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le) "
                            "(rate(otelcol_elasticsearch_bulk_requests_latency_seconds_bucket[1m])))",
                            "p95",
                        ),
                    ),
                    _LOAD,
                ),
            ),
        ),
        Row(
            "In Elasticsearch",
            (
                Panel(
                    "Health",
                    "2: all copies are there; 1: one is missing; 0: lines are missing.",
                    Unit.COUNT,
                    (Query("max(slipway_logs_health)", "health"),),
                    "slipway drill run node-lost",
                    Kind.NUMBER,
                    width=8,
                ),
                Panel(
                    "Lines kept",
                    "Of all days.",
                    Unit.COUNT,
                    (Query("max(slipway_logs_lines)", "lines"),),
                    _LOAD,
                    width=8,
                ),
                Panel(
                    "Space used",
                    "One copy of them.",
                    Unit.BYTES,
                    (Query("max(slipway_logs_bytes)", "bytes"),),
                    _LOAD,
                    width=8,
                ),
            ),
        ),
    ),
)

_BULK: Final = "jaeger_storage_bulk_index"

TRACES: Final = Dashboard(
    "slipway-traces",
    "Traces",
    "Whether spans arrive and are kept; a trace itself is asked for with `slipway trace`.",
    (
        Row(
            "On the way",
            (
                Panel(
                    "Spans received",
                    "By Jaeger's pods, per second. Services send a sample of their requests only.",
                    Unit.PER_SECOND,
                    (Query("sum by (pod) (rate(otelcol_receiver_accepted_spans_total[1m]))", "{{pod}}"),),
                    _LOAD,
                ),
                Panel(
                    "Spans refused",
                    "Per second, because Jaeger could not take them; services throw them away.",
                    Unit.PER_SECOND,
                    (Query("sum by (pod) (rate(otelcol_receiver_refused_spans_total[1m]))", "{{pod}}"),),
                    _LOAD,
                ),
                Panel(
                    "Spans waiting",
                    "Received, and not yet on their way to Elasticsearch. They are in memory: a lost pod loses them.",
                    Unit.COUNT,
                    (
                        Query(
                            "sum by (pod) (otelcol_receiver_accepted_spans_total) "
                            "- sum by (pod) (otelcol_exporter_sent_spans_total) "
                            "- sum by (pod) (otelcol_exporter_send_failed_spans_total)",
                            "{{pod}}",
                        ),
                    ),
                    _LOAD,
                ),
            ),
        ),
        Row(
            "In Elasticsearch",
            (
                Panel(
                    "Spans stored",
                    "Written per second; names of services are counted with them.",
                    Unit.PER_SECOND,
                    (Query(f"sum by (pod) (rate({_BULK}_inserts_total[1m]))", "{{pod}}"),),
                    _LOAD,
                ),
                Panel(
                    "Spans lost",
                    "Per second: not written by Elasticsearch, or not handed to it. Above zero TracesNotKept fires.",
                    Unit.PER_SECOND,
                    (
                        Query(f"sum by (pod) (rate({_BULK}_errors_total[1m]))", "{{pod}} not written"),
                        Query(
                            "sum by (pod) (rate(otelcol_exporter_send_failed_spans_total[1m]))",
                            "{{pod}} not handed over",
                        ),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Time to write a batch",
                    "Mean of those that went well.",
                    Unit.SECONDS,
                    (
                        Query(
                            f"sum by (pod) (rate({_BULK}_latency_ok_seconds_sum[1m])) / "
                            f"sum by (pod) (rate({_BULK}_latency_ok_seconds_count[1m]))",
                            "{{pod}}",
                        ),
                    ),
                    _LOAD,
                ),
                Panel(
                    "Space used by spans",
                    "One copy of all that are kept.",
                    Unit.BYTES,
                    (Query("max(slipway_traces_bytes)", "bytes"),),
                    _LOAD,
                    width=8,
                ),
            ),
        ),
    ),
)

ALL: Final = (OVERVIEW, ROLLOUT, INGRESS, SERVICE, DATA, KUBERNETES, LOGS, LOAD_TEST)


def boards(*, traces: bool) -> tuple[Dashboard, ...]:
    """The dashboards of a platform, with those of the parts that it has.

    Args:
        traces: Whether traces are kept.
    """
    return (*ALL, TRACES) if traces else ALL
