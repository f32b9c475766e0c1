"""The collector: on each node, reads what its pods print and sends it to Elasticsearch, each line at least once.

How far each file was read, and what was read and not confirmed yet, are on the node's disk: neither the collector's end
nor Elasticsearch's loses a line. A line that is sent twice has the same identifier twice, which Elasticsearch refuses,
so it is kept once. Why not Logstash or Filebeat: docs/adr/0043-logs-in-dated-indices.md.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import DaemonSet
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgsDict, PodSpecArgsDict, Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra import versions
from infra.components import network, pods
from infra.components.base import Component
from infra.components.elasticsearch import access_data
from infra.components.metadata import metadata
from infra.labels import CONTENT_HASH, content_hash, labels, selector
from infra.naming import ELASTICSEARCH_URL, LOG_COLLECTOR, LOG_INDEX, Namespace, Priority
from infra.parts import ExternalLogs
from infra.profiles import Profile
from infra.quantities import octets

METRICS_PORT: Final = 8888
_HEALTH_PORT: Final = 13133
#: Where the kubelet puts what pods print, and where it is kept how far that was read.
_PODS: Final = "/var/log/pods"
_STATE: Final = "/var/lib/log-collector"
_ETC: Final = "/etc/log-collector"
_ACCESS: Final = "/run/secrets/elasticsearch"
_NODE: Final = "NODE_NAME"
#: A line is in the queue before it is noted as read; else some are noted that are in memory only when the end comes.
IN_STEP: Final = "--feature-gates=stanza.synchronousLogEmitter"
#: Bytes that wait for Elasticsearch on a node's disk. When it is full no more is read; the kubelet keeps the newest
#: files of each container (60 MiB on the embedded cluster).
_QUEUE: Final = 200_000_000
_BATCH: Final = 2_000_000


@final
@dataclass(frozen=True)
class OwnTarget:
    """The platform's own Elasticsearch.

    Attributes:
        certificate: Authority of its certificate, in PEM.
        password: Of the user `collector`, secret.
    """

    certificate: pulumi.Input[str]
    password: pulumi.Input[str]


@dataclass(frozen=True)
class LogCollectorConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into; must allow volumes of the host.
        image: Reference of the image `otel-collector`.
        profile: Sizes.
        target: The Elasticsearch that it sends to.
        scraper: Namespace of whoever scrapes; None if nobody does.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    target: OwnTarget | ExternalLogs
    scraper: str | None


@final
@dataclass(frozen=True)
class LogCollectorResources:
    """What was made; `access` only where nobody else makes the Secret."""

    access: Secret | None
    configuration: ConfigMap
    network_policy: NetworkPolicy
    daemon_set: DaemonSet


class LogCollector(Component):
    """A collector on each node."""

    def __init__(self, name: str, config: LogCollectorConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("LogCollector", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: LogCollectorConfig) -> LogCollectorResources:
        options = self.child(depends_on=[config.namespace])
        access, target = None, config.target
        if isinstance(target, OwnTarget):
            file = text()
            access = Secret(
                "access",
                metadata=_named(),
                string_data=access_data(target.certificate, target.password),
                opts=options,
            )
        else:
            file = text(target)
        configuration = ConfigMap("configuration", metadata=_named(), data={"collector.yaml": file}, opts=options)
        policy = NetworkPolicy(
            "collector",
            metadata=_named(),
            spec=network.reached_by(LOG_COLLECTOR, network.scraped([METRICS_PORT], config.scraper)),
            opts=options,
        )
        daemon_set = DaemonSet(
            "collector",
            metadata=_named(),
            spec={
                "revision_history_limit": 3,
                "selector": {"match_labels": selector(LOG_COLLECTOR)},
                "template": {
                    "metadata": {
                        "labels": _labels(),
                        "annotations": {CONTENT_HASH: content_hash(file)},
                    },
                    "spec": _pod_spec(config),
                },
                "update_strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": "100%"}},
            },
            opts=self.child(depends_on=[configuration, *([access] if access else [])], timeout="5m"),
        )
        return LogCollectorResources(access, configuration, policy, daemon_set)


def text(external: ExternalLogs | None = None) -> str:
    """The collector's configuration as a file."""
    return yaml.safe_dump(pipeline(external), sort_keys=False, width=1000)


def _reached(external: ExternalLogs | None) -> dict[str, Any]:
    """Where Elasticsearch is, who asks, and whom to trust: what changes without a new file is read from the Secret."""
    known: dict[str, Any]
    if external is None:
        known = {"endpoint": ELASTICSEARCH_URL, "user": "collector", "tls": {"ca_file": f"{_ACCESS}/ca.crt"}}
    else:
        known = {"endpoint": f"${{file:{_ACCESS}/url}}", "user": f"${{file:{_ACCESS}/user}}"}
        if external.authority_key:
            known["tls"] = {"ca_file": f"{_ACCESS}/{external.authority_key}"}
    return {**known, "password": f"${{file:{_ACCESS}/password}}"}


