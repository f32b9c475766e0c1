"""How full a process is, looked at once a second by a thread of its own: no request pays for it."""

import time
from threading import Thread

from prometheus_client import CollectorRegistry, Gauge

from app.core.parts import Parts

_EVERY_SECONDS = 1.0


class Gauges:
    """Series about the parts of one application; those of several processes of a pod are added up.

    Args:
        parts: what is looked at.
        registry: where the series go.
    """

    def __init__(self, parts: Parts, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(name, what, labels, registry=registry, multiprocess_mode="livesum")

        self._parts = parts
        self._requests = gauge("payload_requests", "Requests inside, by what they do", "state")
        self._connections = gauge("payload_database_connections", "Connections in the pools", "server", "state")
        self._open = gauge("payload_breaker_open", "Breakers that let nothing pass, or only a try", "breaker")

    def look(self) -> None:
        """Set every series to what is true now."""
        for state, count in self._parts.turns.counts().items():
            self._requests.labels(state).set(count)
        for server, (used, idle) in self._parts.database.connections().items():
            self._connections.labels(server, "used").set(used)
            self._connections.labels(server, "idle").set(idle)
        for name, breaker in (("cache", self._parts.cache.breaker), ("limits", self._parts.limiter.breaker)):
            self._open.labels(name).set(breaker.is_open)

    def begin(self) -> None:
        """Look again and again; call it where threads live: after a fork."""
        Thread(target=self._run, name="gauges", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.look()
            time.sleep(_EVERY_SECONDS)
