"""How many requests a process works on at once, how many wait for that, and how many more for a primary meanwhile.

gunicorn gets a thread for each of them, and a few besides. A request takes a turn before anything else, waits for one
if none is free, or is refused at once if enough wait already: work that piles up is done for clients that have gone.
One that can only wait, because Postgres changes its primary, stands aside and lets another one have its turn. Else a
few writes would hold all threads, and reads, for which replicas are there, would wait with them. Probes take no turn.
"""

import threading
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Threads that no request keeps: they refuse, and answer probes, while all others are taken.
DOORS = 4
#: What the platform asks every few seconds: an answer that is late would restart a process that only has much to do.
PROBES = frozenset({"/livez", "/readyz"})


class Entry(StrEnum):
    """What becomes of a request that has just come."""

    WORKS = "works"
    WAITS = "waits"
    REFUSED = "refused"


def entry(free: int, waiting: int, most: int) -> Entry:
    """Decide about a request.

    Args:
        free: turns that nobody has.
        waiting: requests that wait for one.
        most: that may.
    """
    if free > 0:
        return Entry.WORKS
    return Entry.WAITS if waiting < most else Entry.REFUSED


class Turns:
    """Turns of one process.

    Args:
        turns: requests worked on at once.
        aside: requests that may stand aside at once.
        queue: requests that may wait for their turn at once.
        patience: seconds that one waits at most; its client has gone by then.
        registry: where refused requests are counted.
    """

    def __init__(
        self, turns: int, aside: int, *, queue: int, patience: float, registry: CollectorRegistry | None = None
    ) -> None:
        self._turns = self._free = turns
        self._waiting = 0
        self._most = queue
        self._patience = patience
        self._changed = threading.Condition()
        self._aside = threading.BoundedSemaphore(aside)
        self._mine = threading.local()
        self._refused = Counter(
            "payload_requests_refused_total", "Requests that got no turn, by why", ["reason"], registry=registry
        )

    def around(self, application: "WSGIApplication", refuse: "WSGIApplication") -> "WSGIApplication":
        """Return an application that takes a turn for each request, until the end of its answer.

        Args:
            application: what is done in a turn.
            refuse: answers those that get none.
        """

        def taking(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            if environ["PATH_INFO"] in PROBES:
                return application(environ, start_response)
            if not self._enter():
                return refuse(environ, start_response)
            try:
                return ClosingIterator(application(environ, start_response), self._give)
            except BaseException:
                self._give()
                raise

        return taking

    def stand_aside(self, seconds: float) -> bool:
        """Sleep while another request has this one's turn; False, at once, if too many do so already.

        Where no turn was taken, as in a command, it only sleeps.
        """
        if not self._aside.acquire(blocking=False):
            return False
        had_turn = getattr(self._mine, "turn", False)
        try:
            if had_turn:
                self._give()
            time.sleep(seconds)
        finally:
            if had_turn:
                self._take_again()
            self._aside.release()
        return True

    def counts(self) -> dict[str, int]:
        """How many requests work, and how many wait for their turn."""
        return {"working": self._turns - self._free, "waiting": self._waiting}

    def _enter(self) -> bool:
        """Take a turn, or wait for one; False if there is none in time."""
        with self._changed:
            found = entry(self._free, self._waiting, self._most)
            if found is Entry.WAITS:
                self._waiting += 1
                try:
                    found = Entry.WORKS if self._changed.wait_for(self._is_free, self._patience) else found
                finally:
                    self._waiting -= 1
            if found is Entry.WORKS:
                self._free -= 1
        if found is not Entry.WORKS:
            self._refused.labels("queue full" if found is Entry.REFUSED else "waited too long").inc()
            return False
        self._mine.turn = True
        return True

    def _take_again(self) -> None:
        with self._changed:
            self._changed.wait_for(self._is_free)
            self._free -= 1
        self._mine.turn = True

    def _give(self) -> None:
        self._mine.turn = False
        with self._changed:
            self._free += 1
            self._changed.notify()

    def _is_free(self) -> bool:
        return self._free > 0
