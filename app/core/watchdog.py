"""Bounds what a database connection may take, from outside.

Postgres' own `statement_timeout` is not enough: it is switched off before a COMMIT waits for the synchronous replica,
and a server that is stopped (not dead) answers nothing at all. So one thread per process looks at the clock, asks the
server to cancel, and if even that does not help, cuts the connection.
"""

import logging
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread
from typing import Any, cast

import psycopg
from sqlalchemy import Connection

_LOG = logging.getLogger(__name__)
_CANCEL_SECONDS = 0.5


@dataclass(eq=False)
class Watch:
    """One piece of work on one connection.

    Attributes:
        fired: True once the limit was reached; the connection must then not be used again.
    """

    driver: psycopg.Connection[Any]
    deadline: float
    fired: bool = False
    done: bool = False
    lock: Lock = field(default_factory=Lock)


class Watchdog:
    """Watches any number of connections from one thread, which starts with the first watch (so: after a fork)."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._watches: set[Watch] = set()
        self._thread: Thread | None = None

    @contextmanager
    def watch(self, driver: psycopg.Connection[Any], deadline: float) -> Generator[Watch]:
        """Cancel what `driver` does if the block is not over at `deadline`, of the monotonic clock."""
        watch = Watch(driver, deadline)
        with self._changed:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="database-watchdog", daemon=True)
                self._thread.start()
            self._watches.add(watch)
            if len(self._watches) == 1:
                self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:
                self._watches.discard(watch)
            with watch.lock:  # waits for a cancellation under way: it must not hit the connection's next user
                watch.done = True

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._watches:
                    self._changed.wait()
                now = time.monotonic()
                overdue = [watch for watch in self._watches if watch.deadline <= now]
                self._watches.difference_update(overdue)
                if not overdue:
                    # Later watches may end sooner than this one, so look again soon; it is a few microseconds.
                    self._changed.wait(min(0.1, min(watch.deadline for watch in self._watches) - now))
            for watch in overdue:
                self._end(watch)

    def _end(self, watch: Watch) -> None:
        with watch.lock:
            if watch.done:
                return
            if watch.fired:
                # The cancellation was asked for and the work still hangs: the server itself hangs.
                _LOG.warning("database connection cut", extra={"event.reason": "cancel had no effect"})
                with suppress(OSError, psycopg.Error), _socket_of(watch.driver) as raw:
                    raw.shutdown(socket.SHUT_RDWR)
                return
            watch.fired = True
            with suppress(psycopg.Error):
                watch.driver.cancel_safe(timeout=_CANCEL_SECONDS)
            watch.deadline = time.monotonic() + _CANCEL_SECONDS
        with self._changed:
            # The work may have ended meanwhile; then the next look finds it done.
            self._watches.add(watch)


def driver_of(connection: Connection) -> "psycopg.Connection[Any]":
    """The driver's own connection."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _socket_of(driver: psycopg.Connection[Any]) -> socket.socket:
    """A second handle of the connection's socket; closing it leaves the connection's own open."""
    return socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM)