def pipeline(external: ExternalLogs | None = None) -> dict[str, Any]:
    """The collector's configuration: from the files of pods to Elasticsearch.

    Args:
        external: The Elasticsearch of others; the platform's own if left out.
    """
    files = f"{_PODS}/*/*/*.log"
    return {
        "extensions": {
            "file_storage": {"directory": _STATE, "compaction": {"on_start": True, "directory": _STATE}},
            "health_check": {"endpoint": f"0.0.0.0:{_HEALTH_PORT}"},
        },
        "receivers": {
            "file_log": {
                # The second: a file that the kubelet has put aside, whose end may not have been read yet.
                "include": [files, f"{files}.*"],
                # What it prints itself is about lines that it could not send, which would be more of them.
                "exclude": [f"{files}.gz", f"{files}.*.gz", f"{files}.*.tmp", f"{_PODS}/{Namespace.NODE_LOGS}_*/*/*"],
                "start_at": "beginning",
                "poll_interval": "500ms",
                "storage": "file_storage",
                "include_file_path": True,
                "include_file_record_offset": True,
                # Without an end: a line that cannot be handed on is tried again, and nothing is read meanwhile.
                "retry_on_failure": {"enabled": True, "max_elapsed_time": "0s"},
                "operators": operators(),
            }
        },
        "exporters": {
            "elasticsearch": {
                **_reached(external),
                # The body as it is, field by field; the first that is allowed is the one that is taken.
                "mapping": {"allowed_modes": ["bodymap"]},
                # Tells what is wrong with a line that is refused, without the line.
                "include_source_on_error": False,
                "logstash_format": {"enabled": True},
                "logs_dynamic_id": {"enabled": True},
                # What the exporter gives up on it throws away. So it has no limit of time (its own is 90 s, retries
                # included), and asks again also when it is not let in: a password that changes reaches collectors and
                # Elasticsearch at different moments.
                "timeout": "0s",
                "retry": {
                    "enabled": True,
                    "max_retries": 1_000_000,
                    "initial_interval": "200ms",
                    "max_interval": "10s",
                    "retry_on_status": [401, 403, 404, 408, 429, 500, 502, 503, 504],
                },
                "sending_queue": {
                    "enabled": True,
                    "storage": "file_storage",
                    "num_consumers": 2,
                    "sizer": "bytes",
                    "queue_size": _QUEUE,
                    "block_on_overflow": True,
                    "batch": {"flush_timeout": "1s", "min_size": _BATCH // 4, "max_size": _BATCH, "sizer": "bytes"},
                },
            }
        },
        "service": {
            "extensions": ["file_storage", "health_check"],
            "telemetry": {
                "logs": {"level": "warn", "encoding": "json"},
                "metrics": {
                    "readers": [
                        {
                            "pull": {
                                "exporter": {
                                    "prometheus": {
                                        "host": "0.0.0.0",  # noqa: S104  # of the pod
                                        "port": METRICS_PORT,
                                        "without_scope_info": True,
                                    }
                                }
                            }
                        }
                    ]
                },
            },
            "pipelines": {"logs": {"receivers": ["file_log"], "exporters": ["elasticsearch"]}},
        },
    }


def operators() -> list[dict[str, Any]]:
    """What happens to each line, in this order.

    A line of JSON with ECS names is kept field by field. Every other line, also one that only looks so, is kept whole
    as `message`, and `labels.format` says which it was.
    """
    return [
        {"type": "container", "format": "containerd"},
        _add('attributes["elasticsearch.document_id"]', _IDENTIFIER),
        _add('attributes["elasticsearch.index"]', LOG_INDEX),
        {
            "type": "json_parser",
            "if": r'body startsWith "{" and body contains "\"ecs.version\""',
            "parse_to": "attributes.ecs",
            "on_error": "send_quiet",
        },
        {
            "type": "router",
            "routes": [{"expr": _IS_ECS, "output": "ecs"}],
            "default": "text",
        },
        {"type": "move", "id": "ecs", "from": "attributes.ecs", "to": "body"},
        _add('body["labels.format"]', "ecs"),
        {
            **_add('body["@timestamp"]', _PRINTED),
            # A time that Elasticsearch could not read would make it refuse the line.
            "if": f'not (type(body["@timestamp"]) == "string" and body["@timestamp"] matches "{_RFC3339}")',
        },
        {"type": "noop", "output": "known"},
        {"type": "move", "id": "text", "from": "body", "to": "attributes.line"},
        {"type": "move", "from": "attributes.line", "to": "body.message"},
        _add('body["labels.format"]', "text"),
        _add('body["@timestamp"]', _PRINTED),
        {**_add('body["kubernetes.namespace"]', 'EXPR(resource["k8s.namespace.name"])'), "id": "known"},
        _add('body["kubernetes.pod.name"]', 'EXPR(resource["k8s.pod.name"])'),
        _add('body["kubernetes.pod.uid"]', 'EXPR(resource["k8s.pod.uid"])'),
        _add('body["kubernetes.container.name"]', 'EXPR(resource["k8s.container.name"])'),
        _add('body["kubernetes.node.name"]', f"${{env:{_NODE}}}"),
        _add('body["log.iostream"]', 'EXPR(attributes["log.iostream"])'),
        _add('body["log.offset"]', 'EXPR(attributes["log.file.record_offset"])'),
    ]


#: The same for the same line however often it is read: where it stands in which container's output, and when it came.
#: Without the time two files of one container, the older put aside, would have the same places.
_IDENTIFIER: Final = (
    'EXPR(resource["k8s.pod.uid"] + "." + resource["k8s.container.name"] + "." + '
    'resource["k8s.container.restart_count"] + "." + string(timestamp.UnixNano()) + "." + '
    'string(attributes["log.file.record_offset"]))'
)

#: It was parsed, names its version, and its message is one that can be shown.
_IS_ECS: Final = (
    'attributes.ecs != nil and type(attributes.ecs["ecs.version"]) == "string" and '
    'type(attributes.ecs["message"]) != "map"'
)
#: When the runtime took the line, to the nanosecond.
_PRINTED: Final = 'EXPR(timestamp.Format("2006-01-02T15:04:05.000000000Z07:00"))'
_RFC3339: Final = r"^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|[+-]\\d\\d:?\\d\\d)$"


def _add(field: str, value: str) -> dict[str, Any]:
    return {"type": "add", "field": field, "value": value}


def _pod_spec(config: LogCollectorConfig) -> PodSpecArgsDict:
    target = config.target
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "priority_class_name": Priority.OBSERVABILITY.value,
        # The files belong to root and are nobody else's to read. It has root's number and none of root's powers.
        "security_context": {"run_as_user": 0, "run_as_group": 0, "seccomp_profile": {"type": "RuntimeDefault"}},
        "termination_grace_period_seconds": 30,
        # What a node's pods print is wanted above all when the node is in trouble.
        "tolerations": [{"operator": "Exists"}],
        "containers": [_container(config)],
        "volumes": [
            {"name": "pods", "host_path": {"path": _PODS, "type": "Directory"}},
            {"name": "state", "host_path": {"path": _STATE, "type": "DirectoryOrCreate"}},
            {"name": "configuration", "config_map": {"name": LOG_COLLECTOR}},
            {
                "name": "access",
                "secret": {
                    "secret_name": LOG_COLLECTOR if isinstance(target, OwnTarget) else target.secret,
                    "default_mode": 0o400,
                },
            },
        ],
    }


