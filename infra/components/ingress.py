"""HAProxy, by haproxy-ingress, as ordinary pods behind one address.

Every setting here was measured (shared facts of the design): as ordinary pods behind a Service with a wait before
shutdown and `idle-close-on-response`, a HAProxy pod goes away without a failed request; with host networking clients
are refused for a second. Weights move by HAProxy's runtime API, so nothing here may make a weight shift a reload.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgsDict
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgsDict,
    PodSpecArgsDict,
    Secret,
    Service,
    ServiceSpecArgsDict,
    VolumeArgsDict,
    VolumeMountArgsDict,
)
from pulumi_kubernetes.networking.v1 import IngressClass, NetworkPolicy, NetworkPolicyIngressRuleArgsDict
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra import versions
from infra.components import ingress_observer, ingress_requests, network, pods
from infra.components.base import Component
from infra.components.ingress_access import IngressAccess, IngressAccessConfig
from infra.components.metadata import metadata
from infra.labels import NEEDS_API, labels, selector
from infra.naming import INGRESS, INGRESS_CERTIFICATE_SECRET, INGRESS_CLASS, Namespace, Priority
from infra.profiles import Profile
from infra.timeouts import INGRESS_UPDATES_PER_SECOND, TrafficTimeouts

#: Ports inside the pod, above 1023 so that no privilege is needed; the Service has 80 and 443.
HTTP_PORT: Final = 8080
HTTPS_PORT: Final = 8443
#: HAProxy's own metrics, per server; and the controller's, which count reloads.
METRICS_PORT: Final = 9101
CONTROLLER_METRICS_PORT: Final = 10254
HEALTH_PORT: Final = 10253
#: User of the upstream image.
USER: Final = 99
#: Seconds between the end of HAProxy's grace period and the pod being killed.
_MARGIN: Final = 10
#: Slots kept free in every backend: a pod that finds none would make HAProxy reload.
_FREE_SLOTS: Final = 16

_WRITABLE: Final = {
    "etc": "/etc/haproxy",
    "lib": "/var/lib/haproxy",
    "run": "/var/run/haproxy",
    "tmp": "/tmp",  # noqa: S108  # a folder of the container, empty at each start
}


@dataclass(frozen=True)
class IngressConfig:
    """How HAProxy is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `haproxy-ingress`.
        profile: Sizes and counts.
        timeouts: Waits.
        certificate: Default certificate with its authority, in PEM.
        private_key: Its key, in PEM, secret.
        observer: Reference of the image `ingress-observer`; without it nothing tells colours apart.
        scraper: Namespace of whoever scrapes; None if nobody does.
        rolled_out: Whether there is a rollout controller that reads the observer.
        annotations: What the Service must say to get its address on this cluster.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    timeouts: TrafficTimeouts
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]
    observer: pulumi.Input[str] | None = None
    scraper: str | None = Namespace.MONITORING.value
    rolled_out: bool = True
    annotations: Mapping[str, str] | None = None


@final
@dataclass(frozen=True)
class IngressResources:
    """What was made."""

    access: IngressAccess
    certificate: Secret
    configuration: ConfigMap
    service: Service
    deployment: Deployment
    disruption_budget: PodDisruptionBudget
    network_policy: NetworkPolicy
    ingress_class: IngressClass


