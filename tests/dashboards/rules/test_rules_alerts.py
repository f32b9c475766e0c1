"""Each alert on made-up series: one case in which it fires, one like it in which it must not."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from dashboards.rules import alerts, colours, delivery, reference, services, slo
from dashboards.rules.groups import Alert, Severity
from dashboards.rules.present import Present
from infra.components.metrics import rules

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
GROUPS = (*slo.groups(), *alerts.groups(Present()))
NAMES = sorted({alert.name for group in GROUPS for alert in group.alerts})
USERS = 'namespace="dev", service="payload"'
#: Runbooks of what a command says, not of an alert.
OF_COMMANDS = {"stranded-lock"}

WAITING = 'payload_outbox_%s{namespace="n", service="s"}'


class Case(NamedTuple):
    """Series at each quarter of a minute; those of `silent` differ in what the alert is about."""

    firing: dict
    silent: dict
    at: str = "30m"


def requests(**outcomes):
    return {
        f'slipway_ingress_requests_total{{{USERS}, colour="blue", outcome="{name}"}}': f"0+{count}x500"
        for name, count in outcomes.items()
    }


def answers(fast, slow):
    name, total = "slipway_ingress_request_seconds", fast + slow
    return {
        f'{name}_bucket{{{USERS}, le="1"}}': f"0+{fast}x500",
        f"{name}_count{{{USERS}}}": f"0+{total}x500",
        **requests(ok=total, failed=0),
    }


def phase(name, **also):
    labels = 'namespace="dev", rollout="payload"'
    return {f'slipway_rollout_phase{{{labels}, phase="{name}"}}': "1x500"} | also


def steady(series, value):
    return {series: f"{value}x500"}


def rising(series, by):
    return {series: f"0+{by}x500"}


SINCE = 'slipway_rollout_phase_since_seconds{namespace="dev", rollout="payload"}'
HAPROXY = 'slipway_ingress_up{pod="%s"}'
MEMORY = 'namespace="dev", pod="a", container="c"'
PHASES = 'namespace="dev", pod="a"'
DNS = 'coredns_dns_responses_total{rcode="%s"}'
CLIENT_CERTIFICATES = 'apiserver_client_certificate_expiration_seconds_bucket{le="%s"}'
API = 'apiserver_request_total{code="%s"}'
REFUSED = 'slipway_rollout_ended_total{namespace="dev", rollout="payload", result="RolledBack", reason="%s"}'

REFUSED_LINES = 'otelcol_elasticsearch_docs_processed_total{pod="p", outcome="failed_client", error_type="%s"}'
REDIS = 'redis_instance_info{job="redis", pod="%s", role="%s"}'
VOLUME = 'kubelet_volume_stats_%s_bytes{namespace="data", persistentvolumeclaim="postgres-1-wal", node="n"}'
FREE_BYTES, ALL_BYTES = VOLUME % "available", VOLUME % "capacity"

CASES = {
    "ServiceFailing": Case(requests(ok=90, failed=10), requests(ok=10_000, failed=1)),
    "ServiceSlow": Case(answers(50, 50), answers(1000, 1)),
    "IngressDown": Case(steady(HAPROXY % "a", 0), steady(HAPROXY % "a", 1)),
    "IngressNotRedundant": Case(steady(HAPROXY % "a", 1), steady(HAPROXY % "a", 1) | steady(HAPROXY % "b", 1)),
    "ServiceUnreachable": Case(
        rising(f'slipway_ingress_requests_total{{{USERS}, colour="", outcome="failed"}}', 5),
        rising(f'slipway_ingress_requests_total{{{USERS}, colour="blue", outcome="failed"}}', 5),
    ),
    "IngressRetries": Case(
        requests(ok=100) | rising(f"slipway_ingress_retries_total{{{USERS}}}", 10),
        requests(ok=100) | rising(f"slipway_ingress_retries_total{{{USERS}}}", 1),
    ),
    "IngressSlotsLow": Case(
        steady(f"slipway_ingress_free_slots{{{USERS}}}", 1), steady(f"slipway_ingress_free_slots{{{USERS}}}", 14)
    ),
    "CertificateExpires": Case(
        steady('haproxyingress_cert_expire_date_epoch{domain="a.test"}', 86_400),
        steady('haproxyingress_cert_expire_date_epoch{domain="a.test"}', 30 * 86_400),
    ),
    "InternalCertificateExpires": Case(
        steady('certificate:expires:timestamp_seconds{certificate="jaeger"}', 86_400),
        steady('certificate:expires:timestamp_seconds{certificate="jaeger"}', 30 * 86_400),
    ),
    "ClusterCertificateExpires": Case(
        rising(CLIENT_CERTIFICATES % "604800", 1) | rising(CLIENT_CERTIFICATES % "+Inf", 9),
        # One did so in the past; all the others have months.
        steady(CLIENT_CERTIFICATES % "604800.0", 3) | rising(CLIENT_CERTIFICATES % "2592000.0", 9),
    ),
    "RolloutControllerDown": Case(
        steady('slipway_rollout_leading{pod="a"}', 0),
        steady('slipway_rollout_leading{pod="a"}', 0) | steady('slipway_rollout_leading{pod="b"}', 1),
    ),
    "RolloutPaused": Case(phase("Paused"), phase("Analysing")),
    "RolloutStuck": Case(phase("Shifting", **steady(SINCE, 0)), phase("WarmStandby", **steady(SINCE, 0)), at="90m"),
    "VersionRefused": Case({REFUSED % "AnalysisFailed": "0x110 1x400"}, {REFUSED % "Aborted": "0x110 1x400"}),
    "PostgresNoPrimary": Case(
        steady('cnpg_pg_replication_in_recovery{pod="postgres-2"}', 1),
        steady('cnpg_pg_replication_in_recovery{pod="postgres-2"}', 1)
        | steady('cnpg_pg_replication_in_recovery{pod="postgres-1"}', 0),
    ),
    "PostgresNoReplica": Case(
        steady('cnpg_pg_replication_streaming_replicas{pod="postgres-1"}', 0),
        steady('cnpg_pg_replication_streaming_replicas{pod="postgres-1"}', 1),
    ),
    "PostgresReplicaMissing": Case(
        steady('cnpg_pg_replication_streaming_replicas{pod="postgres-1"}', 1),
        steady('cnpg_pg_replication_streaming_replicas{pod="postgres-1"}', 2),
    ),
    "PostgresReplicationLag": Case(
        steady('cnpg_pg_replication_lag{pod="postgres-2"}', 60), steady('cnpg_pg_replication_lag{pod="postgres-2"}', 1)
    ),
    "PostgresArchiveFailing": Case(
        steady('cnpg_pg_stat_archiver_last_failed_time{pod="p"}', 200)
        | steady('cnpg_pg_stat_archiver_last_archived_time{pod="p"}', 100),
        steady('cnpg_pg_stat_archiver_last_failed_time{pod="p"}', -1)
        | steady('cnpg_pg_stat_archiver_last_archived_time{pod="p"}', 100),
    ),
    "PostgresBackupOld": Case(
        steady('barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{pod="p"}', -100_000),
        steady('barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{pod="p"}', 0),
    ),
    "PostgresRestoreUntried": Case(
        steady('kube_lease_renew_time{namespace="data", lease="restore-drill"}', -700_000),
        steady('kube_lease_renew_time{namespace="data", lease="restore-drill"}', 0),
        at="90m",
    ),
    "PostgresConnectionsHigh": Case(
        steady('cnpg_backends_total{pod="p", state="idle"}', 190)
        | steady('cnpg_pg_settings_setting{pod="p", name="max_connections"}', 200),
        steady('cnpg_backends_total{pod="p", state="idle"}', 20)
        | steady('cnpg_pg_settings_setting{pod="p", name="max_connections"}', 200),
    ),
    "PostgresPoolerQueue": Case(
        steady('cnpg_pgbouncer_pools_cl_waiting{pod="p", database="d", user="u"}', 3),
        # Now and then somebody waits for a moment; that is what a pooler is for.
        {'cnpg_pgbouncer_pools_cl_waiting{pod="p", database="d", user="u"}': " ".join(["3x4 0x1"] * 60)},
    ),
    "PostgresLongTransaction": Case(
        steady('cnpg_backends_max_tx_duration_seconds{pod="p", datname="d"}', 900),
        steady('cnpg_backends_max_tx_duration_seconds{pod="p", datname="d"}', 9),
    ),
    "RedisNotOneMaster": Case(
        steady(REDIS % ("a", "master"), 1) | steady(REDIS % ("b", "master"), 1),
        steady(REDIS % ("a", "master"), 1) | steady(REDIS % ("b", "slave"), 1),
    ),
    "RedisReplicaMissing": Case(
        steady('redis_connected_slaves{job="redis", pod="a"}', 1),
        steady('redis_connected_slaves{job="redis", pod="a"}', 2)
        | steady('redis_connected_slaves{job="redis-cache", pod="c"}', 0),
    ),
    "RedisConnectionsRejected": Case(
        {'redis_rejected_connections_total{job="redis", pod="a"}': "0x110 9x400"},
        steady('redis_rejected_connections_total{job="redis", pod="a"}', 9),
    ),
    "RedisMemoryHigh": Case(
        steady('redis_memory_used_bytes{job="redis", pod="a"}', 95)
        | steady('redis_memory_max_bytes{job="redis", pod="a"}', 100),
        steady('redis_memory_used_bytes{job="redis", pod="a"}', 50)
        | steady('redis_memory_max_bytes{job="redis", pod="a"}', 100)
        | steady('redis_memory_used_bytes{job="redis-cache", pod="c"}', 99)
        | steady('redis_memory_max_bytes{job="redis-cache", pod="c"}', 100),
    ),
    "MessagesLate": Case(
        steady(WAITING % "oldest_seconds", 61),
        steady(WAITING % "oldest_seconds", 40) | steady('payload_outbox_messages{service="s", state="open"}', 900),
    ),
    "MessagesDead": Case(
        steady('payload_outbox_messages{namespace="n", service="s", state="dead"}', 1),
        steady('payload_outbox_messages{namespace="n", service="s", state="dead"}', 0)
        | steady('payload_outbox_messages{namespace="n", service="s", state="open"}', 9),
    ),
    "LogStoreDown": Case(
        steady("slipway_logs_health", 0) | steady("slipway_logs_round_timestamp_seconds", 1e9),
        steady("slipway_logs_health", 1) | steady("slipway_logs_round_timestamp_seconds", 1e9),
    ),
    "LogsDelayed": Case(
        steady('otelcol_exporter_queue_size{pod="p"}', 60) | steady('otelcol_exporter_queue_capacity{pod="p"}', 100),
        steady('otelcol_exporter_queue_size{pod="p"}', 3) | steady('otelcol_exporter_queue_capacity{pod="p"}', 100),
    ),
    "LogsRefused": Case(
        rising(REFUSED_LINES % "document_parsing_exception", 1),
        rising(REFUSED_LINES % "version_conflict_engine_exception", 1),
    ),
    "TracesNotKept": Case(
        rising('jaeger_storage_bulk_index_errors_total{pod="p"}', 1)
        | steady('otelcol_exporter_send_failed_spans_total{pod="p"}', 0),
        steady('jaeger_storage_bulk_index_errors_total{pod="p"}', 3)
        | steady('otelcol_exporter_send_failed_spans_total{pod="p"}', 0),
    ),
    "NodeNotReady": Case(
        steady('kube_node_status_condition{node="n", condition="Ready", status="true"}', 0),
        steady('kube_node_status_condition{node="n", condition="Ready", status="true"}', 1)
        | steady('kube_node_status_condition{node="n", condition="Ready", status="false"}', 0),
    ),
    "NodeDiskLow": Case(
        steady('node_filesystem_avail_bytes{node="n", mountpoint="/", fstype="ext4"}', 5)
        | steady('node_filesystem_size_bytes{node="n", mountpoint="/", fstype="ext4"}', 100),
        steady('node_filesystem_avail_bytes{node="n", mountpoint="/", fstype="tmpfs"}', 5)
        | steady('node_filesystem_size_bytes{node="n", mountpoint="/", fstype="tmpfs"}', 100),
    ),
    "VolumeFilling": Case(
        {FREE_BYTES: "3600-8x300"} | steady(ALL_BYTES, 24000),
        {FREE_BYTES: "3600-1x300"} | steady(ALL_BYTES, 24000),
    ),
    "VolumeFull": Case(steady(FREE_BYTES, 2) | steady(ALL_BYTES, 100), steady(FREE_BYTES, 4) | steady(ALL_BYTES, 100)),
    "NodeMemoryLow": Case(
        steady('node_memory_MemAvailable_bytes{node="n"}', 5) | steady('node_memory_MemTotal_bytes{node="n"}', 100),
        steady('node_memory_MemAvailable_bytes{node="n"}', 50) | steady('node_memory_MemTotal_bytes{node="n"}', 100),
    ),
    "ContainerMemoryHigh": Case(
        steady(f"container_memory_working_set_bytes{{{MEMORY}}}", 97)
        | steady(f'kube_pod_container_resource_limits{{{MEMORY}, resource="memory"}}', 100),
        steady(f"container_memory_working_set_bytes{{{MEMORY}}}", 60)
        | steady(f'kube_pod_container_resource_limits{{{MEMORY}, resource="memory"}}', 100),
    ),
    "PodRestarting": Case(
        {f"kube_pod_container_status_restarts_total{{{MEMORY}}}": "0x80 1x5 2x5 3x5 4x5 5x400"},
        {f"kube_pod_container_status_restarts_total{{{MEMORY}}}": "0x80 1x400"},
    ),
    "PodNotRunning": Case(
        steady(f'kube_pod_status_phase{{{PHASES}, phase="Pending"}}', 1),
        steady(f'kube_pod_status_phase{{{PHASES}, phase="Pending"}}', 0)
        | steady(f'kube_pod_status_phase{{{PHASES}, phase="Running"}}', 1),
    ),
    "ClusterDnsFailing": Case(
        rising(DNS % "SERVFAIL", 10) | rising(DNS % "NOERROR", 90),
        rising(DNS % "NXDOMAIN", 50) | rising(DNS % "NOERROR", 50),
    ),
    "ApiServerFailing": Case(
        rising(API % "503", 10) | rising(API % "200", 90), rising(API % "404", 50) | rising(API % "200", 50)
    ),
    "TargetDown": Case(steady('up{job="j", instance="i"}', 0), steady('up{job="j", instance="i"}', 1)),
    "RuleFailing": Case(
        rising('prometheus_rule_evaluation_failures_total{rule_group="g"}', 1),
        steady('prometheus_rule_evaluation_failures_total{rule_group="g"}', 3),
    ),
    "AlertsNotDelivered": Case(
        steady("prometheus_notifications_alertmanagers_discovered", 0)
        | steady("prometheus_notifications_dropped_total", 0),
        steady("prometheus_notifications_alertmanagers_discovered", 1)
        | steady("prometheus_notifications_dropped_total", 0),
    ),
}


def fires(name):
    return f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) > 0'


@pytest.mark.parametrize("name", CASES)
def test_it_fires_when_it_must_and_not_otherwise(name, evaluate):
    case = CASES[name]
    some = f'count by (alertname) (ALERTS{{alertname="{name}", alertstate="firing"}}) > bool 0'
    evaluate(GROUPS, case.firing, {some: {f'{{alertname="{name}"}}': 1}}, at=case.at, every="15s")
    evaluate(GROUPS, case.silent, {fires(name): {}}, at=case.at, every="15s")


def test_every_alert_has_its_cases_and_the_watchdog_always_barks(evaluate):
    assert set(CASES) == set(NAMES) - {"Watchdog"}
    evaluate(GROUPS, {}, {fires("Watchdog"): {"{}": 1}}, at="1m", every="15s")


def test_a_redis_without_a_master_pages_too(evaluate):
    series = steady(REDIS % ("a", "slave"), 1) | steady(REDIS % ("b", "slave"), 1)
    name = "RedisNotOneMaster"
    some = f'count by (alertname) (ALERTS{{alertname="{name}", alertstate="firing", severity="page"}}) > bool 0'
    evaluate(GROUPS, series, {some: {f'{{alertname="{name}"}}': 1}}, at="30m", every="15s")


def test_an_outage_pages_within_a_minute(evaluate):
    """Traffic that was good for half an hour, and then fails wholly."""
    series = {
        f'slipway_ingress_requests_total{{{USERS}, colour="blue", outcome="ok"}}': "0+750x120 90000x100",
        f'slipway_ingress_requests_total{{{USERS}, colour="blue", outcome="failed"}}': "0x120 750+750x100",
    }
    paged = 'count(ALERTS{alertname="ServiceFailing", alertstate="firing", severity="page"}) > 0'
    evaluate(GROUPS, series, {paged: {}}, at="30m", every="15s")
    evaluate(GROUPS, series, {paged: {"{}": 1}}, at="31m", every="15s")


def test_a_few_failures_without_traffic_wake_nobody(evaluate):
    few = {f'slipway_ingress_requests_total{{{USERS}, colour="blue", outcome="failed"}}': "0x100 3x400"}
    evaluate(GROUPS, few, {fires("ServiceFailing"): {}}, at="30m", every="15s")


def test_the_budget_that_is_left_follows_from_the_share_that_failed(evaluate):
    evaluate(
        GROUPS,
        requests(ok=9995, failed=5),
        {
            'slo:period_error_budget_remaining:ratio{slo="availability"}': {
                f'slo:period_error_budget_remaining:ratio{{{USERS}, slo="availability"}}': 0.5
            },
            'slo:current_burn_rate:ratio{slo="availability"}': {
                f'slo:current_burn_rate:ratio{{{USERS}, slo="availability"}}': 0.5
            },
        },
        at="30m",
        every="15s",
    )


def test_a_preview_is_no_users_service(evaluate):
    series = {name.replace("payload", "payload-preview"): value for name, value in requests(ok=1, failed=99).items()}
    evaluate(GROUPS, series, {fires("ServiceFailing"): {}, fires("ServiceUnreachable"): {}}, at="30m", every="15s")


@pytest.mark.parametrize(("made", "missed"), [(-700_000, True), (-600_000, False)])
def test_a_restore_that_never_was_is_missed_after_eight_days(evaluate, made, missed):
    series = steady('kube_namespace_created{namespace="data"}', made)
    alert = fires("PostgresRestoreUntried")
    evaluate(GROUPS, series, {alert: {"{}": 1} if missed else {}}, at="90m", every="15s")


def test_promtool_accepts_every_rule(tmp_path, promtool):
    everything = [group for groups in rules(Present()).values() for group in groups]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [group.to_manifest() for group in everything]}))
    answer = promtool(tmp_path, "check", "rules", "rules.yaml")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{sum(len(group.rules) for group in everything)} rules found" in answer.stdout
    assert {group.name for group in (*colours.groups(), *services.groups(), *delivery.groups(), *GROUPS)} == {
        it.name for it in everything
    }


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - OF_COMMANDS == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_means_and_what_to_do(name):
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["What it means", "Look", "Do"]


def test_an_alert_of_another_form_is_refused():
    with pytest.raises(ValueError, match="must be named in words with capitals"):
        Alert("ingress-down", "1", 0, Severity.PAGE, "A summary", "A meaning.")


def test_the_page_of_alerts_is_up_to_date():
    assert reference.PAGE.read_text() == reference.render(), "run `python -m dashboards.rules.reference`"
