"""What a person shall hear of besides broken promises to users (`dashboards.rules.slo`): parts that fail or will.

Every expression yields nothing on an idle platform. Each alert has a runbook of its name in docs/runbooks.
"""

from typing import Final

from dashboards.rules import certificates
from dashboards.rules.groups import Alert, RuleGroup, Severity
from dashboards.rules.present import Present

EVERY: Final = 15
_PAGE, _TICKET = Severity.PAGE, Severity.TICKET
_MINUTE: Final = 60
#: A weekly drill, and a day for it.
_RESTORE_DUE: Final = 8 * 24 * 3600
#: Renewed by each `slipway drill restore` that passes.
_RESTORED: Final = 'kube_lease_renew_time{namespace="data", lease="restore-drill"}'
#: Of each volume, the share that is free.
_VOLUME_FREE: Final = (
    "min by (namespace, persistentvolumeclaim) "
    "(kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes)"
)
#: Phases in which a rollout waits for nothing but time or a new wish.
_RESTING: Final = "Done|WarmStandby|RolledBack|Paused|Pending|Soak"

INGRESS: Final = (
    Alert(
        "IngressDown",
        "sum(slipway_ingress_up) < 1 or absent(slipway_ingress_up)",
        30,
        _PAGE,
        "No HAProxy answers",
        "No user reaches any service.",
    ),
    Alert(
        "IngressNotRedundant",
        "count(slipway_ingress_up == 1) < 2",
        10 * _MINUTE,
        _TICKET,
        "Only one HAProxy is left",
        "Users notice nothing yet; the loss of one more is an outage.",
    ),
    Alert(
        "ServiceUnreachable",
        'sum by (namespace, service) (increase(slipway_ingress_requests_total{outcome="failed", colour="", '
        'service!~".*-preview"}[1m])) >= 5',
        30,
        _PAGE,
        "No pod of {{ $labels.service }} in {{ $labels.namespace }} takes requests",
        "HAProxy answers users itself, with 503.",
    ),
    Alert(
        "IngressRetries",
        "sum by (namespace, service) (rate(slipway_ingress_retries_total[5m])) > 0.05 * sum by (namespace, service) "
        "(rate(slipway_ingress_requests_total[5m]))",
        5 * _MINUTE,
        _TICKET,
        "More than 5 % of the requests to {{ $labels.service }} are sent again by HAProxy",
        "Retries make failures good, so users see only delay; something behind them fails.",
    ),
    Alert(
        "IngressSlotsLow",
        "min by (namespace, service) (slipway_ingress_free_slots) < 2",
        5 * _MINUTE,
        _TICKET,
        "HAProxy has hardly any slot left for pods of {{ $labels.service }}",
        "The next pods make it load its configuration anew, which rollouts refuse.",
    ),
    Alert(
        "CertificateExpires",
        "min by (domain) (haproxyingress_cert_expire_date_epoch) - time() < 14 * 86400",
        10 * _MINUTE,
        _TICKET,
        "The certificate of {{ $labels.domain }} ends in less than 14 days",
        "When it has ended, every client refuses to connect.",
    ),
)

CERTIFICATES: Final = (
    Alert(
        "InternalCertificateExpires",
        f"min by (certificate) ({certificates.ENDS}) - time() < 14 * 86400",
        10 * _MINUTE,
        _TICKET,
        "The certificate {{ $labels.certificate }} inside the cluster ends in less than 14 days",
        "When it has ended, who connects to that part refuses it: no logs, no traces, no backups, or no figures.",
    ),
    Alert(
        "ClusterCertificateExpires",
        # Prometheus 3 writes the bound with a fraction, the API server without.
        'sum(increase(apiserver_client_certificate_expiration_seconds_bucket{le=~"604800([.]0)?"}[15m])) > 0',
        10 * _MINUTE,
        _TICKET,
        "Someone asks the API server with a certificate that ends in less than 7 days",
        "When it has ended the API server refuses it. A kubelet's takes its node away, a controller's stands still.",
    ),
)