class Ingress(Component):
    """The one way in.

    Attributes:
        address: IP address or host name at which it is reached.
    """

    def __init__(self, name: str, config: IngressConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Ingress", name, opts)
        self.resources = self._create(config)
        self.address: pulumi.Output[str] = self.resources.service.status.apply(_address)
        self.register_outputs({"address": self.address})

    def _create(self, config: IngressConfig) -> IngressResources:
        in_namespace = self.child(depends_on=[config.namespace])
        named = metadata(INGRESS, _labels(), namespace=Namespace.INGRESS.value)
        access = IngressAccess("access", IngressAccessConfig(Namespace.INGRESS.value, INGRESS, _labels()), in_namespace)
        certificate = Secret(
            "default-certificate",
            metadata=metadata(INGRESS_CERTIFICATE_SECRET, _labels(), namespace=Namespace.INGRESS.value),
            type="kubernetes.io/tls",
            string_data={"tls.crt": config.certificate, "tls.key": config.private_key},
            opts=in_namespace,
        )
        configuration = ConfigMap(
            "configuration",
            metadata=named,
            data={
                **configuration_data(config.timeouts, config.profile.ingress_threads),
                **(ingress_observer.configuration() if config.observer else {}),
            },
            opts=in_namespace,
        )
        ingress_class = IngressClass(
            "class",
            metadata=metadata(INGRESS_CLASS, _labels()),
            spec={"controller": "haproxy-ingress.github.io/controller"},
            opts=self.child(),
        )
        deployment = Deployment(
            "haproxy",
            metadata=named,
            spec=deployment_spec(config),
            opts=self.child(depends_on=[access, certificate, configuration, ingress_class], timeout="10m"),
        )
        service = Service(
            "haproxy",
            metadata=metadata(INGRESS, _labels(), namespace=Namespace.INGRESS.value, annotations=config.annotations),
            spec=service_spec(),
            opts=self.child(depends_on=[config.namespace], timeout="10m"),
        )
        disruption_budget = PodDisruptionBudget(
            "haproxy",
            metadata=named,
            spec={"max_unavailable": 1, "selector": {"match_labels": selector(INGRESS)}},
            opts=in_namespace,
        )
        network_policy = NetworkPolicy(
            "haproxy",
            metadata=named,
            spec=network.reached_by(INGRESS, openings(config)),
            opts=in_namespace,
        )
        return IngressResources(
            access, certificate, configuration, service, deployment, disruption_budget, network_policy, ingress_class
        )


def configuration_data(timeouts: TrafficTimeouts, threads: int) -> dict[str, str]:
    """The controller's global configuration. It is watched: a change needs no restart.

    Args:
        timeouts: Waits.
        threads: Threads of each HAProxy.
    """
    return {
        "http-port": str(HTTP_PORT),
        "https-port": str(HTTPS_PORT),
        "prometheus-port": str(METRICS_PORT),
        "healthz-port": str(HEALTH_PORT),
        # The statistics page can be read by whoever reaches it; only the pod itself may.
        "bind-ip-addr-stats": "127.0.0.1",
        "timeout-client": f"{timeouts.client}s",
        "timeout-connect": f"{timeouts.connect}s",
        "timeout-keep-alive": f"{timeouts.keep_alive}s",
        "timeout-queue": f"{timeouts.queue}s",
        "timeout-server": f"{timeouts.server}s",
        "timeout-server-fin": f"{timeouts.server}s",
        "timeout-client-fin": f"{timeouts.server}s",
        # A reload leaves the old process until its connections end; keep-alive ones must not hold it for ever.
        "timeout-stop": f"{timeouts.keep_alive + timeouts.server}s",
        "balance-algorithm": "roundrobin",
        "slots-min-free": str(_FREE_SLOTS),
        "nbthread": str(threads),
        # Threads pinned to fixed cores would meet on the same ones when two pods share a machine.
        "use-cpu-map": "false",
        "config-defaults": "option idle-close-on-response\n",
        **ingress_requests.configuration(),
        # Tells a client over which of its connections an answer came. Load generators whose HTTP library sends a
        # request again by itself, without telling, are found out by it (loadtests/lib/judge.js).
        "config-frontend": "http-after-response set-header slipway-connection %[src_port]\n",
    }


def arguments(timeouts: TrafficTimeouts) -> list[str]:
    """Command line of the controller.

    Args:
        timeouts: Waits.
    """
    namespace = Namespace.INGRESS.value
    return [
        f"--configmap={namespace}/{INGRESS}",
        f"--ingress-class={INGRESS_CLASS}",
        f"--default-ssl-certificate={namespace}/{INGRESS_CERTIFICATE_SECRET}",
        f"--publish-service={namespace}/{INGRESS}",
        # The address is the Service's and outlives every pod.
        "--update-status-on-shutdown=false",
        # Servers keep their place in the list, so that a weight is a weight of the same server before and after.
        "--sort-backends",
        # The Gateway API path reloads on every change.
        "--watch-gateway=false",
        f"--rate-limit-update={INGRESS_UPDATES_PER_SECOND}",
        f"--wait-before-shutdown={timeouts.ingress_drain}s",
        f"--haproxy-grace-period={timeouts.ingress_finish}s",
        f"--shutdown-timeout={timeouts.ingress_finish + _MARGIN // 2}s",
        "--profiling=false",
    ]


def grace_period(timeouts: TrafficTimeouts) -> int:
    """Seconds until a HAProxy pod that does not end is killed: drain, finish and a margin."""
    return timeouts.ingress_drain + timeouts.ingress_finish + _MARGIN


def openings(config: IngressConfig) -> list[NetworkPolicyIngressRuleArgsDict]:
    """Who may reach what of HAProxy: users its doors, and only what is there the numbers."""
    watching = [] if config.scraper is None else [config.scraper]
    reading = [*watching, *([Namespace.ROLLOUT.value] if config.rolled_out else [])] if config.observer else []
    rules = [network.from_anywhere([HTTP_PORT, HTTPS_PORT])]
    if watching:
        rules.append(network.from_namespaces(watching, [METRICS_PORT, CONTROLLER_METRICS_PORT]))
    if reading:
        rules.append(network.from_namespaces(reading, [ingress_observer.PORT]))
    return rules


def deployment_spec(config: IngressConfig) -> DeploymentSpecArgsDict:
    """One pod more while they are replaced, never one less."""
    return {
        "replicas": config.profile.ingress_replicas,
        "revision_history_limit": 3,
        "strategy": {"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}},
        "selector": {"match_labels": selector(INGRESS)},
        "template": {
            "metadata": {"labels": _labels(), "annotations": {NEEDS_API: "it watches Ingresses, Services and Secrets"}},
            "spec": pod_spec(config),
        },
    }


def pod_spec(config: IngressConfig) -> PodSpecArgsDict:
    """A pod without privileges, on a node of its own, that takes its time to leave."""
    volumes: list[VolumeArgsDict] = [{"name": name, "empty_dir": {"size_limit": "64Mi"}} for name in _WRITABLE]
    observers: list[ContainerArgsDict] = []
    if config.observer:
        volumes.extend(ingress_observer.volumes())
        observers.append(ingress_observer.container(config.observer, config.profile.ingress_observer))
    return {
        "service_account_name": INGRESS,
        "priority_class_name": Priority.TRAFFIC.value,
        "security_context": pods.pod_security(USER),
        "termination_grace_period_seconds": grace_period(config.timeouts),
        "tolerations": pods.tolerations(config.timeouts.node_loss),
        "topology_spread_constraints": pods.spread(selector(INGRESS)),
        "dns_config": pods.dns(config.timeouts.dns),
        "init_containers": observers,
        "containers": [_container(config)],
        "volumes": volumes,
    }


def service_spec() -> ServiceSpecArgsDict:
    """One address for all pods. `Cluster`: whichever node answers for the address, every HAProxy gets its share."""
    return {
        "type": "LoadBalancer",
        "external_traffic_policy": "Cluster",
        "selector": selector(INGRESS),
        "ports": [
            {"name": "http", "port": 80, "target_port": "http"},
            {"name": "https", "port": 443, "target_port": "https"},
        ],
    }


def _container(config: IngressConfig) -> ContainerArgsDict:
    mounts: list[VolumeMountArgsDict] = [{"name": name, "mount_path": path} for name, path in _WRITABLE.items()]
    if config.observer:
        mounts.extend(ingress_observer.mounts())
    return {
        "name": "haproxy-ingress",
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "args": arguments(config.timeouts),
        "env": [
            {"name": "POD_NAME", "value_from": {"field_ref": {"field_path": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "value_from": {"field_ref": {"field_path": "metadata.namespace"}}},
        ],
        "ports": [
            {"name": "http", "container_port": HTTP_PORT},
            {"name": "https", "container_port": HTTPS_PORT},
            {"name": "metrics", "container_port": METRICS_PORT},
            {"name": "controller", "container_port": CONTROLLER_METRICS_PORT},
            {"name": "health", "container_port": HEALTH_PORT},
        ],
        "resources": pods.resources(config.profile.ingress),
        # HAProxy's binary carries the right to bind low ports; without it in the allowed set it does not even start.
        "security_context": pods.container_security(bind_low_ports=True),
        # Ready and alive mean HAProxy itself, not its controller: one without the apiserver still serves.
        "startup_probe": {
            "http_get": {"path": "/healthz", "port": "health"},
            "period_seconds": 1,
            "failure_threshold": 60,
        },
        "readiness_probe": {
            "http_get": {"path": "/healthz", "port": "health"},
            "period_seconds": 2,
            "timeout_seconds": 2,
            "failure_threshold": 2,
        },
        "liveness_probe": {
            "http_get": {"path": "/healthz", "port": "health"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 3,
        },
        "volume_mounts": mounts,
    }


def _labels() -> dict[str, str]:
    return labels(INGRESS, "ingress", version=versions.HAPROXY_INGRESS)


def _address(status: Mapping[str, object] | object | None) -> str:
    """The address out of a Service's status, IP before host name; empty until there is one."""
    load_balancer = getattr(status, "load_balancer", None)
    for entry in getattr(load_balancer, "ingress", None) or ():
        if address := getattr(entry, "ip", None) or getattr(entry, "hostname", None):
            return str(address)
    return ""
