"""Which parts a platform has: what it does not have is neither measured nor missed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Present:
    """The parts that some platforms lack.

    Attributes:
        observed: Whether observers run beside HAProxy.
        rolled_out: Whether the rollout controller is there.
        postgres: Whether the platform brings Postgres along.
        backups: Whether it backs Postgres up.
        poolers: Whether poolers stand before it.
        redis: Whether it brings Redis along.
        logs: Whether it keeps logs.
        traces: Whether it keeps traces.
        cluster: Whether it is the platform that watches the cluster itself and the Prometheus that scrapes it.
    """

    observed: bool = True
    rolled_out: bool = True
    postgres: bool = True
    backups: bool = True
    poolers: bool = True
    redis: bool = True
    logs: bool = True
    traces: bool = True
    cluster: bool = True
