"""What happened in each second of a run, from k6's CSV stream over a pipe.

Four ways were measured at 500 requests a second, in CPU seconds of k6 in 10 s (2.8 without any): CSV 3.0, gzipped
CSV 3.0, a sub-metric for each second 3.0 to 3.2, the web dashboard's record 2.7. All are cheap. CSV is the only one
with the exact time, status and reason of each request, and over a named pipe it costs no disk (0.75 MB/s otherwise),
is live, and opens no port. Two lines in seventeen are ours; the rest is thrown away by its first letters. No verdict
depends on it.
"""

import math
import os
import select
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_OURS: Final = b"slipway_ms,"
_DROPPED: Final = b"dropped_iterations,"
_STARTED: Final = b"slipway_started,"
_CHUNK: Final = 1 << 16
_KEPT_FAILURES: Final = 200
_TENTH: Final = 100  # milliseconds; how exactly a gap is known
_SHORTEST: Final = 0.5  # seconds; any program pauses for less
_CHANCE: Final = 1e-5  # that a request is the first of a hole although all goes well
_NO_COLOUR: Final = "none"
_HARM: Final = frozenset({"failed", "unkeyed_failed"})
_READS: Final = frozenset(  # all other operations write
    {"read", "list", "hot", "missing", "page", "by_author", "newest", "named", "following", "use", "ask", "fetch"}
)


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a run, by the time at which requests ended.

    Attributes:
        at: Unix time of its beginning.
        requests: that ended in it; `failed`, `unkeyed_failed` and `allowed` are parts of them.
        dropped: iterations dropped in it, no part of `requests`.
        p50, p95, p99: milliseconds; None if no request ended.
        statuses: HTTP status -> requests.
        colours: colour that answered -> requests; empty if the service does not say.
        started: requests begun in it, by the time of their beginning.
    """

    at: int
    requests: int
    failed: int
    unkeyed_failed: int
    allowed: int
    dropped: int
    p50: float | None
    p95: float | None
    p99: float | None
    statuses: Mapping[str, int]
    colours: Mapping[str, int] = field(default_factory=dict[str, int])
    started: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What one colour answered: requests, and those of them that failed, with or without a key."""

    requests: int
    failed: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that did not end well: when it ended (Unix time), what it was, and why."""

    at: float
    operation: str
    code: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which not one request of a kind ended well: Unix times, to a tenth of a second."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts so far, for progress; the verdict takes its counts from the summary."""

    requests: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Bucket:
    milliseconds: "array[float]" = field(default_factory=lambda: array("f"))
    outcomes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    colours: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    started: int = 0


