"""Drills of stateless parts, nodes, the control plane and the whole cluster. Bars are those of the design."""

from dataclasses import replace

from slipway.proof import certificate_drill, data_drills, member_drills, volume_drill
from slipway.proof.bars import Limits
from slipway.proof.catalogue import (
    DRAIN_CONTROL,
    KILLED_CONTROL,
    LEDGER_CONTROL,
    PROTECTION_CONTROL,
    Catalogue,
    DrillInfo,
)
from slipway.proof.drill import Drill, Shape
from slipway.proof.faults import DRAIN_WITHIN, DeletePod, Fault, KillContainer, Switch, Together, drained
from slipway.proof.surroundings import (
    ENOUGH,
    LOST_FOR,
    Place,
    Restart,
    Surroundings,
    all_back,
    all_lead,
    all_pods,
    busiest_node,
    steady_pods,
    victim,
)


def _pod_deleted(surroundings: Surroundings) -> Drill:
    return Drill(
        name="app-pod-deleted",
        plan=surroundings.plan,
        limits=Limits(requests=surroundings.requests),
        shape=Shape(times=4),
        next_fault=lambda number: DeletePod(surroundings.kube, victim(surroundings.kube, surroundings.app, number)),
        ready=all_back(surroundings),
        without_protection=surroundings.without_protection,
    )


def _pod_killed(surroundings: Surroundings) -> Drill:
    app, killed = surroundings.app, Restart(surroundings.kube)

    def next_fault(number: int) -> Fault:
        pod = victim(surroundings.kube, app, number)
        killed.expect(pod)
        return KillContainer(surroundings.on_node, pod, app.container)

    back = all_back(surroundings)
    return Drill(
        name="app-pod-killed",
        # A write without a key that is in flight on a killed pod is one of the two stated exceptions.
        plan=replace(surroundings.plan, unkeyed_apart=True),
        limits=Limits(requests=surroundings.requests, unkeyed_failed=None, lost=0),
        shape=Shape(times=4),
        next_fault=next_fault,
        ready=lambda: killed.seen() and back(),
        connect=surroundings.connect,
        without_protection=surroundings.without_protection,
    )


def _haproxy_deleted(surroundings: Surroundings) -> Drill:
    return Drill(
        name="haproxy-pod-deleted",
        plan=surroundings.plan,
        limits=Limits(requests=surroundings.requests),
        shape=Shape(times=2),
        next_fault=lambda number: DeletePod(surroundings.kube, victim(surroundings.kube, surroundings.ingress, number)),
        ready=all_back(surroundings),
        without_protection=surroundings.without_ingress_drain,
    )


def _node_drained(surroundings: Surroundings) -> Drill:
    kube, app, node = surroundings.kube, surroundings.app, busiest_node(surroundings.kube, surroundings.app)
    fault = drained(kube, node)

    def killed(_number: int) -> Fault:
        """Its pods of the service die without a word; one by one, and told before, they fail hardly anybody."""
        busiest = busiest_node(kube, app)  # the drained one has given its pods away
        found = [it for it in all_pods(kube, app) if it.node == busiest]
        return Together(tuple(KillContainer(surroundings.on_node, it, app.container) for it in found))

    return Drill(
        name="node-drain",
        plan=surroundings.plan,
        limits=Limits(requests=surroundings.requests, lost=0),
        shape=Shape(hold=10.0, recovered_within=DRAIN_WITHIN),
        next_fault=lambda _number: fault,
        ready=all_back(surroundings),
        connect=surroundings.connect,
        without_protection=surroundings.without_protection,
        unprotected=killed,
    )


