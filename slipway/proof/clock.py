"""Time as the proof kit sees it, so that tests need not wait."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time of day for people, a steady time for durations, and a way to let it pass."""

    def now(self) -> datetime:
        """Time of day, with its zone."""
        ...

    def steady(self) -> float:
        """Seconds that never jump."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Time of day in UTC."""
        return datetime.now(UTC)

    def steady(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class TookTooLongError(RuntimeError):
    """Something that was waited for did not come."""


def wait_until(clock: Clock, done: "Condition", *, what: str, within: float, every: float = 0.2) -> float:
    """Wait until `done()` is true.

    Returns:
        Seconds that it took.

    Raises:
        TookTooLongError: it stayed false for `within` seconds.
    """
    begin = clock.steady()
    while not done():
        waited = clock.steady() - begin
        if waited >= within:
            raise TookTooLongError(f"waited {waited:.1f} s for {what}, at most {within:g} s were allowed")
        clock.wait(every)
    return clock.steady() - begin


class Condition(Protocol):
    """A question with a yes or no."""

    def __call__(self) -> bool:
        """The answer now."""
        ...