class Seconds:
    """Gathers stream lines into seconds. Safe to read while another thread adds."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self._failures: list[Failure] = []
        self._reasons: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._harmed: Counter[str] = Counter()
        self._columns: dict[bytes, int] = {}
        self._totals = Totals()
        self._asked: Counter[bool] = Counter()  # reads or writes -> requests
        self._good: dict[bool, set[int]] = {True: set(), False: set()}  # reads or writes -> tenths with a success
        self._lock = threading.Lock()

    def add(self, line: bytes) -> None:
        """Take one line of the stream; a line that is not understood is passed over."""
        if line.startswith(b"metric_name,"):
            self._columns = {name: index for index, name in enumerate(line.strip().split(b","))}
        elif line.startswith(_OURS):
            self._add_request(line)
        elif line.startswith(_STARTED):
            fields = line.split(b",", 3)
            with self._lock:
                self._bucket(int(fields[1]) // 1000).started += int(float(fields[2]))
        elif line.startswith(_DROPPED):
            fields = line.split(b",", 3)
            with self._lock:
                count = int(float(fields[2]))
                self._bucket(int(fields[1]) // 1000).dropped += count
                self._totals = Totals(self._totals.requests, self._totals.failed, self._totals.dropped + count)

    def totals(self) -> Totals:
        """Counts up to now."""
        with self._lock:
            return self._totals

    def failures(self) -> tuple[Failure, ...]:
        """The first failures with all that is known of each."""
        with self._lock:
            return tuple(self._failures)

    def reasons(self) -> dict[str, int]:
        """How often each reason occurred, most frequent first."""
        with self._lock:
            return dict(self._reasons.most_common())

    def colours(self) -> dict[str, Answered]:
        """What each colour answered; requests that nobody answered, or that name no colour, are in none."""
        with self._lock:
            return {name: Answered(count, self._harmed[name]) for name, count in sorted(self._answered.items())}

    def seconds(self) -> tuple[Second, ...]:
        """Every second from the first to the last; those in which nothing ended are there, with zeros."""
        with self._lock:
            if not self._buckets:
                return ()
            span = range(min(self._buckets), max(self._buckets) + 1)
            return tuple(_closed(at, self._buckets.get(at) or _Bucket()) for at in span)

    def gaps(self, *, reads: bool, rate: float) -> tuple[Gap, ...]:
        """Every time between two good ends of requests of a kind that chance does not make; `rate`: of all."""
        with self._lock:
            share = self._asked[reads] / (self._asked.total() or 1)
            return gaps(self._good[reads], telling(share, rate))

    def _add_request(self, line: bytes) -> None:
        place = self._columns.get(b"extra_tags")
        if place is None:
            return
        fields = line.rstrip().split(b",")
        if len(fields) <= place:
            return
        tags = _tags(fields[place].decode())
        milliseconds, outcome = int(fields[1]), tags.get("outcome", "failed")
        with self._lock:
            if outcome != "ok":
                reason = tags.get("reason", "unknown")
                self._reasons[f"{outcome}: {tags.get('op', '?')}: {reason}"] += 1
                if len(self._failures) < _KEPT_FAILURES:
                    failure = Failure(milliseconds / 1000, tags.get("op", "?"), tags.get("code", "?"), outcome, reason)
                    self._failures.append(failure)
            bucket = self._bucket(milliseconds // 1000)
            bucket.outcomes[outcome] += 1
            reads = tags.get("op") in _READS
            if outcome == "ok":
                self._good[reads].add(milliseconds // _TENTH)
            if tags.get("op") == "setup":
                return  # a failure, but no request
            self._asked[reads] += 1
            bucket.statuses[tags.get("code", "?")] += 1
            if (colour := tags.get("colour", _NO_COLOUR)) != _NO_COLOUR:
                bucket.colours[colour] += 1
                self._answered[colour] += 1
                self._harmed[colour] += outcome in _HARM
            bucket.milliseconds.append(float(fields[2]))
            totals = self._totals
            self._totals = Totals(totals.requests + 1, totals.failed + (outcome == "failed"), totals.dropped)

    def _bucket(self, at: int) -> _Bucket:
        return self._buckets.setdefault(at, _Bucket())


def telling(share: float, rate: float) -> float:
    """Seconds without a request of a kind from which on they tell of something.

    Requests draw their kind by lot, so n of them in a row are of other kinds with a chance of (1 - share)^n: at 25 a
    second and 37 % of writes there is a hole of half a second more than once a minute, though all go well.

    Args:
        share: of the requests that are of the kind, from 0 to 1.
        rate: requests of all kinds a second.
    """
    if not 0 < share < 1:
        return _SHORTEST
    return max(_SHORTEST, math.log(_CHANCE) / math.log1p(-share) / rate)


def gaps(tenths: Iterable[int], least: float) -> tuple[Gap, ...]:
    """The holes of at least `least` seconds in a set of tenths of seconds, in order."""
    ordered = sorted(tenths)
    found = (Gap((before + 1) / 10, after / 10) for before, after in pairwise(ordered))
    return tuple(gap for gap in found if gap.seconds >= least - 1e-6)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the ordered values do not exceed; None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _closed(at: int, bucket: _Bucket) -> Second:
    ordered = sorted(bucket.milliseconds)
    return Second(
        at=at,
        requests=len(ordered),
        failed=bucket.outcomes["failed"],
        unkeyed_failed=bucket.outcomes["unkeyed_failed"],
        allowed=bucket.outcomes["allowed"],
        dropped=bucket.dropped,
        p50=percentile(ordered, 0.50),
        p95=percentile(ordered, 0.95),
        p99=percentile(ordered, 0.99),
        statuses=dict(sorted(bucket.statuses.items())),
        colours=dict(sorted(bucket.colours.items())),
        started=bucket.started,
    )


def _tags(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split("&"))
    return {name: value for name, _, value in pairs}


class StreamReader:
    """Reads the pipe at `path` into `seconds` from a thread, until closed; makes the pipe and removes it."""

    def __init__(self, path: Path, seconds: Seconds) -> None:
        self._path = path
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, name="k6-stream", daemon=True)
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Make the pipe and begin to read."""
        os.mkfifo(self._path, 0o600)
        # Both ways, so that neither side waits for the other and a writer that dies at once leaves nothing hanging.
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take what is still in the pipe, stop, and remove the pipe. Call it when the writer has ended."""
        self._done.set()
        self._thread.join()
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        rest = b""
        while True:
            last = self._done.is_set()  # asked before reading: what was written before the end is still taken
            ready, _, _ = select.select([self._descriptor], [], [], 0 if last else 0.2)
            if not ready:
                if last:
                    return
                continue
            lines = (rest + os.read(self._descriptor, _CHUNK)).split(b"\n")
            rest = lines.pop()
            for line in lines:
                self._seconds.add(line)
