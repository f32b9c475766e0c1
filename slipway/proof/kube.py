"""The little of Kubernetes that drills need, as a protocol, and its twin over kubectl."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from slipway.drain import DrainError, drain

_PATIENCE: Final = 30.0

OnNode = Callable[[str, Sequence[str]], str]
"""Runs a program as root on a node, by its name, and returns what it printed; raises if it failed."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod; `identity` is the runtime's id without its scheme, empty before it started."""

    name: str
    identity: str
    ready: bool
    restarts: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as the API shows it; `node` is empty until it is scheduled."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    ready: bool
    leaving: bool
    labels: Mapping[str, str]
    containers: tuple[Container, ...]


class KubeError(RuntimeError):
    """The cluster refused or did not answer; the message holds the command and what it said."""


class Kube(Protocol):
    """What drills ask of a cluster."""

    def pods(self, namespace: str, labels: Mapping[str, str]) -> tuple[Pod, ...]:
        """All pods with the labels, by name."""
        ...

    def delete_pods(self, namespace: str, names: Sequence[str], *, at_once: bool = False) -> None:
        """Delete pods without waiting; `at_once` gives them no time to end."""
        ...

    def ready_nodes(self) -> frozenset[str]:
        """Names of the nodes that are Ready and take pods."""
        ...

    def drain(self, node: str, *, within: float) -> None:
        """Cordon the node and evict its pods; raises if that takes longer."""
        ...

    def uncordon(self, node: str) -> None:
        """Let the node take pods again."""
        ...


class Kubectl:
    """`Kube` by running kubectl, as an operator would."""

    def __init__(self, kubectl: Path, kubeconfig: Path, *, prefix: Sequence[str] = ()) -> None:
        """Take kubectl and kubeconfig; `prefix` stands before each command, such as `nsenter --net=...`."""
        self._base = [*prefix, str(kubectl), "--kubeconfig", str(kubeconfig), f"--request-timeout={_PATIENCE:g}s"]

    def pods(self, namespace: str, labels: Mapping[str, str]) -> tuple[Pod, ...]:
        """All pods with the labels, by name."""
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        found = json.loads(self._run("get", "pods", "-n", namespace, "-l", selector, "-o", "json"))
        return tuple(sorted((pod(item) for item in found["items"]), key=lambda one: one.name))

    def delete_pods(self, namespace: str, names: Sequence[str], *, at_once: bool = False) -> None:
        """Delete pods without waiting."""
        force = ("--grace-period=0", "--force") if at_once else ()
        self._run("delete", "pod", "-n", namespace, *names, "--wait=false", *force)

    def ready_nodes(self) -> frozenset[str]:
        """Names of the nodes that are Ready and take pods."""
        found = json.loads(self._run("get", "nodes", "-o", "json"))
        return frozenset(item["metadata"]["name"] for item in found["items"] if node_is_ready(item))

    def drain(self, node: str, *, within: float) -> None:
        """Cordon the node and evict its pods one by one, as `slipway node drain` does."""
        try:
            drain(self._run, node, within=within)
        except DrainError as error:
            raise KubeError(str(error)) from error

    def uncordon(self, node: str) -> None:
        """Let the node take pods again."""
        self._run("uncordon", node)

    def _run(self, *arguments: str, stdin: str | None = None) -> str:
        command = [*self._base, *arguments]
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=2 * _PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KubeError(f"kubectl {' '.join(arguments)}: {error}") from error
        if done.returncode != 0:
            raise KubeError(f"kubectl {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout


def pod(item: Mapping[str, Any]) -> Pod:
    """A pod from its API object."""
    metadata, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=spec.get("nodeName", ""),
        address=status.get("podIP", ""),
        ready=conditions.get("Ready") == "True",
        leaving="deletionTimestamp" in metadata,
        labels=dict(metadata.get("labels", {})),
        containers=tuple(
            Container(
                name=one["name"],
                identity=str(one.get("containerID", "")).rpartition("://")[2],
                ready=bool(one.get("ready", False)),
                restarts=int(one.get("restartCount", 0)),
            )
            for one in status.get("containerStatuses", [])
        ),
    )


def node_is_ready(item: Mapping[str, Any]) -> bool:
    """Whether a node's API object says Ready and schedulable."""
    conditions = {one["type"]: one["status"] for one in item.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and not item.get("spec", {}).get("unschedulable", False)
