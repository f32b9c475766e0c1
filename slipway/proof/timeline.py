"""What happened when: events of a drill beside the seconds of its load, as figures and as a plot."""

import contextlib
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import inf

from loadtests.stream import Gap, Second
from slipway.proof.clock import Clock
from slipway.reports.plots import FAILED, PALETTE, VERSIONS, Line, Panel, Plot, Span


class Kind(StrEnum):
    """What an event is; each has a colour of its own in plots."""

    PHASE = "phase"
    FAULT = "fault"
    NOTE = "note"


_COLOURS: Mapping[Kind, str] = {Kind.PHASE: PALETTE[0], Kind.FAULT: FAILED, Kind.NOTE: PALETTE[5]}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        at: time of day, to be put beside logs and load.
        steady: seconds of the clock that never jumps, for durations.
        seconds: how long it lasted; 0 for a moment.
        detail: what else is known, plain text.
    """

    label: str
    kind: Kind
    at: datetime
    steady: float
    seconds: float = 0.0
    detail: Mapping[str, str] = field(default_factory=dict[str, str])


class Timeline:
    """Collects events, from several threads if need be.

    Args:
        clock: tells the time.
        told: is told the label of each mark, as it is made.
    """

    def __init__(self, clock: Clock, told: Callable[[str], None] = lambda _label: None) -> None:
        self._clock = clock
        self._told = told
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def mark(self, label: str, kind: Kind = Kind.NOTE, **detail: str) -> Event:
        """Note that something happened now."""
        self._told(label)
        return self._add(Event(label, kind, self._clock.now(), self._clock.steady(), 0.0, detail))

    @contextlib.contextmanager
    def span(self, label: str, kind: Kind = Kind.PHASE, **detail: str) -> Generator[None]:
        """Note how long the block lasted, also if it raises; then with the error."""
        at, steady = self._clock.now(), self._clock.steady()
        found = dict(detail)
        try:
            yield
        except BaseException as error:
            found["error"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._add(Event(label, kind, at, steady, self._clock.steady() - steady, found))

    def events(self) -> tuple[Event, ...]:
        """All events in the order in which they began."""
        with self._lock:
            return tuple(sorted(self._events, key=lambda event: event.steady))

    def _add(self, event: Event) -> Event:
        with self._lock:
            self._events.append(event)
        return event


def recovery(gaps: Sequence[Gap], injected: float, *, until: float = inf) -> float:
    """Seconds from a fault until requests ended well again for good; 0 if they never did. Arguments: see `outage`."""
    relevant = [gap.end for gap in gaps if gap.end > injected and gap.start < until]
    return max(0.0, max(relevant, default=injected) - injected)


def outage(gaps: Sequence[Gap], injected: float, *, until: float = inf) -> float:
    """Seconds after a fault in which no request ended well, all taken together; 0 if they never stopped.

    Args:
        gaps: times without a success, in Unix time.
        injected: Unix time of the fault.
        until: what comes later belongs to something else, such as the next fault.
    """
    return sum(max(0.0, min(gap.end, until) - max(gap.start, injected)) for gap in gaps)


def longest(gaps: Sequence[Gap]) -> float:
    """Seconds of the longest gap; 0 of none."""
    return max((gap.seconds for gap in gaps), default=0.0)


def spans(events: Sequence[Event], origin: float) -> tuple[Span, ...]:
    """Events as marks of a plot whose x is seconds since `origin` (Unix time); phases of the load are left out."""
    return tuple(
        Span(event.label, start, start + event.seconds, _COLOURS[event.kind])
        for event in events
        if event.kind is not Kind.PHASE
        for start in (event.at.timestamp() - origin,)
    )


def plot(events: Sequence[Event], seconds: Sequence[Second]) -> Plot:
    """The load and what happened in one picture; x is seconds since the first answer, or since the first event."""
    if not seconds:
        origin = min((event.at.timestamp() for event in events), default=0.0)
        return Plot([Panel("No load was recorded", "", [])], spans(events, origin))
    origin = float(seconds[0].at)
    x = [second.at - origin for second in seconds]
    colours = sorted({name for second in seconds for name in second.colours})
    shares = [Line(name, x, [float(s.colours.get(name, 0)) for s in seconds], VERSIONS.get(name)) for name in colours]
    return Plot(
        [
            *([Panel("Requests by version", "per second", shares)] if len(shares) > 1 else []),
            Panel(
                "Requests",
                "per second",
                [
                    Line("answered", x, [float(s.requests) for s in seconds], filled=True),
                    Line("failed", x, [float(s.failed + s.unkeyed_failed + s.dropped) for s in seconds], FAILED),
                    Line("allowed 503", x, [float(s.allowed) for s in seconds], PALETTE[1]),
                ],
            ),
            Panel(
                "Latency",
                "ms",
                [
                    Line("p50", x, [s.p50 for s in seconds], PALETTE[3]),
                    Line("p99", x, [s.p99 for s in seconds], PALETTE[2]),
                ],
                floor=5.0,
            ),
        ],
        spans(events, origin),
        x_label="seconds since the first answer",
    )
