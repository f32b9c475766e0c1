"""Traces: Jaeger takes spans over TLS, keeps them in the same Elasticsearch as logs, and answers for `slipway trace`.

Jaeger is itself built on the collector, so nothing stands between it and the services (docs/adr/0044). It keeps
nothing on its own: a lost pod loses the spans of its last seconds, which are a sample anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgsDict, PodSpecArgsDict, Secret, Service
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra.components import network, pods
from infra.components.base import Component
from infra.components.certificates import Authority, GeneratedCertificate
from infra.components.elasticsearch import TRACER, access_data
from infra.components.metadata import metadata
from infra.components.namespace import Namespace as NamespaceComponent
from infra.components.namespace import NamespaceConfig
from infra.labels import CONTENT_HASH, content_hash, labels, selector
from infra.naming import (
    ELASTICSEARCH_HOST,
    ELASTICSEARCH_PORT,
    ELASTICSEARCH_URL,
    JAEGER,
    JAEGER_HOST,
    OTLP_PORT,
    TRACE_INDEX,
    Environment,
    Namespace,
    Priority,
)
from infra.naming import JAEGER_QUERY_PORT as QUERY_PORT
from infra.profiles import Profile
from infra.quantities import octets

METRICS_PORT: Final = 8888
_HEALTH_PORT: Final = 13133
_USER: Final = 65532
_ETC: Final = "/etc/jaeger"
_ACCESS: Final = "/run/secrets/elasticsearch"
_PAIR: Final = "/run/secrets/certificate"
#: Part of the memory that Go may fill before it tidies up more often.
_SOFT: Final = 0.8


@dataclass(frozen=True)
class TracesConfig:
    """How traces are kept.

    Attributes:
        image: Reference of the image `jaeger`.
        waiter: Reference of the image `python`, in which a pod waits for Elasticsearch.
        profile: Sizes and counts.
        authority: Who signs certificates.
        password: Of Elasticsearch's user for traces, secret.
        copies: Copies of each index besides the first.
        scraper: Namespace of whoever scrapes; None if nobody does.
        node_loss: Seconds that a pod stays bound to a lost node.
    """

    image: pulumi.Input[str]
    waiter: pulumi.Input[str]
    profile: Profile
    authority: Authority
    password: pulumi.Input[str]
    copies: int
    scraper: str | None
    node_loss: int


@final
@dataclass(frozen=True)
class TracesResources:
    """What was made."""

    namespace: NamespaceComponent
    access: Secret
    certificate: Secret
    configuration: ConfigMap
    service: Service
    network_policy: NetworkPolicy
    deployment: Deployment
    disruption_budget: PodDisruptionBudget | None


class Traces(Component):
    """Traces that are taken, kept and found."""

    def __init__(self, name: str, config: TracesConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Traces", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: TracesConfig) -> TracesResources:
        namespace = NamespaceComponent(Namespace.TRACES.value, NamespaceConfig(Namespace.TRACES.value), self.child())
        options = self.child(depends_on=[namespace])
        pair = GeneratedCertificate("jaeger", (JAEGER_HOST, "localhost"), config.authority, opts=self.child())
        access = Secret(
            "traces-access",
            metadata=_named(),
            string_data=access_data(config.authority.certificate, config.password),
            opts=options,
        )
        certificate = Secret(
            "traces-certificate",
            metadata=_named(f"{JAEGER}-tls"),
            string_data={"tls.crt": pair.certificate, "tls.key": pair.private_key},
            opts=options,
        )
        text = yaml.safe_dump(settings(config.copies), sort_keys=False)
        configuration = ConfigMap("jaeger", metadata=_named(), data={"jaeger.yaml": text}, opts=options)
        service = Service(
            "jaeger",
            metadata=_named(),
            spec={
                "selector": selector(JAEGER),
                "ports": [
                    {"name": name, "port": port, "target_port": name}
                    for name, port in (("otlp", OTLP_PORT), ("query", QUERY_PORT))
                ],
            },
            opts=options,
        )
        environments = [environment.value for environment in Environment]
        policy = NetworkPolicy(
            "jaeger",
            metadata=_named(),
            spec=network.reached_by(
                JAEGER,
                [
                    network.from_namespaces(environments, [OTLP_PORT]),
                    *network.scraped([METRICS_PORT], config.scraper),
                ],
            ),
            opts=options,
        )
        deployment = Deployment(
            "jaeger",
            metadata=_named(),
            spec={
                "replicas": config.profile.jaeger_replicas,
                "revision_history_limit": 3,
                "selector": {"match_labels": selector(JAEGER)},
                "template": {
                    "metadata": {
                        "labels": _labels(),
                        "annotations": {
                            CONTENT_HASH: pulumi.Output.from_input(pair.certificate).apply(
                                lambda it: content_hash(text, it)
                            )
                        },
                    },
                    "spec": pod_spec(config),
                },
            },
            opts=self.child(depends_on=[access, certificate, configuration], timeout="10m"),
        )
        budget = None
        if config.profile.jaeger_replicas > 1:
            budget = PodDisruptionBudget(
                "jaeger",
                metadata=_named(),
                spec={"max_unavailable": 1, "selector": {"match_labels": selector(JAEGER)}},
                opts=options,
            )
        return TracesResources(namespace, access, certificate, configuration, service, policy, deployment, budget)


def settings(copies: int) -> dict[str, Any]:
    """Jaeger's configuration: from OTLP over TLS to Elasticsearch, and the answers about it.

    Args:
        copies: Copies of each index besides the first.
    """
    tls = {"cert_file": f"{_PAIR}/tls.crt", "key_file": f"{_PAIR}/tls.key"}
    daily = {"date_layout": "2006.01.02", "rollover_frequency": "day", "shards": 1, "replicas": copies}
    kinds = ("spans", "services", "dependencies", "sampling")
    store = {
        "server_urls": [ELASTICSEARCH_URL],
        "auth": {"basic": {"username": TRACER, "password_file": f"{_ACCESS}/password"}},
        "tls": {"ca_file": f"{_ACCESS}/ca.crt"},
        "indices": {"index_prefix": TRACE_INDEX.removesuffix("-jaeger"), **dict.fromkeys(kinds, daily)},
        # Elasticsearch's core answers neither who it is nor whether it is there at the place where Jaeger would ask
        # (docs/adr/0043); templates of version 8 are those of 9.
        "version": 8,
        "disable_health_check": True,
    }
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["jaeger_storage_exporter"]}
            },
            "telemetry": {
                "logs": {"level": "warn", "encoding": "json"},
                "metrics": {
                    "level": "normal",
                    "readers": [{"pull": {"exporter": {"prometheus": {"host": "0.0.0.0", "port": METRICS_PORT}}}}],  # noqa: S104  # of the pod
                },
            },
        },
        "extensions": {
            "healthcheckv2": {"use_v2": True, "http": {"endpoint": f"0.0.0.0:{_HEALTH_PORT}"}},
            "jaeger_query": {
                "storage": {"traces": "elasticsearch"},
                "http": {"endpoint": f"0.0.0.0:{QUERY_PORT}", "tls": tls},
                "grpc": {"endpoint": "127.0.0.1:16685"},
            },
            "jaeger_storage": {"backends": {"elasticsearch": {"elasticsearch": store}}},
        },
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"0.0.0.0:{OTLP_PORT}", "tls": tls}}}},
        "processors": {"batch": {"timeout": "1s"}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "elasticsearch"}},
    }


def waiting(host: str, port: int) -> str:
    """Return a Python program that ends when somebody listens there.

    Without Elasticsearch Jaeger ends, and a kubelet that starts it again and again waits longer each time, up to
    minutes after Elasticsearch is back. A Service without a ready pod refuses connections.
    """
    return f"""
