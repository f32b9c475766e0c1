"""node-exporter: processors, memory, disks and pressure of each machine.

It reads the machine's /proc, /sys and root, read only, without its network and without its processes; what a machine
sends and receives is counted by pod (cAdvisor). Where several nodes share one machine it runs once, else all figures
of that machine would be there several times.
"""

from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import DaemonSet, Deployment
from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodTemplateSpecArgsDict, VolumeArgsDict, VolumeMountArgsDict
from pulumi_kubernetes.meta.v1 import LabelSelectorArgsDict, ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra import versions
from infra.components import network, pods
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.labels import labels, selector
from infra.naming import Namespace, Priority
from infra.profiles import Profile

NAME: Final = "node-exporter"
USER: Final = 65534
_PORT: Final = 9100
_HOST: Final = {"proc": "/proc", "sys": "/sys", "root": "/"}
#: What cannot be read without the machine's own network, or says nothing on any machine that runs containers.
_LEFT_OUT: Final = (
    "arp",
    "bonding",
    "conntrack",
    "infiniband",
    "ipvs",
    "netclass",
    "netdev",
    "netstat",
    "nfs",
    "nfsd",
    "sockstat",
    "softnet",
    "tcpstat",
    "udp_queues",
    "xfs",
    "zfs",
)

#: File systems that are no disks.
_NO_DISKS: Final = (
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup2?",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "sysfs",
    "tmpfs",
    "tracefs",
)


@dataclass(frozen=True)
class NodeExporterConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into; must allow volumes of the host.
        image: Reference of the image `node-exporter`.
        profile: Sizes.
        shared_machine: Whether all nodes are on one machine.
        node_loss: Seconds that the only one stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    shared_machine: bool
    node_loss: int


@final
@dataclass(frozen=True)
class NodeExporterResources:
    """What was made."""

    network_policy: NetworkPolicy
    workload: DaemonSet | Deployment


class NodeExporter(Component):
    """The exporter of each machine."""

    def __init__(self, name: str, config: NodeExporterConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("NodeExporter", name, opts)
        self.resources = NodeExporterResources(
            NetworkPolicy(
                "exporter",
                metadata=_named(),
                spec=network.reached_by(NAME, [network.from_namespaces([Namespace.MONITORING.value], [_PORT])]),
                opts=self.child(depends_on=[config.namespace]),
            ),
            self._create(config),
        )
        self.register_outputs({})

    def _create(self, config: NodeExporterConfig) -> DaemonSet | Deployment:
        options = self.child(depends_on=[config.namespace], timeout="5m")
        chosen: LabelSelectorArgsDict = {"match_labels": selector(NAME)}
        template = pod_template(config)
        if config.shared_machine:
            return Deployment(
                "exporter",
                metadata=_named(),
                spec={"replicas": 1, "revision_history_limit": 3, "selector": chosen, "template": template},
                opts=options,
            )
        return DaemonSet(
            "exporter",
            metadata=_named(),
            spec={
                "revision_history_limit": 3,
                "selector": chosen,
                "template": template,
                "update_strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": "10%"}},
            },
            opts=options,
        )


def pod_template(config: NodeExporterConfig) -> PodTemplateSpecArgsDict:
    """Its pod: one on each machine, also on those that take no other pods."""
    volumes: list[VolumeArgsDict] = [
        {"name": name, "host_path": {"path": path, "type": "Directory"}} for name, path in _HOST.items()
    ]
    everywhere: list[pods.TolerationArgsDict] = [{"operator": "Exists"}]
    return {
        "metadata": {"labels": _labels()},
        "spec": {
            "automount_service_account_token": False,
            "priority_class_name": Priority.OBSERVABILITY.value,
            "security_context": pods.pod_security(USER),
            "tolerations": pods.tolerations(config.node_loss) if config.shared_machine else everywhere,
            "containers": [_container(config)],
            "volumes": volumes,
        },
    }


def arguments() -> list[str]:
    """Its command line."""
    return [
        f"--web.listen-address=:{_PORT}",
        "--path.procfs=/host/proc",
        "--path.sysfs=/host/sys",
        "--path.rootfs=/host/root",
        # Volumes of pods are counted by their kubelet.
        "--collector.filesystem.mount-points-exclude=^/(dev|proc|run|sys|var/lib/(docker|containerd|kubelet|slipway))($|/)",
        f"--collector.filesystem.fs-types-exclude=^({'|'.join(_NO_DISKS)})$",
        *(f"--no-collector.{name}" for name in _LEFT_OUT),
    ]


def _container(config: NodeExporterConfig) -> ContainerArgsDict:
    mounts: list[VolumeMountArgsDict] = [
        {"name": name, "mount_path": f"/host/{name}", "read_only": True, "mount_propagation": "HostToContainer"}
        for name in _HOST
    ]
    return {
        "name": NAME,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "args": list(arguments()),
        "ports": [{"name": "metrics", "container_port": _PORT}],
        "resources": pods.resources(config.profile.node_exporter),
        "security_context": pods.container_security(),
        "readiness_probe": {"http_get": {"path": "/", "port": "metrics"}, "period_seconds": 5, "timeout_seconds": 5},
        "liveness_probe": {"http_get": {"path": "/", "port": "metrics"}, "period_seconds": 10, "timeout_seconds": 5},
        "volume_mounts": mounts,
    }


def _named() -> ObjectMetaArgsDict:
    return metadata(NAME, _labels(), namespace=Namespace.NODE_METRICS.value)


def _labels() -> dict[str, str]:
    return labels(NAME, "metrics", version=versions.NODE_EXPORTER)
