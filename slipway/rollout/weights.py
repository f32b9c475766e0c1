"""Weight arithmetic: which splits HAProxy can hold, and which annotation asks for the nearest one.

The ingress controller divides a colour's annotated weight (0 to 256) by its number of pods, scales the result so that
the smallest server gets `initial-weight` unless the largest would pass 256, and cuts to whole numbers. `rebalance`
follows that arithmetic exactly (single precision included); `plan` searches it for the best pair.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LARGEST: Final = 256
"""HAProxy's largest server weight."""
INITIAL: Final = 100
"""The `initial-weight` that is asked for; the default of 1 would cut 5 % with ten pods against one to 9 %."""
ALL: Final = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """An annotation pair, the server weights it leads to, and the share that the candidate really gets."""

    stable: int
    candidate: int
    stable_server: int
    candidate_server: int
    share: float


def single(value: float) -> float:
    """Round to IEEE single precision, in which the ingress controller computes."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


@lru_cache(maxsize=65536)
def rebalance(groups: tuple[tuple[int, int], ...], initial: int = INITIAL) -> tuple[int, ...]:
    """Return the weight of one server of each group, as the ingress controller computes it.

    Args:
        groups: (annotated weight 0..256, number of pods) of each colour.
        initial: the Service's `initial-weight`, 1..256.
    """
    counts = [pods for _, pods in groups if pods]
    if not counts:
        return tuple(weight for weight, _ in groups)
    common = math.lcm(*counts)
    shares = [weight * common // pods for weight, pods in groups if pods and weight]
    divisor = math.gcd(*shares)
    if divisor == 0:
        return tuple(weight for weight, _ in groups)
    smallest = single(single(initial * divisor) / single(min(shares)))
    excess = single(single(smallest * single(max(shares))) / single(LARGEST * divisor))
    result: list[int] = []
    for weight, pods in groups:
        if pods == 0:
            result.append(weight)
            continue
        server = single(single(smallest * single(weight * common)) / single(pods * divisor))
        if excess > 1:
            cut = int(single(server / excess))
            result.append(1 if cut == 0 and weight > 0 else cut)
        else:
            result.append(int(server))
    return tuple(result)


def share_of(stable_server: int, stable_pods: int, candidate_server: int, candidate_pods: int) -> float:
    """Return the percent of requests the candidate gets from these server weights; 0.0 when nobody has weight."""
    candidate = candidate_server * candidate_pods
    total = stable_server * stable_pods + candidate
    return ALL * candidate / total if total else 0.0


def _outcome(stable: int, candidate: int, stable_pods: int, candidate_pods: int, initial: int) -> Plan:
    stable_server, candidate_server = rebalance(((stable, stable_pods), (candidate, candidate_pods)), initial)
    share = share_of(stable_server, stable_pods, candidate_server, candidate_pods)
    return Plan(stable, candidate, stable_server, candidate_server, share)


def _pairs(percent: int) -> Iterator[tuple[int, int]]:
    """Yield every pair of annotated weights (stable, candidate) whose ratio is next to the wanted one."""
    for candidate in range(1, LARGEST + 1):
        exact = candidate * (ALL - percent) / percent
        for stable in {math.floor(exact), math.ceil(exact)}:
            if 1 <= stable <= LARGEST:
                yield stable, candidate


@lru_cache(maxsize=4096)
def plan(percent: int, stable_pods: int, candidate_pods: int, initial: int = INITIAL) -> Plan:
    """Return the annotation pair whose real split is nearest to `percent` for the candidate.

    A share between 0 and 100 never becomes 0 or 100: both colours keep some requests. Ties go to the smaller share
    (less exposed) and then to the plainer pair.

    Args:
        percent: wanted share of the candidate, 0..100.
        stable_pods: ready pods of the stable colour.
        candidate_pods: ready pods of the candidate.
        initial: the Service's `initial-weight`.

    Raises:
        ValueError: percent is outside 0..100, or a colour that shall get requests has no pod.
    """
    if not 0 <= percent <= ALL:
        raise ValueError(f"the candidate's share is {percent} %: allowed is 0 to 100")
    if percent > 0 and candidate_pods < 1:
        raise ValueError(f"the candidate shall get {percent} % and has no ready pod: wait until it has one")
    if percent < ALL and stable_pods < 1:
        raise ValueError(f"the stable colour shall get {ALL - percent} % and has no ready pod: wait until it has one")
    if percent in {0, ALL}:
        return _outcome(ALL - percent, percent, stable_pods, candidate_pods, initial)
    best: tuple[tuple[float, float, int], Plan] | None = None
    for stable, candidate in _pairs(percent):
        found = _outcome(stable, candidate, stable_pods, candidate_pods, initial)
        plainness = 0 if stable + candidate == ALL else stable + candidate
        rank = (round(abs(found.share - percent), 6), round(found.share, 6), plainness)
        if 0 < found.share < ALL and (best is None or rank < best[0]):
            best = (rank, found)
    if best is None:  # 99:1 and 1:99 are always among the pairs
        raise AssertionError(f"no pair of weights gives the candidate a share near {percent} %")
    return best[1]


def agrees(percent: int, expected: float, share: float, tolerance: float = 1.0) -> bool:
    """Return whether a share read back from a router is what the annotation leads to.

    Nothing and everything must be exact; between them neither colour may be without requests, and the share may be
    off by `tolerance` points (a pod that comes or goes during the reading).

    Args:
        percent: what was wanted, 0..100.
        expected: the share that `rebalance` gives for the pods the router knows, in percent.
        share: the share that the router's own weights give, in percent.
        tolerance: percentage points.
    """
    if percent in {0, ALL}:
        return share == percent
    return 0 < share < ALL and abs(share - expected) <= tolerance


def replicas_for(percent: int, need: int) -> int:
    """Return how many ready pods carry `percent` of a load that needs `need` pods: rounded up, at least one."""
    return max(1, math.ceil(need * percent / ALL))
