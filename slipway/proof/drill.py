"""A drill: load, faults, a ledger, and negative controls without which it proves nothing."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from pydantic import JsonValue

from loadtests.k6 import LoadResult
from loadtests.page import sections as load_sections
from loadtests.plan import LoadPlan
from slipway.proof.bars import Limits, Taken, conclude, control_bar, measured_bars, slowest_recovery
from slipway.proof.clock import Clock, TookTooLongError, wait_until
from slipway.proof.faults import Fault, UnhealedError, injected
from slipway.proof.ledger import Finding
from slipway.proof.load import Load, Running
from slipway.proof.timeline import Timeline, longest, plot
from slipway.proof.writer import Ledger, Records, control
from slipway.reports import Bar, Report, Section, rows
from slipway.reports.plots import draw

_LEDGER_RATE: Final = 20.0  # writes per second: enough to hit a moment of 50 ms, few beside the load


@dataclass(frozen=True, slots=True)
class Shape:
    """How a drill runs.

    Attributes:
        times: how often the fault is injected, one after the other.
        hold: seconds for which each fault is kept.
        recovered_within: seconds after each heal until all is ready again; longer fails the drill.
    """

    times: int = 1
    hold: float = 0.0
    recovered_within: float = 120.0

    @property
    def longest(self) -> float:
        """Seconds of all injections at most."""
        return self.times * (self.hold + self.recovered_within + 30.0)


@dataclass(frozen=True, slots=True)
class Drill:
    """One scenario against one running service.

    Attributes:
        name: the report's name, with `drill-` before it.
        plan: the load; its `min_requests` and duration are replaced.
        next_fault: makes the n-th fault, from 0, from what is there at that moment.
        ready: whether all is as before the fault.
        connect: makes a client of the ledger; None for a drill without one.
        without_protection: turns off what the drill proves, such as ingress retries and preStop; the control runs the
            same faults under it and must see failures. None: the drill has no such control.
    """

    name: str
    plan: LoadPlan
    limits: Limits
    shape: Shape
    next_fault: Callable[[int], Fault]
    ready: Callable[[], bool]
    connect: Callable[[], Records] | None = None
    without_protection: Fault | None = None


class BeginLoad(Protocol):
    """Starts k6; `loadtests.k6.start` is one."""

    def __call__(self, plan: LoadPlan) -> Running:
        """A run to enter with `with`."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """A drill that ran: its report, the page's sections, and what was found."""

    report: Report
    sections: tuple[Section, ...]
    taken: Taken


class Runner:
    """Runs drills.

    Args:
        clock: waits and tells the time.
        begin: starts k6.
        folder: where journals are kept; a file for each ledger.
    """

    def __init__(self, clock: Clock, begin: BeginLoad, folder: Path) -> None:
        self._clock = clock
        self._begin = begin
        self._folder = folder

    def run(self, drill: Drill) -> Outcome:
        """The drill, then its controls. Every fault is healed, also when something breaks.

        Raises:
            UnhealedError: a fault could not be healed: the cluster needs a hand before anything else is measured.
        """
        timeline, started, begin = Timeline(self._clock), self._clock.now(), self._clock.steady()
        taken = self._pass(drill, timeline, drill.limits.requests, "drill")
        bars = measured_bars(drill.limits, taken)
        controls = self._controls(drill)
        report = Report(
            name=f"drill-{drill.name}",
            started=started,
            seconds=self._clock.steady() - begin,
            figures=figures(taken),
            bars=(*bars, *controls),
            verdict=conclude(bars, controls),
        )
        return Outcome(report, sections(timeline, taken), taken)

    def _pass(self, drill: Drill, timeline: Timeline, requests: int, label: str) -> Taken:
        taken = Taken(drill.shape.times)
        seconds = max(drill.shape.longest, requests / drill.plan.rate)
        plan = replace(drill.plan, min_requests=requests, duration=seconds)
        try:
            with contextlib.ExitStack() as stack:
                load = stack.enter_context(
                    Load(plan, timeline, self._clock, longest=drill.shape.longest, begin=self._begin)
                )
                ledger = self._ledger(drill, label)
                if ledger is not None:
                    stack.enter_context(ledger)
                self._inject_all(drill, timeline, load, taken, requests)
                taken.load = load.finish()
                if ledger is not None:
                    with timeline.span("read the ledger back"):
                        taken.book = ledger.close_book()
        except UnhealedError:
            raise
        except Exception as error:  # noqa: BLE001 -- a drill that breaks is a report that says so
            taken.error = f"{type(error).__name__}: {error}"
        return taken

    def _inject_all(self, drill: Drill, timeline: Timeline, load: Load, taken: Taken, requests: int) -> None:
        """One after the other, spread over the load: more of its requests are then near a fault."""
        begin, apart = self._clock.steady(), requests / drill.plan.rate / drill.shape.times
        for number in range(drill.shape.times):
            load.flow(begin + number * apart - self._clock.steady())
            load.check()
            fault = drill.next_fault(number)
            taken.changed_at.append(self._clock.now().timestamp())
            with injected(fault, timeline):
                if drill.shape.hold > 0:
                    self._clock.wait(drill.shape.hold)
                    taken.changed_at.append(self._clock.now().timestamp())
            try:
                seconds = self._until_ready(drill, f"all to be ready after {fault.name}")
            except TookTooLongError as error:
                taken.stuck = str(error)
                return
            taken.ready_after.append(seconds)
            timeline.mark("ready again")

    def _until_ready(self, drill: Drill, what: str) -> float:
        return wait_until(self._clock, drill.ready, what=what, within=drill.shape.recovered_within)

    def _ledger(self, drill: Drill, label: str) -> Ledger | None:
        if drill.connect is None or drill.limits.lost is None:
            return None
        stamp = f"{self._clock.now():%Y%m%d-%H%M%S-%f}"
        path = self._folder / f"{drill.name}-{label}-{stamp}.jsonl"
        return Ledger(drill.connect, path, rate=_LEDGER_RATE, clock=self._clock)

    def _controls(self, drill: Drill) -> tuple[Bar, ...]:
        found: list[Bar] = []
        if drill.without_protection is not None:
            found.append(self._load_control(drill, drill.without_protection))
        if drill.connect is not None and drill.limits.lost is not None:
            found.append(self._ledger_control(drill.connect))
        return tuple(found)

    def _load_control(self, drill: Drill, protection: Fault) -> Bar:
        """The same faults without protection, on as few requests as they take: failures must show."""
        what, timeline = f"failures show under {protection.name}", Timeline(self._clock)
        try:
            with injected(protection, timeline):
                self._until_ready(drill, "all to be ready for the control")
                taken = self._pass(replace(drill, connect=None), timeline, 1, "control")
            self._until_ready(drill, "all to be ready after the control")
        except TookTooLongError as error:
            return control_bar(what, f"not run: {error}", failed_as_it_must=False)
        if taken.judged is None:
            return control_bar(what, f"not run: {taken.why}", failed_as_it_must=False)
        failed = taken.judged.failed + taken.judged.unkeyed_failed
        return control_bar(what, f"{failed} failed", failed_as_it_must=failed > 0)

    def _ledger_control(self, connect: Callable[[], Records]) -> Bar:
        what = "a discarded acknowledged write is found lost"
        try:
            finding = control(connect, self._clock)
        except Exception as error:  # noqa: BLE001 -- a control that breaks is a control without an answer
            return control_bar(what, f"not run: {type(error).__name__}: {error}", failed_as_it_must=False)
        return control_bar(what, f"{len(finding.lost)} lost", failed_as_it_must=len(finding.lost) == 1)


