"""The files that the parts read, rendered from the spec: pure functions from values to text."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import yaml

from slipway.node.pki import Leaf
from slipway.node.spec import CLUSTER_DOMAIN, REGISTRY_HOST, ClusterSpec, Node

#: Each signs for another circle of readers; all live ten years.
AUTHORITIES: Final = ("ca", "front-proxy-ca", "etcd-ca")


@final
@dataclass(frozen=True)
class Reserve:
    """What a node must leave to others, so that the nodes' allocatable sums to the machine and not to three of it.

    Args:
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
    """

    cpu_millis: int
    memory_bytes: int


def reserve(*, cpus: int, memory_bytes: int, nodes: int) -> Reserve:
    """A node's `system-reserved` on a machine with so many cores and bytes."""
    return Reserve(cpus * 1000 - cpus * 1000 // nodes, memory_bytes - memory_bytes // nodes)


def leaves(spec: ClusterSpec) -> list[Leaf]:
    """Every certificate of the cluster."""
    cp = spec.control_plane.address
    service_names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    return [
        Leaf("etcd", "etcd", hosts=("localhost", "127.0.0.1"), ca="etcd-ca"),
        Leaf("apiserver-etcd", "kube-apiserver", ca="etcd-ca"),
        Leaf(
            "apiserver",
            "kube-apiserver",
            hosts=(
                *service_names,
                f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
                "localhost",
                "127.0.0.1",
                cp,
                spec.kubernetes_address,
            ),
        ),
        Leaf("apiserver-kubelet", "kube-apiserver-kubelet-client", ("system:masters",)),
        Leaf("front-proxy", "front-proxy-client", ca="front-proxy-ca"),
        Leaf("admin", "kubernetes-admin", ("system:masters",)),
        Leaf("controller-manager", "system:kube-controller-manager"),
        Leaf("scheduler", "system:kube-scheduler"),
        Leaf("proxy", "system:kube-proxy"),
        Leaf("registry", "registry", hosts=("localhost", "127.0.0.1", cp, REGISTRY_HOST.partition(":")[0])),
        Leaf("registry-push", "push"),
        *(
            Leaf(f"kubelet-{node.name}", f"system:node:{node.name}", ("system:nodes",), (node.name, node.address))
            for node in spec.workers
        ),
    ]


def kubeconfig(spec: ClusterSpec, pki: Path, leaf: str, server: str | None = None) -> str:
    """A kubeconfig that carries its certificates within, so that it can travel as one text."""

    def data(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": spec.name,
                    "cluster": {"server": server or spec.api_url, "certificate-authority-data": data("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": leaf,
                    "user": {
                        "client-certificate-data": data(f"{leaf}.crt"),
                        "client-key-data": data(f"{leaf}.key"),
                    },
                }
            ],
            "contexts": [{"name": spec.name, "context": {"cluster": spec.name, "user": leaf}}],
            "current-context": spec.name,
        },
        sort_keys=False,
    )


def containerd(node: Node, pause_image: str, cni_plugins: Path) -> str:
    """Containerd's configuration (version 2, as 1.6 and 1.7 read it)."""
    plugin = "io.containerd.grpc.v1.cri"
    unused = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs"))
    return f"""version = 2
root = "{node.home}/containerd"
state = "/run/containerd"
disabled_plugins = [{unused}]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."{plugin}"]
  # Without CAP_SYS_RESOURCE runc may not lower a score: containers could not start.
  restrict_oom_score_adj = true
  sandbox_image = "{pause_image}"
  [plugins."{plugin}".registry]
    config_path = "{node.home}/etc/registry"
  [plugins."{plugin}".containerd]
    snapshotter = "overlayfs"
    [plugins."{plugin}".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."{plugin}".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."{plugin}".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{node.home}/etc/cni"
"""


def registry_hosts(spec: ClusterSpec, pki: Path) -> str:
    """Containerd's hosts.toml: the made-up name is the registry in the control plane, by mutual TLS.

    The registry stands there twice. What is not on a host is asked of the server as well, and only what that says is
    told: without certificates to show it would be a refusal instead of "not found". The server alone is not read.
    """
    url = f"https://{spec.registry_address}"
    reached = f"""capabilities = ["pull", "resolve"]
ca = "{pki}/ca.crt"
client = [["{pki}/registry-push.crt", "{pki}/registry-push.key"]]
"""
    return f'server = "{url}"\n{reached}[host."{url}"]\n{reached}'


