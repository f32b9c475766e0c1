"""What users feel while a part is gone: phases of one stream of requests, against the one when all was up. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Final

from pydantic import JsonValue

from loadtests.bench.meter import Sample
from slipway.reports import Bar, Report, Section, derive, rows
from slipway.reports.plots import FAILED, Line, Panel, Plot, Span, draw

#: What a request may cost more while Redis is gone.
COST_MS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the stream.

    Attributes:
        name: what was gone.
        begun: when, in seconds of the monotonic clock.
        ended: when.
        control: requests must fail here, or the meter sees nothing.
        cost: whether what a request costs more is judged.
    """

    name: str
    begun: float
    ended: float
    control: bool = False
    cost: bool = False


@dataclass(frozen=True, slots=True)
class Felt:
    """Requests of one kind in one phase, in milliseconds."""

    requests: int
    failed: int
    p50: float
    p95: float
    p99: float
    most: float
    mean: float


Found = Mapping[tuple[str, str], Felt]


def felt(samples: Sequence[Sample], phases: Sequence[Phase]) -> dict[tuple[str, str], Felt]:
    """Phase and kind -> what was felt; a request belongs to the phase in which it was due."""
    found: dict[tuple[str, str], Felt] = {}
    for phase in phases:
        within = [it for it in samples if phase.begun <= it.due < phase.ended]
        for kind in sorted({it.kind for it in within}):
            mine = [it for it in within if it.kind == kind]
            times = sorted(it.ms for it in mine)
            found[phase.name, kind] = Felt(
                requests=len(mine),
                failed=sum(bool(it.wrong) for it in mine),
                p50=_at(times, 0.5),
                p95=_at(times, 0.95),
                p99=_at(times, 0.99),
                most=times[-1],
                mean=fmean(times),
            )
    return found


def bars(found: Found, phases: Sequence[Phase], left: int) -> tuple[Bar, ...]:
    """No request fails, Redis costs little, nothing is left undone; and the control did fail.

    Args:
        found: what was felt.
        phases: the first is that in which all was up.
        left: messages that no worker had handled when one was long back.
    """
    judged = [phase for phase in phases if not phase.control]
    known = [Bar.exactly(f"{phase.name}: failed", _failed(found, phase), 0) for phase in judged]
    known += [
        Bar.at_most(
            f"{phase.name}: added to the median of {kind}", round(cost(found, phases[0], phase, kind), 2), COST_MS, "ms"
        )
        for phase in judged
        if phase.cost
        for name, kind in found
        if name == phase.name
    ]
    known.append(Bar.exactly("messages that were not handled once the worker was back", left, 0))
    for phase in phases:
        if phase.control:
            what, seen = f"control, {phase.name}: failed", _failed(found, phase)
            known.append(
                Bar.at_least(what, seen, 1)
                if seen
                else Bar.not_run(what, ">= 1", "the meter saw no failure where some must be")
            )
    return tuple(known)


def cost(found: Found, up: Phase, gone: Phase, kind: str) -> float:
    """Milliseconds that the middle request of a kind took longer than when all was up."""
    return found[gone.name, kind].p50 - found[up.name, kind].p50


def report(
    samples: Sequence[Sample],
    phases: Sequence[Phase],
    left: int,
    *,
    set_up: Mapping[str, JsonValue],
    started: datetime,
    seconds: float,
) -> Report:
    """The report `bench-outages`."""
    found = felt(samples, phases)
    known = bars(found, phases, left)
    figures: dict[str, JsonValue] = {
        "milliseconds": {
            phase.name: {
                kind: {
                    "requests": it.requests,
                    "failed": it.failed,
                    "p50": round(it.p50, 2),
                    "p95": round(it.p95, 2),
                    "p99": round(it.p99, 2),
                    "most": round(it.most, 2),
                    "mean": round(it.mean, 2),
                }
                for (name, kind), it in found.items()
                if name == phase.name
            }
            for phase in phases
        },
        "wrong": {phase.name: dict(_wrong(samples, phase)) for phase in phases},
        "set-up": dict(set_up),
    }
    return Report(
        name="bench-outages",
        started=started,
        seconds=round(seconds, 1),
        figures=figures,
        bars=known,
        verdict=derive(known),
    )


def sections(samples: Sequence[Sample], phases: Sequence[Phase]) -> tuple[Section, Section]:
    """What the page shows besides the figures."""
    found = felt(samples, phases)
    columns = ("gone", "request", "requests", "failed", "p50 ms", "p95 ms", "p99 ms", "most ms", "mean ms")
    lines = [
        (*who, it.requests, it.failed, *(round(ms, 2) for ms in (it.p50, it.p95, it.p99, it.most, it.mean)))
        for who, it in found.items()
    ]
    return (
        Section("Latency", rows(columns, lines), "Each request is timed from the moment when it was due."),
        Section("In time", draw(_plot(samples, phases)), "The slowest request of each second; shaded: a part is gone."),
    )


def _plot(samples: Sequence[Sample], phases: Sequence[Phase]) -> Plot:
    begun = phases[0].begun
    kinds = sorted({it.kind for it in samples})
    seconds = range(math.ceil(phases[-1].ended - begun))
    lines = [
        Line(kind, list(seconds), [_slowest(samples, kind, begun + second) for second in seconds]) for kind in kinds
    ]
    wrong = [sum(bool(it.wrong) and begun + at <= it.due < begun + at + 1 for it in samples) for at in seconds]
    return Plot(
        panels=[
            Panel("slowest", "ms", lines),
            Panel("failed", "requests/s", [Line("failed", list(seconds), wrong, colour=FAILED, filled=True)]),
        ],
        spans=[Span(it.name, it.begun - begun, it.ended - begun) for it in phases[1:]],
    )


def _slowest(samples: Sequence[Sample], kind: str, second: float) -> float | None:
    return max((it.ms for it in samples if it.kind == kind and second <= it.due < second + 1), default=None)


def _failed(found: Found, phase: Phase) -> int:
    return sum(it.failed for (name, _), it in found.items() if name == phase.name)


def _wrong(samples: Sequence[Sample], phase: Phase) -> Counter[str]:
    return Counter(f"{it.kind}: {it.wrong}" for it in samples if it.wrong and phase.begun <= it.due < phase.ended)


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
