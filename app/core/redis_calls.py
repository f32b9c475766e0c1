"""Calls to a Redis that may be away: a call fails nobody, is not made while it is not worth it, and is told seldom."""

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from app.core import trace
from app.core.breaker import Breaker
from app.core.trace import Kind

_LOG = logging.getLogger(__name__)
_ATTRIBUTES = {"db.system.name": "redis"}
_QUIET_SECONDS = 1.0


class RedisCalls:
    """Calls for one purpose.

    Args:
        client: None: there is no Redis.
        purpose: one word, for spans and log lines.

    Attributes:
        client: what is called.
        breaker: opens when it does not answer.
    """

    def __init__(self, client: Redis | None, purpose: str) -> None:
        self.client = client
        self.breaker = Breaker(failures=5, pause=2.0)
        self._purpose = purpose
        self._span = f"redis {purpose}"
        self._lock = Lock()
        self._untold = 0
        self._quiet_until = 0.0

    def make(self, call: Callable[[Redis], Any]) -> Any:
        """Return what a call returns; None if it is not worth making, or was not answered."""
        if self.client is None or not self.breaker.allows():
            return None
        try:
            with trace.span(self._span, Kind.CLIENT, _ATTRIBUTES):
                result = call(self.client)
        except RedisError as error:
            self.breaker.failed()
            self._tell(error)
            return None
        self.breaker.succeeded()
        return result

    def _tell(self, error: RedisError) -> None:
        """Write a line about this failure and those that were not told yet, once a second at most."""
        with self._lock:
            self._untold += 1
            now = time.monotonic()
            if now < self._quiet_until:
                return
            failures, self._untold, self._quiet_until = self._untold, 0, now + _QUIET_SECONDS
        _LOG.warning(
            "redis did not answer",
            extra={"labels.purpose": self._purpose, "error.message": str(error), "error.count": failures},
        )
