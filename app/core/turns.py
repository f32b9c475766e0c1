"""How many requests a process works on at once, how many wait for that, and how many more for a primary meanwhile.

A request takes a turn before a thread is given to it, waits without a thread if none is free, or is refused at once if
enough wait already: work that piles up is done for clients that have gone. Whoever has ended goes on with the one that
waits longest, in the same thread. One that can only wait, because Postgres changes its primary, stands aside and lets
another one have its turn. Else a few writes would hold all threads, and reads, for which replicas are there, would wait
with them. Of those that come back the one whose time ends first goes on first: when there is a primary again dozens do,
and who has waited longest has least left. One whose time ends meanwhile answers so, by a turn more than there are.
Probes need no turn.

A request must begin to be answered a while after it came, however much of that it waited for its turn.
"""

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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


class Asked(NamedTuple):
    """A request that has asked for a turn, and when the wait for its answer ends, of the monotonic clock."""

    ends: float
    request: Any


class Turns:
    """Turns of one process. What a request is, only the server knows.

    Args:
        turns: requests worked on at once.
        aside: requests that may stand aside at once.
        queue: requests that may wait for their turn at once.
        patience: seconds within which a request must begin to be answered, or its client has gone.
        registry: where refused requests are counted.
    """

    def __init__(
        self, turns: int, aside: int, *, queue: int, patience: float, registry: CollectorRegistry | None = None
    ) -> None:
        self._turns = self._free = turns
        self._most = queue
        self._patience = patience
        self._waiting: deque[Asked] = deque()
        self._returning: list[tuple[float, int, threading.Event]] = []  # a heap: when it ends, then who came first
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._aside = threading.BoundedSemaphore(aside)
        self._mine = threading.local()
        self._start: Callable[[Asked], object] = self._nobody
        self._refused = Counter(
            "payload_requests_refused_total", "Requests that got no turn, by why", ["reason"], registry=registry
        )

    def serve(self, start: Callable[[Asked], object]) -> None:
        """Say how a request that has a turn is started: `run` in another thread."""
        self._start = start

    def ask(self, request: Any) -> bool:
        """Start a request as soon as there is a turn for it; False if it gets none."""
        asked = Asked(time.monotonic() + self._patience, request)
        with self._lock:
            found = entry(self._free, len(self._waiting), self._most)
            if found is Entry.WORKS:
                self._free -= 1
            elif found is Entry.WAITS:
                self._waiting.append(asked)
        if found is Entry.WORKS:
            self._start(asked)
        elif found is Entry.REFUSED:
            self._refused.labels("queue full").inc()
        return found is not Entry.REFUSED

    def run(self, asked: Asked, work: Callable[[Any], object]) -> None:
        """Do a request that was started, and in its turn those that wait, until none does.

        What the work raises ends this thread's part; its turn is not lost.
        """
        next_one: Asked | None = asked
        try:
            while next_one is not None:
                self._mine.ends = next_one.ends
                work(next_one.request)
                next_one = self._give()
        except BaseException:
            self._pass_on()
            raise
        finally:
            self._mine.ends = None

    def until(self, seconds: float) -> float:
        """Return when a wait of this thread ends, of the monotonic clock: so late, or with its request.

        Args:
            seconds: from now.
        """
        return min(time.monotonic() + seconds, math.inf if (ends := self._ends()) is None else ends)

    def _ends(self) -> float | None:
        """When this thread's request ends; None without a turn."""
        return getattr(self._mine, "ends", None)

    def expired(self) -> list[Any]:
        """Return the requests that have waited too long; they wait no more."""
        if not self._waiting:
            return []
        now = time.monotonic()
        found: list[Any] = []
        with self._lock:
            while self._waiting and self._waiting[0].ends <= now:
                found.append(self._waiting.popleft().request)
        for _ in found:
            self._refused.labels("waited too long").inc()
        return found

    def around(self, application: "WSGIApplication", refuse: "WSGIApplication") -> "WSGIApplication":
        """Return an application for those who have a turn, and for probes.

        Args:
            application: what is done in a turn.
            refuse: answers all others.
        """

        def admitting(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            has_turn = self._ends() is not None
            let_in = has_turn or environ["PATH_INFO"] in PROBES
            answer = (application if let_in else refuse)(environ, start_response)
            if has_turn:
                self._mine.ends = math.inf  # it has its answer: a body that goes on for a while has a limit of its own
            return answer

        return admitting

    def stand_aside(self, seconds: float) -> bool:
        """Sleep while another request has this one's turn; False if too many do so already, or if its time ends first.

        Where no turn was taken, as in a command, it only sleeps.
        """
        if not self._aside.acquire(blocking=False):
            return False
        ends, in_time = self._ends(), True
        try:
            if ends is not None:
                self._pass_on()
            time.sleep(seconds)
        finally:
            if ends is not None:
                in_time = self._take_again(ends)
            self._aside.release()
        return in_time

    def counts(self) -> dict[str, int]:
        """How many requests work, and how many wait for their turn."""
        return {"working": self._turns - self._free, "waiting": len(self._waiting)}

    def _take_again(self, ends: float) -> bool:
        """Wait for a turn before all those that have not begun, and those that end later; False if there was none.

        It is taken all the same then: what is left to do is to say so, and that must not wait.
        """
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            back = threading.Event()
            me = (ends, next(self._numbers), back)
            heapq.heappush(self._returning, me)
        if back.wait(min(max(0.0, ends - time.monotonic()), threading.TIMEOUT_MAX)):
            return True
        with self._lock:
            if back.is_set():
                return True
            self._returning.remove(me)
            heapq.heapify(self._returning)
            self._free -= 1
        self._refused.labels("waited too long").inc()
        return False

    def _give(self) -> Asked | None:
        """Give the turn back; if a request waits for it, it is that one's, and the caller must see to it.

        It is nobody's while there are more than there should be.
        """
        with self._lock:
            if self._free < 0:
                self._free += 1
            elif self._returning:
                heapq.heappop(self._returning)[-1].set()
            elif self._waiting:
                return self._waiting.popleft()
            else:
                self._free += 1
        return None

    def _pass_on(self) -> None:
        """Give the turn back, and start who waits for it in another thread."""
        if (other := self._give()) is not None:
            self._start(other)

    def _nobody(self, asked: Asked) -> None:
        raise AssertionError(f"nobody serves {asked.request}")
