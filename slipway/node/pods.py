"""Pods as this machine sees them: their processes, by the control groups that hold them."""

from collections.abc import Mapping
from typing import Any

from slipway.node import cgroups
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec


def container_processes(spec: ClusterSpec, pod: Mapping[str, Any], container: str) -> set[int]:
    """The process numbers, on this machine, of a container of a running pod.

    Args:
        spec: the cluster.
        pod: the pod as the API server tells it.
        container: name of the container.

    Raises:
        NodeError: the container does not run.
    """
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    statuses = pod["status"].get("containerStatuses", [])
    running = [it for it in statuses if it["name"] == container and "running" in it.get("state", {})]
    if not running:
        raise NodeError(f"container {container!r} of pod {name} does not run")
    identifier = running[0]["containerID"].rpartition("/")[2]
    node = spec.node(pod["spec"]["nodeName"])
    base = f"{node.cgroup}/kubepods"
    quality = {"Guaranteed": "", "Burstable": "/burstable", "BestEffort": "/besteffort"}[pod["status"]["qosClass"]]
    found = cgroups.processes(f"{base}{quality}/pod{pod['metadata']['uid']}/{identifier}")
    if not found:
        raise NodeError(f"no process of container {container!r} of pod {name} was found on this machine")
    return found
