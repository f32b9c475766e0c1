"""What can be done with users: transactions and rules, no HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.core.database import Database, Source
from app.core.database_errors import broken_constraint
from app.repositories import idempotency
from app.repositories import users as rows
from app.repositories.idempotency import Claim
from app.repositories.users import UserRecord

T = TypeVar("T")


class UserNotFoundError(Exception):
    """There is no such user."""


class EmailTakenError(Exception):
    """Another user has this address."""


class VersionMismatchError(Exception):
    """The user was changed since the client read it."""


@dataclass(frozen=True)
class Created:
    """The outcome of a creation.

    Attributes:
        user: as it was when it was created.
        replayed: True if an earlier request with the same idempotency key created it.
    """

    user: UserRecord
    replayed: bool


@dataclass(frozen=True)
class Page:
    """Some users, newest first; `more` says whether older ones follow."""

    users: Sequence[UserRecord]
    more: bool


class Users:
    """The operations on users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, email: str, claim: Claim | None) -> Created:
        """Create a user.

        Raises:
            EmailTakenError: another user has the address.
            KeyReusedError: the idempotency key belongs to another request.
        """
        now = datetime.now(UTC)
        user = UserRecord(id=uuid4(), name=name, email=email, version=1, created_at=now, updated_at=now)

        def work(connection: Connection) -> Created:
            if claim is not None:
                earlier = idempotency.claim(connection, claim, _as_json(user), now)
                if earlier is not None:
                    return Created(_from_json(earlier), replayed=True)
            rows.add(connection, user)
            return Created(user, replayed=False)

        return self._write(work)

    def get(self, user_id: UUID) -> UserRecord:
        """Return a user.

        Raises:
            UserNotFoundError: there is none.
        """

        def work(connection: Connection) -> UserRecord | None:
            return rows.get(connection, user_id)

        # A replica may be behind: before saying that something does not exist, ask the primary.
        user = self._database.read(work) or self._database.read(work, prefer=Source.PRIMARY)
        if user is None:
            raise UserNotFoundError
        return user

    def page(self, limit: int, after: tuple[datetime, UUID] | None) -> Page:
        """Return up to `limit` users that come after the given (created_at, id), newest first."""
        found = self._database.read(lambda connection: rows.page(connection, limit + 1, after))
        return Page(found[:limit], more=len(found) > limit)

    def change(self, user_id: UUID, values: Mapping[str, Any], versions: Sequence[int] | None) -> UserRecord:
        """Change fields of a user whose version is one of `versions` (None: any).

        Raises:
            UserNotFoundError: there is none.
            VersionMismatchError: it has another version.
            EmailTakenError: another user has the address.
        """
        now = datetime.now(UTC)

        def work(connection: Connection) -> UserRecord:
            user = rows.change(connection, user_id, values, versions, now)
            if user is None:
                raise _missing_or_newer(connection, user_id)
            return user

        return self._write(work)

    def delete(self, user_id: UUID, versions: Sequence[int] | None) -> None:
        """Delete a user whose version is one of `versions` (None: any).

        Raises:
            UserNotFoundError: there is none.
            VersionMismatchError: it has another version.
        """

        def work(connection: Connection) -> None:
            if not rows.remove(connection, user_id, versions):
                raise _missing_or_newer(connection, user_id)

        self._database.write(work)

    def _write(self, work: Callable[[Connection], T]) -> T:
        try:
            return self._database.write(work)
        except IntegrityError as error:
            if broken_constraint(error) == "users_email_key":
                raise EmailTakenError from error
            raise


def _missing_or_newer(connection: Connection, user_id: UUID) -> Exception:
    return UserNotFoundError() if rows.get(connection, user_id) is None else VersionMismatchError()


def _as_json(user: UserRecord) -> dict[str, Any]:
    return {
        **vars(user),
        "id": str(user.id),
        "created_at": user.created_at.isoformat(),
        "updated_at": user.updated_at.isoformat(),
    }


def _from_json(stored: Mapping[str, Any]) -> UserRecord:
    return UserRecord(
        id=UUID(stored["id"]),
        name=stored["name"],
        email=stored["email"],
        version=stored["version"],
        created_at=datetime.fromisoformat(stored["created_at"]),
        updated_at=datetime.fromisoformat(stored["updated_at"]),
    )
