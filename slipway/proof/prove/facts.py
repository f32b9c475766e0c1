"""What a scenario found, and the bars that follow from it. Pure."""

import math
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
    """What one scenario found.

    Attributes:
        ended: how it ended, in the words of `Rules.ends`, or where it stood.
        reason: why it went back.
        old, new: the colours.
        reverted: seconds from each accepted wish, or verdict, until every router had the old weights.
        killed_at: Unix time of each kill.
        approvals: how often a person had to let it go on.
        moments: every state that was seen.
        reloads: of the ingress, while it ran; None if not counted.
        not_run: why it could not be played; empty if it was.
        error: what broke the scenario itself; empty if nothing did.
    """

    ended: str = ""
    reason: str = ""
    old: str = ""
    new: str = ""
    reverted: list[float] = field(default_factory=list[float])
    killed_at: list[float] = field(default_factory=list[float])
    approvals: int = 0
    moments: Sequence[Moment] = ()
    reloads: float | None = None
    not_run: str = ""
    error: str = ""


def bars(rules: Rules, facts: Facts, load: LoadResult | None, *, requests: int, connections: int) -> tuple[Bar, ...]:
    """The bars of a scenario; what has no answer says so.

    Args:
        rules: which bars there are.
        facts: what was found.
        load: what k6 found; None if it never ran.
        requests: at least so many under load.
        connections: how many the load held open; on each at most one request can be in flight.
    """
    why = facts.not_run or facts.error
    judged = load if load is not None and load.exit_class in {ExitClass.PASS, ExitClass.FAIL} else None
    if why or judged is None:
        return (_broken(facts, why or "; ".join(load.reasons if load else ("no load",))),)
    if rules.control:
        failed = judged.failed + judged.unkeyed_failed
        return (control_bar("failures show", f"{failed} failed", failed_as_it_must=failed > 0),)
    found = [
        _end(rules, facts),
        Bar.at_least("requests", judged.requests, requests),
        *_failed(rules, facts, judged, connections),
    ]
    if not rules.unkeyed_apart and not rules.in_flight and not rules.bad:
        found.append(Bar.at_most("failed without a key", judged.unkeyed_failed, 0))
    if rules.reloads:
        found.append(
            Bar.not_run("reloads of the ingress", "0", "a router did not answer")
            if facts.reloads is None
            else Bar.at_most("reloads of the ingress", facts.reloads, 0)
        )
    if facts.reverted:
        worst = percentile(sorted(facts.reverted), 0.99) or 0.0
        what = f"old weights everywhere, p99 of {len(facts.reverted)}"
        found.append(Bar.at_most(what, round(worst, 2), REVERT, "s"))
    if rules.split:
        found.append(_split(facts, judged))
    return tuple(found)


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


def _broken(facts: Facts, why: str) -> Bar:
    if facts.error:
        return Bar(what="ends as it must", measured=facts.error, bar="an end", holds=False)
    return Bar.not_run("ends as it must", "an end", why)


def _end(rules: Rules, facts: Facts) -> Bar:
    measured = f"{facts.ended} ({facts.reason})" if facts.reason else facts.ended
    if facts.approvals:
        measured += f", after {facts.approvals} approvals by hand"
    allowed = {"promoted", "rolled back"} if rules.ends == "either" else {rules.ends}
    wanted = "promoted or rolled back" if rules.ends == "either" else rules.ends
    return Bar(what="ends as it must", measured=measured, bar=wanted, holds=facts.ended in allowed)


def _failed(rules: Rules, facts: Facts, load: LoadResult, connections: int) -> list[Bar]:
    if rules.bad:
        return _bad(facts, load)
    if not rules.in_flight:
        return [Bar.at_most("failed", load.failed, 0)]
    late = sum(1 for one in load.failures if not any(at <= one.at <= at + IN_FLIGHT for at in facts.killed_at))
    return [
        Bar.at_most(f"failed later than {IN_FLIGHT:g} s after the kill", late, 0),
        Bar.at_most("failed, against open connections", load.failed + load.unkeyed_failed, connections),
    ]


def _bad(facts: Facts, load: LoadResult) -> list[Bar]:
    all_failed = load.failed + load.unkeyed_failed
    bad = load.colours.get(facts.new, Answered(0, 0))
    expected = exposure(facts.moments, facts.new, load.rate_achieved or 0.0)
    return [
        Bar.at_most("failed, not answered by the bad version", all_failed - bad.failed, 0),
        Bar.at_most("failed", all_failed, bad.requests),
        Bar.at_most(
            "answered by the bad version, against weight x time",
            bad.requests,
            math.ceil(expected + SIGMAS * math.sqrt(expected) + 1),
        ),
    ]


def _split(facts: Facts, load: LoadResult) -> Bar:
    what = "split against the weights read back"
    wanted = "inside the 99 % binomial bound"
    parts: list[str] = []
    holds = True
    for stretch in stretches(facts.moments, facts.new):
        counted = [s.colours for s in load.timeline if stretch.start + _EDGE < s.at < stretch.end - _EDGE - 1]
        total = sum(sum(one.values()) for one in counted)
        if total == 0 or not 0 < stretch.share < 1:
            continue
        hits = sum(one.get(facts.new, 0) for one in counted)
        holds = holds and within_bound(hits, total, stretch.share)
        parts.append(f"{100 * hits / total:.2f} % at {100 * stretch.share:.2f} %, n {total}")
    if not parts:
        return Bar.not_run(what, wanted, "no step lasted long enough")
    return Bar(what=what, measured="; ".join(parts), bar=wanted, holds=holds)


def within_bound(hits: int, total: int, share: float) -> bool:
    """Whether so many hits lie inside the two-sided 99 % bound of a binomial distribution (normal approximation)."""
    return abs(hits - total * share) <= SIGMAS * math.sqrt(total * share * (1 - share)) + 1


def figures(facts: Facts, load: LoadResult | None) -> dict[str, JsonValue]:
    """What a scenario found, for its row."""
    return {
        "requests": load.requests if load else 0,
        "failed": load.failed if load else None,
        "failed without a key": load.unkeyed_failed if load else None,
        "p99 ms": round(load.p99, 1) if load and load.p99 is not None else None,
        "ended": facts.ended or facts.not_run or facts.error or "-",
        "slowest return of the weights, s": round(max(facts.reverted), 2) if facts.reverted else None,
    }
