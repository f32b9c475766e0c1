"""Parts of pod specifications that are the same everywhere: no privileges, a place on each node, a quick way back."""

from collections.abc import Mapping

from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    PodDNSConfigArgsDict,
    PodSecurityContextArgsDict,
    ResourceRequirementsArgsDict,
    SecurityContextArgsDict,
    TolerationArgsDict,
    TopologySpreadConstraintArgsDict,
)

from infra.labels import HOSTNAME
from infra.profiles import Size

__all__ = ["ContainerArgsDict", "container_security", "dns", "pod_security", "resources", "spread", "tolerations"]


def pod_security(user: int) -> PodSecurityContextArgsDict:
    """Run all containers as one unprivileged user, who also owns the volumes."""
    if user <= 0:
        raise ValueError(f"a pod cannot run as user {user}; allowed is any number above 0")
    return {
        "run_as_non_root": True,
        "run_as_user": user,
        "run_as_group": user,
        "fs_group": user,
        "fs_group_change_policy": "OnRootMismatch",
        "seccomp_profile": {"type": "RuntimeDefault"},
    }


def container_security(*, bind_low_ports: bool = False) -> SecurityContextArgsDict:
    """Take away what a container does not need.

    Args:
        bind_low_ports: Keep the one capability that the restricted level allows.
    """
    return {
        "allow_privilege_escalation": False,
        "read_only_root_filesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]} if bind_low_ports else {"drop": ["ALL"]},
    }


def resources(size: Size) -> ResourceRequirementsArgsDict:
    """Requests and limits of a size."""
    return {"requests": size.requests(), "limits": size.limits()}


def tolerations(node_loss: int) -> list[TolerationArgsDict]:
    """Leave a lost node after some seconds; by default Kubernetes waits five minutes.

    Args:
        node_loss: Seconds.
    """
    return [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "toleration_seconds": node_loss,
        }
        for state in ("not-ready", "unreachable")
    ]


def spread(selector: Mapping[str, str]) -> list[TopologySpreadConstraintArgsDict]:
    """Put the pods of a revision on different nodes, as far as there are nodes.

    A required anti-affinity would say almost the same, but on a cluster with as many nodes as pods it leaves no room
    for the extra pod of a rolling update, and on a single node the second pod never starts. This counts only pods of
    one revision (`pod-template-hash`) and only nodes that take pods, so it holds on one node, two and many.
    """
    return [
        {
            "max_skew": 1,
            "topology_key": HOSTNAME,
            "when_unsatisfiable": "DoNotSchedule",
            "label_selector": {"match_labels": dict(selector)},
            "match_label_keys": ["pod-template-hash"],
            "node_taints_policy": "Honor",
        }
    ]


def dns(timeout: int) -> PodDNSConfigArgsDict:
    """Give a name server that does not answer up quickly: the resolver's own limit is five seconds.

    Args:
        timeout: Seconds.
    """
    return {"options": [{"name": "timeout", "value": str(timeout)}, {"name": "attempts", "value": "3"}]}
