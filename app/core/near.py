"""What one process keeps of the cache itself, so that what is asked often does not go to Redis each time.

Redis tells the process what was written, whoever wrote it (client-side caching, in its broadcasting form: nothing is
kept in Redis for it). Nothing is believed unless Redis has answered a moment ago, so a process that is cut off from it
is behind by `_TRUST_SECONDS` at most. Each value is asked for again after a while, or Redis would take what is asked
most for what nobody wants.
"""

import threading
import time
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.client import PubSub
from redis.exceptions import RedisError

from app.core.bounded_cache import BoundedCache

# Where RESP 2 tells of what was written; with RESP 3 the library has no public way to hear of it.
_CHANNEL = "__redis__:invalidate"
_LIFE_SECONDS = 10.0
_ASK_SECONDS = 1.0
_TRUST_SECONDS = 3.0
_PAUSE_SECONDS = 1.0


class Near:
    """Texts by key. Until `follow` is called, and while Redis is away, it keeps nothing.

    Args:
        client: with RESP 2 and one connection, which is kept; None: there is no Redis.
        prefix: of the keys that matter.
    """

    def __init__(self, client: Redis | None, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._kept: BoundedCache[str, bytes] = BoundedCache()
        self._lock = threading.Lock()
        self._writes = 0
        self._trusted_until = 0.0

    def follow(self) -> None:
        """Begin to keep values, in this process, until it ends."""
        if self._client is not None:
            threading.Thread(target=self._follow, name="near", daemon=True).start()

    def get(self, key: str) -> bytes | None:
        """Return what is kept, if it can be believed."""
        return self._kept.get(key) if time.monotonic() < self._trusted_until else None

    @property
    def writes(self) -> int:
        """How many writes were told of; goes to `put`."""
        return self._writes

    def put(self, key: str, text: bytes, writes: int) -> None:
        """Keep what Redis answered, unless something was written since it was asked.

        Args:
            key: whole, with its prefix.
            text: the answer.
            writes: what `writes` was before Redis was asked.
        """
        if time.monotonic() < self._trusted_until:
            with self._lock:
                if writes == self._writes:
                    self._kept.put(key, text, _LIFE_SECONDS)

    def forget(self, key: str | None) -> None:
        """Something was written there; None: anywhere."""
        with self._lock:
            self._writes += 1
            if key is None:
                self._kept.clear()
            else:
                self._kept.drop(key)

    def _follow(self) -> None:
        while (client := self._client) is not None:
            with suppress(RedisError), client.pubsub() as feed:  # who asks it for values tells that it is away
                self._subscribe(feed)
                self._listen(feed)
            self._trusted_until = 0.0
            self.forget(None)
            time.sleep(_PAUSE_SECONDS)

    def _subscribe(self, feed: PubSub) -> None:
        feed.execute_command("CLIENT", "ID")
        number = feed.parse_response()
        feed.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", self._prefix)
        feed.parse_response()
        feed.subscribe(_CHANNEL)

    def _listen(self, feed: PubSub) -> None:
        """Hear of writes until Redis has not answered for too long."""
        asked = answered = time.monotonic()
        feed.ping(repr(asked))
        while (now := time.monotonic()) < answered + 2 * _TRUST_SECONDS:
            if now >= asked + _ASK_SECONDS:
                asked = now
                feed.ping(repr(asked))
            told: dict[str, Any] | None = feed.get_message(ignore_subscribe_messages=True, timeout=_ASK_SECONDS)
            if told is None:
                continue
            if told["type"] == "pong":
                # All that was written before it was asked for was told before it.
                answered = float(told["data"])
                self._trusted_until = answered + _TRUST_SECONDS
            elif told["data"] is None:
                self.forget(None)
            else:
                for key in told["data"]:
                    self.forget(key.decode())
