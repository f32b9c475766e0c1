"""How much a service bears, from a run whose rate goes up until it breaks. Pure: no file, no clock.

The knee is found by Kneedle (Satopaa, Albrecht, Irwin, Raghavan: Finding a "Kneedle" in a Haystack, 2011): offered and
well answered rate, both as shares of their highest; the knee is where the second leads the first by most. Before it
each further request is answered; after it each further request only waits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from loadtests.stream import Second

LEVELS: Final = 20  # of the offered rate, equally wide
FEWEST: Final = 5  # levels; below, a curve is no curve
SATURATED: Final = 0.95  # of the offered rate; if the highest level is answered better, its end was not reached
HEADROOM: Final = 1.4  # growth of the load until new pods serve
SPARE: Final = 1  # pods that may be gone while the others bear the load
LEAST_PODS: Final = 2


@dataclass(frozen=True, slots=True)
class Level:
    """Seconds with about the same offered rate: means per second, and the median of their p95 in milliseconds."""

    offered: float
    good: float
    bad: float
    p95: float | None
    seconds: int


@dataclass(frozen=True, slots=True)
class Advice:
    """What to write into a HorizontalPodAutoscaler (autoscaling/v2).

    Attributes:
        per_pod: requests per second that each pod should get, so that growth fits until new pods serve.
        utilization: of what a pod uses at the knee, percent; the target for CPU if CPU is what a pod runs out of there.
        min_replicas: bear the usual load with one pod gone.
        max_replicas: bear the peak with one pod gone.
    """

    per_pod: float
    utilization: int
    min_replicas: int
    max_replicas: int


def levels(timeline: Sequence[Second]) -> tuple[Level, ...]:
    """The seconds of a run by what was offered in them: requests begun, and those that found no connection free.

    The first and the last second are parts of seconds, and are left out; so are seconds of which nothing is known.
    """
    seconds = [it for it in timeline[1:-1] if it.started + it.dropped]
    if not seconds:
        return ()
    width = max(it.started + it.dropped for it in seconds) / LEVELS
    grouped: dict[int, list[Second]] = {}
    for it in seconds:
        grouped.setdefault(math.ceil((it.started + it.dropped) / width - 1e-9), []).append(it)
    return tuple(_level(grouped[key]) for key in sorted(grouped))


def saturated(curve: Sequence[Level]) -> bool:
    """Whether the run went on beyond what the service bears."""
    return len(curve) >= FEWEST and curve[-1].good < SATURATED * curve[-1].offered


def knee(curve: Sequence[Level]) -> Level | None:
    """The level at the knee; None if the curve has none, because its end was not reached."""
    if not saturated(curve):
        return None
    most_offered = max(it.offered for it in curve)
    most_good = max(it.good for it in curve)
    if most_good == 0:
        return None
    return max(curve, key=lambda it: it.good / most_good - it.offered / most_offered)


def bad_before(curve: Sequence[Level], at: Level) -> float:
    """Requests that failed or were dropped below the knee."""
    return sum(it.bad * it.seconds for it in curve if it.offered < at.offered)


def advise(bears: float, *, pods: int, usual: float, peak: float, headroom: float = HEADROOM) -> Advice:
    """Figures for the autoscaler.

    Args:
        bears: requests per second at the knee, of all pods.
        pods: that bore it.
        usual: requests per second on a usual day.
        peak: most requests per second that are ever expected.
        headroom: by how much the load may grow until new pods serve.

    Raises:
        ValueError: a figure that cannot be.
    """
    for name, value in (("bears", bears), ("pods", pods), ("usual", usual), ("peak", peak)):
        if value <= 0:
            raise ValueError(f"{name} is {value}; it must be above 0")
    if headroom < 1:
        raise ValueError(f"headroom is {headroom}; it must be at least 1, which leaves none")
    if peak < usual:
        raise ValueError(f"peak is {peak:g}/s and usual is {usual:g}/s; the peak must be at least the usual load")
    each = bears / pods / headroom
    least, most = (max(LEAST_PODS, math.ceil(rate / each - 1e-9) + SPARE) for rate in (usual, peak))
    return Advice(each, math.floor(100 / headroom), least, most)


def _level(seconds: Sequence[Second]) -> Level:
    count = len(seconds)
    percentiles = [it.p95 for it in seconds if it.p95 is not None]
    bad = [it.failed + it.unkeyed_failed for it in seconds]
    return Level(
        offered=sum(it.started + it.dropped for it in seconds) / count,
        good=sum(it.requests - it.allowed - wrong for it, wrong in zip(seconds, bad, strict=True)) / count,
        bad=(sum(bad) + sum(it.dropped for it in seconds)) / count,
        p95=median(percentiles) if percentiles else None,
        seconds=count,
    )
