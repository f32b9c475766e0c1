"""Turns the steps of builds into events with times."""

import threading
import time
from collections.abc import Iterable, Mapping

from slipway.toolchain.events import Event, EventKind, Listener, Progress, remaining


class Tracker:
    """What is pending, what runs, and how this machine compares with the estimates.

    Args:
        listener: Receives the events, one at a time.
        cores: Cores of this machine.
    """

    def __init__(self, listener: Listener, cores: int) -> None:
        self._listener = listener
        self._cores = cores
        self._lock = threading.RLock()
        self._pending: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._estimates: dict[str, float] = {}
        self._progress = Progress()

    def expect(self, estimates: Mapping[str, float]) -> None:
        """These will be built (name -> seconds of the table)."""
        with self._lock:
            self._estimates |= estimates
            self._pending |= estimates

    def forget(self, names: Iterable[str]) -> None:
        """These will not be built any more."""
        with self._lock:
            for name in names:
                self._pending.pop(name, None)

    def _tell(self, kind: EventKind, what: str, text: str = "") -> None:
        with self._lock:
            now = time.monotonic()
            elapsed = now - self._begun.get(what, now)
            factor = self._progress.factor(self._cores)
            left = remaining(self._pending.values(), 0.0, 0.0, factor) + sum(
                remaining((), self._estimates.get(name, 0.0), now - begun, factor)
                for name, begun in self._begun.items()
            )
            self._listener(Event(kind, what, elapsed, left, text))

    def cached(self, what: str) -> None:
        """It was in the cache."""
        self._tell(EventKind.CACHED, what)

    def waiting(self, what: str, holder: str) -> None:
        """Another run, or another build, is in the way."""
        self._tell(EventKind.WAITING, what, f"waits for {holder or 'another run'}")

    def started(self, what: str, text: str) -> None:
        """Its build begins."""
        with self._lock:
            self._pending.pop(what, None)
            self._begun[what] = time.monotonic()
            self._tell(EventKind.STARTED, what, text)

    def line(self, what: str, text: str) -> None:
        """Its build printed a line."""
        self._tell(EventKind.LINE, what, text)

    def _ended(self, kind: EventKind, what: str, text: str) -> float:
        with self._lock:
            seconds = time.monotonic() - self._begun.get(what, time.monotonic())
            self._tell(kind, what, text)
            self._begun.pop(what, None)
            return seconds

    def finished(self, what: str, estimate: float) -> None:
        """Its build succeeded."""
        with self._lock:
            seconds = self._ended(EventKind.FINISHED, what, "")
            self._progress = self._progress.with_build(estimate, seconds)

    def failed(self, what: str, reason: str) -> None:
        """Its build failed."""
        self._ended(EventKind.FAILED, what, reason)
