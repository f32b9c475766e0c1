"""Whether this process can do its work: asked anew each time, answered in bounded time, and patient.

A shared dependency that stutters (a name server that moves, a failover) stutters for every process at once. If each
called itself not ready at the first slow answer, no process would be left to answer at all; so one that did its work a
moment ago counts as ready for some seconds more.
"""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread

_LOG = logging.getLogger(__name__)

#: Seconds for which the last good answer counts.
PATIENCE = 10.0
#: Seconds that an answer is waited for; well below the time that a kubelet allows.
WAIT = 0.5


class Readiness:
    """Asks in a thread of its own, at most one at a time.

    Args:
        ask: returns if all is well, and raises if not; may take long.
        clock: monotonic seconds.
    """

    def __init__(self, ask: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._good_at: float | None = None
        self._lock = Lock()
        self._answered: Event | None = None

    def holds(self) -> bool:
        """Whether all is well, or was within the last `PATIENCE` seconds."""
        self._begin().wait(WAIT)
        return self._good_at is not None and self._clock() - self._good_at < PATIENCE

    def _begin(self) -> Event:
        with self._lock:
            if self._answered is None:
                self._answered = Event()
                Thread(target=self._look, args=(self._answered,), name="readiness", daemon=True).start()
            return self._answered

    def _look(self, answered: Event) -> None:
        try:
            self._ask()
            self._good_at = self._clock()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an answer: not now
            _LOG.warning("not ready", extra={"error.message": str(error)})
        finally:
            with self._lock:
                self._answered = None
            answered.set()
