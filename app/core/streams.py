"""Answers that go on for a while take a thread each, so few may at once: most threads stay free for requests."""

from threading import BoundedSemaphore

_SHARE = 4


class Streams:
    """Counts the streams of one process.

    Args:
        threads: of the process; a quarter of them, and at least one, may be streams.
    """

    def __init__(self, threads: int) -> None:
        self._free = BoundedSemaphore(max(1, threads // _SHARE))

    def take(self) -> bool:
        """Begin a stream; False if there are enough."""
        return self._free.acquire(blocking=False)

    def give_back(self) -> None:
        """A stream has ended."""
        self._free.release()