ROLLOUTS: Final = (
    Alert(
        "RolloutControllerDown",
        "sum(slipway_rollout_leading) < 1 or absent(slipway_rollout_leading)",
        2 * _MINUTE,
        _TICKET,
        "No rollout controller leads",
        "Users notice nothing: weights stay as they are. Rollouts stand still, also the way back of a bad version.",
    ),
    Alert(
        "RolloutPaused",
        'max by (namespace, rollout) (slipway_rollout_phase{phase="Paused"}) == 1',
        _MINUTE,
        _TICKET,
        "The rollout of {{ $labels.rollout }} in {{ $labels.namespace }} waits for a person",
        "It cannot judge the version, or someone moved the weights. It goes back by itself when nobody decides.",
    ),
    Alert(
        "RolloutStuck",
        "max by (namespace, rollout) (time() - slipway_rollout_phase_since_seconds) > 1800 and on (namespace, rollout) "
        f'(max by (namespace, rollout) (slipway_rollout_phase{{phase!~"{_RESTING}"}}) == 1)',
        5 * _MINUTE,
        _TICKET,
        "The rollout of {{ $labels.rollout }} in {{ $labels.namespace }} has not moved for half an hour",
        "No phase may last that long: either the controller cannot act, or a limit of the rollout is very wide.",
    ),
    Alert(
        "VersionRefused",
        'sum by (namespace, rollout, reason) (increase(slipway_rollout_ended_total{result="RolledBack", '
        'reason!~"Aborted|Superseded|DryRun"}[10m])) > 0',
        0,
        _TICKET,
        "A version of {{ $labels.rollout }} was rolled back by itself: {{ $labels.reason }}",
        "Users are on the old version. The new one is not tried again unless someone asks for it.",
    ),
)

DATA: Final = (
    Alert(
        "PostgresNoPrimary",
        "sum(1 - cnpg_pg_replication_in_recovery) < 1 or absent(cnpg_pg_replication_in_recovery)",
        30,
        _PAGE,
        "Postgres has no primary",
        "Writes answer 503 with Retry-After; reads go on as long as a replica lives.",
    ),
    Alert(
        "PostgresNoReplica",
        "max(cnpg_pg_replication_streaming_replicas) < 1",
        _MINUTE,
        _PAGE,
        "No replica follows the primary of Postgres",
        "A write is acknowledged only when a replica has it: writes wait, then answer 503.",
    ),
    Alert(
        "PostgresReplicaMissing",
        "max(cnpg_pg_replication_streaming_replicas) < 2",
        10 * _MINUTE,
        _TICKET,
        "Only one replica follows the primary of Postgres",
        "Users notice nothing; the loss of one more stops writes.",
    ),
    Alert(
        "PostgresReplicationLag",
        "max by (pod) (cnpg_pg_replication_lag) > 30",
        5 * _MINUTE,
        _TICKET,
        "{{ $labels.pod }} is more than 30 s behind",
        "Reads from replicas may be old; a failover to it would take longer.",
    ),
    Alert(
        "PostgresConnectionsHigh",
        "sum by (pod) (cnpg_backends_total) > on (pod) "
        '0.8 * max by (pod) (cnpg_pg_settings_setting{name="max_connections"})',
        5 * _MINUTE,
        _TICKET,
        "{{ $labels.pod }} has used more than 80 % of its connections",
        "When all are used, new ones are refused: a rollout needs room for both versions.",
    ),
    Alert(
        "PostgresLongTransaction",
        "max by (pod, datname) (cnpg_backends_max_tx_duration_seconds) > 600",
        5 * _MINUTE,
        _TICKET,
        "A transaction on {{ $labels.pod }} is open for more than ten minutes",
        "It keeps dead rows alive and may hold locks that a migration waits for.",
    ),
)

