"""Is a second run worse than a first one? Stated rules over two written runs. Pure: no file, no clock.

A latency is worse only if it is both large enough to matter and too regular to be chance: the medians of the seconds'
percentiles differ by more than a tenth and a millisecond, and a rank test over the seconds (Mann and Whitney, 1947; the
test that Kayenta, Spinnaker's judge of canaries, stands on) gives less than one in a hundred. Large but not regular is
no answer.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist, median
from typing import Final

from loadtests.stream import Second
from loadtests.written import Written
from slipway.reports import Bar

TOLERANCE: Final = 0.10  # of a latency
FLOOR: Final = 1.0  # milliseconds; less is nobody's business
CHANCE: Final = 0.01  # of a difference that is none
FEWEST: Final = 10  # seconds with answers, in each run
KEPT: Final = 0.98  # of the requests that the first run answered well
_SAME: Final = ("scenario", "workload", "rate", "duration", "protocol", "vus", "answer_limit")
_SURE: Final = NormalDist().inv_cdf(1 - CHANCE)
PERCENTILES: Final[dict[str, Callable[[Second], float | None]]] = {
    "p50": lambda second: second.p50,
    "p95": lambda second: second.p95,
    "p99": lambda second: second.p99,
}


class Change(StrEnum):
    """What a second series is, beside a first one."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Latency:
    """One percentile in both runs: the medians of its seconds, in milliseconds, and what the second one is."""

    name: str
    first: float | None
    second: float | None
    change: Change


def rank_score(first: Sequence[float], second: Sequence[float]) -> float:
    """How far the second series lies above the first, in standard deviations of chance (Mann and Whitney's U).

    Ties count half; the variance is taken without them, which makes the answer more careful.
    """
    ordered = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = 0.0
    index = 0
    while index < len(ordered):
        end = index
        while end < len(ordered) and ordered[end][0] == ordered[index][0]:
            end += 1
        ranks += (index + 1 + end) / 2 * sum(which for _, which in ordered[index:end])
        index = end
    n, m = len(first), len(second)
    above = ranks - m * (m + 1) / 2
    return (above - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def changed(first: Sequence[float], second: Sequence[float]) -> Change:
    """What the second series of latencies is, beside the first."""
    if min(len(first), len(second)) < FEWEST:
        return Change.UNCLEAR
    before, after = median(first), median(second)
    low, high = sorted((before, after))
    if high <= low * (1 + TOLERANCE) + FLOOR:
        return Change.SAME
    score = rank_score(first, second)
    if after > before:
        return Change.WORSE if score > _SURE else Change.UNCLEAR
    return Change.BETTER if score < -_SURE else Change.UNCLEAR


def latencies(first: Written, second: Written) -> tuple[Latency, ...]:
    """Every percentile of two runs."""
    found: list[Latency] = []
    for name, of in PERCENTILES.items():
        before, after = _series(first, of), _series(second, of)
        found.append(
            Latency(name, median(before) if before else None, median(after) if after else None, changed(before, after))
        )
    return tuple(found)


def differences(first: Written, second: Written) -> tuple[str, ...]:
    """Why two runs cannot be compared; nothing if they can."""
    found = [
        f"{name} is {first.plan.get(name)!r} and {second.plan.get(name)!r}"
        for name in _SAME
        if first.plan.get(name) != second.plan.get(name)
    ]
    return (*found, *(f"{it.name} is {it.answer.exit_class.value}" for it in (first, second) if not it.judged))


def bars(first: Written, second: Written) -> tuple[Bar, ...]:
    """The bars of a comparison: the second run is no worse than the first."""
    wanted = {
        "failed": f"no larger share than {_percent(failed_share(first))}",
        "answered well": f">= {KEPT:.0%} of {answered(first):,}",
        **dict.fromkeys(PERCENTILES, f"no more than {TOLERANCE:.0%} and {FLOOR:g} ms slower"),
    }
    if why := "; ".join(differences(first, second)):
        return tuple(Bar.not_run(what, bar, why) for what, bar in wanted.items())
    found = [
        Bar(
            what="failed",
            measured=_percent(failed_share(second)),
            bar=wanted["failed"],
            holds=failed_share(second) <= failed_share(first),
        ),
        Bar(
            what="answered well",
            measured=answered(second),
            bar=wanted["answered well"],
            holds=answered(second) >= KEPT * answered(first),
        ),
    ]
    for it in latencies(first, second):
        if it.first is None or it.second is None:
            found.append(Bar.not_run(it.name, wanted[it.name], "one of the runs has no seconds"))
            continue
        holds = None if it.change is Change.UNCLEAR else it.change is not Change.WORSE
        measured = f"{it.change.value}: {it.first:.1f} to {it.second:.1f} ms"
        found.append(Bar(what=it.name, measured=measured, bar=wanted[it.name], holds=holds))
    return tuple(found)


def failed_share(run: Written) -> float:
    """Failed requests of all that were due, dropped and those without a key included."""
    due = run.summary.requests + run.summary.dropped
    return _harm(run) / due if due else 0.0


def answered(run: Written) -> int:
    """Requests that were answered well."""
    return run.summary.requests + run.summary.dropped - _harm(run) - run.summary.allowed


def _harm(run: Written) -> int:
    return run.summary.failed + run.summary.dropped + run.summary.unkeyed_failed


def _series(run: Written, of: Callable[[Second], float | None]) -> list[float]:
    return [value for value in map(of, run.timeline) if value is not None]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
