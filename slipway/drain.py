"""Emptying a node without a rush: one pod after the other, each when the one before serves elsewhere (docs/adr/0114).

`kubectl drain` evicts all pods of a node at once. On a small cluster everything then starts elsewhere at once, and what
stays has no processor left to serve with.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from slipway.proof.clock import Clock, SystemClock

#: Longest wait for one pod's replacement, in seconds. What takes longer is left behind, not waited for without end.
REPLACED_WITHIN: Final = 60.0
#: Seconds between two looks.
EVERY: Final = 2.0
_NODES_OWN: Final = "DaemonSet"
_MIRROR: Final = "kubernetes.io/config.mirror"


class Kubectl(Protocol):
    """Runs kubectl; raises an error whose text holds what kubectl said if it failed."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What it printed."""
        ...


class DrainError(RuntimeError):
    """A node could not be emptied; it stays cordoned, and the message names what is left on it and why."""


def drain(
    kubectl: Kubectl,
    node: str,
    *,
    within: float,
    progress: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> None:
    """Cordon a node and evict its pods within their disruption budgets, those of least priority first.

    Pods of a DaemonSet and static pods stay, as with `kubectl drain --ignore-daemonsets`. May be interrupted and called
    again.

    Args:
        kubectl: how to reach the cluster.
        node: its name.
        within: seconds until all pods must have gone.
        progress: is told each pod.
        clock: the machine's if not given.

    Raises:
        DrainError: a pod belongs to nobody who would start it again, or pods were left when the time was over.
    """
    clock = clock or SystemClock()
    deadline = clock.steady() + within
    kubectl("cordon", node)
    pods = to_evict(_pods(kubectl, "--all-namespaces", f"--field-selector=spec.nodeName={node}"))
    orphans = [shown(pod) for pod in pods if _owner(pod) is None]
    if orphans:
        raise DrainError(
            f"{node} runs {', '.join(orphans)}, which nothing would start again elsewhere; "
            "delete what you do not need of these, then drain again"
        )
    for number, pod in enumerate(pods, start=1):
        progress(f"moving {shown(pod)} ({number} of {len(pods)})")
        namespace = f"--namespace={pod['metadata']['namespace']}"
        wanted = ready_of(_pods(kubectl, namespace), _owner(pod))
        while not _evicted(kubectl, pod):
            if clock.steady() >= deadline:
                raise DrainError(
                    f"{node} still runs {shown(pod)}, which its disruption budget does not let go: "
                    f"`kubectl get pdb {namespace}` tells what it waits for"
                )
            clock.wait(EVERY)
        patience = clock.steady() + REPLACED_WITHIN
        while not moved(_pods(kubectl, namespace), pod, wanted, patient=clock.steady() < min(patience, deadline)):
            if clock.steady() >= deadline:
                raise DrainError(f"{shown(pod)} on {node} has not ended in time; drain again to go on")
            clock.wait(EVERY)


def to_evict(pods: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of a node's pods those that a drain moves, in its order: least priority first, then by namespace and name."""
    movable = [
        pod
        for pod in pods
        if _MIRROR not in pod["metadata"].get("annotations", {})
        and all(one["kind"] != _NODES_OWN for one in pod["metadata"].get("ownerReferences", []))
    ]
    return sorted(movable, key=lambda pod: (pod["spec"].get("priority", 0), shown(pod)))


def moved(pods: Sequence[Mapping[str, Any]], evicted: Mapping[str, Any], wanted: int, *, patient: bool) -> bool:
    """Whether an evicted pod has gone and, as long as one is patient, its owner has its ready pods back.

    A replacement that nothing can place now, as its volume lies on this node, comes when the node is given back, and is
    not waited for.

    Args:
        pods: those of its namespace.
        evicted: the pod.
        wanted: how many ready pods its owner had before.
        patient: whether the replacement is still waited for.
    """
    if any(pod["metadata"]["uid"] == evicted["metadata"]["uid"] for pod in pods):
        return False
    owner = _owner(evicted)
    return not patient or ready_of(pods, owner) >= wanted or any(_owner(pod) == owner and _stuck(pod) for pod in pods)


def ready_of(pods: Sequence[Mapping[str, Any]], owner: str | None) -> int:
    """How many of an owner's pods are ready and stay."""
    return sum(
        _owner(pod) == owner and _condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
        for pod in pods
    )


def shown(pod: Mapping[str, Any]) -> str:
    """A pod for people: `namespace/name`."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _evicted(kubectl: Kubectl, pod: Mapping[str, Any]) -> bool:
    """Evict a pod; False if its disruption budget does not let it go now."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": namespace, "name": name},
        # By its identity: a pod of a StatefulSet that has come back under the same name is another.
        "deleteOptions": {"preconditions": {"uid": pod["metadata"]["uid"]}},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    try:
        kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction))
    except Exception as error:
        if "(TooManyRequests)" in str(error):
            return False
        if "(NotFound)" not in str(error) and "(Conflict)" not in str(error):
            raise
    return True


def _pods(kubectl: Kubectl, *where: str) -> list[Mapping[str, Any]]:
    return list(json.loads(kubectl("get", "pods", "--output=json", *where))["items"])


def _owner(pod: Mapping[str, Any]) -> str | None:
    return next((one["uid"] for one in pod["metadata"].get("ownerReferences", []) if one.get("controller")), None)


def _condition(pod: Mapping[str, Any], kind: str) -> str:
    found = pod.get("status", {}).get("conditions", [])
    return next((one["status"] for one in found if one["type"] == kind), "Unknown")


def _stuck(pod: Mapping[str, Any]) -> bool:
    found = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "PodScheduled" and one.get("reason") == "Unschedulable" for one in found)
