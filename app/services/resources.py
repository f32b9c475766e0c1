"""What can be done with any kind of resource: transactions and rules, no HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.core.cache import Cache
from app.core.consistency import current
from app.core.database import Database, Source
from app.core.database_errors import Unavailable, broken_constraint
from app.repositories import idempotency, tables
from app.repositories.audit import Act, was_done
from app.repositories.idempotency import Claim
from app.repositories.messages import announcement
from app.repositories.tables import Record, Slice
from app.services.kinds import NEWEST_FIRST, Kind, Refusal

T = TypeVar("T")

_STEP = 500


class MissingError(Exception):
    """There is no such resource; the text is its kind."""


class VersionMismatchError(Exception):
    """The resource was changed since the client read it."""


class RefusedError(Exception):
    """A rule of the database forbids the change."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(frozen=True)
class Caller:
    """On whose behalf something is done; goes into the audit log.

    Attributes:
        actor: `user:<id>`, `key:<prefix>` or `anonymous`.
        client_ip: where the request came from, None for commands.
        request_id: which request it was, None for commands.
    """

    actor: str
    client_ip: str | None = None
    request_id: str | None = None

    def does(self, action: str, subject: object) -> Act:
        """Return the audit entry for an action of this caller, now."""
        return Act(datetime.now(UTC), self.actor, action, str(subject), self.client_ip, self.request_id)


@dataclass(frozen=True)
class Created:
    """The outcome of a creation.

    Attributes:
        record: the row as it was when it was created.
        replayed: True if an earlier request with the same idempotency key created it.
    """

    record: Record
    replayed: bool


@dataclass(frozen=True)
class Page:
    """Some rows, and whether more follow."""

    records: Sequence[Record]
    more: bool


