"""A member of Postgres whose write-ahead log has a small volume, on an embedded cluster."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from infra import naming
from infra.labels import HOSTNAME
from slipway.cli.stores import NAMESPACE, PostgresStore, next_primary
from slipway.node import small_disks
from slipway.node.errors import NodeError
from slipway.node.kube import Kubectl
from slipway.node.spec import ClusterSpec, Node
from slipway.proof.clock import Clock, wait_until
from slipway.proof.faults import FillDisk

NAME: Final = "postgres-small-log"
#: Bytes: room for more files than the log has when the member is made anew, and less than its claim asks for.
SIZE: Final = 1024**3
#: What the operator puts behind a member's name for the claim of its log.
_LOG: Final = "-wal"
_WITHIN: Final = 300.0
_EVERY: Final = 2.0
#: Of a log that has room, so many files at most are ready for use before another one must be made.
_FILES: Final = 64


@final
class SmallLog:
    """`slipway.proof.surroundings.LogVolume`.

    A volume is bound beforehand to the claim that a replica will make for its log. The replica is then taken away with
    its volumes; the operator makes it anew under the same name, with the small one, and it is asked to lead.

    Args:
        kubectl: As the administrator.
        postgres: Whose log it is.
        spec: The cluster.
        clock: Waits.
    """

    def __init__(self, kubectl: Kubectl, postgres: PostgresStore, spec: ClusterSpec, clock: Clock) -> None:
        self._kubectl = kubectl
        self._postgres = postgres
        self._spec = spec
        self._clock = clock

    def lend(self) -> None:
        """Make the volume, have a member made with it, and hand over to that member."""
        self.take_back()
        member = next_primary(self._postgres.running()["status"])
        node = self._spec.node(self._kubectl.get("pod", member, NAMESPACE)[0]["spec"]["nodeName"])
        small_disks.make(self._spec, node, NAME, SIZE)
        self._kubectl.apply([volume(member, node, self._claim(member))])
        self._replace(member, small=True)
        self._hand_over_to(member)
        self._whole()

    def fill(self) -> None:
        """Take the room, and have the log ask for it: what it has ready would last for minutes."""
        member, node = self._lent()
        self._filling(node).inject()
        for _ in range(_FILES):
            try:
                self._postgres.ask("postgres", "CREATE TABLE slipway_room (); DROP TABLE slipway_room;"
                                   " SELECT pg_switch_wal()", pod=member)  # fmt: skip
            except NodeError:
                return
        raise NodeError(
            f"the volume of the log of {member} has no room, and {_FILES} files of it were begun all the same"
        )

    def free(self) -> None:
        """Give it back."""
        with contextlib.suppress(NotLentError):
            self._filling(self._lent()[1]).heal()

    def take_back(self) -> None:
        """Hand over if that member leads, have it made anew as it is usual, and remove the volume."""
        with contextlib.suppress(NotLentError):
            member, node = self._lent()
            self._filling(node).heal()
            if self._is_small(member):
                self._whole()
                status = self._postgres.running()["status"]
                if status["currentPrimary"] == member:
                    self._hand_over_to(next_primary(status))
                self._replace(member, small=False)
            self._kubectl("delete", "pv", NAME, "--ignore-not-found")
        for node in self._spec.workers:
            small_disks.remove(self._spec, node, NAME)

    def _lent(self) -> tuple[str, Node]:
        """The member that has the volume, and the node where it is.

        Raises:
            NotLentError: There is no such volume.
        """
        found = [it["spec"] for it in self._kubectl.get("pv") if it["metadata"]["name"] == NAME]
        if not found:
            raise NotLentError(f"no member of Postgres has the volume {NAME}")
        [term] = found[0]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        member = found[0]["claimRef"]["name"].removesuffix(_LOG)
        return member, self._spec.node(term["matchExpressions"][0]["values"][0])

    def _filling(self, node: Node) -> FillDisk:
        def there(_name: str, command: Sequence[str]) -> str:
            return small_disks.on_node(self._spec, node, *command)

        return FillDisk(there, node.name, str(small_disks.folder(node, NAME)), str(SIZE))

    def _claim(self, member: str) -> dict[str, Any]:
        return self._kubectl.get("pvc", log_claim(member), NAMESPACE)[0]["spec"]

    def _is_small(self, member: str) -> bool:
        return self._claim(member).get("volumeName") == NAME

    def _replace(self, member: str, *, small: bool) -> None:
        """Have a member made anew from nothing, and wait until it is there."""
        self._kubectl("delete", "pvc", member, log_claim(member), NAMESPACE, "--wait=false")
        self._kubectl("delete", "pod", member, NAMESPACE, "--wait=false")
        self._until(
            lambda: self._is_small(member) is small and self._postgres.leader() is not None, f"{member} to be made anew"
        )

    def _hand_over_to(self, member: str) -> None:
        """Returns when it leads; who led before is started anew, and is not waited for."""
        self._postgres.hand_over_to(member)
        self._until(lambda: self._postgres.primary() == member, f"{member} to lead")

    def _whole(self) -> None:
        self._until(lambda: self._postgres.leader() is not None, "Postgres to be whole")

    def _until(self, done: Callable[[], bool], what: str) -> None:
        def answer() -> bool:
            with contextlib.suppress(NodeError):  # of the API, or of a claim that has gone before the next one is made
                return done()
            return False

        wait_until(self._clock, answer, what=what, within=_WITHIN, every=_EVERY)


class NotLentError(NodeError):
    """No member has a small volume."""


def log_claim(member: str) -> str:
    """Name of the claim for the log of a member, as the operator calls it."""
    return f"{member}{_LOG}"


def volume(member: str, node: Node, claim: dict[str, Any]) -> dict[str, Any]:
    """The volume on a small disk of a node, bound to the claim that a member will make.

    Args:
        member: Which is not there yet.
        node: Where the disk is.
        claim: Specification of such a claim.
    """
    here = {"key": HOSTNAME, "operator": "In", "values": [node.name]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": NAME},
        "spec": {
            "accessModes": claim["accessModes"],
            "capacity": claim["resources"]["requests"],
            "claimRef": {"namespace": naming.Namespace.DATA.value, "name": log_claim(member)},
            "local": {"path": str(small_disks.folder(node, NAME))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            # Nobody but who made it knows how to remove it.
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": claim["storageClassName"],
        },
    }
