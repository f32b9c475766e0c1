"""What a scenario found, and the bars that follow from it. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from loadtests.k6 import LoadResult
from loadtests.stream import Answered, percentile
from loadtests.verdict import ExitClass
from slipway.proof.bars import control_bar
from slipway.reports import Bar
from slipway.rollout.status import Observed
from slipway.rollout.story import Moment

#: Two-sided 99 % of the normal distribution (any table of it).
SIGMAS: Final = 2.576
#: Seconds after the kill of a HAProxy in which requests on its own connections may fail (the design's bar).
IN_FLIGHT: Final = 5.0
REVERT: Final = 3.0
#: A verdict about the first requests takes at most this long to be spoken, interval and scrape included, in seconds.
_EDGE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """Which bars a scenario has.

    Attributes:
        ends: how it must end: "promoted", "rolled back", or "either".
        reloads: whether reloads of the ingress are counted; a killed one loads its configuration anew.
        unkeyed_apart: writes without a key may fail while in flight on a killed pod.
        in_flight: requests in flight on a killed HAProxy may fail, for `IN_FLIGHT` seconds.
        bad: the new version is bad: what it answers itself may fail, in its share of the requests.
        split: the requests of each colour are compared with the weights that were read back.
        control: this must show failures, else it proves nothing.
    """

    ends: str = "promoted"
    reloads: bool = True
    unkeyed_apart: bool = False
    in_flight: bool = False
    bad: bool = False
    split: bool = False
    control: bool = False


@dataclass(slots=True)
class Facts:
    """What one round of a scenario found: a play from a quiet place to the next.

    Attributes:
        ended: how it ended, in the words of `Rules.ends`, or where it stood.
        reason: why it went back.
        old, new: the colours.
        reverted: seconds from each accepted wish, or verdict, until every router had the old weights.
        killed_at: Unix time of each kill.
        approvals: how often a person had to let it go on.
        moments: every state that was seen.
        not_run: why it could not be played; empty if it was.
    """

    ended: str = ""
    reason: str = ""
    old: str = ""
    new: str = ""
    reverted: list[float] = field(default_factory=list[float])
    killed_at: list[float] = field(default_factory=list[float])
    approvals: int = 0
    moments: Sequence[Moment] = ()
    not_run: str = ""

    @property
    def end(self) -> str:
        """How it ended, for people."""
        text = f"{self.ended} ({self.reason})" if self.reason else self.ended
        return f"{text}, after {self.approvals} approvals by hand" if self.approvals else text


@dataclass(slots=True)
class Findings:
    """What one scenario found in all its rounds, which are played one after the other under one load.

    Attributes:
        rounds: what each found.
        reloads: of the ingress, in all of them; None if not counted.
        error: what broke the scenario itself; empty if nothing did.
    """

    rounds: list[Facts] = field(default_factory=list[Facts])
    reloads: float | None = None
    error: str = ""

    @property
    def ends(self) -> str:
        """How the rounds ended, each end once, for people."""
        counted = Counter(one.end for one in self.rounds)
        return "; ".join(f"{end}, {times} times" if times > 1 else end for end, times in counted.items())

    @property
    def not_run(self) -> str:
        """Why it could not be played; empty if it was."""
        return "; ".join({one.not_run: None for one in self.rounds if one.not_run})

    @property
    def reverted(self) -> list[float]:
        """Seconds from each accepted wish, or verdict, until every router had the old weights; ascending."""
        return sorted(seconds for one in self.rounds for seconds in one.reverted)

    @property
    def moments(self) -> list[Moment]:
        """Every state that was seen."""
        return [moment for one in self.rounds for moment in one.moments]


def bars(rules: Rules, found: Findings, load: LoadResult | None, *, requests: int, connections: int) -> tuple[Bar, ...]:
    """The bars of a scenario; what has no answer says so.

    Args:
        rules: which bars there are.
        found: what was found.
        load: what k6 found; None if it never ran.
        requests: at least so many under load.
        connections: how many the load held open; on each at most one request can be in flight.
    """
    why = found.not_run or found.error
    judged = load if load is not None and load.exit_class in {ExitClass.PASS, ExitClass.FAIL} else None
    if why or judged is None:
        return (_broken(found, why or "; ".join(load.reasons if load else ("no load",))),)
    if rules.control:
        failed = judged.failed + judged.unkeyed_failed
        return (control_bar("failures show", f"{failed} failed", failed_as_it_must=failed > 0),)
    answers = [
        _end(rules, found),
        Bar.at_least("requests", judged.requests, requests),
        *_failed(rules, found.rounds, judged, connections),
    ]
    if not rules.unkeyed_apart and not rules.in_flight and not rules.bad:
        answers.append(Bar.at_most("failed without a key", judged.unkeyed_failed, 0))
    if rules.reloads:
        answers.append(
            Bar.not_run("reloads of the ingress", "0", "a router did not answer")
            if found.reloads is None
            else Bar.at_most("reloads of the ingress", found.reloads, 0)
        )
    if reverted := found.reverted:
        worst = percentile(reverted, 0.99) or 0.0
        what = f"old weights everywhere, p99 of {len(reverted)}"
        answers.append(Bar.at_most(what, round(worst, 2), REVERT, "s"))
    if rules.split:
        answers.append(_split(found.rounds, judged))
    return tuple(answers)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which the weights stood still: Unix times and the share of the new version, 0 to 1."""

    start: float
    end: float
    share: float


