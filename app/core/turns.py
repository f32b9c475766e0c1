"""How many requests a process works on at once, and how many more may wait for a primary meanwhile.

gunicorn gets a thread for each of both. A request takes a turn before anything else; one that can only wait, because
Postgres changes its primary, stands aside and lets another one have its turn. Else a few writes would hold all threads,
and reads, for which replicas are there, would wait with them.
"""

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Turns:
    """Turns of one process.

    Args:
        turns: requests worked on at once.
        aside: requests that may stand aside at once.
    """

    def __init__(self, turns: int, aside: int) -> None:
        self._turns = threading.BoundedSemaphore(turns)
        self._aside = threading.BoundedSemaphore(aside)
        self._mine = threading.local()

    def around(self, application: "WSGIApplication") -> "WSGIApplication":
        """Return an application that takes a turn for each request, until the end of its answer."""

        def taking(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            self._take()
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
                self._take()
            self._aside.release()
        return True

    def _take(self) -> None:
        self._turns.acquire()
        self._mine.turn = True

    def _give(self) -> None:
        self._mine.turn = False
        self._turns.release()
