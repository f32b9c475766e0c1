"""What a bench of the ingress found: runs and rounds, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadtests.stream import Second

#: Connections of a full run: enough to keep the pod busy, few enough that nobody waits for seconds.
CONNECTIONS: Final = 32


class Route(StrEnum):
    """How the pod is asked."""

    DIRECT = "direct"
    INGRESS = "ingress"


@dataclass(frozen=True, slots=True)
class Full:
    """A run with as many requests as the connections bear.

    Attributes:
        per_second: answered well.
        failed: as the project defines it, without those that found no connection free: that is meant here.
        cpu: what the pod used, as a share of its limit.
    """

    route: Route
    per_second: float
    failed: int
    cpu: float
    timeline: tuple[Second, ...]


@dataclass(frozen=True, slots=True)
class Even:
    """A run at a rate that the pod bears with ease; milliseconds."""

    route: Route
    p50: float
    p99: float
    failed: int
    requests: int
    timeline: tuple[Second, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """Both ways, full and even, one after the other."""

    full: Mapping[Route, Full]
    even: Mapping[Route, Even]

    @property
    def share(self) -> float:
        """Requests per second through the ingress, as a part of those direct."""
        return self.full[Route.INGRESS].per_second / self.full[Route.DIRECT].per_second

    @property
    def added(self) -> float:
        """Milliseconds at p99 that the ingress adds."""
        return self.even[Route.INGRESS].p99 - self.even[Route.DIRECT].p99
