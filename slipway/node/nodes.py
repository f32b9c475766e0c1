"""What happens to single nodes: drained, stopped as by pulling the plug, started, removed for good."""

import shutil

from slipway import drain as drains
from slipway.node import cgroups, machine, network, supervise
from slipway.node.cluster import kubectl_of, ready_nodes, wait
from slipway.node.errors import NodeError
from slipway.node.kube import Kubectl
from slipway.node.spec import ClusterSpec, Node
from slipway.node.supplies import Progress, Supplies

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
DRAIN_SECONDS = 600  # a small cluster moves some twenty pods, each for some ten seconds


def drain(spec: ClusterSpec, name: str, supplies: Supplies, progress: Progress = print) -> None:
    """Move a node's pods away one by one, within their disruption budgets; none are put there until `start`.

    Raises:
        NodeError: pods are left on it; it stays cordoned.
    """
    try:
        drains.drain(kubectl_of(spec, supplies), spec.node(name).name, within=DRAIN_SECONDS, progress=progress)
    except drains.DrainError as error:
        raise NodeError(str(error)) from error


def stop(spec: ClusterSpec, name: str) -> None:
    """Pull the plug: the cable first, so that nothing on the node can say goodbye."""
    node = spec.node(name)
    network.set_link(node, up=False)
    supervise.stop_machine(spec, node.name)
    machine.switch_off(spec, node)


def start(spec: ClusterSpec, name: str, supplies: Supplies, progress: Progress = print) -> None:
    """Switch a node on and wait until it is Ready and takes pods again."""
    node = spec.node(name)
    kubectl = kubectl_of(spec, supplies)
    cgroups.ensure(node.cgroup)
    network.ensure(spec)
    machine.switch_on(spec, node)
    supervise.start_machine(spec, node.name)
    progress(f"waiting for {name}")
    wait(spec, f"{name} to be Ready", lambda: name in ready_nodes(kubectl))
    if _is_out(kubectl, name):
        kubectl("taint", "node", name, f"{OUT_OF_SERVICE}-")
    kubectl("uncordon", name)


def remove(spec: ClusterSpec, name: str, supplies: Supplies) -> None:
    """Take a node away for good, with its disk: its volumes go, and who kept data there starts afresh elsewhere.

    The out-of-service taint tells Kubernetes that the node will not come back as it was, so that its pods and their
    volumes are let go of at once.

    Raises:
        NodeError: the node still runs.
    """
    node = spec.node(name)
    kubectl = kubectl_of(spec, supplies)
    if machine.is_on(spec, node):
        raise NodeError(f"{name} is running; stop it first: `slipway node stop {name}`")
    kubectl("taint", "node", name, OUT_OF_SERVICE, "--overwrite")
    for claim in _claims_on(kubectl, node):
        kubectl("delete", "pvc", "--wait=false", f"--namespace={claim[0]}", claim[1])
    for pod in kubectl.get("pods", "--all-namespaces", f"--field-selector=spec.nodeName={name}"):
        meta = pod["metadata"]
        kubectl("delete", "pod", "--force", "--wait=false", f"--namespace={meta['namespace']}", meta["name"])
    kubectl("delete", "node", name)
    for folder in ("containerd", "kubelet", "volumes", *machine.DISK_FOLDERS.values()):
        shutil.rmtree(node.home / folder, ignore_errors=True)


def _is_out(kubectl: Kubectl, name: str) -> bool:
    taints = kubectl.get("node", name)[0]["spec"].get("taints", [])
    return any(f"{t['key']}={t.get('value', '')}:{t['effect']}" == OUT_OF_SERVICE for t in taints)


def _claims_on(kubectl: Kubectl, node: Node) -> list[tuple[str, str]]:
    """(namespace, name) of the claims whose volume lies on the node's disk."""
    found: list[tuple[str, str]] = []
    for volume in kubectl.get("pv"):
        terms = volume["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", [])
        values = [v for term in terms for e in term.get("matchExpressions", []) for v in e.get("values", [])]
        claim = volume["spec"].get("claimRef")
        if node.name in values and claim:
            found.append((claim["namespace"], claim["name"]))
    return found
