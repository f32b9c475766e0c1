"""What a drill must hold, and its verdict: pure functions over what the drill found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Final

from loadtests.k6 import LoadResult
from loadtests.stream import Gap, percentile
from loadtests.verdict import ExitClass
from slipway.proof.ledger import Finding
from slipway.proof.own_reads import OwnReads
from slipway.proof.timeline import longest, outage, recovery
from slipway.reports import Bar, Verdict, derive

CONTROL_PREFIX: Final = "control: "
_FAULTS: Final = "every fault injected and recovered from"
_LEDGER: Final = "acknowledged writes lost or doubled"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a drill must hold; None leaves a bar out.

    Attributes:
        requests: at least so many under load.
        failed: at most so many, as the project defines failed.
        unkeyed_failed: failed writes without an idempotency key, at most; None where the design allows them.
        reads_stall, writes_stall: seconds without a single success, at most.
        recovery: seconds from each fault, and from each heal, until writes ended well again for good, at most.
        outage_p95: seconds after each fault in which no write ended well, at most in 95 of 100 (nearest rank).
        led_again: seconds from each fault until somebody leads who did not before, at most.
        undelivered: messages that nobody has acted on in the end, at most; None for a drill without messages.
        missed: reads of one's own write that miss it, at most; None for a drill without such reads.
        lost: acknowledged writes lost or doubled, at most; None for a drill without a ledger.
    """

    requests: int
    failed: int | None = 0
    unkeyed_failed: int | None = 0
    reads_stall: float | None = None
    writes_stall: float | None = None
    recovery: float | None = None
    outage_p95: float | None = None
    led_again: float | None = None
    undelivered: int | None = None
    missed: int | None = None
    lost: int | None = None


@dataclass(slots=True)
class Taken:
    """What one pass through a drill found; None where it did not get that far.

    Attributes:
        changed_at: Unix time of each fault, and of the beginning of each heal: a node that comes back is felt too.
        ready_after: seconds from each heal until all was ready again.
        led_after: seconds from each fault until somebody led who did not before.
        undelivered: messages that nobody had acted on in the end; None if nobody counted.
        own: what came of reading one's own writes; None if nobody did.
        wanted_faults: how many faults the drill meant to inject.
        stuck: the fault that was not recovered from, and what was waited for; empty if there is none.
        error: what broke the drill itself; empty if nothing did.
    """

    wanted_faults: int
    load: LoadResult | None = None
    book: Finding | None = None
    changed_at: list[float] = field(default_factory=list[float])
    ready_after: list[float] = field(default_factory=list[float])
    led_after: list[float] = field(default_factory=list[float])
    undelivered: int | None = None
    own: OwnReads | None = None
    stuck: str = ""
    error: str = ""

    @property
    def judged(self) -> LoadResult | None:
        """The load, if its answer says anything about the service."""
        if self.load is None or self.load.exit_class not in {ExitClass.PASS, ExitClass.FAIL}:
            return None
        return self.load

    @property
    def why(self) -> str:
        """Why there is no answer."""
        return self.error or ("; ".join(self.load.reasons) if self.load is not None else "no load")


def conclude(bars: Sequence[Bar], controls: Sequence[Bar]) -> Verdict:
    """The verdict of a drill: a control that did not fail as it must takes the proof away, but never a failure."""
    if any(bar.holds is False for bar in bars):
        return Verdict.FAIL
    if not controls or not all(bar.holds for bar in controls):
        return Verdict.INCONCLUSIVE
    return derive([*bars, *controls])


def control_bar(what: str, measured: str, *, failed_as_it_must: bool) -> Bar:
    """A control as a bar. It never fails the drill: where it shows nothing, it has no answer."""
    return Bar(
        what=CONTROL_PREFIX + what, measured=measured, bar="must fail", holds=True if failed_as_it_must else None
    )


