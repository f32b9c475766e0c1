"""Which pods may be reached from where. What is not named is closed.

They take effect where the cluster enforces network policies, and harm nothing where it does not.
"""

from collections.abc import Sequence

from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyIngressRuleArgsDict,
    NetworkPolicySpecArgsDict,
)

from infra.labels import selector

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def reached_by(workload: str, rules: Sequence[NetworkPolicyIngressRuleArgsDict]) -> NetworkPolicySpecArgsDict:
    """Close the pods of a workload, except for some.

    Args:
        workload: Its name, by which its selector is made.
        rules: Who may reach what.
    """
    return {
        "pod_selector": {"match_labels": selector(workload)},
        "policy_types": ["Ingress"],
        "ingress": list(rules),
    }


def scraped(ports: Sequence[int], scraper: str | None) -> list[NetworkPolicyIngressRuleArgsDict]:
    """Whoever scrapes may reach these TCP ports.

    Args:
        ports: Which.
        scraper: Its namespace; None if nobody does.
    """
    return [] if scraper is None else [from_namespaces([scraper], ports)]


def from_anywhere(ports: Sequence[int]) -> NetworkPolicyIngressRuleArgsDict:
    """Everyone, in the cluster and outside, may reach these TCP ports."""
    return {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}


def from_namespaces(namespaces: Sequence[str], ports: Sequence[int]) -> NetworkPolicyIngressRuleArgsDict:
    """Pods of these namespaces may reach these TCP ports."""
    return {
        "from_": [
            {
                "namespace_selector": {
                    "match_expressions": [{"key": _NAMESPACE_NAME, "operator": "In", "values": list(namespaces)}]
                }
            }
        ],
        "ports": [{"port": port, "protocol": "TCP"} for port in ports],
    }


def from_workload(workload: str, ports: Sequence[int]) -> NetworkPolicyIngressRuleArgsDict:
    """Pods of a workload in the same namespace may reach these TCP ports."""
    return {
        "from_": [{"pod_selector": {"match_labels": selector(workload)}}],
        "ports": [{"port": port, "protocol": "TCP"} for port in ports],
    }
