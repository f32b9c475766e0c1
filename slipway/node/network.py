"""One bridge, and for each machine a network namespace on it with routes to every node's pods."""

import json
from pathlib import Path

from slipway.node.config import NEIGHBOURS, POD_BRIDGE
from slipway.node.errors import NodeError
from slipway.node.shell import run, succeeds
from slipway.node.spec import ClusterSpec, Machine

NAMESPACES = Path("/run/netns")
SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    # Every connection that is refused is told so. By default it is one a second for each pod, after the first six: the
    # others hang until they are tried again, and a Service that has no pod for a moment is asked by dozens.
    "net.ipv4.icmp_ratelimit": "0",
}


def ensure(spec: ClusterSpec) -> None:
    """Make the bridge, the namespaces, the cables and the routes that are missing.

    Raises:
        NodeError: the network is already used by something else.
    """
    _ensure_bridge(spec)
    machines = (spec.control_plane, *spec.workers)
    for machine in machines:
        ensure_machine(spec, machine)
    for node in spec.workers:
        _ensure_pods(node)


def ensure_machine(spec: ClusterSpec, machine: Machine) -> None:
    """Make one machine's namespace and cable."""
    if not (NAMESPACES / machine.netns).exists():
        run("ip", "netns", "add", machine.netns)
    if not succeeds("ip", "link", "show", machine.link):
        run("ip", "link", "add", machine.link, "type", "veth", "peer", "name", "eth0", "netns", machine.netns)
        run("ip", "link", "set", machine.link, "master", spec.bridge)
    run("ip", "link", "set", machine.link, "up")
    inside = ("ip", "-n", machine.netns)
    run(*inside, "addr", "replace", f"{machine.address}/24", "dev", "eth0")
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "link", "set", "eth0", "up")
    # A way for Service addresses to be looked up and rewritten; this machine forwards nothing onwards for pods.
    run(*inside, "route", "replace", "default", "via", spec.gateway)
    for node in spec.workers:
        if node.name != machine.name:
            run(*inside, "route", "replace", node.pod_subnet, "via", node.address)
    settings = [f"{key}={value}" for key, value in SYSCTLS.items()]
    run("nsenter", f"--net={NAMESPACES / machine.netns}", "sysctl", "-qw", *settings)
    # Traffic between pods of one node passes its Service rules too (where the kernel has bridge netfilter).
    bridge_key = "net.bridge.bridge-nf-call-iptables=1"
    run("nsenter", f"--net={NAMESPACES / machine.netns}", "sysctl", "-qw", bridge_key, check=False)
    _refuse_lost(spec, machine)


def _ensure_pods(node: Machine) -> None:
    """The bridge that the pods' network uses if it is there: what it is to look for addresses is its own setting."""
    inside = ("ip", "-n", node.netns, "link")
    if not succeeds(*inside, "show", POD_BRIDGE):
        run(*inside, "add", POD_BRIDGE, "type", "bridge")
    run(*inside, "set", POD_BRIDGE, "up")
    settings = [f"net.ipv4.neigh.{POD_BRIDGE}.{key}={value}" for key, value in NEIGHBOURS.items()]
    run("nsenter", f"--net={NAMESPACES / node.netns}", "sysctl", "-qw", *settings)


def _refuse_lost(spec: ClusterSpec, machine: Machine) -> None:
    """Refuse what goes on to a Service's address that no rule of kube-proxy has rewritten.

    kube-proxy takes its refusal of a Service without pods away a moment before it puts the way to the first pod. A
    connection that begins between the two would be sent nowhere, and so would all its retries: Linux decides once.
    """
    inside = ("nsenter", f"--net={NAMESPACES / machine.netns}", "iptables", "--wait")
    rule = ("FORWARD", "--destination", spec.service_network, "--jump", "REJECT")
    if not succeeds(*inside, "--check", *rule):
        run(*inside, "--append", *rule)


def set_link(machine: Machine, *, up: bool) -> None:
    """Plug or unplug a machine's cable, at our end: down at the machine's own, it would lose the machine's routes."""
    run("ip", "link", "set", machine.link, "up" if up else "down")


def remove_machine(machine: Machine) -> None:
    """Delete a machine's cable and namespace."""
    if succeeds("ip", "link", "show", machine.link):
        run("ip", "link", "del", machine.link)
    if (NAMESPACES / machine.netns).exists():
        run("ip", "netns", "del", machine.netns)


def remove(namespaces: list[str], bridge: str, links: list[str]) -> None:
    """Delete what is there of these; the kernel drops addresses, routes and rules with them."""
    for link in links:
        if succeeds("ip", "link", "show", link):
            run("ip", "link", "del", link, check=False)
    for name in namespaces:
        if (NAMESPACES / name).exists():
            run("ip", "netns", "del", name)
    if succeeds("ip", "link", "show", bridge):
        run("ip", "link", "del", bridge)


def namespaces_of(name: str) -> list[str]:
    """The network namespaces that belong to a cluster, by their names."""
    own = [f"slipway-{name}-control-plane", *(f"slipway-{name}-node{i}" for i in (1, 2, 3))]
    return [n for n in own if (NAMESPACES / n).exists()]


def _ensure_bridge(spec: ClusterSpec) -> None:
    if not succeeds("ip", "link", "show", spec.bridge):
        taken = _owner_of(spec.gateway)
        if taken:
            raise NodeError(
                f"the network {spec.network} of cluster {spec.name!r} is already on interface {taken}; "
                "set another with `network` (a private /24), or take the other cluster down"
            )
        run("ip", "link", "add", spec.bridge, "type", "bridge", "forward_delay", "0")
    run("ip", "addr", "replace", f"{spec.gateway}/24", "dev", spec.bridge)
    run("ip", "link", "set", spec.bridge, "up")


def _owner_of(address: str) -> str | None:
    for interface in json.loads(run("ip", "-json", "addr")):
        for entry in interface.get("addr_info", ()):
            if entry.get("local") == address:
                return str(interface["ifname"])
    return None
