import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from app.core.database_errors import Trouble, broken_constraint, classify, commit_outcome_is_unknown, sqlstate_of


def wrapped(original: Exception, *, invalidated: bool = False) -> DBAPIError:
    kind = OperationalError if isinstance(original, psycopg.OperationalError) else ProgrammingError
    return kind("SELECT 1", {}, original, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("original", "trouble"),
    [
        (psycopg.OperationalError("connection refused"), Trouble.LOST),
        (errors.AdminShutdown(), Trouble.LOST),
        (errors.CannotConnectNow(), Trouble.LOST),
        (errors.TooManyConnections(), Trouble.LOST),
        (errors.ReadOnlySqlTransaction(), Trouble.LOST),
        (errors.ConnectionFailure(), Trouble.LOST),
        (errors.SerializationFailure(), Trouble.CONFLICT),
        (errors.DeadlockDetected(), Trouble.CONFLICT),
        (errors.QueryCanceled(), Trouble.SLOW),
        (errors.LockNotAvailable(), Trouble.SLOW),
        (errors.UniqueViolation(), Trouble.OTHER),
        (errors.UndefinedTable(), Trouble.OTHER),
        (psycopg.ProgrammingError("a mistake of ours"), Trouble.OTHER),
        (TypeError("not of the driver"), Trouble.OTHER),
    ],
)
def test_what_an_error_means(original, trouble):
    assert classify(wrapped(original)) is trouble


def test_a_connection_that_died_is_lost_whatever_the_driver_calls_it():
    assert classify(wrapped(psycopg.ProgrammingError("closed"), invalidated=True)) is Trouble.LOST


@pytest.mark.parametrize(
    ("original", "unknown"),
    [
        (psycopg.OperationalError("server closed the connection"), True),
        (errors.AdminShutdown(), True),
        (errors.QueryCanceled(), True),
        (errors.SerializationFailure(), False),
        (errors.ForeignKeyViolation(), False),
    ],
)
def test_a_commit_is_only_known_to_have_failed_when_the_server_says_so(original, unknown):
    assert commit_outcome_is_unknown(wrapped(original)) is unknown


def test_errors_of_other_kinds_have_neither_state_nor_constraint():
    error = wrapped(TypeError("x"))
    assert sqlstate_of(error) is None
    assert broken_constraint(error) is None