def measured_bars(limits: Limits, taken: Taken) -> tuple[Bar, ...]:
    """The bars of a drill; what it did not get to says `not run`."""
    load = taken.judged
    bars = [_faults_bar(taken)]
    if load is None:
        bars.append(Bar.not_run("requests", f">= {limits.requests:,}", taken.why))
    else:
        bars.append(Bar.at_least("requests", load.requests, limits.requests))
    bars.extend(
        _at_most(what, limit, unit, None if load is None else value(load, taken), taken.why)
        for what, limit, unit, value in (
            ("failed", limits.failed, "", _failed),
            ("failed without a key", limits.unkeyed_failed, "", _unkeyed_failed),
            ("reads stall", limits.reads_stall, "s", _reads_stall),
            ("writes stall", limits.writes_stall, "s", _writes_stall),
            ("recovery of writes", limits.recovery, "s", _recovery),
            ("no write accepted, p95", limits.outage_p95, "s", _outage_p95),
        )
        if limit is not None
    )
    if limits.led_again is not None:
        slowest = round(max(taken.led_after), 1) if len(taken.led_after) == taken.wanted_faults else None
        bars.append(_at_most("somebody leads again", limits.led_again, "s", slowest, taken.why))
    if limits.undelivered is not None:
        bars.append(_at_most("messages not delivered", limits.undelivered, "", taken.undelivered, taken.why))
    if limits.missed is not None:
        missed = taken.own.missed if taken.own is not None and taken.own.read else None
        why = "no write was read back" if taken.own is not None else taken.why
        bars.append(_at_most("reads that missed their own write", limits.missed, "", missed, why))
    if limits.lost is not None:
        bars.append(_ledger_bar(limits.lost, taken))
    return tuple(bars)


def recoveries(gaps: Sequence[Gap], changed_at: Sequence[float]) -> list[float]:
    """Seconds of the recovery from each fault, judged up to the next; shortest first."""
    return sorted(recovery(gaps, at, until=end) for at, end in pairwise([*changed_at, inf]))


def outages(gaps: Sequence[Gap], changed_at: Sequence[float]) -> list[float]:
    """Seconds of the outage after each fault and before the next; shortest first."""
    return sorted(outage(gaps, at, until=end) for at, end in pairwise([*changed_at, inf]))


def _faults_bar(taken: Taken) -> Bar:
    wanted = f"{taken.wanted_faults} times"
    if taken.stuck:
        return Bar(what=_FAULTS, measured=taken.stuck, bar=wanted, holds=False)
    if taken.error or len(taken.ready_after) < taken.wanted_faults:
        return Bar.not_run(_FAULTS, wanted, taken.why)
    return Bar(what=_FAULTS, measured=f"{len(taken.ready_after)} times", bar=wanted, holds=True)


def _ledger_bar(limit: int, taken: Taken) -> Bar:
    book = taken.book
    if book is None:
        return Bar.not_run(_LEDGER, f"<= {limit}", taken.why)
    if book.acknowledged == 0:
        return Bar.not_run(_LEDGER, f"<= {limit}", "no write was acknowledged")
    return Bar.at_most(_LEDGER, len(book.lost) + len(book.doubled), limit)


def _at_most(what: str, limit: float, unit: str, value: float | None, why: str) -> Bar:
    if value is None:
        return Bar.not_run(what, f"<= {limit:g} {unit}".strip(), why)
    return Bar.at_most(what, value, limit, unit)


def _failed(load: LoadResult, _taken: Taken) -> float:
    return load.failed


def _unkeyed_failed(load: LoadResult, _taken: Taken) -> float:
    return load.unkeyed_failed


def _reads_stall(load: LoadResult, _taken: Taken) -> float:
    return round(longest(load.read_gaps), 1)


def _writes_stall(load: LoadResult, _taken: Taken) -> float:
    return round(longest(load.write_gaps), 1)


def _recovery(load: LoadResult, taken: Taken) -> float:
    return round(max(recoveries(load.write_gaps, taken.changed_at), default=0.0), 1)


def _outage_p95(load: LoadResult, taken: Taken) -> float:
    return round(percentile(outages(load.write_gaps, taken.changed_at), 0.95) or 0.0, 1)
