"""How much load, and how it goes over time. A workload is data: stages, and the rate and time it is meant for.

The names are those of k6's guide (https://grafana.com/docs/k6/latest/testing-guides/test-types/). A smoke, an average
and a soak test differ in figures only, so only what differs in shape has a shape of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class ShapeError(ValueError):
    """Stages that are no shape; the message names what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of time in which the rate goes straight from `start` to `end`, shares of the highest rate."""

    start: float
    end: float
    time: float  # share of the whole time


@dataclass(frozen=True, slots=True)
class Workload:
    """A named amount of load.

    Attributes:
        purpose: the question that it answers.
        stages: the shape; times add up to 1, the highest rate is 1.
        rate: highest requests per second, if nobody says otherwise.
        seconds: how long, if nobody says otherwise.
        until_broken: the run ends by itself once a hundredth of what was planned failed or was dropped.
    """

    purpose: str
    stages: tuple[Stage, ...]
    rate: int
    seconds: int
    until_broken: bool = False

    def __post_init__(self) -> None:
        """Refuse a shape that k6 could not follow."""
        total = sum(stage.time for stage in self.stages)
        highest = max((max(stage.start, stage.end) for stage in self.stages), default=0.0)
        if abs(total - 1) > 1e-9 or any(stage.time <= 0 for stage in self.stages):  # noqa: PLR2004 - rounding
            raise ShapeError(f"the times of the stages add up to {total:g}; each must be above 0, and all together 1")
        if highest != 1 or any(min(stage.start, stage.end) < 0 for stage in self.stages):
            raise ShapeError(f"the highest rate of the stages is {highest:g}; it must be 1, and none below 0")

    @property
    def flat(self) -> bool:
        """Whether every second is like the others."""
        return all(stage.start == stage.end == 1 for stage in self.stages)

    @property
    def mean(self) -> float:
        """Mean rate, as a share of the highest."""
        return sum((stage.start + stage.end) / 2 * stage.time for stage in self.stages)


def _level(share: float, time: float) -> Stage:
    return Stage(share, share, time)


_FLAT: Final = (_level(1, 1),)
_DAY: Final = (Stage(0, 1, 0.1), _level(1, 0.8), Stage(1, 0, 0.1))
_STEPS: Final = 5

WORKLOADS: Final[Mapping[str, Workload]] = {
    "constant": Workload("What happens at this rate?", _FLAT, 100, 60),
    "smoke": Workload("Does it work at all?", _FLAT, 5, 30),
    "rollout": Workload("Does a version come and go without a failed request?", _FLAT, 50, 900),
    "average": Workload("Does it bear a usual day?", _DAY, 100, 600),
    "stress": Workload("Does it bear twice the usual?", _DAY, 200, 600),
    "soak": Workload("Does it bear it for hours, or does something leak?", _DAY, 100, 4 * 3600),
    "spike": Workload(
        "Does it bear ten times the usual, at once, and come back?",
        (_level(0.1, 0.4), _level(1, 0.2), _level(0.1, 0.4)),
        500,
        300,
    ),
    "stairs": Workload(
        "At which of five steps does it stop keeping up?",
        tuple(_level((step + 1) / _STEPS, 1 / _STEPS) for step in range(_STEPS)),
        500,
        300,
    ),
    "breakpoint": Workload("At which rate does it break?", (Stage(0, 1, 1),), 1000, 600, until_broken=True),
}
