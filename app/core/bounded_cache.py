"""A small cache of one process for what is expensive to verify: entries end soon, and there are never too many."""

import time
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keys to values, each with a moment when it ends. Full means: forget everything, which is simple and safe."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._entries: dict[K, tuple[float, V]] = {}
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Return a value that has not ended, else None."""
        found = self._entries.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep a value for that long."""
        with self._lock:
            if len(self._entries) >= self._most:
                self.clear()
            self._entries[key] = (time.monotonic() + seconds, value)

    def drop(self, key: K) -> None:
        """Forget a value, if there is one."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
