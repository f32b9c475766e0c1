"""What a build tells whoever watches it, and how long is left."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What happened to one thing that is built."""

    WAITING = "waiting"  # another run builds the same thing; its result will be used
    STARTED = "started"
    LINE = "line"  # one line of output
    FINISHED = "finished"
    CACHED = "cached"  # found complete in the cache
    FAILED = "failed"


@dataclass(frozen=True)
class Event:
    """One step of a build.

    Attributes:
        kind: What happened.
        what: The module set, image or download it happened to.
        elapsed: Seconds since this thing was started (0 for `cached`).
        remaining: Estimated seconds until everything that was asked for is there; None if not known.
        text: The line, the reason, or an empty string.
    """

    kind: EventKind
    what: str
    elapsed: float = 0.0
    remaining: float | None = None
    text: str = ""


Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Listens to nothing."""


@dataclass(frozen=True)
class Progress:
    """How the estimates of the table compare with this machine.

    Attributes:
        estimated: Sum of the estimates of what has been built in this run, seconds.
        spent: Seconds that it took.
    """

    estimated: float = 0.0
    spent: float = 0.0

    def with_build(self, estimate: float, seconds: float) -> "Progress":
        """This progress and one more finished build."""
        return Progress(self.estimated + estimate, self.spent + seconds)

    def factor(self, cores: int) -> float:
        """Seconds here per estimated second.

        Before anything has been built the guess is that twice the cores take half the time (the table was measured on
        two); each finished build moves the guess towards what was seen. 30 s of weight on the guess keep one quick
        link of a warm Go cache from promising that a cold build is quick as well.
        """
        guess, weight = 2 / max(1, cores), 30.0
        return (guess * weight + self.spent) / (weight + self.estimated)


def remaining(pending: Iterable[float], running: float, elapsed: float, factor: float) -> float:
    """Seconds until all is built: the rest of the running build, and the pending ones.

    Args:
        pending: Estimates of what has not begun, table seconds.
        running: Estimate of what is being built, table seconds.
        elapsed: Seconds since that began.
        factor: Seconds here per table second.

    Returns:
        Seconds, never negative; a build past its estimate counts as about to end.
    """
    return max(0.0, running * factor - elapsed) + factor * sum(pending)
