"""Cache-aside in Redis. It may be wrong for a moment, it may be away, it never fails a request.

- A key names environment, format and resource; a new `_FORMAT` forgets everything that older code wrote.
- After a change the key is *blocked* for a moment instead of deleted: a reader that has just loaded the old row from a
  replica that is behind cannot put it back.
- What is asked often is kept in the process too, for as long as Redis tells of every write (`app.core.near`).
- On a miss one request loads while the others wait for it briefly (stampede); lifetimes differ by chance, so that
  what was filled together does not end together.
"""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.core import redis_places
from app.core.near import Near
from app.core.redis_calls import RedisCalls
from app.core.secret_files import read_redis_url

_FORMAT = 1
_TIMEOUT_SECONDS = 0.05
_LIFE_SECONDS = 60
_BLOCKED = b"blocked"
_BLOCK_SECONDS = 3  # longer than a replica is usually behind
_LOCK_MILLISECONDS = 500
_POLLS, _POLL_SECONDS = 10, 0.01

Value = dict[str, Any]


def connect(url_file: Path, connections: int, authority: Path | None = None, **options: Any) -> Redis:
    """Return a client that gives up at once instead of retrying: what waits for a cache needs no cache.

    Args:
        url_file: holds the address.
        connections: at most.
        authority: as `redis_places.connect` has it, like the options.
        options: besides.
    """
    return redis_places.connect(
        read_redis_url(url_file),
        authority,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        max_connections=connections,
        **options,
    )


class Cache:
    """Values by name. Without a client everything is a miss, so callers need not know whether there is a Redis.

    Args:
        client: what is asked.
        environment: part of each key.
        registry: where look-ups are counted.
        told: a client for `near`; None: nothing is kept in the process.

    Attributes:
        breaker: opens when Redis does not answer.
        near: what the process keeps itself.
    """

    def __init__(
        self, client: Redis | None, environment: str, registry: CollectorRegistry, told: Redis | None = None
    ) -> None:
        self._redis = RedisCalls(client, "cache")
        self.breaker = self._redis.breaker
        self._prefix = f"payload:{environment}:{_FORMAT}:"
        self.near = Near(told, self._prefix)
        self._outcomes = Counter("payload_cache_requests_total", "Look-ups by outcome", ["outcome"], registry=registry)

    def get_or_load(self, name: str, load: Callable[[], Value | None]) -> Value | None:
        """Return the cached value, or load it and keep it. None is never kept.

        Values come back as JSON has them: times and ids are texts.
        """
        key = self._prefix + name
        outcome, value = self._look(key)
        if outcome == "miss":
            outcome, value = self._lock(key)
        if outcome == "locked":
            outcome, value = "waited", self._wait(key)
        self._outcomes.labels(outcome).inc()
        if value is not None:
            return value
        loaded = load()
        if outcome == "miss":
            self._fill(key, loaded)
        return loaded

    def put(self, values: Mapping[str, Value]) -> bool:
        """Keep values by name, where nothing is kept and nothing has just changed; False if Redis did not answer."""

        def send(client: Redis) -> bool:
            pipeline = client.pipeline(transaction=False)
            for name, value in values.items():
                pipeline.set(self._prefix + name, orjson.dumps(value), nx=True, px=_life())
            pipeline.execute()
            return True

        return self._redis.make(send) is True

    def forget(self, name: str) -> None:
        """Call after the commit of a change: what was cached ends, and nobody fills it again for a moment."""
        key = self._prefix + name
        self._redis.make(lambda client: client.set(key, _BLOCKED, ex=_BLOCK_SECONDS))
        self.near.forget(key)

    def _look(self, key: str) -> tuple[str, Value | None]:
        if (kept := self.near.get(key)) is not None:
            return "near", orjson.loads(kept)
        writes = self.near.writes
        found = self._redis.make(lambda client: (client.get(key),))
        if found is None:
            return "away", None
        outcome, value = _read(found[0])
        if value is not None:
            self.near.put(key, found[0], writes)
        return outcome, value

    def _lock(self, key: str) -> tuple[str, Value | None]:
        """Become the one who loads ("miss"), or learn that another one is at it, or has just been ("hit")."""

        def send(client: Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            pipeline.set(f"{key}:lock", b"1", nx=True, px=_LOCK_MILLISECONDS)
            pipeline.get(key)
            return pipeline.execute()

        answers = self._redis.make(send)
        if answers is None:
            return "away", None
        taken, text = answers
        outcome, value = _read(text)
        return ("locked", None) if outcome == "miss" and not taken else (outcome, value)

    def _wait(self, key: str) -> Value | None:
        for _ in range(_POLLS):
            time.sleep(_POLL_SECONDS)
            outcome, value = self._look(key)
            if outcome != "miss":
                return value
        return None

    def _fill(self, key: str, value: Value | None) -> None:
        def send(client: Redis) -> None:
            pipeline = client.pipeline(transaction=False)
            if value is not None:
                pipeline.set(key, orjson.dumps(value), nx=True, px=_life())
            pipeline.delete(f"{key}:lock")
            pipeline.execute()

        self._redis.make(send)


def _life() -> int:
    """Milliseconds that a value is kept."""
    return int(_LIFE_SECONDS * 1000 * random.uniform(0.8, 1.2))  # noqa: S311 - chance, not secrecy


def _read(text: bytes | None) -> tuple[str, Value | None]:
    if text is None:
        return "miss", None
    return ("blocked", None) if text == _BLOCKED else ("hit", orjson.loads(text))
