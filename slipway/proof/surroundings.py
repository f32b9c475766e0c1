"""What a drill is run against: the cluster, the machine, the service, each behind something small."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from loadtests.plan import LoadPlan
from slipway.proof.faults import Fault
from slipway.proof.kube import Kube, KubeError, OnNode, Pod
from slipway.proof.own_reads import OwnRecords
from slipway.proof.writer import Records

#: Requests under which a failure rate of 1 in 4,000 shows with more than 99 % (1 - (1 - 1/4000)^20000).
ENOUGH: Final = 20_000
#: Seconds of requests that may be under way at once where each is answered in the end: more than the answer limit.
ANSWERED_WITHIN: Final = 12.0
#: Seconds that connections may hang on a lost node, twice the answer limit.
LOST_FOR: Final = 20.0


class Nodes(Protocol):
    """What the target can do to its nodes; a target that cannot raises and names itself."""

    def stop(self, name: str) -> None:
        """Lose the node, as by a power cut."""
        ...

    def start(self, name: str) -> None:
        """Bring it back; harmless if it runs."""
        ...

    def cut_off(self, name: str) -> None:
        """Part the node from every other machine; what runs on it runs on."""
        ...

    def join(self, name: str) -> None:
        """Let it reach the others again; harmless if it does."""
        ...

    def remove(self, name: str) -> None:
        """Take a stopped node away for good, with its disk; `start` brings it back empty."""
        ...

    def stop_control_plane(self) -> None:
        """Stop the control plane; nodes and pods go on."""
        ...

    def start_control_plane(self) -> None:
        """Start it; harmless if it runs."""
        ...

    def stop_all(self) -> None:
        """Kill every process of the cluster; what lies on disk stays."""
        ...

    def start_all(self) -> None:
        """Start the cluster again; harmless if it runs."""
        ...


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads a replicated store: the pod, and which life of it, so that one that was started anew is another."""

    pod: str
    life: str


class Replicated(Protocol):
    """A store of several members, one of which takes writes."""

    def leader(self) -> Leader | None:
        """Who takes writes; None while nobody does."""
        ...

    def roll(self) -> None:
        """Let every member get a new pod, one after the other, as another version does; returns before they have."""
        ...


class Database(Replicated, Protocol):
    """A store whose leader can be changed on purpose, and whose replicas can be held back."""

    def hand_over(self) -> None:
        """Ask the leader to hand over to another member, as for maintenance; returns before it has."""
        ...

    def hold_replicas(self) -> None:
        """Let all replicas keep what they get and show none of it."""
        ...

    def free_replicas(self) -> None:
        """Let them catch up; harmless if they are not held."""
        ...


class LogVolume(Protocol):
    """The volume of the write-ahead log of who leads Postgres, made so small that it can be filled."""

    def lend(self) -> None:
        """Let a member lead that has a small one; returns when it does."""
        ...

    def fill(self) -> None:
        """Leave no room on it; returns when the log has missed it."""
        ...

    def free(self) -> None:
        """Give the room back; harmless if it has it."""
        ...

    def take_back(self) -> None:
        """Replace that member by one with a usual volume; harmless if there is none."""
        ...


class Client(Records, OwnRecords, Protocol):
    """The service as all of a drill's writers see it."""


class Certificate(Protocol):
    """What the ingress shows to whoever connects."""

    def issued(self) -> int:
        """Serial number of the one that it is to show."""
        ...

    def shown(self) -> frozenset[int]:
        """Serial numbers that new connections are shown."""
        ...

    def renew(self) -> None:
        """Make it anew, and every other certificate of the platform; returns when all parts are ready."""
        ...

    def show_strangers(self) -> None:
        """Let one be shown that an authority has signed which no client trusts."""
        ...

    def show_own(self) -> None:
        """Let the own one be shown again; harmless if it is."""
        ...