def stretches(moments: Sequence[Moment], colour: str) -> tuple[Stretch, ...]:
    """The times between a weight's confirmation by every router and the next intent."""
    found: list[Stretch] = []
    for moment in moments:
        status = moment.rollout.status
        observed, intent = status.observed, status.intent
        if observed is None or intent is None or observed.at < intent.since:
            continue
        share = _share(observed, colour)
        if found and found[-1].start == observed.at:
            found[-1] = Stretch(observed.at, moment.at, share)
        else:
            found.append(Stretch(observed.at, moment.at, share))
    return tuple(one for one in found if one.end - one.start > 2 * _EDGE)


def exposure(moments: Sequence[Moment], colour: str, rate: float) -> float:
    """Requests that the weights gave to a colour before it was taken back: the integral of weight times rate."""
    total, weight, since = 0.0, 0.0, None
    for moment in moments:
        status = moment.rollout.status
        if since is not None:
            total += weight * rate * (moment.at - since)
        since = moment.at
        observed, intent = status.observed, status.intent
        # From the intent on requests may go there, and until every router has confirmed the way back.
        wanted = 0.0 if intent is None else intent.candidate_weight / 100
        confirmed = 0.0 if observed is None else _share(observed, colour)
        weight = max(wanted, confirmed)
    return total


def _share(observed: Observed, colour: str) -> float:
    """What a colour gets of the requests by the weights that were read back, 0 to 1."""
    return (observed.blue if colour == "blue" else observed.green) / 100


def _broken(found: Findings, why: str) -> Bar:
    if found.error:
        return Bar(what="ends as it must", measured=found.error, bar="an end", holds=False)
    return Bar.not_run("ends as it must", "an end", why)


def _end(rules: Rules, found: Findings) -> Bar:
    allowed = {"promoted", "rolled back"} if rules.ends == "either" else {rules.ends}
    wanted = "promoted or rolled back" if rules.ends == "either" else rules.ends
    holds = all(one.ended in allowed for one in found.rounds)
    return Bar(what="ends as it must", measured=found.ends, bar=wanted, holds=holds)


def _failed(rules: Rules, rounds: Sequence[Facts], load: LoadResult, connections: int) -> list[Bar]:
    if rules.bad:
        return _bad(rounds, load)
    if not rules.in_flight:
        return [Bar.at_most("failed", load.failed, 0)]
    kills = [at for one in rounds for at in one.killed_at]
    late = sum(1 for one in load.failures if not any(at <= one.at <= at + IN_FLIGHT for at in kills))
    allowed = connections * len(kills)
    return [
        Bar.at_most(f"failed later than {IN_FLIGHT:g} s after the kill", late, 0),
        Bar.at_most("failed, against open connections", load.failed + load.unkeyed_failed, allowed),
    ]


def _bad(rounds: Sequence[Facts], load: LoadResult) -> list[Bar]:
    all_failed = load.failed + load.unkeyed_failed
    answered = [load.colours.get(colour, Answered(0, 0)) for colour in sorted({one.new for one in rounds})]
    requests, failed = sum(one.requests for one in answered), sum(one.failed for one in answered)
    expected = sum(exposure(one.moments, one.new, load.rate_achieved or 0.0) for one in rounds)
    return [
        Bar.at_most("failed, not answered by the bad version", all_failed - failed, 0),
        Bar.at_most("failed", all_failed, requests),
        Bar.at_most(
            "answered by the bad version, against weight x time",
            requests,
            math.ceil(expected + SIGMAS * math.sqrt(expected) + 1),
        ),
    ]


def _split(rounds: Sequence[Facts], load: LoadResult) -> Bar:
    what = "split against the weights read back"
    wanted = "inside the 99 % binomial bound"
    counted: dict[float, tuple[int, int]] = {}  # share of the new version -> its requests, all requests
    for one in rounds:
        for stretch in stretches(one.moments, one.new):
            hits, total = _counted(stretch, one.new, load)
            share = round(stretch.share, 6)  # that of blue and that of green come from different divisions
            before = counted.get(share, (0, 0))
            counted[share] = before[0] + hits, before[1] + total
    judged = {share: (hits, total) for share, (hits, total) in counted.items() if total > 0 and 0 < share < 1}
    if not judged:
        return Bar.not_run(what, wanted, "no step lasted long enough")
    parts = [f"{100 * hits / total:.2f} % at {100 * share:.2f} %, n {total}" for share, (hits, total) in judged.items()]
    holds = all(within_bound(hits, total, share) for share, (hits, total) in judged.items())
    return Bar(what=what, measured="; ".join(parts), bar=wanted, holds=holds)


def _counted(stretch: Stretch, colour: str, load: LoadResult) -> tuple[int, int]:
    """Requests of a colour and of both, in the seconds that lie wholly inside a stretch."""
    counted = [s.colours for s in load.timeline if stretch.start + _EDGE < s.at < stretch.end - _EDGE - 1]
    return sum(one.get(colour, 0) for one in counted), sum(sum(one.values()) for one in counted)


def within_bound(hits: int, total: int, share: float) -> bool:
    """Whether so many hits lie inside the two-sided 99 % bound of a binomial distribution (normal approximation)."""
    return abs(hits - total * share) <= SIGMAS * math.sqrt(total * share * (1 - share)) + 1


def figures(found: Findings, load: LoadResult | None) -> dict[str, JsonValue]:
    """What a scenario found, for its row."""
    reverted = found.reverted
    return {
        "rounds": len(found.rounds),
        "requests": load.requests if load else 0,
        "failed": load.failed if load else None,
        "failed without a key": load.unkeyed_failed if load else None,
        "p99 ms": round(load.p99, 1) if load and load.p99 is not None else None,
        "ended": found.error or found.not_run or found.ends or "-",
        "slowest return of the weights, s": round(reverted[-1], 2) if reverted else None,
    }
