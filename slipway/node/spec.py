"""What an embedded cluster is: pure values, from which every name, address and path follows."""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

STATE_ROOT = Path("/var/lib/slipway")
"""Where clusters keep their state: one folder each, root only."""

REGISTRY_HOST = "registry.slipway.test:5000"
"""The made-up name under which nodes pull images (RFC 6761 reserves .test): it can never leak to a real registry."""

CLUSTER_DOMAIN = "cluster.local"
MAX_NODES = 3
NAME_PATTERN = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")

# Host parts of the bridge's /24.
GATEWAY_HOST = 1
CONTROL_PLANE_HOST = 2
FIRST_NODE_HOST = 11
FIRST_LOAD_BALANCER_HOST = 200
LAST_LOAD_BALANCER_HOST = 250


@final
@dataclass(frozen=True)
class NodeTimeouts:
    """How fast a lost node is noticed, in seconds (the design's table of timeouts)."""

    monitor_grace_period: int = 10
    monitor_period: int = 2
    lease_duration: int = 8
    eviction_toleration: int = 10

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise ValueError(f"timeout {name} is {value} s; it must be at least 1 s")
        if self.lease_duration >= self.monitor_grace_period:
            raise ValueError(
                f"lease_duration is {self.lease_duration} s and monitor_grace_period {self.monitor_grace_period} s; "
                "the lease must be shorter, or a healthy node is declared lost between two renewals"
            )


@dataclass(frozen=True)
class Machine:
    """One member: the control plane or a node."""

    name: str
    address: str
    netns: str
    link: str
    """The host's end of its cable (an interface name of at most 15 characters)."""


@final
@dataclass(frozen=True)
class Node(Machine):
    """A machine that runs pods."""

    pod_subnet: str
    cgroup: str
    """Path of its control group below the root of every hierarchy."""
    home: Path


@final
@dataclass(frozen=True)
class ClusterSpec:
    """A cluster by its settings.

    Args:
        name: 1 to 20 characters of a-z, 0-9 and '-'.
        nodes: 1 to 3.
        network: the bridge's network, a private IPv4 /24; clusters side by side need different ones.
        pod_network: a private IPv4 /16, inside the cluster only.
        service_network: a private IPv4 /16, inside the cluster only.
        timeouts: how fast a lost node is noticed.

    Raises:
        ValueError: a setting is outside what is allowed.
    """

    name: str = "slipway"
    nodes: int = MAX_NODES
    network: str = "10.123.0.0/24"
    pod_network: str = "10.244.0.0/16"
    service_network: str = "10.96.0.0/16"
    timeouts: NodeTimeouts = field(default_factory=NodeTimeouts)

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ValueError(
                f"cluster name {self.name!r} is not allowed: use 1 to 20 characters of a-z, 0-9 and '-', "
                "starting with a letter and not ending in '-'"
            )
        if not 1 <= self.nodes <= MAX_NODES:
            raise ValueError(f"nodes is {self.nodes}; allowed are 1 to {MAX_NODES}")
        networks = {
            "network": _private(self.network, 24, "network"),
            "pod_network": _private(self.pod_network, 16, "pod_network"),
            "service_network": _private(self.service_network, 16, "service_network"),
        }
        names = list(networks)
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                if networks[one].overlaps(networks[other]):
                    raise ValueError(f"{one} {networks[one]} overlaps {other} {networks[other]}; choose another")

    @property
    def home(self) -> Path:
        """The folder with everything the cluster keeps."""
        return STATE_ROOT / self.name

    @property
    def bridge(self) -> str:
        """The bridge's interface name: at most 15 characters (IFNAMSIZ), so a digest of the name."""
        return "sw" + hashlib.sha256(self.name.encode()).hexdigest()[:8]

    @property
    def cgroup(self) -> str:
        """The control group that holds every process of the cluster."""
        return f"slipway-{self.name}"

    @property
    def gateway(self) -> str:
        """This machine's address on the bridge."""
        return self._host(GATEWAY_HOST)

    @property
    def control_plane(self) -> Machine:
        """The machine of etcd, the API server, the controllers and the registry."""
        return Machine(
            "control-plane", self._host(CONTROL_PLANE_HOST), f"slipway-{self.name}-control-plane", f"{self.bridge}-c"
        )

    @property
    def workers(self) -> tuple[Node, ...]:
        """The nodes, in order."""
        subnets = list(ipaddress.ip_network(self.pod_network).subnets(new_prefix=24))
        return tuple(
            Node(
                name=f"node{i + 1}",
                address=self._host(FIRST_NODE_HOST + i),
                netns=f"slipway-{self.name}-node{i + 1}",
                link=f"{self.bridge}-{i + 1}",
                pod_subnet=str(subnets[i]),
                cgroup=f"{self.cgroup}/node{i + 1}",
                home=self.home / "nodes" / f"node{i + 1}",
            )
            for i in range(self.nodes)
        )

    @property
    def api_url(self) -> str:
        """Where the API server answers."""
        return f"https://{self.control_plane.address}:6443"

    @property
    def registry_address(self) -> str:
        """host:port where images are pushed from this machine."""
        return f"{self.control_plane.address}:5000"

    @property
    def load_balancer_range(self) -> str:
        """Addresses for Services of type LoadBalancer, first-last."""
        return f"{self._host(FIRST_LOAD_BALANCER_HOST)}-{self._host(LAST_LOAD_BALANCER_HOST)}"

    @property
    def dns_address(self) -> str:
        """The cluster DNS Service (the tenth address, as everywhere)."""
        return str(ipaddress.ip_network(self.service_network)[10])

    @property
    def kubernetes_address(self) -> str:
        """The Service `kubernetes`: the first address of the service network."""
        return str(ipaddress.ip_network(self.service_network)[1])

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            ValueError: there is none.
        """
        for node in self.workers:
            if node.name == name:
                return node
        raise ValueError(f"no node {name!r} in cluster {self.name!r}: it has {', '.join(n.name for n in self.workers)}")

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ClusterSpec":
        """From `to_dict`'s form; numbers may be floats, as some carriers of JSON make them."""
        timeouts = {key: int(value) for key, value in data.get("timeouts", {}).items()}
        fields = {key: data[key] for key in ("name", "network", "pod_network", "service_network") if key in data}
        return cls(nodes=int(data.get("nodes", MAX_NODES)), timeouts=NodeTimeouts(**timeouts), **fields)

    def _host(self, number: int) -> str:
        return str(ipaddress.ip_network(self.network)[number])


def image_reference(name: str, digest: str) -> str:
    """How nodes name an image of the cluster's registry."""
    return f"{REGISTRY_HOST}/slipway/{name}@{digest}"


def _private(value: str, prefix: int, key: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"{key} {value!r} is not an IPv4 network ({error}); allowed is a private /{prefix}") from None
    if network.prefixlen != prefix or not network.is_private:
        raise ValueError(f"{key} {value!r} is not allowed: it must be a private IPv4 network with prefix /{prefix}")
    return network
