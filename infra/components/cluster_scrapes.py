"""What Prometheus scrapes that are no pods: kubelets and the API server, which no PodMonitor finds."""

from typing import Any, Final

from infra.components.scrapes import WATCHED

_TOKEN_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  # a path
_CA_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


def cluster_scrapes() -> list[dict[str, Any]]:
    """Each of them, in Prometheus' own notation."""
    return [
        _kubelet(
            "kubelet",
            "/metrics",
            "kubelet_(running_pods|running_containers|volume_stats_.*|evictions|pleg_relist_duration_seconds_(sum|count)"
            "|runtime_operations_errors_total)|process_.*",
            [],
        ),
        _kubelet(
            "cadvisor",
            "/metrics/cadvisor",
            "container_(cpu_usage_seconds_total|cpu_cfs_(throttled_)?periods_total|memory_(working_set_bytes|rss)"
            "|network_(receive|transmit)_(bytes|packets_dropped)_total|oom_events_total|start_time_seconds)",
            _own_pods(),
        ),
        {
            "job_name": "apiserver",
            "scrape_interval": f"{WATCHED}s",
            "scheme": "https",
            "authorization": {"credentials_file": _TOKEN_FILE},
            "tls_config": {"ca_file": _CA_FILE, "server_name": "kubernetes.default.svc"},
            "kubernetes_sd_configs": [{"role": "endpoints", "namespaces": {"names": ["default"]}}],
            "relabel_configs": [
                {
                    "source_labels": ["__meta_kubernetes_service_name", "__meta_kubernetes_endpoint_port_name"],
                    "regex": "kubernetes;https",
                    "action": "keep",
                }
            ],
            "metric_relabel_configs": [
                {
                    "source_labels": ["__name__"],
                    "regex": "apiserver_(request_total|current_inflight_requests|storage_objects"
                    "|request_terminations_total|request_duration_seconds_(sum|count)"
                    "|client_certificate_expiration_seconds_(bucket|count))|process_.*",
                    "action": "keep",
                }
            ],
        },
    ]


def _kubelet(job: str, path: str, keep: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "job_name": job,
        "scrape_interval": f"{WATCHED}s",
        "metrics_path": path,
        "scheme": "https",
        "authorization": {"credentials_file": _TOKEN_FILE},
        "tls_config": {"ca_file": _CA_FILE},
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [{"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"}],
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": keep, "action": "keep"}, *changes],
    }


def _own_pods() -> list[dict[str, Any]]:
    """Keep what a node says of its own pods.

    Nodes that share a machine each see every group of it. The path of a group begins with the kubelet's own root,
    `/slipway-<cluster>/<node>`, where there is one; a node that has a machine to itself has none.
    """
    return [
        {"source_labels": ["id"], "regex": ".*/kubepods[./].*", "action": "keep"},
        {"source_labels": ["node"], "target_label": "__tmp_owner"},
        {
            "source_labels": ["id"],
            "regex": "/slipway-[^/]+/([^/]+)/.*",
            "target_label": "__tmp_owner",
            "replacement": "$1",
        },
        {"source_labels": ["node"], "target_label": "__tmp_owner", "action": "keepequal"},
        # A pod's network is counted once, for its first container; everything else by container.
        {"source_labels": ["__name__", "container"], "regex": "container_network_.+;.*|.+;.+", "action": "keep"},
        {"regex": "__tmp_owner|id|image|name", "action": "labeldrop"},
    ]
