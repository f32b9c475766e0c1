"""What `slipway drill list` shows and `slipway drill NAME` runs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from slipway.proof.surroundings import ENOUGH

if TYPE_CHECKING:
    from slipway.proof.drill import Drill
    from slipway.proof.surroundings import Surroundings


#: Requests per second of a drill that is asked for without a rate.
USUAL_RATE: Final = 200


class UnknownDrillError(KeyError):
    """No drill of that name; the message lists those that exist."""

    def __str__(self) -> str:
        """The message without the quotes that KeyError puts around it."""
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class DrillInfo:
    """A drill before it is tied to a cluster.

    Attributes:
        name: as on the command line.
        about: one line: what goes wrong and what must hold.
        bars: the bars in words.
        controls: the negative controls in words; without one that fails, the drill proves nothing.
        minutes: how long it takes, roughly, with its controls, as it is made and at `USUAL_RATE`.
        build: ties it to a cluster.
    """

    name: str
    about: str
    bars: tuple[str, ...]
    controls: tuple[str, ...]
    minutes: int
    build: "Callable[[Surroundings], Drill]"


def minutes(info: DrillInfo, made: "Drill", asked: "Drill") -> int:
    """How long a drill takes, roughly, if it is asked for with another rate, other counts, or fewer faults.

    Args:
        info: the drill.
        made: as it is made, with its usual number of faults.
        asked: as it is to run.
    """
    counts = made.limits.requests > 1
    usual = _spread(made, ENOUGH / USUAL_RATE if counts else 0.0)
    now = _spread(asked, asked.limits.requests / asked.plan.rate if counts else 0.0)
    return max(1, math.ceil(info.minutes + (now - usual) / 60.0))


def _spread(drill: "Drill", load: float) -> float:
    """Seconds of all faults, or of the load over which they are spread, if that is longer.

    A fault takes a fourth of what it may: 20 kills that may take 300 s each take 25 minutes.
    """
    return max(drill.shape.times * (drill.shape.hold + drill.shape.recovered_within / 4.0), load)


class Catalogue:
    """Drills by name, in the order in which they were added."""

    def __init__(self) -> None:
        self._drills: dict[str, DrillInfo] = {}

    def add(self, info: DrillInfo) -> None:
        """Add a drill.

        Raises:
            ValueError: the name is taken, or the drill names no bar or no control.
        """
        if info.name in self._drills:
            raise ValueError(f"there is a drill {info.name!r} already")
        if not info.bars or not info.controls:
            raise ValueError(f"drill {info.name!r} needs at least one bar and one negative control")
        self._drills[info.name] = info

    def get(self, name: str) -> DrillInfo:
        """The drill of that name.

        Raises:
            UnknownDrillError: there is none.
        """
        if name not in self._drills:
            raise UnknownDrillError(f"there is no drill {name!r}; there are: {', '.join(self._drills)}")
        return self._drills[name]

    def listed(self) -> tuple[DrillInfo, ...]:
        """All drills."""
        return tuple(self._drills.values())

    def described(self) -> list[Mapping[str, object]]:
        """All drills as JSON values, for `slipway drill list --json`."""
        return [
            {"name": one.name, "about": one.about, "bars": list(one.bars), "controls": list(one.controls),
             "minutes": one.minutes}
            for one in self.listed()
        ]  # fmt: skip


PROTECTION_CONTROL: Final = "with ingress retries and preStop off, failures show"
KILLED_CONTROL: Final = "with ingress retries and preStop off and the node's pods killed, failures show"
DRAIN_CONTROL: Final = "with HAProxy's wait before shutdown off, failures show"
LEDGER_CONTROL: Final = "a deliberately discarded acknowledged write is found lost"
MESSAGES_CONTROL: Final = "a message that is held back is counted"
OWN_CONTROL: Final = "a read without the token of its write misses it"
