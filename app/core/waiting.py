"""Waiting while Postgres changes its primary, or is away."""

import threading
import time
from contextlib import suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.turns import Turns

_LOOK_SECONDS = 0.2
_TAKES_WRITES = text("SELECT current_setting('transaction_read_only') = 'off'")  # never on a replica


class Waiting:
    """Where requests wait. One at a time looks for a primary, so that they are no load for a server that starts.

    Args:
        engine: of the primary, each statement a transaction.
        turns: what lets others work meanwhile; None: nobody waits.
    """

    def __init__(self, engine: Engine, turns: Turns | None) -> None:
        self._engine = engine
        self._turns = turns
        self._looking = threading.Lock()

    def pause(self, deadline: float) -> bool:
        """Wait for a moment; False, at once, if it would end after the deadline, or if too many wait already.

        Args:
            deadline: of the monotonic clock.
        """
        in_time = time.monotonic() + _LOOK_SECONDS < deadline
        return self._turns is not None and in_time and self._turns.stand_aside(_LOOK_SECONDS)

    def for_primary(self, deadline: float) -> bool:
        """True once there is a primary; False if there is none in time, or if too many wait already."""
        while self.pause(deadline):
            if self._looking.acquire(blocking=False):
                try:
                    if self._is_there():
                        return True
                finally:
                    self._looking.release()
        return False

    def _is_there(self) -> bool:
        with suppress(DBAPIError, PoolTimeoutError), self._engine.connect() as connection:
            found = False
            try:
                found = connection.execute(_TAKES_WRITES).scalar_one()
            finally:
                if not found:
                    connection.invalidate()  # it leads to what was the primary
            return found
        return False