class Resources:
    """The operations on one kind of resource, for one caller."""

    def __init__(self, database: Database, cache: Cache, kind: Kind, caller: Caller) -> None:
        self._database = database
        self._cache = cache
        self._kind = kind
        self._caller = caller

    def create(self, values: Record, claim: Claim | None) -> Created:
        """Create a row from the client's values.

        Raises:
            RefusedError: a constraint forbids it.
            KeyReusedError: the idempotency key belongs to another request.
        """
        row_id = uuid4()
        act = self._caller.does(f"{self._kind.name}.create", row_id)
        record = {
            **self._kind.initial,
            **values,
            "id": row_id,
            "version": 1,
            "created_at": act.at,
            "updated_at": act.at,
        }

        message = None
        if self._kind.announced:
            shown = {name: value for name, value in _as_json(record).items() if name in self._kind.fields}
            message = announcement(f"{self._kind.name}.created", shown, act.at, act.request_id)

        def work(connection: Connection) -> Created:
            if claim is not None:
                earlier = idempotency.claim(connection, claim, _as_json(record), act.at)
                if earlier is not None:
                    return Created(earlier, replayed=True)
            tables.add(connection, self._kind.table, record, act, message)
            return Created(record, replayed=False)

        return self._write(work, act, repeatable=claim is not None)

    def get(self, row_id: UUID) -> Record:
        """Return a row.

        Raises:
            MissingError: there is none.
        """

        def work(connection: Connection) -> Record | None:
            return tables.get(connection, self._kind.table, row_id, [*self._kind.fields, "version"])

        def load() -> dict[str, Any] | None:
            # A replica may be behind: before saying that something does not exist, ask the primary.
            record = self._database.read(work) or self._database.read(work, prefer=Source.PRIMARY)
            return None if record is None else _as_json(record)

        # Whoever names a position in the log wants no older value, and the cache knows no positions.
        asked = current()
        use_cache = self._kind.cached and asked.seen is None and not asked.uncached
        record = self._cache.get_or_load(cache_name(self._kind, row_id), load) if use_cache else load()
        if record is None:
            raise MissingError(self._kind.name)
        return record

    def page(self, wanted: Slice) -> Page:
        """Return a slice of the listing."""
        one_more = Slice(wanted.columns, wanted.sort, wanted.limit + 1, wanted.after, wanted.filters)
        found = self._database.read(lambda connection: tables.page(connection, self._kind.table, one_more))
        return Page(found[: wanted.limit], more=len(found) > wanted.limit)

    def many(self, ids: Sequence[UUID]) -> Sequence[Record]:
        """Return the rows with these ids that exist, from one statement."""
        columns = [*self._kind.fields, "version"]
        return self._database.read(lambda connection: tables.by_ids(connection, self._kind.table, ids, columns))

    def newest_of_each(self, owner: str, ids: Sequence[UUID], limit: int) -> Sequence[Record]:
        """Return the newest rows of each owner (`limit` at most for each), from one statement."""
        table, columns = self._kind.table, [*self._kind.fields, "version"]
        return self._database.read(
            lambda connection: tables.newest_of_each(connection, table, owner, ids, columns=columns, limit=limit)
        )

    def change(self, row_id: UUID, values: Record, versions: Sequence[int] | None) -> Record:
        """Change a row whose version is one of `versions` (None: any).

        Raises:
            MissingError: there is none.
            VersionMismatchError: it has another version.
            RefusedError: a constraint forbids it.
        """
        act = self._caller.does(f"{self._kind.name}.change", row_id)

        def work(connection: Connection) -> Record:
            record = tables.change(connection, self._kind.table, row_id, values, versions, act=act)
            if record is None:
                raise self._missing_or_newer(connection, row_id)
            return record

        return self._changing(row_id, act, work)

    def delete(self, row_id: UUID, versions: Sequence[int] | None) -> None:
        """Delete a row whose version is one of `versions` (None: any).

        Raises:
            MissingError: there is none.
            VersionMismatchError: it has another version.
            RefusedError: a constraint forbids it.
        """
        act = self._caller.does(f"{self._kind.name}.delete", row_id)

        def work(connection: Connection) -> None:
            if not tables.remove(connection, self._kind.table, row_id, versions, act=act):
                raise self._missing_or_newer(connection, row_id)

        self._changing(row_id, act, work)

    def _missing_or_newer(self, connection: Connection, row_id: UUID) -> Exception:
        there = tables.get(connection, self._kind.table, row_id, ["id"]) is not None
        return VersionMismatchError() if there else MissingError(self._kind.name)

    def _changing(self, row_id: UUID, act: Act, work: Callable[[Connection], T]) -> T:
        try:
            return self._write(work, act)
        finally:
            # Also when the outcome is unknown: the change may have happened.
            if self._kind.cached:
                self._cache.forget(cache_name(self._kind, row_id))

    def _write(self, work: Callable[[Connection], T], act: Act, *, repeatable: bool = False) -> T:
        asked = None if repeatable else was_done(act)
        return refusing(self._kind.refusals, lambda: self._database.write(work, repeatable=repeatable, was_done=asked))


def warm(database: Database, cache: Cache, kind: Kind, count: int) -> int:
    """Put the newest rows of a kind into the cache; return how many.

    Raises:
        Unavailable: the cache does not answer.
    """
    put = 0
    after: Sequence[Any] | None = None
    while put < count:
        step = Slice([*kind.fields, "version"], NEWEST_FIRST, min(_STEP, count - put), after)
        found = database.read(lambda connection, step=step: tables.page(connection, kind.table, step))
        if found and not cache.put({cache_name(kind, row["id"]): _as_json(row) for row in found}):
            raise Unavailable("the cache does not answer")
        put += len(found)
        if len(found) < step.limit:
            break
        after = [found[-1][name] for name in NEWEST_FIRST.keys]
    return put


def cache_name(kind: Kind, row_id: UUID) -> str:
    """Return the name under which a row is cached."""
    return f"{kind.name}:{row_id}"


def refusing(refusals: Mapping[str, Refusal], work: Callable[[], T]) -> T:
    """Run a unit of work and turn a broken constraint into the refusal that it means.

    Raises:
        RefusedError: a constraint in `refusals` was broken.
    """
    try:
        return work()
    except IntegrityError as error:
        refusal = refusals.get(broken_constraint(error) or "")
        if refusal is None:
            raise
        raise RefusedError(refusal) from error


def _as_json(record: Record) -> dict[str, Any]:
    """Return a row as JSON can hold it; a replay answers with these texts."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
        for name, value in record.items()
    }
