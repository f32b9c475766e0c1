"""Drills of Postgres and Redis: who leads is killed, deleted, or asked to hand over. Bars are those of the design."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from slipway.proof.bars import Limits
from slipway.proof.catalogue import LEDGER_CONTROL, MESSAGES_CONTROL, DrillInfo
from slipway.proof.drill import Drill, Shape
from slipway.proof.faults import DeletePod, Fault, KillContainer, KillProgram, Switch
from slipway.proof.kube import Kube, Pod
from slipway.proof.surroundings import (
    ANSWERED_WITHIN,
    ENOUGH,
    Leader,
    NothingToBreakError,
    Place,
    Replicated,
    Restart,
    Surroundings,
    all_back,
    leading_pod,
)

_KILLS: Final = 20
_HANDED_OVER: Final = 4
_WITHIN: Final = 300.0


class _Succession:
    """Who led before a fault: after it, somebody else must, or the same one in another life."""

    def __init__(self, store: Replicated) -> None:
        self._store = store
        self._before: Leader | None = None

    def expect(self) -> Leader | None:
        """Who leads now, and shall not when asked again."""
        self._before = self._store.leader()
        return self._before

    def done(self) -> bool:
        """Whether somebody leads who did not before."""
        now = self._store.leader()
        return now is not None and now != self._before


class _Kills:
    """Who leads is killed, each member in one way after the other.

    Ways by member, not by number: else a member might meet the same way each time, and a container that is killed
    again and again without a new pod waits longer each time before the kubelet starts it, five minutes in the end.
    """

    def __init__(self, kube: Kube, place: Place, store: Replicated, *ways: Callable[[Pod], Fault]) -> None:
        self._kube, self._place, self._ways = kube, place, ways
        self.killed, self.next_one = Restart(kube), _Succession(store)
        self._met: Counter[str] = Counter()

    def next_fault(self, _number: int) -> Fault:
        """The next kill, of who leads now."""
        pod = leading_pod(self._kube, self._place, self.next_one.expect())
        self.killed.expect(pod)
        way = self._ways[self._met[pod.name] % len(self._ways)]
        self._met[pod.name] += 1
        return way(pod)


def _redis_master(surroundings: Surroundings) -> Drill:
    """Killed and deleted in turn: a process that is back at once leads again, a pod that is gone is replaced."""
    kube, place, redis = surroundings.kube, surroundings.others.get("redis"), surroundings.redis
    if place is None or redis is None:
        raise NothingToBreakError("this platform brings no replicated Redis along; see slipway-platform:redis")
    kills = _Kills(
        kube,
        place,
        redis,
        lambda pod: KillContainer(surroundings.on_node, pod, place.container),
        lambda pod: DeletePod(kube, pod, at_once=True),
    )
    back = all_back(surroundings)
    return Drill(
        name="redis-master",
        plan=surroundings.plan,
        limits=Limits(requests=surroundings.requests, led_again=10.0, undelivered=0, lost=0),
        shape=Shape(times=_KILLS, recovered_within=_WITHIN),
        next_fault=kills.next_fault,
        leads=kills.next_one.done,
        ready=lambda: kills.killed.seen() and back() and redis.leader() is not None,
        connect=surroundings.connect,
        messages=surroundings.messages,
    )


def _postgres_primary(surroundings: Surroundings) -> Drill:
    """The server, the program that keeps it, and the pod of the primary, killed in turn."""
    kube, place, postgres = surroundings.kube, surroundings.others.get("postgres"), surroundings.postgres
    if place is None or postgres is None:
        raise NothingToBreakError("this platform brings no Postgres along; see slipway-platform:postgres")
    kills = _Kills(
        kube,
        place,
        postgres,
        lambda pod: KillProgram(surroundings.on_node, pod, place.container, "postgres"),
        lambda pod: KillContainer(surroundings.on_node, pod, place.container),
        lambda pod: DeletePod(kube, pod, at_once=True),
    )
    back = all_back(surroundings)
    return Drill(
        name="postgres-primary",
        plan=replace(surroundings.plan, allow_503=True, stall=max(surroundings.plan.bears, ANSWERED_WITHIN)),
        limits=Limits(requests=surroundings.requests, outage_p95=15.0, lost=0),
        shape=Shape(times=_KILLS, recovered_within=_WITHIN),
        next_fault=kills.next_fault,
        ready=lambda: postgres.leader() is not None and (kills.killed.seen() or kills.next_one.done()) and back(),
        connect=surroundings.connect,
    )


def _postgres_switchover(surroundings: Surroundings) -> Drill:
    postgres = surroundings.postgres
    if postgres is None:
        raise NothingToBreakError("this platform brings no Postgres along; see slipway-platform:postgres")
    next_one = _Succession(postgres)

    def hand_over() -> None:
        next_one.expect()
        postgres.hand_over()

    fault, back = Switch("hand Postgres over to another member", hand_over, lambda: None), all_back(surroundings)
    return Drill(
        name="postgres-switchover",
        plan=replace(surroundings.plan, stall=max(surroundings.plan.bears, ANSWERED_WITHIN)),
        limits=Limits(requests=surroundings.requests, lost=0),
        shape=Shape(times=_HANDED_OVER, recovered_within=_WITHIN),
        next_fault=lambda _number: fault,
        ready=lambda: next_one.done() and back(),
        connect=surroundings.connect,
    )


def listed() -> tuple[DrillInfo, ...]:
    """What the catalogue shows of them."""
    none_failed = f"0 failed of >= {ENOUGH:,}"
    none_lost = "0 acknowledged writes lost or doubled"
    return (
        DrillInfo("redis-master", "The Redis that leads is killed, or its pod deleted, twenty times, under load.",
                  (none_failed, "another leads within 10 s", "every message delivered", none_lost),
                  (LEDGER_CONTROL, MESSAGES_CONTROL), 25, _redis_master),
        DrillInfo("postgres-primary", "Server, keeper or pod of the primary killed in turn, twenty times, under load.",
                  (none_failed, "writes accepted again within 15 s in 19 of 20", none_lost), (LEDGER_CONTROL,), 25,
                  _postgres_primary),
        DrillInfo("postgres-switchover", "The primary is asked to hand over, four times, under load.",
                  (none_failed, none_lost), (LEDGER_CONTROL,), 10, _postgres_switchover),
    )  # fmt: skip
