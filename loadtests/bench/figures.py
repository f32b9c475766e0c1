"""What shots at several servers say: ratios round by round, their median and spread, and the bars. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from loadtests.bench.wrk import Shot
from slipway.reports import Bar

PAYLOAD, BARE, NAIVE = "payload", "bare", "naive"
#: Below, the server waited for something else; its rate is then not what it can do.
BUSY: Final = 0.85
#: Above, the generator may have been what was measured.
GENERATOR: Final = 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """What must be how much faster than what.

    Attributes:
        what: the bar's name.
        over: server and kind of request that the ratio is of.
        under: the ones that it is to.
        least: the bar.
        aim: what it should rather be; no bar.
    """

    what: str
    over: tuple[str, str]
    under: tuple[str, str]
    least: float
    aim: float


@dataclass(frozen=True, slots=True)
class Shooting:
    """A shot, and the CPU seconds that the server and its workers used meanwhile."""

    shot: Shot
    used: float

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds for a thousand requests."""
        return self.used * 1e6 / self.shot.requests

    @property
    def busy(self) -> float:
        """Share of its core that the server used."""
        return self.used / self.shot.seconds


#: Server and kind of request -> one shot in each round.
Shootings = Mapping[tuple[str, str], Sequence[Shooting]]


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some numbers, and their ends."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f} to {self.most:.2f})"


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the ends."""
    return Spread(median(values), min(values), max(values))


def ratios(found: Shootings, comparison: Comparison) -> Spread:
    """Rate over rate, each pair from the same round: what disturbs the machine disturbs both."""
    pairs = zip(found[comparison.over], found[comparison.under], strict=True)
    return spread([over.shot.rate / under.shot.rate for over, under in pairs])


def bars(found: Shootings, comparisons: Sequence[Comparison]) -> tuple[Bar, ...]:
    """A bar for each comparison and one for wrong answers. What was not really measured has no answer."""
    wrong = sum(it.shot.wrong for shots in found.values() for it in shots)
    return (
        *(_bar(found, it) for it in comparisons),
        Bar.exactly("answers other than 2xx, and errors of connections", wrong, 0),
    )


def _bar(found: Shootings, comparison: Comparison) -> Bar:
    why = doubt(found, comparison)
    if why:
        return Bar.not_run(comparison.what, f">= {comparison.least:g}", why)
    return Bar.at_least(comparison.what, round(ratios(found, comparison).middle, 3), comparison.least)


def doubt(found: Shootings, comparison: Comparison) -> str:
    """Why a comparison measured something else than the servers; empty if it did not."""
    for who in (comparison.over, comparison.under):
        idle = median(it.busy for it in found[who])
        if idle < BUSY:
            return f"{who[0]}, {who[1]}: the server used {idle:.0%} of its core only, so it is not what was measured"
        generator = median(it.shot.busy for it in found[who])
        if generator > GENERATOR:
            return f"{who[0]}, {who[1]}: the generator used {generator:.0%} of its core and may be what was measured"
    return ""