import socket, time
while True:
    try:
        socket.create_connection(({host!r}, {port}), 2).close()
        break
    except OSError as error:
        print(f"waiting for Elasticsearch: {{error}}", flush=True)
        time.sleep(1)
"""


def pod_spec(config: TracesConfig) -> PodSpecArgsDict:
    """Its pods."""
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "priority_class_name": Priority.OBSERVABILITY.value,
        "security_context": pods.pod_security(_USER),
        "tolerations": pods.tolerations(config.node_loss),
        "topology_spread_constraints": pods.spread(selector(JAEGER)),
        "init_containers": [
            {
                "name": "elasticsearch-answers",
                "image": config.waiter,
                "image_pull_policy": "IfNotPresent",
                "command": ["python3", "-c", waiting(ELASTICSEARCH_HOST, ELASTICSEARCH_PORT)],
                "resources": pods.resources(config.profile.log_keeper),
                "security_context": pods.container_security(),
            }
        ],
        "containers": [_container(config)],
        "volumes": [
            {"name": "etc", "config_map": {"name": JAEGER}},
            {"name": "access", "secret": {"secret_name": JAEGER, "default_mode": 0o440}},
            {"name": "certificate", "secret": {"secret_name": f"{JAEGER}-tls", "default_mode": 0o440}},
        ],
    }


def _container(config: TracesConfig) -> ContainerArgsDict:
    size = config.profile.jaeger
    mounts: Mapping[str, str] = {"etc": _ETC, "access": _ACCESS, "certificate": _PAIR}
    return {
        "name": JAEGER,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "args": [f"--config={_ETC}/jaeger.yaml"],
        "env": [
            {"name": "GOMEMLIMIT", "value": str(int(_SOFT * octets(size.memory_limit)))},
            # Its own work would be traced to a port that nobody opens.
            {"name": "OTEL_TRACES_SAMPLER", "value": "always_off"},
        ],
        "ports": [
            {"name": "otlp", "container_port": OTLP_PORT},
            {"name": "query", "container_port": QUERY_PORT},
            {"name": "metrics", "container_port": METRICS_PORT},
            {"name": "health", "container_port": _HEALTH_PORT},
        ],
        "resources": pods.resources(size),
        "security_context": pods.container_security(),
        "startup_probe": {"tcp_socket": {"port": "otlp"}, "period_seconds": 2, "failure_threshold": 60},
        "readiness_probe": {"http_get": {"path": "/status", "port": "health"}, "period_seconds": 5},
        "liveness_probe": {
            "http_get": {"path": "/status", "port": "health"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 6,
        },
        "volume_mounts": [{"name": name, "mount_path": path, "read_only": True} for name, path in mounts.items()],
    }


def _named(name: str = JAEGER) -> ObjectMetaArgsDict:
    return metadata(name, _labels(), namespace=Namespace.TRACES.value)


def _labels() -> dict[str, str]:
    return labels(JAEGER, "traces")