POOLERS: Final = (
    Alert(
        "PostgresPoolerQueue",
        "sum by (pod, database) (cnpg_pgbouncer_pools_cl_waiting) > 0",
        2 * _MINUTE,
        _TICKET,
        "Statements for {{ $labels.database }} wait at {{ $labels.pod }} for a connection",
        "Who waits for longer than a second is refused, and the service answers 503.",
    ),
)

BACKUPS: Final = (
    Alert(
        "PostgresArchiveFailing",
        "max(cnpg_pg_stat_archiver_last_failed_time - cnpg_pg_stat_archiver_last_archived_time) > 0",
        5 * _MINUTE,
        _TICKET,
        "Postgres cannot archive its log",
        "What is written since then could not be restored; the log stays on the instances and fills their volumes.",
    ),
    Alert(
        "PostgresBackupOld",
        # Zero, which is no moment, until the first one is complete.
        f"time() - max(barman_cloud_cloudnative_pg_io_last_available_backup_timestamp) > {26 * 3600}",
        20 * _MINUTE,
        _TICKET,
        "The newest base backup of Postgres is older than a day",
        "A restore has more log to go through, and takes longer; with the oldest backups gone there is none.",
    ),
    Alert(
        "PostgresRestoreUntried",
        # One that never was is missed when there has been time for it.
        f"time() - max({_RESTORED}) > {_RESTORE_DUE} or absent({_RESTORED}) and on () "
        f'time() - max(kube_namespace_created{{namespace="data"}}) > {_RESTORE_DUE}',
        60 * _MINUTE,
        _TICKET,
        "No restore of Postgres was tried and held for more than a week",
        "Nobody knows whether the backups can be restored, nor how long that takes.",
    ),
)

REDIS: Final = (
    Alert(
        "RedisNotOneMaster",
        'count(redis_instance_info{job="redis", role="master"}) != 1 '
        'or absent(redis_instance_info{job="redis", role="master"})',
        30,
        _PAGE,
        "Redis has no master, or more than one",
        "Without one, messages wait in Postgres; requests go on. With two, what one of them takes may be lost.",
    ),
    Alert(
        "RedisReplicaMissing",
        'max(redis_connected_slaves{job="redis"}) < 2',
        10 * _MINUTE,
        _TICKET,
        "Fewer than two replicas follow the master of Redis",
        "Users notice nothing; with none left, the master takes no writes and messages wait in Postgres.",
    ),
    Alert(
        "RedisConnectionsRejected",
        "sum by (job, pod) (increase(redis_rejected_connections_total[5m])) > 0",
        0,
        _TICKET,
        "{{ $labels.pod }} has refused connections",
        "Its limit of clients is reached: to whom it refuses one, it is away.",
    ),
    Alert(
        "RedisMemoryHigh",
        'max by (pod) (redis_memory_used_bytes{job="redis"}) > '
        '0.9 * max by (pod) (redis_memory_max_bytes{job="redis"})',
        5 * _MINUTE,
        _TICKET,
        "{{ $labels.pod }} holds more than 90 % of the data that it may",
        "When it is full it refuses writes: messages wait in Postgres.",
    ),
)

MESSAGES: Final = (
    Alert(
        "MessagesLate",
        "max by (namespace, service) (payload_outbox_oldest_seconds) > 60",
        2 * _MINUTE,
        _TICKET,
        "Messages of {{ $labels.service }} in {{ $labels.namespace }} wait for more than a minute",
        "What requests have promised comes late: mail, exports, calls to others. None of it is lost.",
    ),
    Alert(
        "MessagesDead",
        'max by (namespace, service) (payload_outbox_messages{state="dead"}) > 0',
        0,
        _TICKET,
        "Messages of {{ $labels.service }} in {{ $labels.namespace }} were given up",
        "What they stand for has not happened, and will not until someone has them tried again.",
    ),
)

