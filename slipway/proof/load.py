"""Load around a drill: it runs before the first fault, during all, and long enough after the last."""

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Final, Protocol, Self

from loadtests.k6 import LoadResult, start
from loadtests.plan import LoadPlan
from loadtests.stream import Second, Totals
from slipway.proof.clock import Clock, wait_until
from slipway.proof.timeline import Kind, Timeline

_FLOWS_WITHIN: Final = 180.0  # seconds until the first answer; k6 makes its seed users before
_RECKONING: Final = 60.0  # seconds at the end of the plan that are kept for what takes longer than thought


class LoadEndedError(RuntimeError):
    """The load ended before the drill did, so the drill proves nothing."""


class Running(Protocol):
    """A load run in the background; `loadtests.k6.Run` is one."""

    def __enter__(self) -> Self:
        """Start it."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        ...

    def alive(self) -> bool:
        """Whether it still runs."""
        ...

    def totals(self) -> Totals:
        """Counts so far."""
        ...

    def seconds(self) -> tuple[Second, ...]:
        """Seconds so far."""
        ...

    def finish(self) -> LoadResult:
        """End it on purpose and judge."""
        ...


class Load:
    """k6 around a drill.

    As a context it returns when `before` seconds of load have passed. `finish` lets it run on for at least `after`
    seconds, and until the plan's number of requests is reached, and judges. Leaving the context without it stops k6.

    Args:
        plan: rate, scenario and `min_requests`; its duration is replaced by what the drill may need.
        longest: seconds that the drill takes at most between the two.
        before: seconds of load before the first fault, which show that all was well.
        after: seconds of load after the last; never less than the answer limit, so that each request that was sent
            during the drill is answered or counted as failed before the end.
    """

    def __init__(
        self,
        plan: LoadPlan,
        timeline: Timeline,
        clock: Clock,
        *,
        longest: float,
        before: float = 5.0,
        after: float = 15.0,
        begin: Callable[[LoadPlan], Running] = start,
    ) -> None:
        if after < plan.answer_limit:
            raise ValueError(f"after is {after} s; it must be at least the answer limit, {plan.answer_limit} s")
        if before <= 0 or longest <= 0:
            raise ValueError(f"before is {before} s and longest {longest} s; both must be more than 0")
        for_count = plan.min_requests / plan.rate
        self.plan = replace(plan, duration=max(before + longest + after, for_count) + _RECKONING)
        self._timeline = timeline
        self._clock = clock
        self._before = before
        self._after = after
        self._begin = begin
        self._running: Running | None = None
        self._result: LoadResult | None = None

    def __enter__(self) -> Self:
        """Start k6, wait for traffic, and let it flow for `before` seconds."""
        running = self._begin(self.plan)
        running.__enter__()
        try:
            wait_until(
                self._clock, lambda: self._flows(running), what="the first answer under load", within=_FLOWS_WITHIN
            )
            with self._timeline.span("load before"):
                self._flow(running, self._before)
        except BaseException as error:
            running.__exit__(type(error), error, error.__traceback__)
            raise
        self._running = running
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop k6 if it was not finished."""
        if self._running is not None:
            self._running.__exit__(kind, error, trace)
            self._running = None

    def finish(self) -> LoadResult:
        """Let the load run on as promised, end it, and judge it.

        Raises:
            LoadEndedError: k6 had ended by itself before this, so part of the drill was without load.
        """
        if self._result is not None:
            return self._result
        running = self._require()
        with self._timeline.span("load after"):
            self._flow(running, self._after)
            wanted = self.plan.min_requests
            wait_until(
                self._clock,
                lambda: self._checked(running).totals().requests >= wanted,
                what=f"{wanted} requests",
                within=wanted / self.plan.rate + _RECKONING,
            )
        self._result = running.finish()
        return self._result

    def check(self) -> None:
        """Raise if the load is not running."""
        self._checked(self._require())

    def flow(self, seconds: float) -> None:
        """Let it run for so long, none if negative; raises if it ends meanwhile."""
        self._flow(self._require(), seconds)

    def totals(self) -> Totals:
        """Counts so far."""
        return self._require().totals()

    def seconds(self) -> tuple[Second, ...]:
        """Seconds so far."""
        return self._require().seconds()

    def _flow(self, running: Running, seconds: float) -> None:
        end = self._clock.steady() + seconds
        while (left := end - self._clock.steady()) > 0:
            self._checked(running)
            self._clock.wait(min(1.0, left))

    def _flows(self, running: Running) -> bool:
        return self._checked(running).totals().requests > 0

    def _checked(self, running: Running) -> Running:
        if not running.alive():
            self._timeline.mark("load ended by itself", Kind.FAULT)
            raise LoadEndedError("k6 ended before the drill did; its log is in the folder of the run")
        return running

    def _require(self) -> Running:
        if self._running is None:
            raise RuntimeError("the load was not started; use `with Load(...)`")
        return self._running
