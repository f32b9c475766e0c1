"""Drills of what stands behind who leads: replicas, Sentinels, the operator, and all members at once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from slipway.proof.bars import Limits
from slipway.proof.catalogue import LEDGER_CONTROL, MESSAGES_CONTROL, OWN_CONTROL, DrillInfo
from slipway.proof.drill import Drill, Shape
from slipway.proof.faults import DeletePods, Fault, KillContainer, Switch
from slipway.proof.kube import Pod
from slipway.proof.surroundings import (
    ENOUGH,
    LOST_FOR,
    Database,
    Nodes,
    NothingToBreakError,
    Place,
    Replicated,
    Restart,
    Surroundings,
    all_back,
    all_lead,
    all_pods,
    leading_pod,
    steady_pods,
    victim,
)

_SENTINEL: Final = "sentinel"
_HELD: Final = 45.0  # seconds: several times what a replica is behind by at its worst
_WITHIN: Final = 300.0
_ALL_WITHIN: Final = 600.0  # everything at once starts on the same cores


def _place(surroundings: Surroundings, name: str) -> Place:
    place = surroundings.others.get(name)
    if place is None:
        raise NothingToBreakError(f"this platform brings no {name} along; see the settings of slipway-platform")
    return place


def _postgres(surroundings: Surroundings) -> tuple[Place, Database]:
    place = _place(surroundings, "postgres")
    if surroundings.postgres is None:
        raise NothingToBreakError("this platform brings no Postgres along; see slipway-platform:postgres")
    return place, surroundings.postgres


def _followers(surroundings: Surroundings) -> tuple[Pod, ...]:
    place, postgres = _postgres(surroundings)
    leads = leading_pod(surroundings.kube, place, postgres.leader())
    found = tuple(pod for pod in steady_pods(surroundings.kube, place) if pod.name != leads.name)
    if not found:
        raise NothingToBreakError(f"{leads.name} leads, and no replica of it is ready")
    return found


def _postgres_replica(surroundings: Surroundings) -> Drill:
    """Commits wait for the other replica, reads go to it and to the primary."""
    place, postgres = _postgres(surroundings)
    killed, back = Restart(surroundings.kube), all_back(surroundings)

    def next_fault(number: int) -> Fault:
        found = _followers(surroundings)
        pod = found[number % len(found)]
        killed.expect(pod)
        return KillContainer(surroundings.on_node, pod, place.container)

    return Drill(
        name="postgres-replica",
        plan=surroundings.plan,
        limits=Limits(requests=surroundings.requests, lost=0),
        shape=Shape(times=4, recovered_within=_WITHIN),
        next_fault=next_fault,
        ready=lambda: killed.seen() and back() and postgres.leader() is not None,
        connect=surroundings.connect,
    )


def _replication_paused(surroundings: Surroundings) -> Drill:
    """Replicas acknowledge what they get and show none of it; who has written must see it all the same."""
    _, postgres = _postgres(surroundings)
    fault, back = Switch("hold all replicas", postgres.hold_replicas, postgres.free_replicas), all_back(surroundings)
    return Drill(
        name="replication-paused",
        plan=surroundings.plan,
        limits=Limits(requests=1, missed=0, lost=0),
        shape=Shape(hold=_HELD),
        next_fault=lambda _number: fault,
        ready=back,
        connect=surroundings.connect,
        own=surroundings.connect,
    )


def _postgres_operator(surroundings: Surroundings) -> Drill:
    """Postgres goes on without its operator; only a change of the primary would wait."""
    place, back = _place(surroundings, "postgres-operator"), all_back(surroundings)
    kube = surroundings.kube
    return Drill(
        name="postgres-operator",
        plan=surroundings.plan,
        limits=Limits(requests=surroundings.requests, lost=0),
        shape=Shape(times=2),
        next_fault=lambda _number: DeletePods(kube, all_pods(kube, place)),
        ready=back,
        connect=surroundings.connect,
    )


def _postgres_pooler(surroundings: Surroundings) -> Drill:
    """Who was connected through it goes to the other one; what was under way is done again, or put off."""
    place, killed, back = _place(surroundings, "postgres-pooler"), Restart(surroundings.kube), all_back(surroundings)
    if not steady_pods(surroundings.kube, place):
        raise NothingToBreakError("this platform brings no postgres-pooler along; see slipway-platform:poolers")

    def next_fault(number: int) -> Fault:
        pod = victim(surroundings.kube, place, number)
        killed.expect(pod)
        return KillContainer(surroundings.on_node, pod, place.container)

    return Drill(
        name="postgres-pooler",
        plan=replace(surroundings.plan, allow_503=True),
        limits=Limits(requests=surroundings.requests, lost=0),
        shape=Shape(times=8, recovered_within=_WITHIN),
        next_fault=next_fault,
        ready=lambda: killed.seen() and back(),
        connect=surroundings.connect,
    )


def _redis_sentinel(surroundings: Surroundings) -> Drill:
    place, killed, back = _place(surroundings, "redis"), Restart(surroundings.kube), all_back(surroundings)

    def next_fault(number: int) -> Fault:
        pod = victim(surroundings.kube, place, number)
        killed.expect(pod)
        return KillContainer(surroundings.on_node, pod, _SENTINEL)

    return Drill(
        name="redis-sentinel",
        plan=surroundings.plan,
        limits=Limits(requests=surroundings.requests, undelivered=0, lost=0),
        shape=Shape(times=6),
        next_fault=next_fault,
        ready=lambda: killed.seen() and back(),
        connect=surroundings.connect,
        messages=surroundings.messages,
    )


def _data_at_once(surroundings: Surroundings) -> Drill:
    """Nobody is left to hand over to: everything comes back from its volumes, by itself."""
    kube, (place, _) = surroundings.kube, _postgres(surroundings)
    places, back = (place, _place(surroundings, "redis")), all_back(surroundings)
    return Drill(
        name="data-at-once",
        plan=replace(surroundings.plan, unkeyed_apart=True),
        limits=Limits(requests=1, failed=None, unkeyed_failed=None, undelivered=0, lost=0),
        shape=Shape(recovered_within=_ALL_WITHIN),
        next_fault=lambda _number: DeletePods(kube, tuple(pod for one in places for pod in all_pods(kube, one))),
        ready=lambda: back() and all_lead(surroundings),
        connect=surroundings.connect,
        messages=surroundings.messages,
    )


def _data_rolled(surroundings: Surroundings) -> Drill:
    """As another version of Postgres, and of Redis, would come: who leads goes last, or hands over before it goes."""
    kube, rolled, back = surroundings.kube, Restart(surroundings.kube), all_back(surroundings)
    place, postgres = _postgres(surroundings)
    stores: list[tuple[str, Place, Replicated]] = [("Postgres", place, postgres)]
    if surroundings.redis is not None:
        stores.append(("Redis", _place(surroundings, "redis"), surroundings.redis))

    def next_fault(number: int) -> Fault:
        name, where, store = stores[number % len(stores)]
        rolled.expect(*all_pods(kube, where))
        return Switch(f"give every member of {name} a new pod", store.roll, lambda: None)

    return Drill(
        name="data-rolled",
        plan=replace(surroundings.plan, stall=max(surroundings.plan.bears, LOST_FOR)),
        limits=Limits(requests=surroundings.requests, undelivered=0, lost=0),
        shape=Shape(times=len(stores), recovered_within=_ALL_WITHIN),
        next_fault=next_fault,
        ready=lambda: rolled.seen() and back() and all_lead(surroundings),
        connect=surroundings.connect,
        messages=surroundings.messages,
    )


def _primarys_node(
    surroundings: Surroundings, name: str, hold: float, fault_of: Callable[[Nodes, str], Fault]
) -> Drill:
    """A drill of the node of the Postgres primary: what `fault_of` makes of it lasts `hold` seconds."""
    place, postgres = _postgres(surroundings)
    node = leading_pod(surroundings.kube, place, postgres.leader()).node
    fault, back = fault_of(surroundings.nodes, node), all_back(surroundings)
    return Drill(
        name=name,
        plan=replace(surroundings.plan, stall=max(surroundings.plan.bears, LOST_FOR), unkeyed_apart=True),
        limits=Limits(requests=1, failed=None, unkeyed_failed=None, reads_stall=15.0, writes_stall=30.0, lost=0),
        shape=Shape(hold=hold, recovered_within=_ALL_WITHIN),
        next_fault=lambda _number: fault,
        ready=lambda: back() and all_lead(surroundings),
        connect=surroundings.connect,
    )


def _node_cut_off(surroundings: Surroundings) -> Drill:
    """Everything on the node runs on and reaches nobody: nobody has told the primary that another one leads."""

    def fault(nodes: Nodes, node: str) -> Fault:
        return Switch(f"cut {node} off", lambda: nodes.cut_off(node), lambda: nodes.join(node))

    return _primarys_node(surroundings, "node-cut-off", 60.0, fault)


def _node_removed(surroundings: Surroundings) -> Drill:
    """The node never comes back, nor does its disk; another takes its name."""

    def fault(nodes: Nodes, node: str) -> Fault:
        def remove() -> None:
            nodes.stop(node)
            nodes.remove(node)

        return Switch(f"remove {node} with its disk", remove, lambda: nodes.start(node))

    return _primarys_node(surroundings, "node-removed", 30.0, fault)


def listed() -> tuple[DrillInfo, ...]:
    """What the catalogue shows of them."""
    none_failed = f"0 failed of >= {ENOUGH:,}"
    none_lost = "0 acknowledged writes lost or doubled"
    by_itself = "everything ready by itself"
    return (
        DrillInfo("postgres-replica", "A replica of Postgres gets kill -9, each in turn, four times, under load.",
                  (none_failed, none_lost), (LEDGER_CONTROL,), 10, _postgres_replica),
        DrillInfo("replication-paused", "All replicas of Postgres show nothing new for 45 seconds, under load.",
                  ("0 failed", "every client sees what it has written", none_lost), (LEDGER_CONTROL, OWN_CONTROL), 5,
                  _replication_paused),
        DrillInfo("postgres-operator", "All pods of the operator of Postgres are deleted at once, twice, under load.",
                  (none_failed, none_lost), (LEDGER_CONTROL,), 8, _postgres_operator),
        DrillInfo("postgres-pooler", "A pooler of Postgres gets kill -9, each in turn, eight times, under load.",
                  ("0 reads failed", "0 writes failed but for 503 with Retry-After", none_lost), (LEDGER_CONTROL,), 12,
                  _postgres_pooler),
        DrillInfo("redis-sentinel", "A Sentinel gets kill -9, each in turn, six times, under load.",
                  (none_failed, "every message delivered", none_lost), (LEDGER_CONTROL, MESSAGES_CONTROL), 8,
                  _redis_sentinel),
        DrillInfo("data-at-once", "All pods of Postgres and of Redis are deleted at once, under load.",
                  (by_itself, "every message delivered", none_lost), (LEDGER_CONTROL, MESSAGES_CONTROL), 10,
                  _data_at_once),
        DrillInfo("data-rolled", "Every member of Postgres, then of Redis, gets a new pod, one by one, under load.",
                  (none_failed, by_itself, "every message delivered", none_lost),
                  (LEDGER_CONTROL, MESSAGES_CONTROL), 12, _data_rolled),
        DrillInfo("node-cut-off", "The node of the Postgres primary reaches nobody for a minute, and runs on.",
                  ("reads stall <= 15 s", "writes stall <= 30 s", by_itself, none_lost), (LEDGER_CONTROL,), 8,
                  _node_cut_off),
        DrillInfo("node-removed", "The node of the Postgres primary is lost with its disk, and comes back empty.",
                  ("reads stall <= 15 s", "writes stall <= 30 s", by_itself, none_lost), (LEDGER_CONTROL,), 12,
                  _node_removed),
    )  # fmt: skip