def _node_lost(surroundings: Surroundings) -> Drill:
    nodes, node = surroundings.nodes, busiest_node(surroundings.kube, surroundings.app)
    fault = Switch(f"lose {node}", lambda: nodes.stop(node), lambda: nodes.start(node))
    return Drill(
        name="node-lost",
        # Enough connections that some are free when the service is back: a lost one is held until the answer limit.
        plan=replace(surroundings.plan, stall=max(surroundings.plan.bears, LOST_FOR), unkeyed_apart=True),
        limits=Limits(
            requests=1, failed=None, unkeyed_failed=None, reads_stall=15.0, writes_stall=30.0, recovery=30.0, lost=0
        ),
        shape=Shape(hold=60.0, recovered_within=300.0),
        next_fault=lambda _number: fault,
        ready=all_back(surroundings),
        connect=surroundings.connect,
    )


def _control_plane(surroundings: Surroundings) -> Drill:
    nodes = surroundings.nodes
    fault = Switch("stop the control plane", nodes.stop_control_plane, nodes.start_control_plane)
    return Drill(
        name="control-plane",
        plan=surroundings.plan,
        limits=Limits(requests=1, lost=0),
        shape=Shape(hold=60.0, recovered_within=180.0),
        next_fault=lambda _number: fault,
        ready=all_back(surroundings),
        connect=surroundings.connect,
    )


def _cold_restart(surroundings: Surroundings) -> Drill:
    """What the API says of pods after the restart is what it knew before, until each kubelet has told anew."""
    kube, nodes = surroundings.kube, surroundings.nodes
    places = (surroundings.app, surroundings.ingress, *surroundings.others.values())
    rest = {namespace: Place(namespace, {}, "") for namespace in surroundings.namespaces}
    restarted, back = Restart(kube), all_back(replace(surroundings, others={**surroundings.others, **rest}))

    def next_fault(_number: int) -> Fault:
        known = [pod for place in places for pod in all_pods(kube, place)]
        restarted.expect(*known, *(pod for place in rest.values() for pod in steady_pods(kube, place)))
        return Switch("kill every process of the cluster", nodes.stop_all, nodes.start_all)

    return Drill(
        name="cold-restart",
        plan=replace(surroundings.plan, stall=max(surroundings.plan.bears, LOST_FOR), unkeyed_apart=True),
        limits=Limits(requests=1, failed=None, unkeyed_failed=None, lost=0),
        shape=Shape(recovered_within=900.0),
        next_fault=next_fault,
        ready=lambda: restarted.seen() and back() and all_lead(surroundings),
        connect=surroundings.connect,
    )


def catalogue() -> Catalogue:
    """All drills that there are."""
    found = Catalogue()
    none_failed = f"0 failed of >= {ENOUGH:,}"
    none_lost = "0 acknowledged writes lost or doubled"
    for info in (
        DrillInfo("app-pod-deleted", "A pod of the service is deleted, four times, under load.",
                  (none_failed,), (PROTECTION_CONTROL,), 8, _pod_deleted),
        DrillInfo("app-pod-killed", "A container of the service gets kill -9, four times, under load.",
                  (none_failed, none_lost), (PROTECTION_CONTROL, LEDGER_CONTROL), 8, _pod_killed),
        DrillInfo("haproxy-pod-deleted", "A HAProxy pod is deleted, twice, under load.",
                  (none_failed,), (DRAIN_CONTROL,), 8, _haproxy_deleted),
        DrillInfo("node-drain", "The node with most pods of the service is drained and given back.",
                  (none_failed, none_lost), (KILLED_CONTROL, LEDGER_CONTROL), 10, _node_drained),
        DrillInfo("node-lost", "The node with most pods of the service is lost for a minute and comes back.",
                  ("reads stall <= 15 s", "writes stall <= 30 s", none_lost), (LEDGER_CONTROL,), 8, _node_lost),
        DrillInfo("control-plane", "The control plane stands still for a minute.",
                  ("0 failed", none_lost), (LEDGER_CONTROL,), 5, _control_plane),
        DrillInfo("cold-restart", "Every process of the cluster is killed at once, and the cluster started again.",
                  ("everything ready by itself", none_lost), (LEDGER_CONTROL,), 15, _cold_restart),
        certificate_drill.INFO,
        *data_drills.listed(),
        *member_drills.listed(),
        volume_drill.INFO,
    ):  # fmt: skip
        found.add(info)
    return found