def _container(config: LogCollectorConfig) -> ContainerArgsDict:
    return {
        "name": LOG_COLLECTOR,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "args": [f"--config={_ETC}/collector.yaml", IN_STEP],
        "env": [
            {"name": _NODE, "value_from": {"field_ref": {"field_path": "spec.nodeName"}}},
            # In bytes: Go frees memory more eagerly from there on, well before the kernel would end it.
            {"name": "GOMEMLIMIT", "value": str(octets(config.profile.log_collector.memory_limit) * 4 // 5)},
            # Below that it frees less often: with Go's own 100 a line took half as much again (ADR 137).
            {"name": "GOGC", "value": "400"},
        ],
        "ports": [
            {"name": "metrics", "container_port": METRICS_PORT},
            {"name": "health", "container_port": _HEALTH_PORT},
        ],
        "resources": pods.resources(config.profile.log_collector),
        "security_context": pods.container_security(),
        "readiness_probe": {"http_get": {"path": "/", "port": "health"}, "period_seconds": 5, "timeout_seconds": 3},
        "liveness_probe": {
            "http_get": {"path": "/", "port": "health"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 6,
        },
        "volume_mounts": [
            {"name": "pods", "mount_path": _PODS, "read_only": True, "mount_propagation": "HostToContainer"},
            {"name": "state", "mount_path": _STATE},
            {"name": "configuration", "mount_path": _ETC, "read_only": True},
            {"name": "access", "mount_path": _ACCESS, "read_only": True},
        ],
    }


def _named() -> ObjectMetaArgsDict:
    return metadata(LOG_COLLECTOR, _labels(), namespace=Namespace.NODE_LOGS.value)


def _labels() -> dict[str, str]:
    return labels(LOG_COLLECTOR, "logs", version=versions.OTEL_COLLECTOR)
