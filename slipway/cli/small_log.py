"""A member of Postgres whose write-ahead log has a small volume, on an embedded cluster."""

import contextlib
from typing import Any, Final, final

from infra import naming
from infra.labels import HOSTNAME
from slipway.cli.stores import NAMESPACE, PostgresStore, next_primary
from slipway.node import small_disks
from slipway.node.errors import NodeError
from slipway.node.kube import Kubectl
from slipway.node.spec import ClusterSpec, Node
from slipway.proof.clock import Clock, wait_until

NAME: Final = "postgres-small-log"
#: Bytes: what a member of this load writes in half an hour, and so little that it is filled within seconds.
SIZE: Final = 1024**3
_WITHIN: Final = 300.0
_EVERY: Final = 2.0
#: Of a log that has room, so many files at most are ready for use before another one must be made.
_FILES: Final = 64


@final
class SmallLog:
    """`slipway.proof.surroundings.LogVolume`.

    A volume that is bound beforehand to the claim of the next member that the operator will make. A replica is then
    taken away with its volumes; the member that the operator makes instead finds the small one, and is made to lead.

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
        """Make the volume, let a member be made with it, and hand over to that member."""
        self.take_back()
        status = self._postgres.running()["status"]
        replaced, member = next_primary(status), f"{naming.POSTGRES}-{status['latestGeneratedNode'] + 1}"
        node = self._spec.node(self._kubectl.get("pod", replaced, NAMESPACE)[0]["spec"]["nodeName"])
        small_disks.make(self._spec, node, NAME, SIZE)
        claim = self._kubectl.get("pvc", log_claim(replaced), NAMESPACE)[0]["spec"]
        self._kubectl.apply([volume(member, node, claim)])
        self._replace(replaced, by=member)
        self._let_lead(member)

    def fill(self) -> None:
        """Take the room, and have the log ask for it: what it has ready would last for minutes."""
        member, node = self._lent()
        small_disks.fill(self._spec, node, NAME)
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
            small_disks.free(self._spec, self._lent()[1], NAME)

    def take_back(self) -> None:
        """Hand over if that member leads, have it made anew as it is usual, and remove the volume."""
        with contextlib.suppress(NotLentError):
            member, node = self._lent()
            small_disks.free(self._spec, node, NAME)
            status = self._postgres.running()["status"]
            if member in status["instanceNames"]:
                if status["currentPrimary"] == member:
                    self._led()
                    self._let_lead(next_primary(self._postgres.running()["status"]))
                self._replace(member)
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

    def _replace(self, member: str, *, by: str = "") -> None:
        """Take a member away with its volumes, and wait until all members are there again."""
        self._kubectl("delete", "pvc", member, log_claim(member), NAMESPACE, "--wait=false")
        self._kubectl("delete", "pod", member, NAMESPACE, "--wait=false")

        def replaced() -> bool:
            with contextlib.suppress(NodeError):
                names = self._postgres.running()["status"]["instanceNames"]
                return member not in names and (not by or by in names) and self._postgres.leader() is not None
            return False

        wait_until(self._clock, replaced, what=f"a member instead of {member}", within=_WITHIN, every=_EVERY)

    def _let_lead(self, member: str) -> None:
        self._postgres.hand_over_to(member)

        def leads() -> bool:
            leader = self._postgres.leader()
            return leader is not None and leader.pod == member

        wait_until(self._clock, leads, what=f"{member} to lead", within=_WITHIN, every=_EVERY)

    def _led(self) -> None:
        wait_until(
            self._clock, lambda: self._postgres.leader() is not None, what="Postgres to be whole", within=_WITHIN,
            every=_EVERY,
        )  # fmt: skip


class NotLentError(NodeError):
    """No member has a small volume."""


_LOG: Final = "-wal"


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