def registry(spec: ClusterSpec, pki: Path, storage: Path) -> str:
    """The registry's configuration: TLS both ways, deletions allowed so that space can be won back."""
    return yaml.safe_dump(
        {
            "version": 0.1,
            "log": {"level": "warn", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
            "http": {
                "addr": f"{spec.control_plane.address}:5000",
                "relativeurls": True,
                "tls": {
                    "certificate": f"{pki}/registry.crt",
                    "key": f"{pki}/registry.key",
                    "clientcas": [f"{pki}/ca.crt"],
                },
            },
        },
        sort_keys=False,
    )


#: Of each node.
POD_BRIDGE: Final = "cni0"
#: How long a node, or a pod, looks for an address that nobody has: 0.4 s, then whoever wants to connect is told. By
#: default it is 3 s, longer than clients wait; a pod that has just gone would cost each of them their whole patience.
NEIGHBOURS: Final = {"mcast_solicit": "2", "retrans_time_ms": "200"}


def cni(node: Node, mtu: int = 1500) -> str:
    """The pods' network on one node: a bridge and addresses of its own; other nodes are reached by routes."""
    bridge = {
        "type": "bridge",
        "bridge": POD_BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            # On tmpfs: a node that lost its power has no pods, so no addresses in use.
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": node.pod_subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    tuning = {"type": "tuning", "sysctl": {f"net.ipv4.neigh.eth0.{key}": value for key, value in NEIGHBOURS.items()}}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, tuning, portmap]}, indent=2)


def kubelet(spec: ClusterSpec, node: Node, pki: Path, reserved: Reserve) -> str:
    """KubeletConfiguration."""
    certificate = pki / f"kubelet-{node.name}"
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node.address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            # A group of the node's own: without it two kubelets on one machine delete each other's pods.
            "cgroupRoot": f"/{node.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [spec.dns_address],
            "clusterDomain": CLUSTER_DOMAIN,
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "containerLogMaxSize": "20Mi",
            "containerLogMaxFiles": 3,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            # Images can be fetched again, but deleting them to make room would surprise on a developer's machine.
            "imageGCHighThresholdPercent": 100,
            "maxPods": 110,
            "nodeLeaseDurationSeconds": spec.timeouts.lease_duration,
            "nodeStatusUpdateFrequency": "4s",
            "podLogsDir": "/var/log/pods",  # a folder of the node's own there (slipway.node.machine)
            "resolvConf": f"{node.home}/etc/resolv.conf",
            "shutdownGracePeriod": "0s",
            "syncFrequency": "30s",
            "systemReserved": {
                "cpu": f"{reserved.cpu_millis}m",
                "memory": str(reserved.memory_bytes),
            },
            "tlsCertFile": f"{certificate}.crt",
            "tlsPrivateKeyFile": f"{certificate}.key",
            "tlsMinVersion": "VersionTLS12",
            "volumePluginDir": f"{node.home}/volume-plugins",
        },
        sort_keys=False,
    )


def kube_proxy(spec: ClusterSpec, node: Node) -> str:
    """KubeProxyConfiguration: iptables; conntrack's limits are the machine's, not ours to set."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "bindAddress": "0.0.0.0",  # noqa: S104 - within the node's own network namespace
            "clientConnection": {"kubeconfig": f"{node.home}/etc/proxy.kubeconfig"},
            "clusterCIDR": spec.pod_network,
            # Of two changes in a row, such as the labels of two members of Postgres, the second would wait for 1 s.
            "iptables": {"minSyncPeriod": "100ms"},
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "hostnameOverride": node.name,
            "metricsBindAddress": f"{node.address}:10249",
        },
        sort_keys=False,
    )


def encryption(key: bytes) -> str:
    """How the API server encrypts Secrets at rest (32 bytes of key)."""
    providers: list[Mapping[str, Any]] = [
        {"secretbox": {"keys": [{"name": "key1", "secret": base64.b64encode(key).decode()}]}},
        {"identity": {}},
    ]
    return yaml.safe_dump(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": providers}],
        },
        sort_keys=False,
    )