LOGS: Final = (
    Alert(
        "LogStoreDown",
        "max(slipway_logs_health) < 1 or time() - max(slipway_logs_round_timestamp_seconds) > 300 "
        "or absent(slipway_logs_health)",
        5 * _MINUTE,
        _TICKET,
        "Elasticsearch does not take log lines",
        "Users notice nothing. Lines wait on the disks of the nodes, for as long as those have room.",
    ),
    Alert(
        "LogsDelayed",
        "max by (pod) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity) > 0.5",
        5 * _MINUTE,
        _TICKET,
        "{{ $labels.pod }} has half a queue of log lines that Elasticsearch has not taken",
        "When the queue is full nothing is read, and what a container printed more than 60 MiB ago is lost.",
    ),
    Alert(
        "LogsRefused",
        'sum by (error_type) (increase(otelcol_elasticsearch_docs_processed_total{outcome="failed_client", '
        'error_type!="version_conflict_engine_exception"}[10m])) > 0',
        0,
        _TICKET,
        "Elasticsearch refuses log lines: {{ $labels.error_type }}",
        "They are lost: sent again they would be refused again.",
    ),
)

TRACES: Final = (
    Alert(
        "TracesNotKept",
        "sum(increase(jaeger_storage_bulk_index_errors_total[10m])) + "
        "sum(increase(otelcol_exporter_send_failed_spans_total[10m])) > 0",
        5 * _MINUTE,
        _TICKET,
        "Jaeger cannot keep spans",
        "Requests go on; what happened in some of them cannot be seen.",
    ),
)

CLUSTER: Final = (
    Alert(
        "NodeNotReady",
        'max by (node) (kube_node_status_condition{condition="Ready", status="true"}) == 0',
        _MINUTE,
        _TICKET,
        "Node {{ $labels.node }} is not ready",
        "Its pods are replaced elsewhere; users notice at most the seconds until that was seen.",
    ),
    Alert(
        "NodeDiskLow",
        'min by (node, mountpoint) (node_filesystem_avail_bytes{fstype!~"tmpfs|overlay"} '
        "/ node_filesystem_size_bytes) < 0.1",
        10 * _MINUTE,
        _TICKET,
        "Less than 10 % of {{ $labels.mountpoint }} of node {{ $labels.node }} is free",
        "Pods are evicted, and databases stop, when it is full.",
    ),
    Alert(
        "VolumeFilling",
        f"{_VOLUME_FREE} < 0.1 or ({_VOLUME_FREE} < 0.15 and min by (namespace, persistentvolumeclaim) "
        "(predict_linear(kubelet_volume_stats_available_bytes[1h], 4 * 3600)) < 0)",
        10 * _MINUTE,
        _TICKET,
        "Volume {{ $labels.persistentvolumeclaim }} in {{ $labels.namespace }} will soon be full",
        "Less than 10 % of it is free, or less than 15 % and in four hours nothing, at the last hour's pace.",
    ),
    Alert(
        "VolumeFull",
        f"{_VOLUME_FREE} < 0.03",
        _MINUTE,
        _PAGE,
        "Volume {{ $labels.persistentvolumeclaim }} in {{ $labels.namespace }} has less than 3 % of its room left",
        "Who writes to it stops: Postgres takes no writes while its log has no room.",
    ),
    Alert(
        "NodeMemoryLow",
        "min by (node) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) < 0.08",
        10 * _MINUTE,
        _TICKET,
        "Less than 8 % of the memory of node {{ $labels.node }} is free",
        "The kernel ends processes when it is used up.",
    ),
    Alert(
        "ContainerMemoryHigh",
        'max by (namespace, pod, container) (container_memory_working_set_bytes{container!=""}) '
        "> on (namespace, pod, container) "
        '0.95 * max by (namespace, pod, container) (kube_pod_container_resource_limits{resource="memory"})',
        10 * _MINUTE,
        _TICKET,
        "{{ $labels.container }} of {{ $labels.pod }} uses more than 95 % of the memory it may",
        "At its limit it is ended, in the middle of what it does.",
    ),
    Alert(
        "PodRestarting",
        "sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[15m])) > 3",
        0,
        _TICKET,
        "{{ $labels.container }} of {{ $labels.pod }} in {{ $labels.namespace }} starts again and again",
        "Whatever it serves is interrupted each time.",
    ),
    Alert(
        "PodNotRunning",
        'max by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Unknown|Failed"}) == 1',
        15 * _MINUTE,
        _TICKET,
        "{{ $labels.pod }} in {{ $labels.namespace }} does not run",
        "There is no room for it, its image cannot be had, or its node is gone.",
    ),
    Alert(
        "ClusterDnsFailing",
        'sum(rate(coredns_dns_responses_total{rcode="SERVFAIL"}[5m])) '
        "> 0.05 * sum(rate(coredns_dns_responses_total[5m]))",
        5 * _MINUTE,
        _TICKET,
        "More than 5 % of the names asked for inside the cluster are not found out",
        "Parts cannot find each other; connections that exist go on.",
    ),
    Alert(
        "ApiServerFailing",
        'sum(rate(apiserver_request_total{code=~"5.."}[5m])) > 0.05 * sum(rate(apiserver_request_total[5m]))',
        5 * _MINUTE,
        _TICKET,
        "More than 5 % of the requests to the API server fail",
        "What runs goes on; nothing is replaced, rolled out or scaled.",
    ),
)

