"""A circuit breaker: after some failures in a row the other side is left alone for a while."""

import time
from threading import Lock


class Breaker:
    """Closed (everything passes), open (nothing passes) or, after a pause, half open (one call tries).

    Args:
        failures: how many in a row open it.
        pause: how long it stays open, in seconds.
    """

    def __init__(self, failures: int, pause: float) -> None:
        self._most = failures
        self._pause = pause
        self._failed = 0
        self._closed_again = 0.0
        self._lock = Lock()

    def allows(self) -> bool:
        """True if a call may be made now; when half open, only to the first one who asks."""
        if self._failed < self._most:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._closed_again:
                return False
            self._closed_again = now + self._pause
            return True

    def succeeded(self) -> None:
        """A call was answered."""
        self._failed = 0

    def failed(self) -> None:
        """A call was not answered."""
        with self._lock:
            self._failed += 1
            if self._failed >= self._most:
                self._closed_again = time.monotonic() + self._pause

    @property
    def is_open(self) -> bool:
        """True while calls are refused or only tried."""
        return self._failed >= self._most
