"""Two explicit engines, one for writes (primary) and one for reads (replica), and what their failures mean."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import psycopg
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, Engine, QueuePool, RootTransaction, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core import trace
from app.core.consistency import current
from app.core.database_errors import (
    CommitUnknown,
    TookTooLong,
    Trouble,
    Unavailable,
    classify,
    commit_outcome_is_unknown,
)
from app.core.secret_files import read_database_url
from app.core.settings import Settings
from app.core.trace import Kind
from app.core.turns import Turns
from app.core.waiting import ACKNOWLEDGES, Waiting
from app.core.watchdog import Watchdog, driver_of

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
#: What a unit of work may fail with, through no fault of its own.
TROUBLE = (DBAPIError, PoolTimeoutError, Unavailable, TookTooLong, CommitUnknown)
_ATTEMPTS = 5
# After a failed connect the source is skipped for this long, so that a dead replica costs one request, not all.
_AWAY_SECONDS = 1.0
_NO_TRANSACTION = "25P01"
_SCHEMA = text("SELECT version_num FROM alembic_version")
# A replica that nobody feeds and that has replayed nothing for so long is not asked. Less than that is what a change of
# the primary takes, during which no replica is fed and all are asked.
_FOLLOWS_SECONDS = 60.0
# How often that is looked at on a connection.
_LOOK_SECONDS = 10.0
_STANDS_STILL = text(
    "SELECT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver)"
    " AND now() - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()) > make_interval(secs => :most)"
)
_REPLAYED = text("SELECT pg_last_wal_replay_lsn() >= CAST(:seen AS pg_lsn)")  # NULL on a primary


class Source(StrEnum):
    """Where a statement runs."""

    PRIMARY = "primary"
    REPLICA = "replica"


def make_engine(url_file: Path, settings: Settings, **options: Any) -> Engine:
    """Return an engine whose pool has one connection for each thread.

    The address is read from its file at every new connection, so a rotated password needs no restart.
    """
    engine = create_engine(
        read_database_url(url_file),
        pool_size=settings.threads,
        max_overflow=0,
        pool_timeout=settings.pool_wait_seconds,
        pool_recycle=300,
        pool_use_lifo=True,
        hide_parameters=True,  # errors reach the log, names and addresses must not
        use_native_hstore=False,  # saves a query for each new connection
        connect_args={
            "connect_timeout": settings.connect_seconds,
            "prepare_threshold": None,  # prepared statements do not survive a pooler in transaction mode
            "tcp_user_timeout": int(settings.connect_seconds * 1000),
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": f"payload-{settings.colour}",
        },
        **options,
    )

    def use_current_address(_dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
        url = read_database_url(url_file)
        parameters.update(url.translate_connect_args(username="user", database="dbname"), **url.query)

    event.listen(engine, "do_connect", use_current_address)
    return engine


class _BehindError(Exception):
    """The replica has not replayed what the client has already seen, or has ceased to follow."""


class _AwayError(Exception):
    """There is no primary; nothing was changed."""


class _Unit(Generic[T]):
    """A unit of work; after an unknown COMMIT it is run again, unless it turns out to have been done."""

    def __init__(self, work: Callable[[Connection], T], was_done: Callable[[Connection], bool] | None) -> None:
        self._work = work
        self._was_done = was_done
        self._unknown: CommitUnknown | None = None

    def commit_is_unknown(self, error: CommitUnknown) -> None:
        """Remember it, if somebody can say later what came of it."""
        self._unknown = None if self._was_done is None else error

    def run(self, connection: Connection) -> T:
        """Run it. If it was done before, return what it returned then, once a replica has that."""
        if self._unknown is not None and self._was_done is not None:
            if self._was_done(connection):
                connection.execute(ACKNOWLEDGES)
                return cast("T", self._unknown.result)
            self._unknown = None
        return self._work(connection)

    def failed(self, error: Exception) -> Exception:
        """What a failure means: as long as a COMMIT is unknown, nobody can say that nothing was changed."""
        return error if self._unknown is None else self._unknown


class Database:
    """Runs units of work. A unit may run more than once, so it must have no effect besides its statements.

    Args:
        settings: addresses and waits.
        turns: where a write waits for a primary, and when its request ends; None: it does not wait.
    """

    def __init__(self, settings: Settings, turns: Turns | None = None) -> None:
        self._settings = settings
        self._until = _from_now if turns is None else turns.until
        self._watchdog = Watchdog()
        self._primary = make_engine(settings.database_url_file, settings)
        self._serializable = self._primary.execution_options(isolation_level="SERIALIZABLE")
        self._readers: dict[Source, Engine] = {
            Source.PRIMARY: self._primary.execution_options(isolation_level="AUTOCOMMIT")
        }
        # A pooler may lend another replica for each transaction: what is asked of one must be read from the same one.
        self._in_one = settings.pooled
        if settings.replica_url_file is not None:
            single = {} if self._in_one else {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
            self._readers[Source.REPLICA] = make_engine(settings.replica_url_file, settings, **single)
        self._waiting = Waiting(self._readers[Source.PRIMARY], turns, self._watchdog)
        self._away_until = dict.fromkeys(self._readers, 0.0)

    def close(self) -> None:
        """Close every pooled connection."""
        for engine in self._readers.values():
            engine.dispose()

    def connections(self) -> dict[Source, tuple[int, int]]:
        """For each server: connections in use, and connections that wait for one who needs them."""
        pools = {source: cast("QueuePool", engine.pool) for source, engine in self._readers.items()}
        return {source: (pool.checkedout(), pool.checkedin()) for source, pool in pools.items()}

    def read(self, work: Callable[[Connection], T], *, prefer: Source = Source.REPLICA) -> T:
        """Return what `work` reads, from the preferred source or else from the other one.

        While neither answers it tries again, for PRIMARY_SECONDS at most: a change of the primary ends the sessions of
        the replica that becomes it, too.

        Raises:
            Unavailable: no source answered.
            DBAPIError: the statement itself failed.
        """
        patience = self._until(self._settings.primary_seconds)
        while True:
            try:
                return self._read_now(work, prefer)
            except Unavailable:
                if not self._waiting.pause(patience):
                    raise

    def _read_now(self, work: Callable[[Connection], T], prefer: Source = Source.REPLICA) -> T:
        failure: Exception | None = None
        again: list[Source] = []
        behind = False
        queue = list(self._order(prefer))
        while queue:
            source = queue.pop(0)
            try:
                return self._read_from(source, work)
            except _BehindError:
                behind = True
            except (DBAPIError, TookTooLong) as error:
                if isinstance(error, DBAPIError) and classify(error) not in {Trouble.LOST, Trouble.CONFLICT}:
                    raise
                failure = error
                _LOG.warning("database source failed", extra={"labels.source": source, "error.message": str(error)})
                stale_connection = isinstance(error, DBAPIError) and error.connection_invalidated
                if stale_connection and source not in again:
                    # Its pool was emptied of connections that died while idle: once more, after the others.
                    again.append(source)
                    queue.append(source)
                else:
                    self._away_until[source] = time.monotonic() + _AWAY_SECONDS
        if behind:
            # The primary is away: an answer that may be old, and says so, is better than none.
            current().stale = True
            try:
                return self._read_from(Source.REPLICA, work, may_be_old=True)
            except (DBAPIError, TookTooLong) as error:
                if isinstance(error, DBAPIError) and classify(error) is not Trouble.LOST:
                    raise
                failure = error
        raise Unavailable("no database answers reads") from failure

    def check(self) -> None:
        """Return if a database with the service's schema answers.

        Raises:
            Unavailable: none answers.
            DBAPIError: it lacks the schema.
        """
        with suppress(PoolTimeoutError):  # every connection is in use: busy, but the database answers
            self._read_now(lambda connection: connection.execute(_SCHEMA).one())

    def write(
        self,
        work: Callable[[Connection], T],
        *,
        serializable: bool = False,
        repeatable: bool = False,
        was_done: Callable[[Connection], bool] | None = None,
        seconds: float | None = None,
    ) -> T:
        """Run `work` in one transaction on the primary and commit it.

        A unit that failed before COMMIT was sent, by a stale connection or a conflict, is run again; while there is no
        primary it waits for one, for PRIMARY_SECONDS at most.

        Args:
            work: the unit.
            serializable: at that isolation level.
            repeatable: it does nothing if it was done before, so it is run again also after an unknown COMMIT.
            was_done: says whether it was done before; so it is run again after an unknown COMMIT unless it was.
            seconds: the most that it may take, for work that no request waits for; WRITE_SECONDS otherwise.

        Raises:
            CommitUnknown: COMMIT was sent and its outcome, or its replication, is not known.
            TookTooLong: the work was ended before COMMIT; nothing was changed.
            Unavailable: the primary cannot be written to now.
            DBAPIError: the statement itself failed (for example a constraint).
        """
        engine = self._serializable if serializable else self._primary
        longest = seconds or self._settings.write_seconds
        ends = self._until(seconds or self._settings.request_seconds)
        # What has waited for a primary still has to be done in what is left.
        patience = min(
            _from_now(self._settings.primary_seconds),
            ends - (self._settings.request_seconds - self._settings.primary_seconds),
        )
        unit: _Unit[T] = _Unit(work, was_done)
        while True:
            # One request or two find out whether commits are acknowledged again: a COMMIT that hangs keeps its
            # turn, and a few of them would keep all, and reads with them.
            if self._waiting.away and not self._waiting.for_primary(patience):
                raise unit.failed(Unavailable("the primary database cannot be written to"))
            try:
                return self._write_now(engine, unit.run, longest, ends)
            except _AwayError as error:
                if not self._waiting.for_primary(patience):
                    away = Unavailable("the primary database cannot be written to")
                    raise unit.failed(away) from error.__cause__
            except CommitUnknown as error:
                unit.commit_is_unknown(error)
                if not (repeatable or was_done) or not self._waiting.for_primary(patience):
                    raise
            except (DBAPIError, PoolTimeoutError, TookTooLong, Unavailable) as error:
                raise unit.failed(error) from error.__cause__

    def _write_now(self, engine: Engine, work: Callable[[Connection], T], longest: float, ends: float) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._transaction(engine, work, longest, ends)
            except DBAPIError as error:
                trouble = classify(error)
                again = trouble is Trouble.CONFLICT or (trouble is Trouble.LOST and error.connection_invalidated)
                if again and attempt < _ATTEMPTS:
                    continue
                if trouble is Trouble.LOST:
                    raise _AwayError from error
                if trouble is Trouble.CONFLICT:
                    raise Unavailable("the primary database has too many conflicts") from error
                raise
        raise AssertionError("the last attempt returns or raises")

    def _read_from(self, source: Source, work: Callable[[Connection], T], *, may_be_old: bool = False) -> T:
        with (
            self._readers[source].connect() as connection,
            self._watchdog.watch(driver_of(connection), self._until(self._settings.read_seconds)) as watch,
        ):
            try:
                with connection.begin() if self._in_one and source is Source.REPLICA else nullcontext():
                    # Told as well: outside of a request, in a probe or a worker, nothing remembers that it may be old.
                    asked = source is Source.REPLICA and not may_be_old and not current().stale
                    if asked and (_stands_still(connection) or _is_behind(connection)):
                        raise _BehindError
                    return work(connection)
            except DBAPIError as error:
                if watch.fired:
                    _lose(connection, error)
                    raise TookTooLong("a read was ended by the watchdog") from error
                raise

    def _transaction(self, engine: Engine, work: Callable[[Connection], T], longest: float, ends: float) -> T:
        with (
            engine.connect() as connection,
            self._watchdog.watch(driver_of(connection), min(_from_now(longest), ends)) as watch,
        ):
            transaction = connection.begin()
            try:
                result = work(connection)
            except BaseException as error:
                if isinstance(error, DBAPIError) and (watch.fired or classify(error) is Trouble.LOST):
                    # Also a healthy connection to a demoted primary: the next one must go to the new primary.
                    _lose(connection, error)
                transaction.rollback()
                if watch.fired:
                    raise TookTooLong("a write was ended by the watchdog before COMMIT") from error
                raise
            try:
                _commit(connection, transaction)
            except CommitUnknown as error:
                error.result = result
                raise
            finally:
                if watch.fired and not connection.invalidated:
                    connection.invalidate()  # a late cancellation must not hit the next user
            return result

    def _order(self, prefer: Source) -> Iterator[Source]:
        """The preferred source first, sources known to be away last."""
        now = time.monotonic()
        return iter(sorted(self._readers, key=lambda source: (self._away_until[source] > now, source != prefer)))


def _from_now(seconds: float) -> float:
    return time.monotonic() + seconds


def _lose(connection: Connection, error: DBAPIError) -> None:
    """Never use this connection again, and let the error say so."""
    if not connection.invalidated:
        connection.invalidate()
    error.connection_invalidated = True


def _stands_still(connection: Connection) -> bool:
    """True if this replica does not follow any more; its answers get older without an end."""
    if time.monotonic() < connection.info.get("follows_until", 0.0):
        return False
    if connection.execute(_STANDS_STILL, {"most": _FOLLOWS_SECONDS}).scalar_one():
        return True
    connection.info["follows_until"] = time.monotonic() + _LOOK_SECONDS
    return False


def _is_behind(connection: Connection) -> bool:
    """True if the client has seen a position that this server has not replayed; a primary is never behind."""
    seen = current().seen
    if seen is None:
        return False
    return connection.execute(_REPLAYED, {"seen": seen}).scalar_one() is False


def _commit(connection: Connection, transaction: RootTransaction) -> None:
    """Commit, be sure of it, and remember the position in the log, in one round trip.

    Postgres answers COMMIT with success and a WARNING when the wait for the synchronous replica was cancelled. Such a
    row may vanish with the primary, so that success is not one. Any warning counts: the texts are translated.
    """
    warnings: list[Diagnostic] = []

    def note(notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING" and notice.sqlstate != _NO_TRANSACTION:
            warnings.append(notice)

    driver = driver_of(connection)
    driver.add_notice_handler(note)
    try:
        # The position must be read after COMMIT, or it does not cover COMMIT itself.
        with trace.span("COMMIT", Kind.CLIENT, {"db.system.name": "postgresql"}):
            cursor = driver.execute("COMMIT; SELECT pg_current_wal_insert_lsn()::text")
        cursor.nextset()
        row = cursor.fetchone()
        transaction.commit()  # sends nothing: the driver knows that no transaction is open
    except psycopg.Error as error:
        wrapped = DBAPIError("COMMIT", None, error, connection_invalidated=driver.broken)
        if commit_outcome_is_unknown(wrapped):
            connection.invalidate()
            raise CommitUnknown("the connection failed while COMMIT was answered") from error
        raise wrapped from error
    finally:
        driver.remove_notice_handler(note)
    if warnings:
        raise CommitUnknown(f"COMMIT was answered with a warning: {warnings[0].message_primary}")
    current().written = None if row is None else row[0]