WATCHING: Final = (
    Alert(
        "Watchdog",
        "vector(1)",
        0,
        Severity.NONE,
        "Alerts get through",
        "Always fires: whoever receives alerts can tell silence from deafness.",
    ),
    Alert(
        "TargetDown",
        "max by (job, instance) (up) == 0",
        3 * _MINUTE,
        _TICKET,
        "{{ $labels.job }} at {{ $labels.instance }} cannot be scraped",
        "Whatever would be wrong with it would not be seen.",
    ),
    Alert(
        "RuleFailing",
        "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[5m])) > 0",
        5 * _MINUTE,
        _TICKET,
        "A rule of {{ $labels.rule_group }} cannot be evaluated",
        "Alerts and rollouts that read it are blind.",
    ),
    Alert(
        "AlertsNotDelivered",
        "min(prometheus_notifications_alertmanagers_discovered) < 1 or sum(increase("
        "prometheus_notifications_dropped_total[5m])) > 0",
        5 * _MINUTE,
        _TICKET,
        "Prometheus cannot hand alerts to Alertmanager",
        "Nobody is told of anything.",
    ),
)


def groups(present: Present) -> tuple[RuleGroup, ...]:
    """One group a subject. What a platform does not have is not missed."""
    return (
        *((RuleGroup("slipway-ingress-alerts", EVERY, INGRESS),) if present.observed else ()),
        *((RuleGroup("slipway-rollout-alerts", EVERY, ROLLOUTS),) if present.rolled_out else ()),
        *((RuleGroup("slipway-messages-alerts", EVERY, MESSAGES),) if present.rolled_out else ()),
        *((RuleGroup("slipway-data-alerts", EVERY, DATA),) if present.postgres else ()),
        *((RuleGroup("slipway-poolers-alerts", EVERY, POOLERS),) if present.poolers else ()),
        *((RuleGroup("slipway-backups-alerts", EVERY, BACKUPS),) if present.backups else ()),
        *((RuleGroup("slipway-redis-alerts", EVERY, REDIS),) if present.redis else ()),
        *((RuleGroup("slipway-logs-alerts", EVERY, LOGS),) if present.logs else ()),
        *((RuleGroup("slipway-traces-alerts", EVERY, TRACES),) if present.traces else ()),
        RuleGroup("slipway-certificates-alerts", EVERY, CERTIFICATES),
        *((RuleGroup("slipway-cluster-alerts", EVERY, CLUSTER),) if present.cluster else ()),
        *((RuleGroup("slipway-watching-alerts", EVERY, WATCHING),) if present.cluster else ()),
    )
