"""Waiting while Postgres changes its primary, or is away."""

import threading
import time
from contextlib import suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.turns import Turns
from app.core.watchdog import Watchdog, driver_of

_PAUSE_SECONDS = 0.2
# A look is answered when a replica follows the new primary, and would be begun anew just before; but a server that has
# gone answers none, so another one looks meanwhile.
_LOOK_SECONDS = 4.0
_ANOTHER_SECONDS = 2.0
#: A change of the primary is over by then (at its bar, within 15 s); who waits longer waits for a repair.
_CHANGE_SECONDS = 20.0
# A commit that changes nothing. It is answered when a replica has it, as every other one is: a server that was just
# promoted takes writes seconds before it can acknowledge any. On a server that takes none there is no row, or an error.
ACKNOWLEDGES = text(
    "SELECT pg_logical_emit_message(true, 'slipway', '') WHERE current_setting('transaction_read_only') = 'off'"
)


class Waiting:
    """Where requests wait. One looks for a primary, and a second one if that takes long; each keeps its turn meanwhile.

    Args:
        engine: of the primary, each statement a transaction.
        turns: what lets others work meanwhile; None: nobody waits.
        watchdog: ends a look that takes too long.
    """

    def __init__(self, engine: Engine, turns: Turns | None, watchdog: Watchdog) -> None:
        self._engine = engine
        self._turns = turns
        self._watchdog = watchdog
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._away_since: float | None = None

    @property
    def away(self) -> bool:
        """Whether somebody waits, or has waited in vain, and nobody has found a primary since."""
        return self._away_since is not None

    def pause(self, deadline: float) -> bool:
        """Wait for a moment; False, at once, if it would end after the deadline, or if too many wait already.

        Args:
            deadline: of the monotonic clock.
        """
        in_time = time.monotonic() + _PAUSE_SECONDS < deadline
        return self._turns is not None and in_time and self._turns.stand_aside(_PAUSE_SECONDS)

    def for_primary(self, deadline: float) -> bool:
        """True once a primary acknowledges commits.

        False if none does in time, or if too many wait already; soon, if it has been away for long: requests that all
        wait in vain keep others from being answered. One of them looks all the same.
        """
        asked = False
        while self.pause(deadline):
            if asked and not self.away:  # another one has found it
                return True
            asked, since = True, self._away_since
            if since is None:
                since = self._away_since = time.monotonic()
            if self._may_look():
                try:
                    if self._is_there(deadline):
                        self._away_since = None
                        return True
                finally:
                    self._next_look = 0.0
            if time.monotonic() - since > _CHANGE_SECONDS:
                return False
        return False

    def _may_look(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._next_look:
                return False
            self._next_look = now + _ANOTHER_SECONDS
            return True

    def _is_there(self, deadline: float) -> bool:
        deadline = min(deadline, time.monotonic() + _LOOK_SECONDS)
        with suppress(DBAPIError, PoolTimeoutError), self._engine.connect() as connection:
            found = False
            try:
                with self._watchdog.watch(driver_of(connection), deadline) as watch:
                    found = connection.execute(ACKNOWLEDGES).first() is not None
                found = found and not watch.fired
            finally:
                if not found:
                    connection.invalidate()  # it leads to what was the primary, or is not fit to be used again
            return found
        return False
