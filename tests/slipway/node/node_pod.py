"""The networks of a cluster of one node, and the namespace of one pod on it, with no program in any."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from slipway.node import config, network
from slipway.node.spec import ClusterSpec


def pod(spec: ClusterSpec) -> str:
    """The network namespace of the pod."""
    return f"slipway-{spec.name}-pod"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def plug_in(spec: ClusterSpec) -> None:
    """Make them."""
    node, inside = spec.workers[0].netns, pod(spec)
    network.ensure(spec)
    _ip("netns", "add", inside)
    _ip("-n", node, "link", "add", "pod0", "type", "veth", "peer", "name", "eth0", "netns", inside)
    _ip("-n", node, "link", "set", "pod0", "master", config.POD_BRIDGE, "up")
    _ip("-n", node, "addr", "add", "10.244.0.1/24", "dev", config.POD_BRIDGE)
    _ip("-n", inside, "addr", "add", "10.244.0.2/24", "dev", "eth0")
    _ip("-n", inside, "link", "set", "eth0", "up")
    _ip("-n", inside, "route", "add", "default", "via", "10.244.0.1")


def pull_out(spec: ClusterSpec) -> None:
    """Remove them."""
    links = [spec.control_plane.link, spec.workers[0].link]
    network.remove([*network.namespaces_of(spec.name), pod(spec)], spec.bridge, links)


@contextmanager
def plugged_in(spec: ClusterSpec) -> Iterator[None]:
    """Have them for a while."""
    try:
        plug_in(spec)
        yield
    finally:
        pull_out(spec)
