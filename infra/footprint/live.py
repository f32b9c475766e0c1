"""What pods use and request right now, from what the cluster says of them: pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

from infra.footprint.count import Total
from infra.quantities import millicores, octets

#: Pods that are done hold nothing any more.
_DONE = frozenset({"Succeeded", "Failed"})


@final
@dataclass(frozen=True)
class Measured:
    """The pods of a namespace.

    Attributes:
        namespace: Which.
        pods: How many there are that are not done.
        unmeasured: How many of them have no figures yet; what they use is missing in `used`.
        requested: What they request together.
        used: What they use together.
    """

    namespace: str
    pods: int
    unmeasured: int
    requested: Total
    used: Total

    def to_dict(self) -> dict[str, Any]:
        """The form of `slipway footprint --live --json`: CPU in cores, memory in bytes."""
        return {
            "pods": self.pods,
            "unmeasured": self.unmeasured,
            "requested": {"cpu": self.requested.cpu / 1000, "memory": self.requested.memory},
            "used": {"cpu": self.used.cpu / 1000, "memory": self.used.memory},
        }


def measured(pods: Iterable[Mapping[str, Any]], figures: Iterable[Mapping[str, Any]]) -> list[Measured]:
    """What each namespace holds and uses, by name.

    Args:
        pods: Pods as the API server lists them.
        figures: Items of metrics.k8s.io's PodMetrics.

    Raises:
        QuantityError: A figure is no quantity.
    """
    used = {_key(it): _sum(container["usage"] for container in it["containers"]) for it in figures}
    by_namespace: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for pod in pods:
        if pod.get("status", {}).get("phase") not in _DONE:
            by_namespace[pod["metadata"]["namespace"]].append(pod)
    return [
        Measured(
            namespace,
            len(found),
            sum(_key(it) not in used for it in found),
            sum((_sum(_requests(it)) for it in found), Total()),
            sum((used.get(_key(it), Total()) for it in found), Total()),
        )
        for namespace, found in sorted(by_namespace.items())
    ]


def _requests(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [(it.get("resources") or {}).get("requests") or {} for it in pod["spec"]["containers"]]


def _sum(quantities: Iterable[Mapping[str, Any]]) -> Total:
    return sum((Total(millicores(it.get("cpu", "0")), octets(it.get("memory", "0"))) for it in quantities), Total())


def _key(it: Mapping[str, Any]) -> tuple[str, str]:
    return it["metadata"]["namespace"], it["metadata"]["name"]
