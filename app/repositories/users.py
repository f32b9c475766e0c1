"""Statements over users. Rows leave as frozen values, never as live objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, insert, select, tuple_, update

from app.models import User

_COLUMNS = (User.id, User.name, User.email, User.version, User.created_at, User.updated_at)
_POSITION = tuple_(User.created_at, User.id)


@dataclass(frozen=True)
class UserRecord:
    """A user as stored."""

    id: UUID
    name: str
    email: str
    version: int
    created_at: datetime
    updated_at: datetime


def _record(row: Row[UUID, str, str, int, datetime, datetime]) -> UserRecord:
    return UserRecord(*row)


def add(connection: Connection, user: UserRecord) -> None:
    """Insert a user."""
    connection.execute(insert(User).values(vars(user)))


def get(connection: Connection, user_id: UUID) -> UserRecord | None:
    """Return a user by id."""
    row = connection.execute(select(*_COLUMNS).where(User.id == user_id)).one_or_none()
    return None if row is None else _record(row)


def page(connection: Connection, limit: int, after: tuple[datetime, UUID] | None) -> Sequence[UserRecord]:
    """Return up to `limit` users, newest first, that come after the given (created_at, id)."""
    query = select(*_COLUMNS).order_by(User.created_at.desc(), User.id.desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(*after) > _POSITION)
    return [_record(row) for row in connection.execute(query)]


def change(
    connection: Connection, user_id: UUID, values: Mapping[str, Any], versions: Sequence[int] | None, now: datetime
) -> UserRecord | None:
    """Change a user whose version is one of `versions` (None: any) and return it, or None if there is no such row."""
    statement = update(User).where(User.id == user_id)
    if versions is not None:
        statement = statement.where(User.version.in_(versions))
    row = connection.execute(
        statement.values(**values, version=User.version + 1, updated_at=now).returning(*_COLUMNS)
    ).one_or_none()
    return None if row is None else _record(row)


def remove(connection: Connection, user_id: UUID, versions: Sequence[int] | None) -> bool:
    """Delete a user whose version is one of `versions` (None: any); False if there is no such row."""
    statement = delete(User).where(User.id == user_id)
    if versions is not None:
        statement = statement.where(User.version.in_(versions))
    return connection.execute(statement).rowcount == 1
