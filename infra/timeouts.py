"""The timeout table: every wait that decides how long a fault is felt, in one place.

They hang together. A lost node is felt until its endpoints leave the Services, which takes the node-monitor grace
period; its pods come back after the toleration; HAProxy stops sending to a dead pod after its connect timeout. Rules
between them are checked here, so that a change of one that breaks another is refused before anything is made.
"""

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from infra.model import MODEL

Seconds = Annotated[int, Field(ge=1, le=3600)]

#: How often HAProxy's controller may take over changes, per second. At its default of 0.5 a pod that is gone would get
#: requests for up to 2 s more, and a weight would take as long to move.
INGRESS_UPDATES_PER_SECOND = 5


class NodeTimeouts(BaseModel):
    """How fast the control plane notices that a node is lost. The `embedded` target sets these; others bring theirs."""

    model_config = MODEL

    monitor_period: Seconds = Field(
        default=2, description="Seconds between two looks of the node controller at all nodes."
    )
    monitor_grace_period: Seconds = Field(
        default=10,
        description="Seconds without a sign of life until a node counts as lost and its pods leave the Services.",
    )
    eviction: Seconds = Field(
        default=10, description="Seconds that pods which say nothing about it stay bound to a lost node."
    )
    node_lease: Seconds = Field(
        default=8, description="Seconds that a node's lease lasts; the kubelet renews at a quarter of it."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.monitor_grace_period <= self.node_lease:
            raise ValueError(
                f"monitorGracePeriod ({self.monitor_grace_period} s) must exceed nodeLease ({self.node_lease} s), "
                "or healthy nodes count as lost between two renewals"
            )
        if self.monitor_period > self.monitor_grace_period:
            raise ValueError(
                f"monitorPeriod ({self.monitor_period} s) must not be longer than monitorGracePeriod "
                f"({self.monitor_grace_period} s), or the grace period means nothing"
            )
        return self


class TrafficTimeouts(BaseModel):
    """How long the parts in a request's way wait for each other."""

    model_config = MODEL

    node_loss: Seconds = Field(
        default=10,
        description="Seconds that a pod stays bound to a lost node before another takes its place (toleration).",
    )
    dns: Seconds = Field(default=1, description="Seconds until a pod asks the next name server.")
    connect: Seconds = Field(default=1, description="Seconds HAProxy waits for a connection to a pod.")
    server: Seconds = Field(
        default=10, description="Seconds HAProxy waits for a pod's answer; longer counts as failed anyway."
    )
    client: Seconds = Field(
        default=30, description="Seconds HAProxy waits for a client that has gone silent in mid-request."
    )
    keep_alive: Seconds = Field(default=60, description="Seconds that HAProxy keeps an idle client connection open.")
    queue: Seconds = Field(default=5, description="Seconds that a request may wait for a free pod.")
    ingress_drain: Seconds = Field(
        default=12,
        description="Seconds that a HAProxy pod goes on accepting after it was told to stop, until nobody sends to it.",
    )
    ingress_finish: Seconds = Field(default=20, description="Seconds after that for requests in flight to finish.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.connect > self.server:
            raise ValueError(f"connect ({self.connect} s) must not be longer than server ({self.server} s)")
        if self.ingress_finish < self.server:
            raise ValueError(
                f"ingressFinish ({self.ingress_finish} s) must not be shorter than server ({self.server} s), or a "
                "HAProxy pod that stops cuts requests off that are still allowed to run"
            )
        return self


class PostgresTimeouts(BaseModel):
    """How fast Postgres fails over, and how long it may take to stop."""

    model_config = MODEL

    lease: Seconds = Field(
        default=4, description="Seconds that the primary's lease lasts; after a hard loss a replica waits so long."
    )
    lease_renewal: Seconds = Field(
        default=3, description="Seconds that the primary tries to renew its lease before it gives up."
    )
    lease_retry: Seconds = Field(default=1, description="Seconds between two tries to renew or to take the lease.")
    switchover: Seconds = Field(
        default=15, description="Seconds a primary may take to hand over before it is stopped hard."
    )
    smart_shutdown: Seconds = Field(
        default=2,
        description="Seconds that Postgres waits for clients to leave by themselves before it ends their sessions.",
    )
    stop: Seconds = Field(default=30, description="Seconds a stopping instance has in all.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.lease > self.lease_renewal > self.lease_retry:
            raise ValueError(
                f"lease ({self.lease} s) must be longer than leaseRenewal ({self.lease_renewal} s), and that longer "
                f"than leaseRetry ({self.lease_retry} s)"
            )
        if self.stop <= self.smart_shutdown:
            raise ValueError(
                f"stop ({self.stop} s) must be longer than smartShutdown ({self.smart_shutdown} s), or no time is left "
                "for a clean end"
            )
        return self


class PoolerTimeouts(BaseModel):
    """How long PgBouncer waits for Postgres, and lets a service wait for it.

    All are shorter than what a service waits for a primary (8 s): whoever waits in a pooler keeps a thread, and whoever
    is told at once waits without one.
    """

    model_config = MODEL

    connect: Seconds = Field(default=1, description="Seconds that it waits for a connection to Postgres.")
    unacknowledged: Seconds = Field(
        default=2, description="Seconds that what it sent may stay unacknowledged (TCP user timeout); then it hangs up."
    )
    retry: Annotated[float, Field(ge=0.1, le=60)] = Field(
        default=0.2,
        description="Seconds after a failed connection until it tries again; who asks meanwhile is told at once.",
    )
    queue: Seconds = Field(default=1, description="Seconds that a statement may wait for a free connection.")
