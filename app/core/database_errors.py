"""What a database error means for the request: pure decisions over SQLSTATE codes."""

from enum import StrEnum
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_LOST_CLASSES = ("08",)  # connection exceptions
_LOST = {
    "25006",  # read-only transaction: this was the primary a moment ago
    "53300",  # too many connections
    "57P01",  # administrator shut the server down
    "57P02",  # crash of another backend
    "57P03",  # starting up, shutting down or in recovery
    "57P05",  # idle session ended
}
_CONFLICTS = {"40001", "40P01"}
_SLOW = {"57014", "55P03", "25P03"}  # statement, lock, idle-in-transaction timeouts


class Trouble(StrEnum):
    """What to do about a database error."""

    LOST = "lost"  # another connection or another server may work
    CONFLICT = "conflict"  # the same work may succeed when it is run again
    SLOW = "slow"  # it took longer than it may; trying again now would make it worse
    OTHER = "other"  # the statement is at fault


class Unavailable(Exception):  # noqa: N818 - a state of the world, answered with 503
    """No database can do this work now; nothing was changed."""


class TookTooLong(Exception):  # noqa: N818 - a state of the world, answered with 503
    """The watchdog ended the work before COMMIT was sent; nothing was changed."""


class CommitUnknown(Exception):  # noqa: N818 - not an error of anyone: nobody can know
    """COMMIT was sent, and nobody can say whether the work is done or will survive the loss of the primary.

    Attributes:
        result: what the work had returned before.
    """

    result: Any = None


def sqlstate_of(error: DBAPIError) -> str | None:
    """Return the five-character SQLSTATE, or None if the server did not answer at all."""
    return error.orig.sqlstate if isinstance(error.orig, psycopg.Error) else None


def classify(error: DBAPIError) -> Trouble:
    """Return what a database error means."""
    state = sqlstate_of(error)
    if state is None:
        answered = not error.connection_invalidated and not isinstance(error, OperationalError | InterfaceError)
        return Trouble.OTHER if answered else Trouble.LOST
    if state in _CONFLICTS:
        return Trouble.CONFLICT
    if state in _SLOW:
        return Trouble.SLOW
    if state in _LOST or state.startswith(_LOST_CLASSES):
        return Trouble.LOST
    return Trouble.OTHER


def commit_outcome_is_unknown(error: DBAPIError) -> bool:
    """True unless the server said itself that the transaction is rolled back (integrity 23..., conflict 40...)."""
    return not (sqlstate_of(error) or "").startswith(("23", "40"))


def broken_constraint(error: DBAPIError) -> str | None:
    """Return the name of the constraint or unique index that a statement broke."""
    return error.orig.diag.constraint_name if isinstance(error.orig, psycopg.Error) else None
