"""An even stream of requests that goes on whatever happens, each timed from the moment when it was due.

Not wrk: it sends the next request when the last is answered, so that while a server hangs it measures nothing.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httpx

#: An answer that takes longer is none, whatever it says.
LONGEST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A request.

    Attributes:
        kind: what was asked.
        due: when it should have begun, seconds of the monotonic clock.
        ms: from then to its end.
        wrong: what was wrong with it; empty if nothing.
    """

    kind: str
    due: float
    ms: float
    wrong: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A kind of request.

    Attributes:
        make: returns the next one, complete.
        status: what it must be answered.
    """

    make: Callable[[], httpx.Request]
    status: int


@dataclass
class Meter:
    """A thread for each kind; many of one kind may be under way, up to `most`.

    Attributes:
        asks: name of a kind -> what is asked.
        per_second: requests of each kind.
        samples: those that have ended.
    """

    asks: Mapping[str, Ask]
    per_second: float
    most: int = 16
    samples: list[Sample] = field(default_factory=list[Sample])

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(kind, ask, lane), daemon=True)
            for kind, ask in self.asks.items()
            for lane in range(self.most)
        ]
        self._begun = 0.0
        self._due: dict[tuple[str, int], float] = {}

    def start(self) -> None:
        """Begin."""
        self._begun = time.monotonic()
        for thread in self._threads:
            thread.start()

    def behind(self) -> float:
        """Seconds since the oldest request was due that has not ended; 0 if none is late."""
        return max(time.monotonic() - min(self._due.values(), default=math.inf), 0)

    def stop(self) -> None:
        """End, when everything that was sent has ended."""
        self._ended.set()
        for thread in self._threads:
            thread.join(2 * LONGEST_SECONDS)

    def _send(self, kind: str, ask: Ask, lane: int) -> None:
        # The lanes of a kind take turns, so that one that hangs holds up only its own next request.
        pause = self.most / self.per_second
        due = self._begun + lane / self.per_second
        with httpx.Client(timeout=LONGEST_SECONDS) as client:
            self._due[kind, lane] = due
            while not self._ended.wait(max(due - time.monotonic(), 0)):
                wrong = _ask(client, ask)
                now = time.monotonic()
                if not wrong and now - due > LONGEST_SECONDS:
                    wrong = "took too long"
                self.samples.append(Sample(kind, due, (now - due) * 1000, wrong))
                due += pause
                self._due[kind, lane] = due


def _ask(client: httpx.Client, ask: Ask) -> str:
    answer = None
    with suppress(httpx.HTTPError):
        answer = client.send(ask.make())
    if answer is None:
        return "no answer"
    return "" if answer.status_code == ask.status else f"status {answer.status_code}"
