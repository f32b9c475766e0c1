"""Leader election by a Lease: one controller acts, the other waits, and every change of the leader raises a number."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from slipway.rollout.api import LEASES, Api, path_of
from slipway.rollout.loop import Conflict

DURATION: Final = 10
"""Seconds without renewal after which the other may take over."""


class Leadership:
    """This process's place in the election.

    The other's last sign of life is judged by our own clock since we saw it change, so clocks need not agree.

    Args:
        api: the API server.
        namespace: of the Lease.
        identity: unique for this process, so that a restarted pod never takes itself for the old one.
        clock: monotonic seconds.
    """

    def __init__(
        self, api: Api, namespace: str, identity: str, clock: Callable[[], float], *, name: str = "slipway-rollout"
    ) -> None:
        self._api = api
        self._path = path_of(LEASES, namespace, "leases", name)
        self._lists = path_of(LEASES, namespace, "leases")
        self._name = name
        self._namespace = namespace
        self.identity = identity
        self._clock = clock
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = clock()
        self._renewed_at = -float("inf")
        self._epoch = 0
        self._one_at_a_time = asyncio.Lock()

    async def acquire(self) -> int | None:
        """Renew or take the Lease; return the number of this leadership, or None while another leads.

        Raises:
            Unavailable: the API server did not answer; then we do not lead.
        """
        async with self._one_at_a_time:
            return await self._acquire()

    async def _acquire(self) -> int | None:
        now = self._clock()
        if self._epoch and now - self._renewed_at < DURATION / 5:
            return self._epoch
        self._epoch = 0
        lease = await self._api.get(self._path)
        try:
            if lease is None:
                return self._holds(await self._api.create(self._lists, self._body({}, transitions=1)), now)
            spec = lease["spec"]
            holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
            if (holder, renewed) != self._seen:
                self._seen, self._seen_at = (holder, renewed), now
            ours = holder == self.identity
            if not ours and holder and now - self._seen_at < DURATION:
                return None
            transitions = int(spec.get("leaseTransitions") or 0) + (not ours)
            metadata = {"resourceVersion": lease["metadata"]["resourceVersion"]}
            return self._holds(await self._api.replace(self._path, self._body(metadata, transitions=transitions)), now)
        except Conflict:
            return None

    async def release(self) -> None:
        """Give the Lease up at once, so that the other need not wait; harmless when it is not ours."""
        lease = await self._api.get(self._path)
        if lease is None or lease["spec"].get("holderIdentity") != self.identity:
            return
        lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        self._epoch = 0
        try:
            await self._api.replace(self._path, lease)
        except Conflict:
            return

    def _holds(self, lease: dict[str, Any], now: float) -> int:
        self._renewed_at = now
        self._epoch = int(lease["spec"]["leaseTransitions"])
        return self._epoch

    def _body(self, metadata: dict[str, str], *, transitions: int) -> dict[str, Any]:
        now = datetime.now(tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace, **metadata},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": DURATION,
                "leaseTransitions": transitions,
                "renewTime": now,
            },
        }