def figures(taken: Taken) -> dict[str, JsonValue]:
    """What a drill found, for the report."""
    found: dict[str, JsonValue] = {"ready after, s": [round(seconds, 1) for seconds in taken.ready_after]}
    if taken.load is not None:
        found |= _load_figures(taken.load, taken)
    if taken.book is not None:
        found["ledger"] = _book_figures(taken.book)
    return found


def sections(timeline: Timeline, taken: Taken) -> tuple[Section, ...]:
    """The plot with every fault marked, the events, and what failed."""
    events = timeline.events()
    seconds = taken.load.timeline if taken.load is not None else ()
    origin = seconds[0].at if seconds else (events[0].at.timestamp() if events else 0.0)
    lines = [
        [
            round(event.at.timestamp() - origin, 1),
            event.at.strftime("%H:%M:%S.%f")[:-3],
            event.label,
            round(event.seconds, 1) if event.seconds else "",
            "; ".join(f"{name}: {value}" for name, value in event.detail.items()),
        ]
        for event in events
    ]
    found = [
        Section("Load and faults", draw(plot(events, seconds)), "Each point is one second; what happened is marked."),
        Section("What happened", rows(["second", "time (UTC)", "what", "lasted, s", "more"], lines)),
    ]
    if taken.load is not None:
        # The drill's own plot stands above; of the load's page only the tables are wanted.
        found += [
            section for section in load_sections(replace(taken.load, timeline=())) if section.title != "Over time"
        ]
    return tuple(found)


def _load_figures(load: LoadResult, taken: Taken) -> dict[str, JsonValue]:
    return {
        "requests": load.requests,
        "failed": load.failed,
        "dropped (part of failed)": load.dropped,
        "failed without a key (apart)": load.unkeyed_failed,
        "allowed 503 (apart)": load.allowed,
        "rate per s": None if load.rate_achieved is None else round(load.rate_achieved, 1),
        "latency ms": {"p50": load.p50, "p95": load.p95, "p99": load.p99},
        "statuses": dict(load.statuses),
        "longest stall of reads, s": round(longest(load.read_gaps), 1),
        "longest stall of writes, s": round(longest(load.write_gaps), 1),
        "slowest recovery of writes, s": round(slowest_recovery(load.write_gaps, taken.changed_at), 1),
    }


def _book_figures(book: Finding) -> dict[str, JsonValue]:
    return {
        "written": book.written,
        "acknowledged": book.acknowledged,
        "settled by asking again": book.resolved,
        "unknown to the end": book.unknown,
        "refused": book.refused,
        "lost": len(book.lost),
        "doubled": len(book.doubled),
        "refused but there": len(book.ghosts),
    }
