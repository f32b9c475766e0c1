"""A drill: load, faults, a ledger, and negative controls without which it proves nothing."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from loadtests.plan import LoadPlan
from slipway.proof.bars import Limits, Taken, conclude, control_bar, measured_bars
from slipway.proof.clock import Clock, TookTooLongError, wait_until
from slipway.proof.drill_page import figures, sections
from slipway.proof.faults import Fault, UnhealedError, injected
from slipway.proof.load import Load, Running
from slipway.proof.own_reads import OwnRecords, Reader, read_without_token
from slipway.proof.surroundings import Messages
from slipway.proof.timeline import Kind, Timeline
from slipway.proof.writer import Ledger, Records, control
from slipway.reports import Bar, Report, Section

_LEDGER_RATE: Final = 20.0  # writes per second: enough to hit a moment of 50 ms, few beside the load
# Seconds between two looks, each of which is several kubectl: looked at without a pause, they took a core from the
# cluster that was to recover. How long users felt a fault is told by the load, to a tenth of a second.
_LOOK_EVERY: Final = 2.0
_LOOK_FOR_LEADER_EVERY: Final = 0.5
_DELIVERED_WITHIN: Final = 120.0  # seconds; a message that was lost on its way is sent again after 30


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
        leads: whether somebody leads who did not before the fault; timed on its own. None where nobody does.
        ready: whether all is as before the fault.
        connect: makes a client of the ledger; None for a drill without one.
        messages: what the service has still to act on; None for a drill that does not count them.
        setting: what must be there before the load begins, and is taken away after it; None: nothing.
        own: makes a client that reads its own writes; None for a drill without such reads. Its control repeats a fault
            and reads without a token: that must miss.
        without_protection: turns off what the drill proves, such as ingress retries and preStop; the control runs the
            same faults under it and must see failures. None: the drill has no such control.
        unprotected: makes the faults of that control, where those of the drill are so gentle that few requests meet
            them; None: the drill's own.
    """

    name: str
    plan: LoadPlan
    limits: Limits
    shape: Shape
    next_fault: Callable[[int], Fault]
    ready: Callable[[], bool]
    leads: Callable[[], bool] | None = None
    connect: Callable[[], Records] | None = None
    messages: Messages | None = None
    own: Callable[[], OwnRecords] | None = None
    setting: Fault | None = None
    without_protection: Fault | None = None
    unprotected: Callable[[int], Fault] | None = None


