"""What the route through the ingress costs: one pod asked directly and through the ingress, in turns. Judged here.

A pod with a small CPU limit is the bottleneck of both ways, so that what is compared is the route and not the machine.
Twice each: with as many requests as the connections bear, for requests per second; and, its limit lifted, at an even
rate of half of what it bore, for latency, of which a limit makes pauses that are not the route's. The medians over the
rounds are judged.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from loadtests.k6 import LoadResult
from loadtests.plan import LoadPlan
from loadtests.stream import Second
from loadtests.verdict import ExitClass
from slipway.proof.bars import CONTROL_PREFIX, conclude, control_bar
from slipway.proof.clock import Clock
from slipway.proof.ingress_page import figures, sections
from slipway.proof.ingress_rounds import CONNECTIONS, Even, Full, Round, Route
from slipway.reports import Bar, Report, Section

NAME: Final = "bench-ingress"
LEAST_SHARE: Final = 0.90  # of the requests per second that the pod answers when it is asked directly
MOST_ADDED: Final = 2.0  # milliseconds at p99
#: Of its CPU limit a pod uses at least so much where it is the bottleneck.
BUSY: Final = 0.90
_EVEN: Final = 0.5  # of what the pod bears
_ABOVE: Final = 2.0  # times what the pod bears is offered in a full run
_HIGHEST: Final = 1500  # per second, offered before anything is known
_FEWEST: Final = 3  # seconds with answers of which a run is judged

SHARE: Final = "requests per s through the ingress, of those direct to the pod"
ADDED: Final = "p99 added by the ingress"
FAILED: Final = "failed through the ingress"
BOTTLENECK: Final = "the pod was the bottleneck: CPU used of its limit, least of all full runs"
CONTROL: Final = "with a dead endpoint in the ingress's backend, both bars fail"


class RouteError(RuntimeError):
    """A run that says nothing; the message holds the reason that k6 gave."""


@dataclass(frozen=True, slots=True)
class Stand:
    """What is measured.

    Attributes:
        plans: how the pod is reached on each route; rate, time and connections are replaced.
        cpu_limit: cores that the pod may use.
        cpu_used: seconds of CPU that it has used so far.
        unlimited: in its block the pod may use more than its limit.
        harm: puts a dead endpoint into the ingress's backend, for the control.
    """

    plans: Mapping[Route, LoadPlan]
    cpu_limit: float
    cpu_used: Callable[[], float]
    unlimited: Callable[[], AbstractContextManager[None]]
    harm: Callable[[], None]


class Bench:
    """Measures a stand.

    Args:
        run: runs k6 to its end; `loadtests.k6.run` is one.
        clock: tells the time.
        seconds: of each run.
        say: told what is being done.
    """

    def __init__(
        self, run: Callable[[LoadPlan], LoadResult], clock: Clock, *, seconds: int, say: Callable[[str], None]
    ) -> None:
        self._run = run
        self._clock = clock
        self._seconds = seconds
        self._say = say

    def measure(self, stand: Stand, rounds: int) -> tuple[Report, tuple[Section, ...]]:
        """Rounds, then the control; the report and its page. A run that says nothing leaves every bar unanswered."""
        started, begin = self._clock.now(), self._clock.steady()
        try:
            bears, taken, control = self._take(stand, rounds)
        except RouteError as error:
            known, controls, told, pages = unanswered(str(error)), (), {}, ()
        else:
            known, controls = bars(taken), (control_of(control),)
            told = figures(taken, control, bears=bears, even=even_rate(bears), cpu_limit=stand.cpu_limit)
            pages = sections(taken, control)
        report = Report(
            name=NAME,
            started=started,
            seconds=self._clock.steady() - begin,
            figures=told,
            bars=(*known, *controls),
            verdict=conclude(known, controls),
        )
        return report, pages

    def _take(self, stand: Stand, rounds: int) -> tuple[float, list[Round], Round]:
        self._say("what the pod bears")
        bears = self._full(stand, Route.DIRECT, _HIGHEST).per_second
        if bears < 1:
            raise RouteError("the pod answers less than one request a second when it is asked directly")
        taken: list[Round] = []
        for number in range(rounds):
            self._say(f"round {number + 1} of {rounds}")
            # Whoever is second meets a warmer pod; so each is first in turn.
            taken.append(self._round(stand, bears, tuple(Route) if number % 2 == 0 else tuple(reversed(Route))))
        self._say("control: a dead endpoint")
        stand.harm()
        return bears, taken, self._round(stand, bears, tuple(Route))

    def _round(self, stand: Stand, bears: float, order: Sequence[Route]) -> Round:
        full = {route: self._full(stand, route, round(_ABOVE * bears)) for route in order}
        with stand.unlimited():
            even = {route: self._even(stand, route, even_rate(bears)) for route in order}
        return Round(full, even)

    def _full(self, stand: Stand, route: Route, rate: int) -> Full:
        plan = replace(stand.plans[route], rate=max(1, rate), duration=self._seconds).over(CONNECTIONS)
        before = stand.cpu_used()
        result = self._judged(plan)
        used = stand.cpu_used() - before
        return Full(
            route,
            per_second(result.timeline),
            failures(route, result),
            used / (stand.cpu_limit * (plan.duration + plan.tail)),
            result.timeline,
        )

    def _even(self, stand: Stand, route: Route, rate: int) -> Even:
        result = self._judged(replace(stand.plans[route], rate=rate, duration=self._seconds))
        if result.p50 is None or result.p99 is None:
            raise RouteError(f"nothing was answered ({route.value})")
        failed = failures(route, result) + result.dropped
        return Even(route, result.p50, result.p99, failed, result.requests, result.timeline)

    def _judged(self, plan: LoadPlan) -> LoadResult:
        result = self._run(plan)
        if result.exit_class not in {ExitClass.PASS, ExitClass.FAIL}:
            raise RouteError(f"k6 could not measure {plan.base_url}: {'; '.join(result.reasons)}")
        return result


def even_rate(bears: float) -> int:
    """Requests per second of an even run."""
    return max(1, round(_EVEN * bears))


def per_second(timeline: Sequence[Second]) -> float:
    """Requests answered well per second, in the whole seconds of a run: its first and last are parts of seconds.

    Raises:
        RouteError: too few are left.
    """
    inner = timeline[1:-1]
    if len(inner) < _FEWEST:
        raise RouteError(f"a run of {len(timeline)} seconds is too short; give it {_FEWEST + 2} or more")
    return sum(it.requests - it.failed - it.unkeyed_failed for it in inner) / len(inner)


def failures(route: Route, result: LoadResult) -> int:
    """What failed, dropped requests aside.

    The pod names no connection, as the ingress does, so there a request that was sent twice is told by timings, which a
    busy machine makes wrong now and then (loadtests/lib/judge.js): they count through the ingress only.
    """
    failed = result.failed + result.unkeyed_failed - result.dropped
    return failed if route is Route.INGRESS else failed - result.resent


def bars(taken: Sequence[Round]) -> tuple[Bar, ...]:
    """What must hold. Where the pod was not the bottleneck nothing is compared, so that bar has no answer then."""
    busy = round(min(run.cpu for it in taken for run in it.full.values()), 3)
    failed = sum(it.full[Route.INGRESS].failed + it.even[Route.INGRESS].failed for it in taken)
    bottleneck = Bar(what=BOTTLENECK, measured=busy, bar=f">= {BUSY:g}", holds=True if busy >= BUSY else None)
    return (
        Bar.at_least(SHARE, round(median(it.share for it in taken), 3), LEAST_SHARE),
        Bar.at_most(ADDED, round(median(it.added for it in taken), 2), MOST_ADDED, "ms"),
        Bar.exactly(FAILED, failed, 0),
        bottleneck,
    )


def unanswered(why: str) -> tuple[Bar, ...]:
    """The bars of a measurement that broke off."""
    wanted = {
        SHARE: f">= {LEAST_SHARE:g}",
        ADDED: f"<= {MOST_ADDED:g} ms",
        FAILED: "0",
        BOTTLENECK: f">= {BUSY:g}",
        CONTROL_PREFIX + CONTROL: "must fail",
    }
    return tuple(Bar.not_run(what, bar, why) for what, bar in wanted.items())


def control_of(found: Round) -> Bar:
    """A measurement that sees no harm in a dead endpoint proves nothing."""
    seen = found.share < LEAST_SHARE and found.added > MOST_ADDED
    measured = f"share {found.share:.3g}, p99 {found.added:+.3g} ms"
    return control_bar(CONTROL, measured, failed_as_it_must=seen)
