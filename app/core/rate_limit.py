"""How much one caller may ask for: a sliding window, counted in Redis for all processes, and here while Redis is away.

Two fixed windows stand for a sliding one: of the window before, that share counts which the last `seconds` still
overlap. Refused requests do not count, so that who asks too often is held to the limit and not shut out.

Who is far from a limit is not asked after in Redis each time: a process counts some requests of a caller there ahead,
and never when few are left (docs/adr/0081). So no request slips through, and little is counted that never comes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from prometheus_client import CollectorRegistry, Counter
from redis import Redis

from app.core.bounded_cache import BoundedCache
from app.core.redis_calls import RedisCalls

_MILLISECONDS = 1000

# `taken` in Lua: atomic, and one way to Redis and back.
_SCRIPT = """
local now, window, requests, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), 0
local kept = redis.call('HMGET', KEYS[1], 'window', 'count', 'before')
local index, count, before = tonumber(kept[1] or -1), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
local current = math.floor(now / window)
if current > index then
  before = current == index + 1 and count or 0
  index, count = current, 0
end
local left = window - math.max(now - index * window, 0)
local allowed = before * left + (count + 1) * window <= requests * window
if allowed then
  local remaining = math.floor((requests * window - before * left) / window) - count - 1
  ahead = math.max(math.floor((remaining - tonumber(ARGV[4])) / tonumber(ARGV[5])), 0)
  count = count + 1 + ahead
  redis.call('HSET', KEYS[1], 'window', index, 'count', count, 'before', before)
  redis.call('PEXPIRE', KEYS[1], 2 * window)
end
return {index, count, before, allowed and 1 or 0, ahead}
"""
# So many are left to be counted one by one; of what is left besides, this share at once.
_ONE_BY_ONE, _SHARE = 200, 50


@dataclass(frozen=True)
class Policy:
    """A limit.

    Attributes:
        name: as in the headers of answers.
        requests: how many.
        seconds: in how long.
    """

    name: str
    requests: int
    seconds: int

    @property
    def window(self) -> int:
        """Milliseconds."""
        return self.seconds * _MILLISECONDS


@dataclass(frozen=True)
class Count:
    """What one caller has had.

    Attributes:
        window: number of the current window since 1970.
        count: requests in it.
        before: requests in the one before it.
    """

    window: int
    count: int
    before: int


@dataclass
class _Ahead:
    """What this process has counted of one caller before it came.

    Attributes:
        counted: what Redis said then.
        left: how many of it have not come yet.
    """

    counted: Count
    left: int


@dataclass(frozen=True)
class Outcome:
    """What a request is told.

    Attributes:
        policy: the limit that was asked.
        allowed: whether it may go on.
        remaining: how many more may follow at once.
        seconds: until more may; if refused, until the next one may.
    """

    policy: Policy
    allowed: bool
    remaining: int
    seconds: int


def taken(had: Count | None, policy: Policy, now: int) -> tuple[Count, bool]:
    """Return the count after a request at `now` (milliseconds), and whether it is allowed."""
    current = now // policy.window
    if had is None or current > had.window:
        follows = had is not None and current == had.window + 1
        had = Count(current, 0, had.count if had is not None and follows else 0)
    if _used(had, policy, now) + policy.window > policy.requests * policy.window:
        return had, False
    return Count(had.window, had.count + 1, had.before), True


def outcome(count: Count, allowed: bool, policy: Policy, now: int) -> Outcome:
    """Return what to tell a request whose count is this by now."""
    remaining = max(policy.requests * policy.window - _used(count, policy, now), 0) // policy.window
    wait = _end(count, policy) - now if allowed else until_allowed(count, policy, now)
    return Outcome(policy, allowed, remaining if allowed else 0, max(math.ceil(wait / _MILLISECONDS), 1))


def until_allowed(count: Count, policy: Policy, now: int) -> int:
    """Return the milliseconds after which one more request is allowed, if no other comes."""
    free = policy.requests - 1 - count.count
    if free >= 0:  # in this window, once enough of the one before has slid out
        latest = _end(count, policy) - (free * policy.window // count.before if count.before else policy.window)
    else:  # in the next one, where this one slides out
        latest = _end(count, policy) + policy.window - (policy.requests - 1) * policy.window // count.count
    return max(latest - now, 0)


def _end(count: Count, policy: Policy) -> int:
    """When the current window ends."""
    return (count.window + 1) * policy.window


def _used(count: Count, policy: Policy, now: int) -> int:
    """Requests times milliseconds of the window: whole numbers, which Lua and Python agree on."""
    left = policy.window - max(now - count.window * policy.window, 0)  # the clock of another process may be ahead
    return count.before * left + count.count * policy.window


class RateLimiter:
    """Counts callers. Without Redis each process counts for itself, each up to the whole limit."""

    def __init__(
        self,
        client: Redis | None,
        environment: str,
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = RedisCalls(client, "limit")
        self.breaker = self._redis.breaker
        self._script = None if client is None else client.register_script(_SCRIPT)
        self._prefix = f"payload:{environment}:limit:"
        self._clock = clock
        self._own: BoundedCache[str, Count] = BoundedCache()
        self._ahead: BoundedCache[str, _Ahead] = BoundedCache()
        self._lock = Lock()
        self._requests = Counter(
            "payload_rate_limit_requests_total",
            "Requests that were counted, by limit, outcome and place of the count",
            ["policy", "outcome", "place"],
            registry=registry,
        )

    def take(self, policy: Policy, caller: str) -> Outcome:
        """Count a request of a caller, unless it is one too many."""
        now = int(self._clock() * _MILLISECONDS)
        name = f"{policy.name}:{caller}"
        found, place = self._take_ahead(policy, name, now) or self._take_from_redis(policy, name, now), "redis"
        if found is None:
            found, place = self._take_here(policy, name, now), "process"
        count, allowed = found
        self._requests.labels(policy.name, "allowed" if allowed else "refused", place).inc()
        return outcome(count, allowed, policy, now)

    def _take_ahead(self, policy: Policy, name: str, now: int) -> tuple[Count, bool] | None:
        """A request that was counted before; None if there is none."""
        with self._lock:
            held = self._ahead.get(name)
            if held is None or not held.left or held.counted.window != now // policy.window:
                return None
            held.left -= 1
            return replace(held.counted, count=held.counted.count - held.left), True

    def _hold(self, policy: Policy, name: str, counted: Count, ahead: int) -> None:
        """Keep what was counted ahead."""
        with self._lock:
            held = self._ahead.get(name)
            # Another thread may have counted some ahead meanwhile; they are all good.
            more = held.left if held is not None and held.counted.window == counted.window else 0
            self._ahead.put(name, _Ahead(counted, more + ahead), 2 * policy.seconds)

    def _take_from_redis(self, policy: Policy, name: str, now: int) -> tuple[Count, bool] | None:
        script = self._script
        if script is None:
            return None
        asked = [now, policy.window, policy.requests, _ONE_BY_ONE, _SHARE]
        answer = self._redis.make(lambda _: script(keys=[self._prefix + name], args=asked))
        if answer is None:
            return None
        window, count, before, allowed, ahead = answer
        counted = Count(window, count, before)
        if not allowed:
            return counted, False
        self._hold(policy, name, counted, ahead)
        return replace(counted, count=count - ahead), True

    def _take_here(self, policy: Policy, name: str, now: int) -> tuple[Count, bool]:
        with self._lock:
            count, allowed = taken(self._own.get(name), policy, now)
            self._own.put(name, count, 2 * policy.seconds)
        return count, allowed