class Messages(Protocol):
    """Messages of the service that somebody has still to act on."""

    def waiting(self) -> int:
        """How many there are."""
        ...

    def hold_back(self) -> None:
        """Add one that nobody acts on within the hour; for the negative control alone."""
        ...

    def let_go(self) -> None:
        """Remove it; harmless if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where pods of one kind are found: namespace, labels, and the container that matters."""

    namespace: str
    labels: Mapping[str, str]
    container: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A running service and its cluster.

    Attributes:
        kube: the cluster's API.
        on_node: runs a program as root on a node.
        nodes: stop, cut off and start nodes and the control plane.
        app, ingress: where the service's and HAProxy's pods are.
        plan: the load; drills replace its counts and durations.
        connect: makes a client of the ledger and its like, through the same ingress as the load.
        without_protection: turns off ingress retries and preStop, and on again.
        without_ingress_drain: turns off the wait of a HAProxy that is told to stop, and on again.
        others: further kinds of pods by name, such as `postgres`.
        namespaces: those of the platform, all of whose pods are to be there.
        redis, postgres: who leads them; None where the platform brings none along.
        log_volume: that of who leads Postgres; None where nobody can make it small.
        certificate: what the ingress shows; None where nobody can change it.
        messages: what the service has still to act on; None where nobody can tell.
        requests: at least so many under load, where a drill counts failures; the proof asks for `ENOUGH`.
    """

    kube: Kube
    on_node: OnNode
    nodes: Nodes
    app: Place
    ingress: Place
    plan: LoadPlan
    connect: Callable[[], Client]
    without_protection: Fault
    without_ingress_drain: Fault
    others: Mapping[str, Place] = field(default_factory=dict[str, Place])
    namespaces: Sequence[str] = ()
    redis: Replicated | None = None
    postgres: Database | None = None
    log_volume: LogVolume | None = None
    certificate: Certificate | None = None
    messages: Messages | None = None
    requests: int = ENOUGH


class NothingToBreakError(RuntimeError):
    """The pods or nodes that a drill wants to break are not there."""


def steady_pods(kube: Kube, place: Place) -> tuple[Pod, ...]:
    """The pods of a place that are ready and stay."""
    return tuple(pod for pod in kube.pods(place.namespace, place.labels) if pod.ready and not pod.leaving)


def all_pods(kube: Kube, place: Place) -> tuple[Pod, ...]:
    """The pods of a place that are ready and stay, to break all of them.

    Raises:
        NothingToBreakError: there is none: breaking it would prove nothing.
    """
    found = steady_pods(kube, place)
    if not found:
        raise NothingToBreakError(f"no ready pod in {place.namespace} with {dict(place.labels)}")
    return found


def present(kube: Kube, places: Mapping[str, Place]) -> dict[str, Place]:
    """Those of the places that a platform has: with a part off or elsewhere there is nothing of it to break."""
    return {name: place for name, place in places.items() if kube.pods(place.namespace, place.labels)}


def leading_pod(kube: Kube, place: Place, leader: Leader | None) -> Pod:
    """The pod that leads.

    Raises:
        NothingToBreakError: nobody leads, or the pod that does is not ready.
    """
    pod = next((it for it in steady_pods(kube, place) if leader is not None and it.name == leader.pod), None)
    if pod is None:
        who = leader.pod if leader else "nobody"
        raise NothingToBreakError(f"no ready pod in {place.namespace} leads; who leads is {who!r}")
    return pod


def victim(kube: Kube, place: Place, number: int) -> Pod:
    """The pod for the n-th fault: another one each time, as far as there are others.

    Raises:
        NothingToBreakError: no pod of the place is ready.
    """
    pods = all_pods(kube, place)
    return pods[number % len(pods)]


def busiest_node(kube: Kube, place: Place) -> str:
    """The node with most pods of the place; the first by name of equals.

    Raises:
        NothingToBreakError: no pod of the place is ready.
    """
    names = [pod.node for pod in all_pods(kube, place)]
    return max(sorted(set(names)), key=names.count)


def all_back(surroundings: Surroundings) -> Callable[[], bool]:
    """A question: are as many nodes and pods of the service and the ingress ready as there are now?

    While the API does not answer they are not: it may be what is broken.
    """
    kube = surroundings.kube
    places = (surroundings.app, surroundings.ingress, *surroundings.others.values())
    nodes = len(kube.ready_nodes())
    wanted = [len(steady_pods(kube, place)) for place in places]

    def answer() -> bool:
        with contextlib.suppress(KubeError):
            return len(kube.ready_nodes()) >= nodes and all(
                len(steady_pods(kube, place)) >= count for place, count in zip(places, wanted, strict=True)
            )
        return False

    return answer


def all_lead(surroundings: Surroundings) -> bool:
    """Whether somebody takes writes in each store that has members."""
    stores = (surroundings.postgres, surroundings.redis)
    return all(store.leader() is not None for store in stores if store is not None)


class Restart:
    """Waits for killed containers: the API still calls them ready just after they were killed."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._killed: tuple[Pod, ...] = ()

    def expect(self, *killed: Pod) -> None:
        """The pods as they were before the kill."""
        self._killed = killed

    def seen(self) -> bool:
        """Whether of each a container was started again, or the pod is gone; true if none is expected.

        While the API does not answer nothing is seen: it may have been killed too.
        """
        with contextlib.suppress(KubeError):
            now = {
                pod.uid: pod
                for namespace in {pod.namespace for pod in self._killed}
                for pod in self._kube.pods(namespace, self._shared(namespace))
            }
            return all(it.uid not in now or _restarts(now[it.uid]) > _restarts(it) for it in self._killed)
        return False

    def _shared(self, namespace: str) -> Mapping[str, str]:
        """The labels that all killed pods of a namespace have."""
        labels = [pod.labels.items() for pod in self._killed if pod.namespace == namespace]
        return dict(set(labels[0]).intersection(*labels[1:]))


def _restarts(pod: Pod) -> int:
    return sum(container.restarts for container in pod.containers)