class Account(Protocol):
    """Tells a person what is done and waited for; `slipway.cli.progress.Progress` is one."""

    def step(self, text: str) -> None:
        """Something new is being done."""
        ...

    def detail(self, text: str) -> None:
        """A finer step of it."""
        ...


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
        account: tells how far it is.
    """

    def __init__(self, clock: Clock, begin: BeginLoad, folder: Path, account: Account) -> None:
        self._clock = clock
        self._begin = begin
        self._folder = folder
        self._account = account

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
        self._account.step(f"{label}: load of {plan.rate} requests per second")
        try:
            with contextlib.ExitStack() as stack:
                if drill.setting is not None:
                    self._account.step(f"{label}: {drill.setting.name}")
                    stack.enter_context(injected(drill.setting, timeline, Kind.PHASE))
                    stack.callback(self._account.step, f"{label}: taking away {drill.setting.name}")
                load = stack.enter_context(
                    Load(plan, timeline, self._clock, longest=drill.shape.longest, begin=self._begin)
                )
                ledger = self._ledger(drill, label)
                if ledger is not None:
                    stack.enter_context(ledger)
                reader = None if drill.own is None else stack.enter_context(Reader(drill.own))
                self._inject_all(drill, timeline, load, taken, requests)
                self._account.step(f"load to its end, at least {requests:,} requests")
                taken.load = load.finish()
                if reader is not None:
                    taken.own = reader.found()
                if ledger is not None:
                    self._account.step(f"reading {ledger.written():,} writes of the ledger back")
                    with timeline.span("read the ledger back"):
                        taken.book = ledger.close_book()
                if drill.messages is not None and drill.limits.undelivered is not None:
                    self._account.step("waiting for every message to be delivered")
                    with timeline.span("wait for every message"):
                        taken.undelivered = self._undelivered(drill.messages)
        except UnhealedError:
            raise
        except Exception as error:  # noqa: BLE001 -- a drill that breaks is a report that says so
            taken.error = f"{type(error).__name__}: {error}"
        return taken

    def _inject_all(self, drill: Drill, timeline: Timeline, load: Load, taken: Taken, requests: int) -> None:
        """One after the other, spread over the load: more of its requests are then near a fault."""
        begin, apart = self._clock.steady(), requests / drill.plan.rate / drill.shape.times
        for number in range(drill.shape.times):
            self._account.detail(f"load before fault {number + 1} of {drill.shape.times}")
            load.flow(begin + number * apart - self._clock.steady())
            load.check()
            fault = drill.next_fault(number)
            self._account.step(f"fault {number + 1} of {drill.shape.times}: {fault.name}")
            taken.changed_at.append(self._clock.now().timestamp())
            with injected(fault, timeline):
                if drill.shape.hold > 0:
                    self._account.detail(f"{fault.name}, for {drill.shape.hold:g} s")
                    self._clock.wait(drill.shape.hold)
                    taken.changed_at.append(self._clock.now().timestamp())
                self._account.detail(f"{fault.name}: undoing it")
            healed = self._clock.steady()
            try:
                if drill.leads is not None:
                    what = f"somebody to lead after {fault.name}"
                    taken.led_after.append(self._until(drill, drill.leads, what, every=_LOOK_FOR_LEADER_EVERY))
                    timeline.mark("led again")
                self._until(drill, drill.ready, f"all to be ready after {fault.name}")
            except TookTooLongError as error:
                taken.stuck = str(error)
                return
            taken.ready_after.append(self._clock.steady() - healed)
            timeline.mark("ready again")

    def _until(self, drill: Drill, done: Callable[[], bool], what: str, every: float = _LOOK_EVERY) -> float:
        self._account.detail(f"waiting for {what}")
        return wait_until(self._clock, done, what=what, within=drill.shape.recovered_within, every=every)

    def _undelivered(self, messages: Messages) -> int:
        with contextlib.suppress(TookTooLongError):
            wait_until(
                self._clock,
                lambda: not messages.waiting(),
                what="no message to wait",
                within=_DELIVERED_WITHIN,
                every=_LOOK_EVERY,
            )
        return messages.waiting()

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
        if drill.messages is not None and drill.limits.undelivered is not None:
            found.append(self._messages_control(drill.messages))
        if drill.own is not None:
            found.append(self._own_control(drill, drill.own))
        return tuple(found)

    def _load_control(self, drill: Drill, protection: Fault) -> Bar:
        """The faults without protection, on as few requests as they take: failures must show."""
        bare = replace(drill, next_fault=drill.unprotected or drill.next_fault, connect=None, messages=None, own=None)
        what, timeline = f"failures show under {protection.name}", Timeline(self._clock)
        self._account.step(f"control: {protection.name}")
        try:
            with injected(protection, timeline):
                self._until(drill, drill.ready, "all to be ready for the control")
                taken = self._pass(bare, timeline, 1, "control")
            self._until(drill, drill.ready, "all to be ready after the control")
        except TookTooLongError as error:
            return control_bar(what, f"not run: {error}", failed_as_it_must=False)
        if taken.judged is None:
            return control_bar(what, f"not run: {taken.why}", failed_as_it_must=False)
        failed = taken.judged.failed + taken.judged.unkeyed_failed
        return control_bar(what, f"{failed} failed", failed_as_it_must=failed > 0)

    def _ledger_control(self, connect: Callable[[], Records]) -> Bar:
        what = "a discarded acknowledged write is found lost"
        self._account.step(f"control: {what}")
        try:
            finding = control(connect, self._clock)
        except Exception as error:  # noqa: BLE001 -- a control that breaks is a control without an answer
            return control_bar(what, f"not run: {type(error).__name__}: {error}", failed_as_it_must=False)
        return control_bar(what, f"{len(finding.lost)} lost", failed_as_it_must=len(finding.lost) == 1)

    def _own_control(self, drill: Drill, connect: Callable[[], OwnRecords]) -> Bar:
        what = "a read without its token misses the write"
        self._account.step(f"control: {what}")
        try:
            found = read_without_token(connect, drill.next_fault(0), Timeline(self._clock))
            self._until(drill, drill.ready, "all to be ready after the control")
        except UnhealedError:
            raise
        except Exception as error:  # noqa: BLE001 -- a control that breaks is a control without an answer
            return control_bar(what, f"not run: {type(error).__name__}: {error}", failed_as_it_must=False)
        return control_bar(what, f"{found.missed} of {found.read} missed", failed_as_it_must=found.missed > 0)

    @staticmethod
    def _messages_control(messages: Messages) -> Bar:
        what = "a message that is held back is counted"
        try:
            messages.hold_back()
            try:
                found = messages.waiting()
            finally:
                messages.let_go()
        except Exception as error:  # noqa: BLE001 -- a control that breaks is a control without an answer
            return control_bar(what, f"not run: {type(error).__name__}: {error}", failed_as_it_must=False)
        return control_bar(what, f"{found} not delivered", failed_as_it_must=found > 0)
