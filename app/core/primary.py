"""Waiting for a primary, while Postgres changes it or it is away."""

import threading
import time
from contextlib import suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.turns import Turns

_LOOK_SECONDS = 0.2
_TAKES_WRITES = text("SELECT current_setting('transaction_read_only') = 'off'")  # never on a replica


class PrimaryWait:
    """Where writes wait. One at a time looks, so that those who wait are no load for a server that starts.

    Args:
        engine: of the primary, each statement a transaction.
        turns: what lets others work meanwhile; None: nobody waits.
    """

    def __init__(self, engine: Engine, turns: Turns | None) -> None:
        self._engine = engine
        self._turns = turns
        self._looking = threading.Lock()

    def until(self, deadline: float) -> bool:
        """True once there is a primary; False if there is none in time, or if too many wait already.

        Args:
            deadline: of the monotonic clock.
        """
        while self._turns is not None and time.monotonic() + _LOOK_SECONDS < deadline:
            if not self._turns.stand_aside(_LOOK_SECONDS):
                return False
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
